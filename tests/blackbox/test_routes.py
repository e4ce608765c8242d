"""Every route of the probe contract, on both protocols and in each way of running handlers: the bindings work as a whole."""

import hashlib
import json
import time

import pytest

import frames
from client import Client
from frames import secure_h2
from probe import Probe
from wire import secure

HELLO = b"Hello, World!"


@pytest.fixture(scope="module", params=["inline", "workers", "queue"])
def probe(language, request, tmp_path_factory):
    events = tmp_path_factory.mktemp(language) / "events"
    probe = Probe(language, events, mode=request.param, settings={"max_body_bytes": "64MiB"})
    probe.mode = request.param
    yield probe
    probe.close()


@pytest.fixture(params=["http/1.1", "h2"])
def client(probe, request):
    client = Client(probe, request.param)
    yield client
    client.close()


def test_the_hello(client):
    answer = client.ask("/")
    assert (answer.status, answer.content, answer.get("content-type")) == (200, HELLO, "text/plain")
    assert answer.get("date") and not answer.get("server")
    answer = client.ask("/", "HEAD")
    assert (answer.status, answer.content, answer.get("content-length")) == (200, b"", "13")


def test_inspect_shows_the_request(client, probe):
    fields = [("x-a", "1"), ("x-b", "2"), ("x-a", "3")]
    seen = json.loads(client.ask("/inspect?a=b", "PUT", fields, b"content").content)
    assert (seen["method"], seen["target"], seen["path"], seen["query"]) == ("PUT", "/inspect?a=b", "/inspect", "a=b")
    assert (seen["scheme"], seen["authority"]) == ("https", "localhost")
    assert seen["http"] == ("1.1" if client.protocol == "http/1.1" else "2")
    assert [pair for pair in seen["headers"] if pair[0].startswith("x-")] == [
        ["x-a", "1"],
        ["x-b", "2"],
        ["x-a", "3"],
    ] or client.protocol == "h2" and sorted(pair for pair in seen["headers"] if pair[0].startswith("x-")) == [
        ["x-a", "1"],
        ["x-a", "3"],
        ["x-b", "2"],
    ]
    assert seen["body"] == {"length": 7, "sha256": hashlib.sha256(b"content").hexdigest()}
    assert (seen["peer"], seen["listener"]) == (client.name, 1)
    assert seen["local"] == "{}:{}".format(*probe.address(1))
    assert seen["conn"] == probe.conn(client)
    tls = seen["tls"]
    assert (tls["version"], tls["alpn"], tls["server_name"]) == ("TLSv1.3", client.protocol, "localhost")
    assert tls["suite"].startswith("TLS_") and tls["group"] and tls["peer_certificates"] == 0


def test_echo_and_sink_and_bytes(client):
    content = bytes(range(256)) * 4000
    answer = client.ask("/echo", "POST", content=content)
    assert answer.status == 200 and answer.content == content
    assert client.ask("/sink", "POST", content=content).content == b"1024000"
    assert client.ask("/sink", "GET").content == b"0"
    answer = client.ask("/bytes/3000000")
    assert answer.status == 200 and len(answer.content) == 3_000_000
    assert client.ask("/bytes/0").content == b""


def test_an_empty_echo(client):
    assert client.ask("/echo", "POST", content=b"").content == b""


def test_limits_of_a_request_are_set_by_its_query(client):
    keys = "body_timeout=off&body_idle_timeout=5s&min_body_rate=off&max_body_bytes=1MiB&handler_timeout=9s"
    assert client.ask(f"/sink?{keys}", "POST", content=b"x" * 1000).content == b"1000"
    assert client.ask("/bytes/10?write_idle_timeout=5s&min_write_rate=off&response_timeout=9s").status == 200
    for query in ("max_header_bytes=4096", "no_such_key=1", "body_idle_timeout=soon", "max_body_bytes"):
        answer = client.ask(f"/sink?{query}", "POST", content=b"x")
        assert answer.status == 400 and answer.content, query


def test_waiting_takes_its_time(client):
    for route in ("/wait/200", "/block/200"):
        began = time.monotonic()
        answer = client.ask(route)
        assert (answer.status, answer.content) == (200, HELLO)
        assert 0.2 <= time.monotonic() - began < 2


def test_values_that_do_not_parse(client):
    for path in ("/wait/x", "/bytes/-1", "/block/", "/bytes/1x", "/sse/x", "/cert/x"):
        answer = client.ask(path)
        assert answer.status == 400 and answer.content, path
    assert client.ask("/nowhere").status == 404


def test_content_is_read_late(client):
    answer = client.ask("/unread/300", "POST", content=b"x" * 300_000)
    assert (answer.status, answer.content) == (200, b"300000")


def test_an_early_answer(client):
    assert client.ask("/early").content == b"early"
    assert client.ask("/early", "POST", content=b"x" * 100).content == b"early"


def test_a_released_request_is_a_500(probe, client):
    assert client.ask("/drop").status == 500
    assert probe.await_request(client, "handler.failed")
    assert client.ask("/").status == 200, "the connection lives on"


def test_a_failing_handler_is_a_500(probe, client):
    assert client.ask("/fail").status == 500
    assert probe.await_request(client, "handler.failed")
    assert client.ask("/").status == 200


def test_a_refusing_handler_is_a_503(client):
    answer = client.ask("/refuse")
    assert answer.status == 503 and answer.get("retry-after")


def test_a_second_answer_is_refused(client):
    answer = client.ask("/double")
    assert (answer.status, answer.content) == (200, HELLO)
    answer = client.ask("/double?last")
    assert (answer.status, answer.get("x-second")) == (200, "STATE") or answer.get("x-second") == "E_STATE" or (
        answer.get("x-second") == "BARTIZAN_E_STATE"
    ), answer


def test_an_aborted_answer(client, probe):
    if client.protocol == "http/1.1":
        client.peer.send(b"GET /abort HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.peer.await_end() in ("reset", "cut")
    else:
        stream = client.ask("/abort")
        assert not stream.ended and stream.code
    ended = probe.await_request(client, "program.abort")
    assert ended["target"] == "/abort"


def test_the_time_that_is_left(client):
    left = int(client.ask("/deadline").content)
    assert 25_000 < left <= 30_000


def test_hints_come_first(client):
    answer = client.ask("/hints")
    assert (answer.status, answer.content) == (200, HELLO)
    (status, fields), = answer.interim
    assert status == 103 and dict(fields)["link"]


def test_trailers_go_to_who_asks_for_them(client):
    answer = client.ask("/trailers", fields=[("te", "trailers")])
    assert answer.status == 200 and "x-sum" in dict(answer.trailers)
    if client.protocol == "http/1.1":
        assert client.ask("/trailers").trailers == []


def test_certificates_that_are_not_there(client):
    assert client.ask("/cert/0").status == 404


def test_a_peer_that_leaves_a_handler_is_told(client, probe):
    # Session tickets that lie unread would turn a close into a reset.
    assert client.ask("/").status == 200
    if client.protocol == "http/1.1":
        client.peer.send(b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.2)
        client.close()
        reason = "peer.closed"
    else:
        client.peer.headers(3, frames.request(path="/hang"))
        time.sleep(0.2)
        client.peer.send(frames.frame(frames.RST_STREAM, 0, 3, b"\0\0\0\x08"))
        reason = "peer.reset"
    conn = probe.conn(client)
    told = probe.await_event(
        lambda event: event["event"] == "cancelled" and event["conn"] == conn, what="cancelled", since=client.mark
    )
    assert told["reason"] == reason
    assert probe.await_request(client, reason)["target"] == "/hang"


def test_server_sent_events(client):
    if client.protocol == "http/1.1":
        client.peer.send(b"GET /sse/50 HTTP/1.1\r\nHost: a\r\n\r\n")
        octets = client.peer.receive_until(lambda buffer: buffer.count(b"data:") >= 5)
        assert b"text/event-stream" in octets and octets.count(b"data:") >= 5
    else:
        client.peer.headers(1, frames.request(path="/sse/50"))
        stream = client.peer.stream(1)
        assert client.peer.read(lambda: stream.content.count(b"data:") >= 5)
        assert stream.get("content-type") == "text/event-stream"


def test_stats_and_metrics(client):
    stats = json.loads(client.ask("/stats").content)
    assert stats["requests_live"] >= 1 and stats["connections_open"] >= 1
    answer = client.ask("/metrics")
    assert answer.status == 200 and answer.content.endswith(b"# EOF\n")


def test_an_expectation_is_met_at_the_first_read(probe):
    with secure(probe) as peer:
        peer.send(b"POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        peer.receive_until(lambda buffer: b"\r\n\r\n" in buffer)
        assert peer.buffer.startswith(b"HTTP/1.1 100 ")
        peer.send(b"hello")
        answer = peer.response()
        assert (answer.status, answer.content) == (200, b"5")
        peer.send(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        answer = peer.response()
        assert (answer.content, answer.interim) == (b"early", []), "nobody read, so nothing is asked for"


def test_hundreds_of_requests_on_one_connection(client):
    for _ in range(300):
        assert client.ask("/").content == HELLO


def test_many_streams_at_once(probe):
    with secure_h2(probe) as peer:
        assert peer.ping()
        numbers = range(1, 121, 2)
        for number in numbers:
            peer.headers(number, frames.request(path="/wait/100"))
        assert all(peer.response(number).content == HELLO for number in numbers)
