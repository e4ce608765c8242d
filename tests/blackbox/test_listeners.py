"""Listeners of every kind: a descriptor that somebody else has bound, a unix socket, behind a balancer, sending to https."""

import contextlib
import json
import os
import socket
import struct

import pytest

import frames
from frames import clear_h2, secure_h2
from probe import run
from wire import Peer, clear, secure, tls_context


def peer_of(client):
    """Whom the program takes a client for."""
    return json.loads(client.ask("/inspect").content)["peer"]


# ---- descriptors and unix sockets ----


def test_a_given_descriptor_is_served(start):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        bound.listen()
        port = bound.getsockname()[1]
        options = ("--listen-fd", str(bound.fileno()), "--self-signed", "--listen", "127.0.0.1:0", "--plaintext")
        probe = start(listeners=options, keep=(bound.fileno(),))
        assert probe.urls[0] == f"https://127.0.0.1:{port}"
        with secure(probe, listener=0) as peer, clear(probe, listener=1) as other:
            assert peer.ask("/").status == other.ask("/").status == 200
            assert peer_of(peer) == peer.name
        with secure(probe, listener=0, alpn=("h2",)) as peer:
            assert frames.H2(peer).ask(1, "/").status == 200


def test_a_descriptor_that_does_not_listen_is_refused(language, tmp_path):
    for descriptor in ("987", "0"):
        result = run(language, "--listen-fd", descriptor, "--plaintext")
        assert result.returncode == 2 and len(result.stderr.splitlines()) == 1, result


def test_a_connection_that_the_kernel_gives_up_is_neither_the_peer_s_doing_nor_a_limit(start):
    with socket.socket() as bound:
        # Inherited by what is accepted: the kernel asks a shut window for so long. Nothing else fails a socket on the loopback.
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 500)
        bound.bind(("127.0.0.1", 0))
        bound.listen()
        probe = start(listeners=("--listen-fd", str(bound.fileno()), "--plaintext"), keep=(bound.fileno(),))
        with clear(probe, receive_buffer=4096) as peer:
            peer.send(b"GET /bytes/1000000000 HTTP/1.1\r\nHost: a\r\n\r\n")
            closed = probe.await_closed(peer, timeout=15)
            assert (closed["reason"], closed["phase"]) == ("io", "response")
            assert probe.await_request(peer, "io")
        with clear(probe) as peer:
            assert peer.ask("/").status == 200


class UnixPeer(Peer):
    """A client of a unix socket; events have no name for it."""

    def __init__(self, path, tls=None):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(path)
        self.name, self.buffer, self.eof = "", b"", False
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname="localhost", suppress_ragged_eofs=False)


def test_a_unix_socket_is_served_and_removed(start, tmp_path):
    path = f"/tmp/bartizan-{os.getpid()}-{tmp_path.name[-20:]}"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    # What a predecessor that crashed has left behind.
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(path)
    stale.close()
    # No address, so nothing to count by.
    probe = start(
        settings={"max_connections_per_ip": "1"},
        listeners=("--listen", f"unix:{path}", "--plaintext", "--listen", f"unix:{path}.tls", "--self-signed"),
    )
    assert [url.rsplit("unix:")[-1] for url in probe.urls[:2]] == [path, f"{path}.tls"]
    with UnixPeer(path) as peer, UnixPeer(path) as other, UnixPeer(f"{path}.tls", tls_context()) as tls:
        for client in (peer, other, tls):
            assert client.ask("/echo", "POST", content=b"some").content == b"some"
        probe.signal()
        assert peer.await_end() == "closed"
    assert probe.wait() == 0
    assert not os.path.exists(path) and not os.path.exists(f"{path}.tls")


def test_a_unix_socket_in_use_is_left_alone(language, start, tmp_path):
    path = f"/tmp/bartizan-{os.getpid()}-{tmp_path.name[-20:]}"
    probe = start(listeners=("--listen", f"unix:{path}", "--plaintext"))
    result = run(language, "--listen", f"unix:{path}", "--plaintext")
    assert result.returncode == 2 and len(result.stderr.splitlines()) == 1, result
    with UnixPeer(path) as peer:
        assert peer.ask("/").status == 200
    assert probe.process.poll() is None


# ---- PROXY ----

V1 = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"


def v2(command=1, family=0x11, body=None):
    if body is None:
        body = socket.inet_aton("192.0.2.2") + socket.inet_aton("198.51.100.2") + struct.pack("!HH", 56325, 443)
    return b"\r\n\r\n\0\r\nQUIT\n" + struct.pack("!BBH", 0x20 | command, family, len(body)) + body


V6 = socket.inet_pton(socket.AF_INET6, "2001:db8::7") + socket.inet_pton(socket.AF_INET6, "2001:db8::8")


def behind(start, trusted="127.0.0.0/8", **settings):
    """A probe behind a balancer that comes from this network."""
    trust = ("--trust-proxy", trusted)
    listeners = ("--listen", "127.0.0.1:0", "--plaintext", *trust, "--listen", "127.0.0.1:0", "--self-signed", *trust)
    return start(settings={"proxy_protocol": "any", **settings}, listeners=listeners)


def announced(probe, header, listener=0, **more):
    """A peer whose balancer has sent this header."""
    peer = clear(probe, listener)
    peer.send(header, **more)
    if listener == 1:
        peer.sock = tls_context().wrap_socket(peer.sock, server_hostname="localhost", suppress_ragged_eofs=False)
    return peer


@pytest.mark.parametrize("listener", [0, 1])
def test_the_peer_is_whom_the_header_names(start, listener):
    probe = behind(start)
    cases = [
        (V1, "192.0.2.1:56324"),
        (b"PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n", "[2001:db8::1]:1"),
        (v2(), "192.0.2.2:56325"),
        (v2(body=v2()[16:] + b"\x03\x00\x04abcd"), "192.0.2.2:56325"),
        (v2(family=0x21, body=V6 + struct.pack("!HH", 5, 6)), "[2001:db8::7]:5"),
    ]
    for header, named in cases:
        with announced(probe, header, listener) as peer:
            assert peer_of(peer) == named, header
        closed = probe.await_event(lambda event: event["event"] == "closed" and event["peer"] == named, since=peer.mark)
        assert closed["listener"] == listener
    # The balancer speaks for itself, or does not know.
    for header in (b"PROXY UNKNOWN\r\n", v2(command=0, family=0, body=b"")):
        with announced(probe, header, listener) as peer:
            assert peer_of(peer) == peer.name
    with announced(probe, V1, listener, drip=1) as peer:
        assert peer_of(peer) == "192.0.2.1:56324"


def test_http2_comes_behind_a_header_too(start):
    probe = behind(start)
    with announced(probe, v2()) as peer:
        answer = frames.H2(peer).ask(1, "/inspect")
        assert json.loads(answer.content)["peer"] == "192.0.2.2:56325"


def test_what_is_no_header_is_closed_without_an_answer(start):
    probe = behind(start)
    for octets in (
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 65536\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443 " + b" " * 100,
        b"PROXY UNKNOWN " + b"x" * 107,
        v2(command=5),
        v2(family=0x11, body=b"short"),
        v2(body=b"x" * 5000),
    ):
        with announced(probe, octets) as peer:
            assert peer.await_end() in ("closed", "reset") and peer.buffer == b""
            assert probe.await_closed(peer)["reason"] == "proxy.invalid", octets


def test_a_header_is_believed_from_trusted_sources_alone(start):
    probe = behind(start, trusted="127.0.0.2/32")
    with clear(probe) as peer:
        peer.send(V1 + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert peer.await_end() in ("closed", "reset") and peer.buffer == b""
        assert probe.await_closed(peer)["reason"] == "proxy.invalid"
    with clear(probe, source="127.0.0.2") as peer:
        peer.send(V1)
        assert peer_of(peer) == "192.0.2.1:56324"


def test_a_listener_takes_the_versions_that_it_is_told(start):
    for version, good, bad in (("v1", V1, v2()), ("v2", v2(), V1)):
        probe = behind(start, proxy_protocol=version)
        with announced(probe, good) as peer:
            assert peer.ask("/").status == 200
        with announced(probe, bad) as peer:
            peer.await_end()
            assert probe.await_closed(peer)["reason"] == "proxy.invalid"


def test_a_balancer_that_says_nothing_is_not_waited_for(start):
    probe = behind(start, proxy_header_timeout="500ms")
    for octets in (b"", b"PROXY", v2()[:20]):
        with clear(probe) as peer:
            peer.send(octets)
            assert peer.await_end() == "closed" and 0.45 <= peer.elapsed < 5
            assert probe.await_closed(peer)["reason"] == "proxy.timeout"


def test_addresses_are_counted_as_the_header_names_them(start):
    probe = behind(start, max_connections_per_ip="1")
    first = announced(probe, V1)
    assert first.ask("/").status == 200
    with announced(probe, V1) as second:
        second.await_end()
        closed = probe.await_event(
            lambda event: event["event"] == "closed" and event["reason"] == "accept.per_ip", since=second.mark
        )
        assert closed["peer"] == "192.0.2.1:56324"
    with announced(probe, v2()) as other:
        assert other.ask("/").status == 200
    # IPv6 counts by /64.
    six = announced(probe, b"PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n")
    assert six.ask("/").status == 200
    with announced(probe, b"PROXY TCP6 2001:db8:0:0:ffff::1 2001:db8::2 1 2\r\n") as same:
        same.await_end()
    with announced(probe, b"PROXY TCP6 2001:db8:0:1::1 2001:db8::2 1 2\r\n") as another:
        assert another.ask("/").status == 200
    first.close()
    six.close()


# ---- https ----


def test_cleartext_is_sent_to_https(start):
    probe = start(settings={"redirect_to_https": "on", "hsts_max_age": "1h"})
    location = f"https://localhost:{probe.address(1)[1]}/a?b=c"
    with clear(probe) as peer:
        answer = peer.ask("/a?b=c")
        assert (answer.status, answer.get("location"), answer.content) == (308, location, b"")
        assert answer.get("strict-transport-security") is None
        assert peer.await_end() == "closed"
    with clear_h2(probe) as peer:
        answer = peer.ask(1, "/a?b=c")
        assert (answer.status, answer.get("location")) == (308, location)
    # Plain HTTP on the TLS port, too.
    with clear(probe, listener=1) as peer:
        answer = peer.ask("/a?b=c")
        assert (answer.status, answer.get("location")) == (308, location)
        assert peer.await_end() == "closed"
    assert probe.await_closed(peer)["reason"] == "tls.plaintext"
    with secure(probe) as peer, secure_h2(probe) as h2:
        for answer in (peer.ask("/"), h2.ask(1, "/"), peer.ask("/nowhere")):
            assert answer.get("strict-transport-security") == "max-age=3600"
    assert not [event for event in probe.events() if event["event"] == "request" and event["status"] == 500]


def test_plain_http_on_the_tls_port_is_told_so_behind_any_upload(start):
    probe = start()
    with clear(probe, listener=1) as peer:
        content = b"x" * 100_000
        assert peer.ask("/", "POST", content=content).status == 400
        assert peer.await_end() == "closed"
    assert probe.await_closed(peer)["reason"] == "tls.plaintext"


def test_hsts_is_off_unless_it_is_set_and_may_differ_by_name(start):
    probe = start()
    with secure(probe) as peer:
        assert peer.ask("/").get("strict-transport-security") is None
    probe = start("--listen", "127.0.0.1:0", "--self-signed", "--set-sni", "localhost:hsts_max_age=60s")
    with secure(probe, listener=0) as named, secure(probe, listener=0, server_name="other.test") as other:
        assert named.ask("/").get("strict-transport-security") == "max-age=60"
        assert other.ask("/").get("strict-transport-security") is None
