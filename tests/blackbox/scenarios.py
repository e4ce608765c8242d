"""The peers that attackers play, one for each way of holding a phase: what each does, when it must be over and why.

`test_phases.py` runs them all at once.
"""

import ssl
import time
from dataclasses import dataclass

import pytest

import frames
from frames import secure_h2
from wire import clear, secure, tls_context

SETTINGS = {
    "client_hello_timeout": "1s",
    "handshake_timeout": "2s",
    "h2_preface_timeout": "1s",
    "h2_settings_timeout": "2s",
    "header_timeout": "1s",
    "body_idle_timeout": "1s",
    "handler_timeout": "3s",
    "write_idle_timeout": "1s",
    "flush_timeout": "1s",
    "idle_timeout": "2s",
    "linger_timeout": "1s",
}

# A deadline is never early. How late it may be is a matter of the machine: two cores, and other work.
EARLY, LATE = 0.05, 1.5

# Larger than all that the kernel keeps between two sockets.
HUGE = "/bytes/1000000000"

SCENARIOS = []


@dataclass
class Scenario:
    """What a peer does; when, by which phase's clock and why it must be over: its connection, or only a request of it."""

    play: object
    limit: float
    phase: str
    reason: str
    of_request: bool

    def run(self, probe):
        began = time.monotonic()
        peer = self.play(probe)
        elapsed = time.monotonic() - began
        ended = probe.await_request(peer, self.reason) if self.of_request else probe.await_closed(peer)
        assert ended["reason"] == self.reason, ended
        peer.close()
        assert self.limit - EARLY <= elapsed <= self.limit + LATE, f"after {elapsed:.3f} s, not {self.limit} s"
        spent = ended["millis"].get(self.phase, 0) / 1000
        # The handshake's clock contains the hello's.
        spent += ended["millis"].get("hello", 0) / 1000 if self.phase == "handshake" else 0
        assert self.limit - EARLY <= spent <= self.limit + LATE, ended


def scenario(limit, phase, reason, of_request=False):
    def register(play):
        SCENARIOS.append(Scenario(play, limit, phase, reason, of_request))
        return play

    return register


# ---- before HTTP ----


@scenario(1.0, "hello", "tls.hello_timeout")
def a_silent_peer_of_the_tls_listener(probe):
    peer = clear(probe, listener=1)
    assert (peer.await_end(), peer.buffer) == ("closed", b"")
    return peer


@scenario(1.0, "hello", "tls.hello_timeout")
def half_a_client_hello(probe):
    peer = clear(probe, listener=1)
    hello = client_hello()
    peer.send(hello[: len(hello) // 2])
    assert (peer.await_end(), peer.buffer) == ("closed", b"")
    return peer


@scenario(1.0, "hello", "tls.hello_timeout")
def a_client_hello_that_drips(probe):
    peer = clear(probe, listener=1)
    drip(peer, client_hello())
    return peer


@scenario(2.0, "handshake", "tls.timeout")
def a_handshake_that_stops_behind_the_client_hello(probe):
    peer = clear(probe, listener=1)
    peer.send(client_hello())
    assert peer.await_end() == "closed"
    assert peer.buffer[:1] == b"\x16", "a ServerHello"
    return peer


@scenario(1.0, "opening", "h2.preface_timeout")
def an_http2_peer_without_a_preface(probe):
    peer = secure(probe, alpn=("h2",))
    peer.await_end()
    return peer


@scenario(1.0, "opening", "h2.preface_timeout")
def half_a_preface_in_cleartext(probe):
    peer = clear(probe)
    peer.send(frames.PREFACE[:12])
    assert (peer.await_end(), peer.buffer) == ("closed", b"")
    return peer


@scenario(2.0, "streams", "h2.settings_timeout")
def an_http2_peer_that_never_acknowledges_settings(probe):
    peer = secure_h2(probe, acknowledge=False)
    peer.headers(1, frames.request(path="/hang"))
    peer.await_end()
    assert [code for _, code in peer.goaways][-1] == "SETTINGS_TIMEOUT"
    return peer.peer


# ---- the header section ----


@scenario(1.0, "header", "header.timeout")
def a_peer_that_is_silent_behind_the_handshake(probe):
    peer = secure(probe)
    assert (peer.await_end(), peer.buffer) == ("closed", b"")
    return peer


@scenario(1.0, "header", "header.timeout")
def a_silent_peer_in_cleartext(probe):
    peer = clear(probe)
    assert (peer.await_end(), peer.buffer) == ("closed", b"")
    return peer


@scenario(1.0, "header", "header.timeout")
def an_http2_peer_that_asks_nothing(probe):
    peer = secure_h2(probe)
    peer.await_end()
    assert [code for _, code in peer.goaways] == ["NO_ERROR"]
    return peer.peer


@scenario(1.0, "header", "header.timeout")
def a_header_section_that_drips(probe):
    peer = secure(probe)
    drip(peer, b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Drip: " + b"x" * 100)
    assert peer.response().status == 408
    return peer


@scenario(1.0, "header", "header.timeout")
def a_second_header_section_that_stops(probe):
    peer = clear(probe)
    assert peer.ask("/").status == 200
    peer.send(b"GET / HTTP/1.1\r\nHost: local")
    response = peer.response()
    assert (response.status, response.get("connection")) == (408, "close")
    peer.await_end()
    return peer


@scenario(1.0, "header", "header.timeout")
def http2_headers_without_their_end(probe):
    peer = settled(probe)
    peer.headers(1, frames.request(), whole=False)
    peer.await_end()
    assert [code for _, code in peer.goaways][-1] == "ENHANCE_YOUR_CALM"
    return peer.peer


@scenario(1.0, "header", "header.timeout")
def http2_continuations_that_drip(probe):
    peer = settled(probe)
    peer.headers(1, frames.request(), whole=False)
    drip(peer.peer, [frames.frame(frames.CONTINUATION, 0, 1, frames.block([("x-a", "b")]))] * 4, 0.3)
    peer.await_end()
    assert [code for _, code in peer.goaways][-1] == "ENHANCE_YOUR_CALM"
    return peer.peer


# ---- content ----


@scenario(1.0, "body", "body.idle")
def content_that_stops(probe):
    peer = secure(probe)
    peer.send(b"POST /sink HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n0123456789")
    return refused_408(peer)


@scenario(1.0, "body", "body.idle")
def small_content_that_stops(probe):
    peer = clear(probe)
    peer.send(b"POST /sink HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n0123456789")
    return refused_408(peer)


@scenario(1.0, "body", "body.idle")
def chunks_that_stop(probe):
    peer = secure(probe)
    peer.send(b"POST /sink HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel")
    return refused_408(peer)


@scenario(1.0, "body", "body.rate")
def content_that_is_too_slow(probe):
    peer = secure(probe)
    target = b"/sink?min_body_rate=10000&min_rate_grace=1s"
    peer.send(b"POST " + target + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n")
    drip(peer, b"x" * 100)
    return refused_408(peer)


@scenario(1.5, "body", "body.timeout")
def content_that_takes_too_long_in_all(probe):
    peer = secure(probe)
    target = b"/sink?body_timeout=1500ms"
    peer.send(b"POST " + target + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n")
    drip(peer, [b"x" * 1000] * 100)
    return refused_408(peer)


@scenario(1.0, "body", "body.idle", of_request=True)
def http2_content_that_stops(probe):
    peer = secure_h2(probe)
    peer.headers(1, frames.request("POST", "/sink"), end=False)
    peer.data(1, b"0123456789")
    return refused_408_on_its_stream(peer)


@scenario(1.0, "body", "body.rate", of_request=True)
def http2_content_that_is_too_slow(probe):
    peer = secure_h2(probe)
    peer.headers(1, frames.request("POST", "/sink?min_body_rate=10000&min_rate_grace=1s"), end=False)
    while not peer.stream(1).status:
        peer.data(1, b"x" * 64)
        peer.read(lambda: peer.stream(1).status, timeout=0.1)
    return refused_408_on_its_stream(peer)


@scenario(0.0, "body", "tls.shutdown")
def content_that_is_cut_without_close_notify(probe):
    peer = secure(probe)
    peer.send(b"POST /sink HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n0123456789")
    peer.end()
    peer.await_end()
    return peer


# ---- the handler, the answer ----


@scenario(3.0, "handler", "handler.timeout", of_request=True)
def a_handler_that_never_answers(probe):
    peer = secure(probe)
    assert peer.ask("/hang").status == 504
    assert peer.ask("/").status == 200, "the request was read to its end, so the connection lives on"
    return peer


@scenario(3.0, "handler", "handler.timeout", of_request=True)
def a_handler_of_http2_that_never_answers(probe):
    peer = secure_h2(probe)
    assert peer.ask(1, "/hang").status == 504
    return peer.peer


@scenario(1.0, "response", "write.idle")
def a_reader_that_stops(probe):
    return stop_reading(probe, clear(probe, receive_buffer=4096))


@scenario(1.0, "response", "write.idle")
def a_reader_over_tls_that_stops(probe):
    return stop_reading(probe, secure(probe, receive_buffer=4096))


@scenario(1.0, "response", "write.rate")
def a_reader_that_is_too_slow(probe):
    peer = clear(probe, receive_buffer=4096)
    peer.send(f"GET {HUGE}?write_idle_timeout=off&min_write_rate=10000000&min_rate_grace=1s HTTP/1.1\r\n".encode())
    peer.send(b"Host: localhost\r\n\r\n")
    while len(peer.buffer) < 10_000_000 and not peer.eof:
        peer.receive()
        time.sleep(0.02)
    assert peer.ended == "reset"
    return peer


@scenario(1.5, "response", "write.timeout")
def a_reader_that_takes_too_long_in_all(probe):
    peer = clear(probe, receive_buffer=4096)
    peer.send(f"GET {HUGE}?response_timeout=1500ms HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    while peer.receive():
        time.sleep(0.02)
    assert peer.ended == "reset"
    return peer


@scenario(1.5, "response", "write.timeout", of_request=True)
def an_http2_reader_that_takes_too_long_in_all(probe):
    peer = secure_h2(probe)
    peer.headers(1, frames.request(path=f"{HUGE}?response_timeout=1500ms"))
    while not peer.read(lambda: peer.stream(1).code, timeout=0.01):
        time.sleep(0.1)
    assert (peer.stream(1).status, peer.stream(1).code) == (200, "CANCEL")
    assert peer.ping(), "only the stream is lost"
    return peer.peer


@scenario(1.0, "response", "write.idle", of_request=True)
def an_http2_window_that_stays_shut(probe):
    peer = secure_h2(probe, window=0)
    peer.headers(1, frames.request(path=HUGE))
    peer.read(lambda: peer.stream(1).code)
    assert (peer.stream(1).status, peer.stream(1).code) == (200, "CANCEL")
    assert peer.ping(), "only the stream is lost"
    return peer.peer


@scenario(1.0, "streams", "write.idle")
def an_http2_socket_that_is_not_read(probe):
    peer = secure_h2(probe, receive_buffer=4096, window=(1 << 31) - 1)
    peer.send(frames.frame(frames.WINDOW_UPDATE, 0, 0, b"\x7f\xff\x00\x00"))
    peer.headers(1, frames.request(path=HUGE))
    probe.await_closed(peer, timeout=8)
    return peer.peer


@scenario(1.0, "flush", "flush.timeout")
def answers_that_are_not_taken(probe):
    """Each is complete at once; together they are more than the socket takes."""
    peer = clear(probe, receive_buffer=4096)
    peer.sock.settimeout(0.1)
    requests = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 5000
    sent = 0
    while not probe.has_closed(peer):
        try:
            sent = (sent + peer.sock.send(requests[sent:])) % len(requests)
        except TimeoutError:
            continue
        except ConnectionError:
            break
    return peer


@scenario(1.0, "flush", "flush.timeout", of_request=True)
def an_http2_answer_that_is_not_taken(probe):
    peer = secure_h2(probe, window=0)
    peer.headers(1, frames.request())
    peer.read(lambda: peer.stream(1).code)
    assert (peer.stream(1).status, peer.stream(1).code) == (200, "CANCEL")
    return peer.peer


# ---- between requests, and the end ----


@scenario(2.0, "idle", "idle.timeout")
def an_idle_connection(probe):
    peer = secure(probe)
    assert peer.ask("/").status == 200
    assert (peer.await_end(), peer.buffer) == ("closed", b"")
    return peer


@scenario(2.0, "idle", "idle.timeout")
def an_idle_http2_connection_that_pings(probe):
    peer = secure_h2(probe)
    assert peer.ask(1, "/").status == 200
    for _ in range(4):
        time.sleep(0.3)
        assert peer.ping(), "still open"
    peer.await_end()
    assert [code for _, code in peer.goaways] == ["NO_ERROR"]
    return peer.peer


@scenario(1.0, "linger", "complete")
def content_that_nobody_wants_and_that_goes_on(probe):
    peer = clear(probe)
    peer.send(b"POST /early HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n")
    response = peer.response()
    assert (response.status, response.content, response.get("connection")) == (200, b"early", "close")
    while not probe.has_closed(peer):
        peer.send(b"x" * 100)
        time.sleep(0.05)
    return peer


# ---- how they play ----


def client_hello():
    """The first flight of a real client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = tls_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def settled(probe):
    """An HTTP/2 peer that owes no acknowledgement: one would break a header block."""
    peer = secure_h2(probe)
    assert peer.ping()
    return peer


def drip(peer, pieces, pause=0.1):
    """Sends octets, or pieces, until there are no more or the other side says something."""
    pieces = [pieces[at : at + 1] for at in range(len(pieces))] if isinstance(pieces, bytes) else pieces
    for piece in pieces:
        if not peer.send(piece):
            return
        try:
            peer.receive(pause)
        except TimeoutError:
            continue
        return


def refused_408(peer):
    response = peer.response()
    assert (response.status, response.get("connection")) == (408, "close")
    peer.await_end()
    return peer


def refused_408_on_its_stream(peer):
    stream = peer.response(1)
    assert stream.status == 408 and stream.ended
    peer.read(lambda: stream.code)
    assert stream.code == "NO_ERROR"
    assert peer.ping(), "only the stream is over"
    return peer.peer


def stop_reading(probe, peer):
    peer.send(f"GET {HUGE} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    probe.await_closed(peer, timeout=8)
    assert peer.await_end() in ("reset", "cut")
    return peer
