"""Which probes the suites run against: all three, or those that --probe or BARTIZAN_PROBES names.

A probe that is asked for and not built fails its tests; nothing skips.
"""

import os
from pathlib import Path

import pytest

from probe import LANGUAGES, Probe


def pytest_addoption(parser):
    parser.addoption(
        "--probe",
        default=os.environ.get("BARTIZAN_PROBES", ",".join(LANGUAGES)),
        help="languages of the probes, separated by commas",
    )


def pytest_generate_tests(metafunc):
    if "language" in metafunc.fixturenames:
        languages = metafunc.config.getoption("probe").split(",")
        metafunc.parametrize("language", languages, scope="module")


@pytest.fixture
def start(language, tmp_path):
    """Starts probes of the language under test, and stops them afterwards."""
    probes = []

    def start(*options, **more):
        probes.append(Probe(language, tmp_path / f"events.{len(probes)}", *options, **more))
        return probes[-1]

    yield start
    for probe in probes:
        probe.close()


@pytest.fixture(scope="module")
def shared(language, tmp_path_factory):
    """One probe for a whole file of tests that leave it as they found it."""
    probe = Probe(language, tmp_path_factory.mktemp(language) / "events")
    yield probe
    probe.close()


@pytest.fixture(scope="session")
def identities(tmp_path_factory):
    """Paths of certificates and keys, made once."""
    from identities import Identities

    return Identities(Path(tmp_path_factory.mktemp("identities")))
