"""A running program of a foreign runtime: the hello, the probe or the one that errs. It tells less of itself than the probes of
the black-box suite do: no events, no admin listener."""

import os
from pathlib import Path

from probe import LISTENERS, ROOT, Probe

LANGUAGES = ("ctypes", "go", "java", "luajit", "node")


def path(language, name):
    program = Path(os.environ.get("BARTIZAN_FOREIGN_DIR", ROOT / "target/foreign")) / language / name
    assert program.exists(), f"{program} is missing: make foreign-programs"
    return program


class Program(Probe):
    """A probe with the options that every language has; `flags` go to the runtime."""

    def __init__(self, language, directory, name="probe", settings=None, listeners=LISTENERS, flags="", env=None):
        self.language = language
        self.events_path = Path(directory) / "none"
        command = [path(language, name)]
        for key, text in {"io_threads": 1, **(settings or {})}.items():
            command += ["--set", f"{key}={text}"]
        self._launch([*command, *listeners], {"RUNTIME_FLAGS": flags, **(env or {})})
