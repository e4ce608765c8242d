"""What a binding has copied out of the header by hand is the header's: sizes, offsets, numbers and prototypes. A slip there would
be silent, since nothing compiles those bindings against the header. Go's is compiled against it, and Lua's is the header."""

import re
import subprocess

import pytest

from probe import ROOT
from program import path

COPIES = ("ctypes", "java", "node")

HEADER = (ROOT / "include/bartizan.h").read_text()

# How the types of the header travel; every other one is a pointer.
KINDS = {
    "void": "void",
    "bartizan_status": "i32",
    "int64_t": "i64",
    "uint32_t": "u32",
    "uint64_t": "u64",
    "size_t": "u64",
    "bartizan_request": "u64",
}


def kind(declared):
    """`const char *key` to `ptr`."""
    return "ptr" if "*" in declared or "_fn " in declared else KINDS[declared.split()[0]]


def prototypes():
    """Every function of the header: what it gives, and what it takes."""
    found = {}
    for result, name, takes in re.findall(r"BARTIZAN_API\s+([\w\s]+?[\s*]+)(bartizan_\w+)\(([^)]*)\);", HEADER):
        takes = [] if takes.strip() == "void" else takes.split(",")
        found[name] = [kind(declared.strip()) for declared in (result, *takes)]
    return found


@pytest.fixture(scope="module")
def claims(copy):
    """Lines of words, the first of which says what the rest is about."""
    told = subprocess.run([path(copy, "layout")], capture_output=True, text=True, timeout=30, check=True).stdout
    return [line.split() for line in told.splitlines()]


def pytest_generate_tests(metafunc):
    metafunc.parametrize("copy", COPIES, scope="module")


def test_structures_and_numbers_are_those_of_a_c_compiler(claims, tmp_path):
    expressions = {
        "struct": ["sizeof({0})"],
        "field": ["offsetof({0}, {1})", "sizeof((({0} *)0)->{1})"],
        "constant": ["{0}"],
    }
    measured = [claim for claim in claims if claim[0] in expressions]
    assert {claim[0] for claim in measured} == set(expressions), "something of each kind is claimed"
    lines = []
    for what, *names in measured:
        for expression in expressions[what]:
            lines.append(f'printf(" %lld", (long long)({expression.format(*names)}));')
        lines.append('puts("");')
    source, program = tmp_path / "layout.c", tmp_path / "layout"
    body = "\n".join(lines)
    source.write_text(f"#include <stddef.h>\n#include <stdio.h>\n#include <bartizan.h>\nint main(void) {{\n{body}\n}}\n")
    subprocess.run(["cc", "-I", ROOT / "include", source, "-o", program], check=True, timeout=30)
    truths = subprocess.run([program], capture_output=True, text=True, timeout=10, check=True).stdout.splitlines()
    for (what, *words), truth in zip(measured, truths, strict=True):
        numbers = truth.split()
        assert words[-len(numbers) :] == numbers, f"{what} {words} is {numbers}"


def test_prototypes_are_those_of_the_header(claims):
    header = prototypes()
    # The parse is of this header alone: it must have seen all of it.
    assert len(header) == HEADER.count("BARTIZAN_API") - HEADER.count("define BARTIZAN_API") - HEADER.count("ndef BARTIZAN_API")
    functions = [claim[1:] for claim in claims if claim[0] == "function"]
    assert functions
    for name, *kinds in functions:
        # Java has no unsigned numbers, and says "32" where the others say "u32" or "i32".
        assert len(kinds) == len(header[name]), name
        assert all(truth.endswith(claimed) for truth, claimed in zip(header[name], kinds)), (name, kinds, header[name])


def test_whole_structures_are_claimed(claims):
    # A field that was forgotten at the end would go unnoticed by offsets; sizes tell, and names here.
    for name in {claim[1] for claim in claims if claim[0] == "struct"}:
        declared = re.search(rf"typedef struct {name} {{(.*?)}} {name};", HEADER, re.S).group(1)
        fields = re.findall(r"(\w+)(?:\[\d+\])?;", re.sub(r"///.*", "", declared))
        assert [claim[2] for claim in claims if claim[:2] == ["field", name]] == fields, name
