"""What the standard library's loggers are told, and what they are not."""
import logging
import time
from collections.abc import Callable, Iterator

import bartizan
import pytest
from conftest import PATIENCE, dial, fetch, talk

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Heard(logging.Handler):
    """Keeps records, once they are there."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def of(self, name: str) -> list[str]:
        return [record.getMessage() for record in self.records if record.name == name]

    def wait(self, name: str, fits: Callable[[str], bool]) -> str:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if found := [text for text in self.of(name) if fits(text)]:
                return found[0]
            time.sleep(0.01)
        raise AssertionError(f"{name}: {self.of(name)}")


@pytest.fixture
def heard(request: pytest.FixtureRequest) -> Iterator[Heard]:
    """Everything that `bartizan` and its children say, at the level that the test asks for."""
    logger, handler = logging.getLogger("bartizan"), Heard()
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(getattr(request, "param", logging.INFO))
    logger.propagate = False
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)
    logger.propagate = propagate


def test_each_request_is_a_line_of_access(heard: Heard) -> None:
    def handler(request: bartizan.Request) -> tuple[int, bytes]:
        if request.path == "/fail":
            raise LookupError
        return 201, b"made"

    with bartizan.Server(handler=handler, io_threads=1, worker_threads=1) as server:
        fetch(server, "/a?b=c", "PUT")
        fetch(server, "/fail")
        talk(server, b"GET /\x1b[2J HTTP/1.1\r\nHost: a\r\n\r\n")
    lines = heard.of("bartizan.access")
    assert len(lines) == 3
    peer, line = lines[0].split(" ", 1)
    assert peer.startswith("127.0.0.1:") and line.startswith('"PUT /a?b=c" 201 4 ')
    assert '"GET /fail" 500 ' in lines[1] and lines[1].endswith(" handler.failed")
    assert " 400 " in lines[2] and "\x1b" not in lines[2]
    event = [record for record in heard.records if record.name == "bartizan.access"][0].__dict__["event"]
    assert set(event) == set(bartizan.RequestEnd.__annotations__)
    assert (event["method"], event["status"], event["bytes_out"]) == ("PUT", 201, 4)


@pytest.mark.parametrize("heard", [logging.WARNING], indirect=True)
def test_nobody_who_asks_for_warnings_pays_for_access(heard: Heard) -> None:
    with bartizan.Server(handler=lambda request: b"ok", io_threads=1, worker_threads=1) as server:
        fetch(server)
        logging.getLogger("bartizan").setLevel(logging.INFO)
        fetch(server)
    assert heard.of("bartizan.access") == []


def test_tls_speaks_under_its_own_name(heard: Heard) -> None:
    tls = bartizan.Tls.self_signed("localhost")
    with bartizan.Server(handler=lambda request: b"ok", tls=tls, io_threads=1, worker_threads=1) as server:
        server.reload_tls(tls)
    said = heard.of("bartizan.tls")
    assert sum("self-signed identity, for development only" in line for line in said) == 2
    assert "TLS configuration replaced" in said
    assert {"started", "draining"} <= set(heard.of("bartizan"))


@pytest.mark.parametrize("heard", [logging.DEBUG], indirect=True)
def test_what_the_internet_brings_is_debug(heard: Heard) -> None:
    tls = bartizan.Tls.self_signed("localhost")
    with bartizan.Server(handler=lambda request: b"ok", tls=tls, io_threads=1, worker_threads=1) as server:
        with dial(server) as peer:
            peer.sendall(GET)
            peer.recv(1000)
        text = heard.wait("bartizan.tls", lambda line: line.endswith("tls.plaintext"))
        assert text.startswith("a connection from 127.0.0.1 port ")
        levels = {record.levelno for record in heard.records if "tls.plaintext" in record.getMessage()}
        assert levels == {logging.DEBUG}


def test_a_log_handler_that_is_too_slow_costs_records_and_nothing_else(heard: Heard) -> None:
    """The queue in front of the loggers is bounded: what it loses is counted and told."""
    slow = logging.Handler()
    slow.emit = lambda record: time.sleep(0.001) if record.name == "bartizan.access" else None  # type: ignore[method-assign]
    logging.getLogger("bartizan").addHandler(slow)
    try:
        with bartizan.Server(handler=lambda request: b"", io_threads=1, worker_threads=2) as server:
            started = time.monotonic()
            with dial(server) as peer:
                peer.sendall(GET * 500)
                received = b""
                while received.count(b"HTTP/1.1 200") < 500:
                    received += peer.recv(65536)
            assert time.monotonic() - started < PATIENCE
            assert "\nbartizan_log_records_lost_total 0\n" in server.metrics()
    finally:
        logging.getLogger("bartizan").removeHandler(slow)
    assert len(heard.of("bartizan.access")) == 500
