"""Collectors under pressure: what is in flight is not collected, moved or overwritten, in each runtime that may."""

import hashlib
import threading
from pathlib import Path

import frames
import pytest
from client import Client
from frames import secure_h2
from program import Program
from wire import secure

HELLO = b"Hello, World!"

# A collection as often as the runtime lets one ask for it, and freed memory that shows where it can.
PRESSURE = {
    # Every object that is freed is overwritten, and C is handed no unpinned pointer.
    "go": {"env": {"GOGC": "1", "GODEBUG": "clobberfree=1,cgocheck=1"}},
    # A heap so small that it is full again and again.
    "java": {"flags": "-Xmx24m -Xmn2m -XX:+UseSerialGC"},
    # One collection behind the other; with a pause of 0, LuaJIT 2.1.0-beta3 does nothing else any more.
    "luajit": {"flags": "-e collectgarbage('setpause',1) -e collectgarbage('setstepmul',1000)"},
    # Full collections all the time, and freed memory overwritten.
    "ctypes": {"env": {"PYTHONMALLOC": "debug", "PYTHONPATH": str(Path(__file__).parent / "ctypes/pressure")}},
    # A full collection in every turn of the loop, which moves what it keeps.
    "node": {"flags": "--expose-gc --stress-compaction --import data:text/javascript,setInterval(gc,1).unref()"},
}


def pytest_generate_tests(metafunc):
    asked = metafunc.config.getoption("runtime").split(",")
    metafunc.parametrize("collector", [language for language in PRESSURE if language in asked], scope="module")


@pytest.fixture(scope="module")
def pressed(collector, tmp_path_factory):
    program = Program(collector, tmp_path_factory.mktemp(collector), **PRESSURE[collector])
    yield program
    program.close()
    assert not program.stderr(), program.stderr()


def test_contents_survive_collections(pressed):
    failures = []

    def echo(protocol, seed):
        client = Client(pressed, protocol)
        for turn in range(6):
            content = hashlib.sha512(bytes([seed, turn])).digest() * 2000
            answer = client.ask("/echo", "POST", content=content, timeout=40)
            if (answer.status, answer.content) != (200, content):
                failures.append((protocol, seed, turn, answer.status, len(answer.content)))
        client.close()

    threads = [threading.Thread(target=echo, args=(("http/1.1", "h2")[seed % 2], seed)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_requests_that_wait_survive_collections(pressed):
    with secure_h2(pressed) as waiting:
        numbers = range(1, 161, 2)
        for number in numbers:
            waiting.headers(number, frames.request(path="/wait/700", fields=[("x-n", str(number) * 50)]))
        assert waiting.ping()
        # Meanwhile others make garbage.
        client = Client(pressed, "h2")
        for turn in range(150):
            path = f"/inspect?{turn}"
            assert path.encode() in client.ask(path, fields=[("x-a", "b" * 200)]).content
        client.close()
        assert all(waiting.response(number).content == HELLO for number in numbers)


def test_content_that_comes_late_survives_collections(pressed):
    # A read that waits in the library while everything around it is collected.
    with secure(pressed) as slow:
        slow.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 600000\r\n\r\n" + b"a" * 300_000)
        client = Client(pressed, "h2")
        for turn in range(60):
            assert client.ask("/echo", "POST", content=bytes([turn]) * 9000).content == bytes([turn]) * 9000
        client.close()
        slow.send(b"b" * 300_000)
        assert slow.response("POST").content == b"a" * 300_000 + b"b" * 300_000


def test_requests_that_were_left_do_not_pile_up(pressed):
    # More than may run at once on all connections together would be refused, were they kept.
    for _ in range(3):
        with secure_h2(pressed) as peer:
            for number in range(1, 121, 2):
                peer.headers(number, frames.request(path="/hang"))
            assert peer.ping()
    client = Client(pressed, "h2")
    assert client.ask("/").content == HELLO
    client.close()
