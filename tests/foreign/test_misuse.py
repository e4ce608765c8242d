"""Wrong use from each language ends in that language's error, with the library's words, and the server serves on."""

import re
import subprocess

import frames
import pytest
from client import Client
from frames import secure_h2
from probe import START
from program import Program, path
from wire import secure

# What a failed call gives: the type that a program would look for, set up and in a request.
ERRORS = {
    "ctypes": ("binding.Error", "binding.Error"),
    "java": ("bartizan.BartizanException", "bartizan.BartizanException"),
    "luajit": ("bartizan.Error", "bartizan.Error"),
    "node": ("BartizanError", "BartizanError"),
    "go": ("*bartizan.Error", "bartizan.Status"),
}


@pytest.fixture(scope="module")
def program(language, tmp_path_factory):
    """One for all: it serves on whatever went wrong."""
    program = Program(language, tmp_path_factory.mktemp(language), "misuse")
    yield program
    program.close()


def tell(program, language, what, kind=1):
    """A line `WHAT TYPE: MESSAGE` of the program, and its message."""
    line = program.next_line()
    told, kind_told, message = re.fullmatch(r"(\S+) (\S+): (.*)", line).groups()
    assert (told, kind_told) == (what, ERRORS[language][kind]), line
    return message


@pytest.fixture
def asked(program):
    client = Client(program, "h2")
    yield client
    client.close()


def test_failed_settings_are_errors(asked, program, language):
    assert asked.ask("/configure").content == b"well"
    told = {what: tell(program, language, what, 0) for what in ("key", "value", "address", "nothing")}
    assert "handshake_timeot" in told["key"] and "handshake_timeout" in told["key"], "the nearest key is named"
    assert "handshake_timeout" in told["value"] and "soon" in told["value"]
    assert "nowhere" in told["address"]
    assert "listen" in told["nothing"], "a server needs a listener"
    assert asked.ask("/").content == b"well"


def test_a_second_answer_is_an_error_and_changes_nothing(asked, program, language):
    assert asked.ask("/twice").content == b"first"
    assert "E_STATE" in tell(program, language, "twice")
    assert asked.ask("/").content == b"well"


def test_a_handler_that_throws_is_a_500(asked, program):
    assert asked.ask("/throw").status == 500
    assert asked.ask("/").content == b"well"
    assert "thrown on purpose" in program.stderr()
    assert asked.ask("/throw-later").status == 500
    assert asked.ask("/").content == b"well"
    assert "thrown later" in program.stderr()


def test_a_handler_that_forgets_to_answer_is_a_500(asked):
    assert asked.ask("/forget").status == 500
    assert asked.ask("/").content == b"well"


def test_a_request_after_its_release_is_an_error(asked, program, language):
    assert asked.ask("/stale").content == b"first"
    assert "E_HANDLE" in tell(program, language, "stale")
    assert "E_HANDLE" in tell(program, language, "stale-read")
    assert asked.ask("/").content == b"well"


def test_a_field_with_a_line_break_is_an_error(asked, program, language):
    answer = asked.ask("/inject")
    assert (answer.content, answer.get("x-injected")) == (b"well", None)
    assert "E_VALUE" in tell(program, language, "inject")


def test_a_write_behind_the_end_is_an_error(asked, program, language):
    assert asked.ask("/behind").content == b"first"
    assert "E_STATE" in tell(program, language, "behind")
    assert asked.ask("/").content == b"well"


def test_exiting_while_serving_is_an_exit(start):
    program = start("misuse")
    peers = [secure(program) for _ in range(4)]
    for peer in peers:
        peer.send(b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
    with secure_h2(program) as h2:
        for number in range(1, 41, 2):
            h2.headers(number, frames.request(path="/hang"))
        assert h2.ping()
        h2.headers(99, frames.request(path="/exit"))
        assert program.wait() == 7, program.stderr()
    for peer in peers:
        peer.close()


def test_a_server_behind_its_end_is_harmless(start):
    program = start("misuse")
    program.signal()
    assert re.fullmatch(r"ended 127\.0\.0\.1:\d+ [Tt]rue", program.next_line())
    assert program.wait() == 0, program.stderr()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--set", "handshake_timeot=2s", "--listen", "127.0.0.1:0", "--plaintext"), ["handshake_timeot", "handshake_timeout"]),
        (("--set", "handshake_timeout=soon", "--listen", "127.0.0.1:0", "--plaintext"), ["handshake_timeout", "soon"]),
        (("--set", "handshake_timeout", "--listen", "127.0.0.1:0", "--plaintext"), ["handshake_timeout"]),
        (("--listen", "nowhere", "--plaintext"), ["nowhere"]),
        (("--listen",), ["--listen"]),
        (("--plaintext",), ["--plaintext"]),
        ((), ["--listen"]),
        (("--listen", "127.0.0.1:0", "--plaintext", "--no-such-option"), ["--no-such-option"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_wrong_options_are_told_in_one_line(language, options, words):
    refused(language, options, words)


def test_a_port_in_use_is_told_in_one_line(language, probe):
    host, port = probe.address(0)
    refused(language, ("--listen", f"{host}:{port}", "--plaintext"), [str(port)])


def refused(language, options, words):
    result = subprocess.run(
        [path(language, "probe"), *options], capture_output=True, text=True, timeout=START, stdin=subprocess.DEVNULL
    )
    assert result.returncode == 2 and result.stdout == "", result
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    for word in words:
        assert word in lines[0], (word, lines[0])
