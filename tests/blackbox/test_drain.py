"""The end of a server, with peers of every kind on it: what is asked for is answered, what is idle or stuck is not waited for."""

import signal
import time

import pytest

import frames
from frames import secure_h2
from wire import Peer, clear, secure

# An interpreter and a loaded machine need their time to go.
SLACK = 2.5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_without_peers_the_end_comes_at_once(start, number):
    probe = start()
    began = time.monotonic()
    probe.signal(number)
    assert probe.wait() == 0
    assert time.monotonic() - began < SLACK


@pytest.mark.parametrize("kind", ["idle", "idle h2", "fresh", "half a ClientHello"])
def test_idle_and_fresh_peers_are_not_waited_for(start, kind):
    probe = start(settings={"client_hello_timeout": "2s", "header_timeout": "2s", "drain_timeout": "10s"})
    if kind == "idle":
        peer = secure(probe)
        peer.ask("/")
    elif kind == "idle h2":
        peer = secure_h2(probe)
        peer.ask(1, "/")
    else:
        peer = clear(probe, listener=1)
        peer.send(b"\x16\x03\x01" if kind == "half a ClientHello" else b"")
    time.sleep(0.2)
    began = time.monotonic()
    probe.signal()
    assert probe.wait() == 0
    # A fresh peer may still ask within its own clock.
    assert time.monotonic() - began < SLACK + (0 if kind.startswith("idle") else 2)
    if kind == "idle":
        assert (peer.await_end(), peer.buffer) == ("closed", b"")
        assert probe.await_closed(peer)["reason"] == "drain"
    if kind == "idle h2":
        peer.await_end()
        assert peer.goaways[-1][1] == "NO_ERROR"


def test_requests_in_flight_are_answered(start):
    probe = start(settings={"drain_timeout": "10s"})
    with secure(probe) as peer, secure_h2(probe) as h2:
        peer.send(b"GET /wait/1000 HTTP/1.1\r\nHost: a\r\n\r\n")
        h2.headers(1, frames.request(path="/wait/1000"))
        time.sleep(0.3)
        began = time.monotonic()
        probe.signal()
        probe.await_event(lambda event: event["event"] == "draining", what="draining")
        await_refusal(probe)
        response = peer.response()
        assert (response.status, response.content) == (200, b"Hello, World!")
        assert response.get("connection") == "close"
        assert peer.await_end() == "closed"
        stream = h2.response(1)
        assert (stream.status, stream.content) == (200, b"Hello, World!")
        h2.await_end()
        assert h2.goaways and h2.goaways[-1] == (1, "NO_ERROR")
    assert probe.wait() == 0
    assert time.monotonic() - began < 1 + SLACK


def await_refusal(probe):
    """Listeners close as soon as each reactor has heard of it."""
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline:
        try:
            Peer(probe.address(1)).close()
        except OSError:
            return
    raise AssertionError("still accepting")


def test_streams_behind_the_last_goaway_are_ignored(start):
    probe = start(settings={"drain_timeout": "10s"})
    with secure_h2(probe) as peer:
        peer.headers(1, frames.request(path="/wait/1500"))
        assert peer.ping()
        probe.signal()
        peer.read(lambda: peer.goaways and peer.goaways[-1][0] == 1)
        peer.headers(3, frames.request())
        assert peer.response(1).status == 200
        peer.await_end()
        assert peer.stream(3).status == 0
    assert probe.wait() == 0


def test_content_in_flight_is_read_to_its_end(start):
    probe = start(settings={"drain_timeout": "10s"})
    with secure(probe) as peer:
        peer.send(b"POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"x" * 50_000)
        time.sleep(0.2)
        probe.signal()
        time.sleep(0.5)
        peer.send(b"x" * 50_000)
        response = peer.response()
        assert (response.content, response.get("connection")) == (b"100000", "close")
    assert probe.wait() == 0


@pytest.mark.parametrize("kind", ["hang", "hang h2", "events", "stalled reader", "stalled content"])
def test_stuck_peers_are_cut_at_the_deadline(start, kind):
    probe = start(settings={"drain_timeout": "1s"})
    peer = secure_h2(probe) if kind == "hang h2" else secure(probe, receive_buffer=4096)
    if kind == "hang h2":
        peer.headers(1, frames.request(path="/hang"))
    elif kind == "stalled content":
        peer.send(b"POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
    else:
        target = {"hang": "/hang", "events": "/sse/50", "stalled reader": "/bytes/1000000000"}[kind]
        peer.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    time.sleep(0.4)
    began = time.monotonic()
    probe.signal()
    assert probe.wait() == 0
    assert 0.9 <= time.monotonic() - began < 1 + SLACK
    assert probe.await_closed(peer)["reason"] == "drain"
    if kind != "hang h2":
        assert peer.await_end() in ("reset", "cut")
    assert probe.await_request(peer, "drain")


def test_a_second_signal_ends_it_at_once(start):
    probe = start(settings={"drain_timeout": "60s"})
    with secure(probe) as peer:
        peer.send(b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.2)
        probe.signal()
        probe.await_event(lambda event: event["event"] == "draining", what="draining")
        began = time.monotonic()
        probe.signal()
        assert probe.wait() == 130
        assert time.monotonic() - began < SLACK
        assert peer.await_end() in ("reset", "cut")
        assert probe.await_closed(peer)["reason"] == "program.stop"
        assert probe.await_request(peer, "program.stop")


def test_every_event_is_out_before_the_end(start):
    probe = start()
    peers = [secure(probe) for _ in range(5)] + [clear(probe) for _ in range(5)]
    for peer in peers[::2]:
        peer.ask("/")
    probe.signal()
    for peer in peers:
        peer.close()
    assert probe.wait() == 0
    events = probe.events()
    assert [event["seq"] for event in events] == list(range(len(events))), "no gap"
    entered = {event["conn"] for event in events if event["event"] == "entered"}
    closed = [event["conn"] for event in events if event["event"] == "closed"]
    assert sorted(closed) == sorted(entered), "each connection closes once"
    assert sum(event["event"] == "draining" for event in events) == 1
    ends = [event for event in events if event["event"] == "request"]
    assert len(ends) == 5
