"""What a request shows, and how its content is read."""
import json
import logging
import threading
from typing import Any

import bartizan
import pytest
from conftest import Latch, Serve, dial, fetch, talk


def seen(serve: Serve, octets: bytes, look: Any, **settings: Any) -> Any:
    """What `look` makes of one request."""
    found = Latch()

    def handler(request: bartizan.Request) -> bytes:
        try:
            found.put(look(request))
        except BaseException as error:
            found.put(error)
            raise
        return b""

    talk(serve(handler, **settings), octets)
    return found.get()


def test_the_head_is_shown(serve: Serve) -> None:
    octets = b"OPTIONS /a%20b/%C3%A9%zz?x=%20y HTTP/1.1\r\nHost: name:80\r\nX-One: 1\r\nx-one: 2\r\nconnection: close\r\n\r\n"
    names = "method scheme authority target path query http_version content_length tls stream cancelled listener"
    facts = seen(serve, octets, lambda request: {name: getattr(request, name) for name in names.split()})
    assert facts == {
        "method": "OPTIONS",
        "scheme": "http",
        "authority": "name:80",
        "target": b"/a%20b/%C3%A9%zz?x=%20y",
        "path": "/a b/é%zz",
        "query": "x=%20y",
        "http_version": "1.1",
        "content_length": None,
        "tls": None,
        "stream": None,
        "cancelled": None,
        "listener": 0,
    }


def test_headers_are_a_mapping_without_case(serve: Serve) -> None:
    octets = b"GET / HTTP/1.0\r\nHost: a\r\nX-One: 1\r\nCookie: a=1\r\nx-one: \xe9\r\ncookie: b=2\r\n\r\n"
    headers = seen(serve, octets, lambda request: request.headers)
    assert headers["X-ONE"] == "1, é"
    assert headers["cookie"] == "a=1; b=2"
    assert list(headers) == ["host", "x-one", "cookie"]
    assert len(headers) == 3
    assert "COOKIE" in headers and "x-two" not in headers and 1 not in headers
    assert headers.get("x-two") is None and headers.get("x-two", default="d") == "d"
    assert headers.get_all("x-one") == ("1", "é") and headers.get_all(name="none") == ()
    assert dict(headers) == {"host": "a", "x-one": "1, é", "cookie": "a=1; b=2"}
    assert headers == dict(headers)
    assert headers.raw[1] == (b"x-one", b"1") and headers.raw[3] == (b"x-one", b"\xe9")
    with pytest.raises(KeyError):
        headers["x-two"]
    from collections.abc import Mapping

    assert isinstance(headers, Mapping)


def test_peer_and_local_are_the_two_ends(serve: Serve) -> None:
    ends = Latch()

    def handler(request: bartizan.Request) -> bytes:
        ends.put((request.peer, request.local))
        return b""

    server = serve(handler)
    with dial(server) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert ends.get() == (peer.getsockname(), peer.getpeername())


def test_the_body_is_read_once_and_kept(serve: Serve) -> None:
    octets = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello"

    def look(request: bartizan.Request) -> Any:
        body = request.body
        return body, request.body is body, request.read(), request.content_length

    assert seen(serve, octets, look) == (b"hello", True, b"", 5)


def test_json_is_read(serve: Serve) -> None:
    server = serve(lambda request: json.dumps(request.json()["a"] + 1))
    assert fetch(server, "/", "POST", b'{"a": 41}').body == b"42"


def test_content_is_read_in_sizes_and_pieces(serve: Serve) -> None:
    head = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    octets = head + b"3\r\nabc\r\n4\r\ndefg\r\n0\r\nx-end: yes\r\n\r\n"

    def look(request: bartizan.Request) -> Any:
        with pytest.raises(RuntimeError):
            request.trailers
        first = request.read(2)
        rest = b"".join(request)
        return first, rest, request.read(1), dict(request.trailers)

    assert seen(serve, octets, look) == (b"ab", b"cdefg", b"", {"x-end": "yes"})


def test_a_body_larger_than_the_buffer_streams(serve: Serve) -> None:
    server = serve(lambda request: str(sum(len(piece) for piece in request)), buffer_body_bytes=0)
    assert fetch(server, "/", "POST", b"x" * 1_000_000).body == b"1000000"


def test_a_body_over_the_cap_is_a_413_and_a_typed_error(serve: Serve, records: list[logging.LogRecord]) -> None:
    errors = Latch()

    def handler(request: bartizan.Request) -> bytes:
        try:
            return request.read()
        except bartizan.BodyTooLarge as error:
            errors.put(error)
            raise

    server = serve(handler, max_body_bytes=1000, buffer_body_bytes=0)
    assert fetch(server, "/", "POST", b"x" * 1000).status == 200
    assert fetch(server, "/", "POST", b"x" * 1001).status == 413
    errors.get()
    assert not records


def test_a_handler_may_raise_its_own_cap(serve: Serve) -> None:
    def handler(request: bartizan.Request) -> str:
        request.set(max_body_bytes="2KB", body_timeout=None, handler_timeout=60)
        return str(len(request.body))

    # Within the buffer it would have been refused before the handler could say so.
    server = serve(handler, max_body_bytes=1000, buffer_body_bytes=0)
    assert fetch(server, "/", "POST", b"x" * 2000).body == b"2000"


def test_set_names_every_fault(serve: Serve) -> None:
    def look(request: bartizan.Request) -> Any:
        with pytest.raises(bartizan.ConfigError) as caught:
            request.set(body_timout=1, io_threads=3, handler_timeout=-1)
        return caught.value.faults

    octets = b"GET / HTTP/1.0\r\nhost: a\r\n\r\n"
    faults = seen(serve, octets, look)
    assert len(faults) == 3 and "body_timeout" in faults[0] and "io_threads" in faults[1] and "handler_timeout" in faults[2]


def test_the_deadline_counts_down(serve: Serve) -> None:
    def look(request: bartizan.Request) -> Any:
        before = request.deadline
        request.set(handler_timeout=None)
        return before, request.deadline

    before, off = seen(serve, b"GET / HTTP/1.0\r\nhost: a\r\n\r\n", look, handler_timeout=20)
    assert 15 < before <= 20 and off is None


def test_a_body_that_stops_is_a_timeout_with_its_reason(serve: Serve, records: list[logging.LogRecord]) -> None:
    errors = Latch()

    def handler(request: bartizan.Request) -> bytes:
        try:
            return request.body
        except bartizan.RequestTimeout as error:
            errors.put(error)
            raise

    server = serve(handler, body_idle_timeout=0.3)
    received = talk(server, b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\nhe")
    assert b"408" in received
    error = errors.get()
    assert error.reason == "body.idle" and isinstance(error, TimeoutError)
    assert not records


def test_a_peer_that_leaves_raises_client_disconnected(serve: Serve, records: list[logging.LogRecord]) -> None:
    errors = Latch()

    def handler(request: bartizan.Request) -> bytes:
        try:
            return request.body
        except bartizan.ClientDisconnected as error:
            errors.put(error)
            raise

    with dial(serve(handler)) as peer:
        peer.sendall(b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n")
        assert peer.recv(100).startswith(b"HTTP/1.1 100")
    error = errors.get()
    assert error.reason in ("peer.closed", "peer.reset") and isinstance(error, ConnectionError)
    assert not records


def test_on_cancel_hears_the_reason_while_every_worker_is_busy(serve: Serve) -> None:
    reasons, going = Latch(), Latch()
    leave = threading.Event()

    def handler(request: bartizan.Request) -> bytes:
        request.on_cancel(lambda reason: (reasons.put((reason, request.cancelled)), leave.set()))
        going.put()
        assert leave.wait(10)
        return b""

    with dial(serve(handler, worker_threads=1)) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        going.get()
    assert reasons.get() == ("peer.closed", "peer.closed")


def test_on_cancel_takes_what_can_be_called(serve: Serve) -> None:
    def handler(request: bartizan.Request) -> bytes:
        with pytest.raises(TypeError, match="callback = 5 is not callable"):
            request.on_cancel(5)  # type: ignore[arg-type]
        return b"told"

    assert fetch(serve(handler)).body == b"told"


def test_informational_answers_come_first(serve: Serve) -> None:
    def handler(request: bartizan.Request) -> bytes:
        with pytest.raises(ValueError):
            request.inform(200)
        request.inform(103, {"link": "</a>"})
        return b"done"

    received = talk(serve(handler), b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 103") and b"link: </a>" in received and received.endswith(b"done")


def test_a_request_can_be_looked_at_after_its_answer(serve: Serve) -> None:
    kept: list[bartizan.Request] = []

    def handler(request: bartizan.Request) -> bytes:
        kept.append(request)
        return b""

    server = serve(handler)
    fetch(server, "/later")
    assert (kept[0].path, kept[0].headers["accept-encoding"]) == ("/later", "identity")
    with pytest.raises(RuntimeError):
        kept[0].read()
