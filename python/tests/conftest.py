"""Servers on loopback, and a client that shows every octet."""
import http.client
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any

import bartizan
import pytest

PATIENCE = 10.0


class Answer:
    """One HTTP/1.1 answer."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()


def fetch(server: bartizan.Server, path: str = "/", method: str = "GET", body: Any = None, **headers: str) -> Answer:
    host, _, port = server.address.rpartition(":")
    connection: http.client.HTTPConnection
    if server.url.startswith("https"):
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection(host, int(port), timeout=PATIENCE, context=context)
    else:
        connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        return Answer(connection.getresponse())
    finally:
        connection.close()


def dial(server: bartizan.Server) -> socket.socket:
    host, _, port = server.address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=PATIENCE)


def talk(server: bartizan.Server, octets: bytes) -> bytes:
    """Everything that comes back, up to the end of the connection."""
    with dial(server) as peer:
        peer.sendall(octets)
        received = b""
        try:
            while piece := peer.recv(65536):
                received += piece
        except ConnectionResetError:
            received += b"<reset>"
        return received


Serve = Callable[..., bartizan.Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts cleartext servers, which end with the test."""
    started: list[bartizan.Server] = []

    def start(handler: Callable[..., Any], **keywords: Any) -> bartizan.Server:
        keywords.setdefault("io_threads", 1)
        keywords.setdefault("worker_threads", 2)
        server = bartizan.Server("127.0.0.1:0", handler, **keywords)
        server.start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop(0)
    for server in started:
        assert server.wait(PATIENCE), "the server does not end"


@pytest.fixture
def records() -> Iterator[list[logging.LogRecord]]:
    """What the logger `bartizan` is told during the test, from warnings up."""
    told: list[logging.LogRecord] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = told.append  # type: ignore[method-assign]
    logging.getLogger("bartizan").addHandler(handler)
    yield told
    logging.getLogger("bartizan").removeHandler(handler)


class Latch:
    """A value that another thread leaves."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._value: Any = None

    def put(self, value: Any = None) -> None:
        self._value = value
        self._event.set()

    def get(self) -> Any:
        assert self._event.wait(PATIENCE), "nothing came"
        return self._value
