"""The stub, the module and a typed program agree."""
import subprocess
import sys
from pathlib import Path

TYPED = Path(__file__).parent / "typed_usage.py"


def mypy(*words: str, cwd: Path) -> None:
    run = subprocess.run([sys.executable, "-m", *words], cwd=cwd, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_stub_says_what_the_module_does(tmp_path: Path) -> None:
    # The module's classes are final by construction, which the check for disjoint bases does not know.
    mypy("mypy.stubtest", "bartizan", "--ignore-disjoint-bases", cwd=tmp_path)


def test_a_typed_program_passes_strictly(tmp_path: Path) -> None:
    mypy("mypy", "--strict", str(TYPED), cwd=tmp_path)
