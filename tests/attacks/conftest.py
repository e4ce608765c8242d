"""Which servers are attacked, and the table of what came of it.

Usually all three probes, each started for one attack, and every outcome is asserted. With `--target` it is any server that
stands already: nothing is asserted then, and the table is what is made.
"""

import json

import pytest

from probe import LANGUAGES, Probe
from report import markdown, plain
from siege import Foreign, Siege


def pytest_addoption(parser):
    group = parser.getgroup("attacks")
    group.addoption("--probe", default=",".join(LANGUAGES), help="languages of the probes, separated by commas")
    group.addoption("--target", help="HOST:PORT of another server's TLS listener")
    group.addoption("--target-clear", help="HOST:PORT of its cleartext listener (none: TLS is used there too)")
    group.addoption("--target-pid", type=int, help="its process id, to see its memory")
    group.addoption("--large", default="/bytes/8388608", help="a target of its that answers with megabytes")
    group.addoption("--upload", default="/sink", help="a target of its that reads content")
    group.addoption("--wait", type=float, default=8.0, help="seconds after which a peer that it holds is given up")
    group.addoption("--table", help="a Markdown file to write the table to")


def pytest_generate_tests(metafunc):
    if "language" in metafunc.fixturenames:
        foreign = metafunc.config.getoption("target")
        metafunc.parametrize("language", ["-"] if foreign else metafunc.config.getoption("probe").split(","))


@pytest.fixture
def siege(language, request, tmp_path, record_property):
    """`with siege(settings) as attack`: a server, honest clients on it, and the books. See `siege.Siege`."""
    option = request.config.getoption

    def start(settings=None, *options, **more):
        if option("target"):
            target = Foreign(option("target"), option("target_clear"), option("target_pid"), option("wait"))
        else:
            target = Probe(language, tmp_path / "events", *options, settings=settings, **more)
        return Siege(target, request.module, language, record_property, large=option("large"), upload=option("upload"))

    return start


def pytest_terminal_summary(terminalreporter, config):
    rows = [
        json.loads(text)
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        for name, text in report.user_properties
        if name == "attack"
    ]
    if not rows:
        return
    terminalreporter.write_sep("=", "attacks")
    terminalreporter.write(plain(rows))
    if config.getoption("table"):
        with open(config.getoption("table"), "w", encoding="utf-8") as file:
            file.write(markdown(rows))
