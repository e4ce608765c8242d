"""Callbacks that a garbage-collected language registers, where it may: by ctypes. The other examples have none."""

import pytest
from program import Program
from test_garbage import PRESSURE
from wire import Peer


def pytest_generate_tests(metafunc):
    asked = metafunc.config.getoption("runtime").split(",")
    metafunc.parametrize("runtime", [language for language in ("ctypes",) if language in asked])


@pytest.mark.parametrize("mode", ["1", "2"], ids=["inline", "workers"])
def test_callbacks_live_until_they_are_dropped(runtime, mode, tmp_path):
    program = Program(runtime, tmp_path, "callbacks", listeners=(mode,), **PRESSURE[runtime])
    with Peer(program.address(0)) as peer:
        for turn in range(200):
            assert peer.ask(f"/{turn}").content == b"/%d" % turn
    program.signal()
    # One hook for each request, and the handler.
    assert program.next_line() == "dropped 201, held 0"
    assert program.wait() == 0, program.stderr()
    assert not program.stderr(), program.stderr()
