"""Shows that every row of the settings is used: one row after the other acts as its default, whatever was set (a hook of the unit
tests' build, `core/src/settings/layers.rs`), and at least one test must fail. Writes the table of `docs/mutation.md`.

That a value can be stored is not in question."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs/mutation.md"

# Those of the settings themselves; and what acts at random notices much and says little about a row.
UNASKED = ("settings::", "tests::chaos", "tests::fuzzing")

# Seconds for some tests, of which each takes a few at most.
PATIENCE = 180

# A row that many tests set is noticed by the first few, or by none.
AT_ONCE = 24

# The table of docs/settings.md is rendered from the list itself.
KEY = re.compile(r"^\| `(\w+)` \|", re.M)


def program():
    """The unit tests of the core, built once."""
    command = ["cargo", "test", "--locked", "-p", "bartizan", "--lib", "--no-run", "--message-format=json"]
    built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    messages = [json.loads(line) for line in built.splitlines() if line.startswith("{")]
    return next(message["executable"] for message in messages if message.get("executable"))


def run(program, row, *arguments):
    """What the tests print while the row acts as its default, and whether they end."""
    environment = os.environ | {"BARTIZAN_MUTATED_ROW": row}
    try:
        command = [program, *arguments]
        done = subprocess.run(command, cwd=ROOT / "core", env=environment, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired as late:
        return (late.stdout or b"").decode(), False
    # A run that broke off has shown nothing.
    if "test result:" not in done.stdout:
        sys.exit(f"{row}: the tests broke off\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout, True


def setters(program):
    """By row, the tests that set it: only they can notice."""
    by_row = {}
    skipped = [word for name in UNASKED for word in ("--skip", name)]
    listed, ended = run(program, "list", "--nocapture", *skipped)
    if not ended or re.search(r"^test result: FAILED", listed, re.M):
        sys.exit("some tests fail without any mutation")
    for test, row in re.findall(r"(\S+) sets (\w+)$", listed, re.M):
        by_row.setdefault(row, set()).add(test)
    return by_row


def noticed(program, row, tests):
    """The first of the tests that fail."""
    tests = sorted(tests)
    for begin in range(0, len(tests), AT_ONCE):
        some = tests[begin : begin + AT_ONCE]
        printed, ended = run(program, row, "--exact", *some)
        verdicts = dict(re.findall(r"^test (\S+) \.\.\. (ok|FAILED)$", printed, re.M))
        # Who waits for a limit that does not strike may wait for long, and has noticed as well.
        if failed := [test for test in some if verdicts.get(test, "ok" if ended else "late") != "ok"]:
            return failed
    return []


def main():
    tests = program()
    by_row = setters(tests)
    known = KEY.findall((ROOT / "docs/settings.md").read_text())
    assert len(known) > 50, known
    rows = sys.argv[1:] or known
    lines, unnoticed = [], []
    for row in rows:
        setting = by_row.get(row, ())
        failed = noticed(tests, row, setting)
        print(f"{row}: {len(failed)} fail, {len(setting)} set it", flush=True)
        lines.append(f"| `{row}` | {' '.join(f'`{test}`' for test in failed[:2])} |")
        if not failed:
            unnoticed.append(row)
    if unnoticed:
        sys.exit(f"no test notices when these act as their defaults: {', '.join(unnoticed)}")
    if rows == known:
        TABLE.write_text("\n".join([*HEAD, *lines]) + "\n")
    print(f"all {len(rows)} rows are noticed")


HEAD = [
    "# Mutation",
    "",
    "Written by `make mutate`. While the row acts as its default, whatever was set, these unit tests of the core fail, and perhaps",
    "others. Tests of the settings list itself and those that act at random do not count.",
    "",
    "| row | tests that fail |",
    "|---|---|",
]


if __name__ == "__main__":
    main()
