"""The queue's routes of the probe contract in every foreign runtime, on both protocols over TLS: each binding works as a whole."""

import hashlib
import json
import socket
import time

import frames
import pytest
from client import Client
from frames import secure_h2
from wire import clear, secure, tls_context

HELLO = b"Hello, World!"


def test_the_hello(client):
    answer = client.ask("/")
    assert (answer.status, answer.content, answer.get("content-type")) == (200, HELLO, "text/plain")
    answer = client.ask("/", "HEAD")
    assert (answer.status, answer.content, answer.get("content-length")) == (200, b"", "13")
    assert client.ask("/", "POST").status == 404


def test_inspect_shows_the_request(client, probe):
    fields = [("x-a", "1"), ("x-b", "2"), ("x-a", "3"), ("x-octets", "caf\xe9")]
    seen = json.loads(client.ask("/inspect?a=b&c=%20", "PUT", fields, b"content").content)
    assert (seen["method"], seen["target"]) == ("PUT", "/inspect?a=b&c=%20")
    assert (seen["path"], seen["query"]) == ("/inspect", "a=b&c=%20")
    assert (seen["scheme"], seen["authority"]) == ("https", "localhost")
    assert seen["http"] == ("1.1" if client.protocol == "http/1.1" else "2")
    named = [pair for pair in seen["headers"] if pair[0].startswith("x-")]
    # HTTP/2 keeps the order of fields of one name only.
    assert sorted(named, key=lambda pair: pair[0]) == [["x-a", "1"], ["x-a", "3"], ["x-b", "2"], ["x-octets", "caf\xe9"]]
    assert seen["trailers"] == []
    assert seen["body"] == {"length": 7, "sha256": hashlib.sha256(b"content").hexdigest()}
    assert (seen["peer"], seen["listener"]) == (client.name, 1)
    assert seen["local"] == "{}:{}".format(*probe.address(1))
    assert isinstance(seen["conn"], int) and seen["conn"] > 0
    tls = seen["tls"]
    assert (tls["version"], tls["alpn"], tls["server_name"]) == ("TLSv1.3", client.protocol, "localhost")
    assert tls["suite"].startswith("TLS_") and tls["group"]
    assert (tls["resumed"], tls["peer_certificates"]) == (False, 0)


def test_what_a_client_does_not_name_is_null(probe):
    context = tls_context(())
    with socket.create_connection(probe.address(1), 10) as plain, context.wrap_socket(plain) as peer:
        peer.sendall(b"GET /inspect HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        with peer.makefile("rb") as answer:
            tls = json.loads(answer.read().partition(b"\r\n\r\n")[2])["tls"]
    assert (tls["server_name"], tls["alpn"]) == (None, None)


def test_inspect_shows_trailers(probe):
    with secure(probe) as peer:
        head = b"POST /inspect HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        peer.send(head + b"3\r\nabc\r\n0\r\nx-sum: 6\r\n\r\n")
        seen = json.loads(peer.response("POST").content)
        assert seen["trailers"] == [["x-sum", "6"]] and seen["body"]["length"] == 3


def test_inspect_of_a_large_body(client):
    content = bytes(range(256)) * 4000
    seen = json.loads(client.ask("/inspect", "POST", content=content).content)
    assert seen["body"] == {"length": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_echo(client):
    content = bytes(range(256)) * 4000
    answer = client.ask("/echo", "POST", content=content)
    assert answer.status == 200 and answer.content == content
    assert client.ask("/echo", "POST", content=b"").content == b""
    assert client.ask("/echo").content == b""


def test_echo_does_not_wait_for_the_end(probe):
    with secure(probe) as peer:
        peer.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        peer.receive_until(lambda buffer: b"first" in buffer)
        assert b"first" in peer.buffer
        peer.send(b"6\r\nsecond\r\n0\r\n\r\n")
        assert peer.response("POST").content == b"firstsecond"


def test_bytes(client):
    answer = client.ask("/bytes/3000000")
    assert answer.status == 200 and len(answer.content) == 3_000_000
    assert client.ask("/bytes/0").content == b""


def test_limits_of_a_request_are_set_by_its_query(client):
    assert client.ask("/bytes/10?write_idle_timeout=5s&min_write_rate=off&response_timeout=9s").content == bytes(10)
    for query in ("max_header_bytes=4096", "no_such_key=1", "body_idle_timeout=soon", "max_body_bytes"):
        answer = client.ask(f"/bytes/10?{query}")
        assert answer.status == 400 and answer.content, query


def test_waiting_takes_its_time(client):
    began = time.monotonic()
    answer = client.ask("/wait/200")
    assert (answer.status, answer.content) == (200, HELLO)
    assert 0.2 <= time.monotonic() - began < 5


def test_a_peer_that_will_say_no_more_is_answered(probe):
    with clear(probe) as peer:
        peer.send(b"GET /wait/200 HTTP/1.1\r\nHost: a\r\n\r\n")
        peer.end()
        assert peer.response().content == HELLO


def test_values_that_do_not_parse(client):
    for path in ("/wait/x", "/wait/", "/wait/1e3", "/wait/3000000000", "/bytes/-1", "/bytes/1x", "/bytes/0x10", "/bytes/"):
        answer = client.ask(path)
        assert answer.status == 400 and answer.content, path
    assert client.ask("/nowhere").status == 404


def test_metrics(client):
    answer = client.ask("/metrics")
    assert answer.status == 200 and answer.content.endswith(b"# EOF\n")


def test_an_expectation_is_met_at_the_first_read(probe):
    with secure(probe) as peer:
        peer.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        peer.receive_until(lambda buffer: b"\r\n\r\n" in buffer)
        assert peer.buffer.startswith(b"HTTP/1.1 100 ")
        peer.send(b"hello")
        assert peer.response().content == b"hello"


def test_hundreds_of_requests_on_one_connection(client):
    for _ in range(300):
        assert client.ask("/").content == HELLO


def test_streams_wait_side_by_side(probe):
    with secure_h2(probe) as peer:
        assert peer.ping()
        numbers = range(1, 121, 2)
        began = time.monotonic()
        for number in numbers:
            peer.headers(number, frames.request(path="/wait/300"))
        assert all(peer.response(number).content == HELLO for number in numbers)
        assert time.monotonic() - began < 0.3 * 60, "one after another"


@pytest.mark.parametrize("protocol", ["http/1.1", "h2"])
def test_peers_that_leave_free_their_handlers(start, protocol):
    # Two may run at once: a third that is answered shows that the others were released.
    probe = start(settings={"max_running_handlers": "2"})
    for turn in range(6):
        await_answer(probe)
        client = Client(probe, protocol)
        # Session tickets that lie unread would turn a close into a reset.
        assert client.ask("/").content == HELLO, turn
        target = "/hang" if turn % 2 else "/bytes/1000000000"
        if protocol == "http/1.1":
            client.peer.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        else:
            client.peer.headers(3, frames.request(path=target))
            assert client.peer.ping()
        client.close()
    await_answer(probe)


def await_answer(probe):
    """A handler that lost its peer takes a moment to return."""
    deadline = time.monotonic() + 10
    while True:
        with secure(probe) as peer:
            answer = peer.ask("/")
        if answer.status == 200:
            return
        assert answer.status == 503 and time.monotonic() < deadline, answer
        time.sleep(0.02)


def test_a_reset_stream_ends_a_long_answer_alone(probe):
    with secure_h2(probe) as peer:
        peer.headers(1, frames.request(path="/bytes/1000000000"))
        assert peer.read(lambda: len(peer.stream(1).content) > 100_000)
        peer.send(frames.frame(frames.RST_STREAM, 0, 1, b"\0\0\0\x08"))
        assert peer.ask(3, "/").content == HELLO
