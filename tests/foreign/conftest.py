"""Which foreign runtimes the suite runs against: all, or those that --runtime names.

A program that is asked for and not built fails its tests; nothing skips.
"""

import pytest

from client import Client
from program import LANGUAGES, Program


def pytest_addoption(parser):
    parser.addoption("--runtime", default=",".join(LANGUAGES), help="runtimes, separated by commas")


def pytest_generate_tests(metafunc):
    if "language" in metafunc.fixturenames:
        metafunc.parametrize("language", metafunc.config.getoption("runtime").split(","), scope="module")


@pytest.fixture(scope="module")
def probe(language, tmp_path_factory):
    """One probe for a whole file of tests that leave it as they found it."""
    probe = Program(language, tmp_path_factory.mktemp(language), settings={"max_body_bytes": "64MiB"})
    yield probe
    probe.close()


@pytest.fixture
def start(language, tmp_path):
    """Starts programs of the language under test, and stops them afterwards."""
    programs = []

    def start(name="probe", **more):
        programs.append(Program(language, tmp_path, name, **more))
        return programs[-1]

    yield start
    for program in programs:
        program.close()


@pytest.fixture(params=["http/1.1", "h2"])
def client(probe, request):
    client = Client(probe, request.param)
    yield client
    client.close()
