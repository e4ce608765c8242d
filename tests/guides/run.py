"""Runs the five-minute guides: every command of each, in order, in one shell that starts in an empty folder.

What a guide shows as text must be what its last commands have printed. The commands are run as they stand, but for the port,
which is a free one, so that nothing on the machine is in the way.
usage: run.py ROOT GUIDE.md...
"""
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "blackbox"))
from ports import free_port  # noqa: E402

# Compiling what is not compiled yet takes minutes; the commands themselves take seconds.
PATIENCE = 900
FENCE = re.compile(r"^```(sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
END = "-- end of block --"


def run(root: Path, guide: Path) -> None:
    blocks = FENCE.findall(guide.read_text())
    commands = [text for kind, text in blocks if kind == "sh"]
    shown = []
    for kind, text in blocks:
        if kind == "sh":
            shown.append(None)
        else:
            shown[-1] = text
    if len(commands) < 4 or not any(shown):
        raise SystemExit(f"{guide} has {len(commands)} blocks of commands, and shows nothing or too little")

    script = "set -eu\n" + f"echo '{END}'\n".join(commands).replace("8443", str(free_port()))
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
    environment["BARTIZAN"] = str(root)
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryFile("w+") as output,
        tempfile.TemporaryFile("w+") as errors,
    ):
        # A session of its own: whatever a guide leaves running ends with it.
        shell = subprocess.Popen(
            ["bash", "-c", script], cwd=folder, env=environment, stdout=output, stderr=errors, start_new_session=True
        )
        try:
            shell.wait(PATIENCE)
        finally:
            try:
                os.killpg(shell.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        output.seek(0)
        errors.seek(0)
        printed, complaints = output.read(), errors.read()
    outputs = printed.split(END + "\n")
    if shell.returncode:
        raise SystemExit(f"{printed}\n{complaints}\n{guide}: block {len(outputs)} ended with {shell.returncode}")
    for number, (wanted, output) in enumerate(zip(shown, outputs, strict=True), 1):
        if wanted is not None and wanted != output:
            raise SystemExit(f"{guide}: block {number} printed\n{output}\ninstead of\n{wanted}\n{complaints}")
    print(f"ok {guide.name}: {len(commands)} blocks of commands")


if __name__ == "__main__":
    for name in sys.argv[2:]:
        run(Path(sys.argv[1]).resolve(), Path(name))
