"""Every cap on both sides of its edge: what is exactly at the cap passes, one more does not, on both protocols."""

import time

import pytest

import frames
from frames import secure_h2
from wire import PATIENCE, clear, secure


def head(octets, target="/"):
    """A header section of exactly so many octets, from the request line through the empty line."""
    start = f"GET {target} HTTP/1.1\r\nHost: localhost\r\nX-Fill: ".encode()
    return start + b"x" * (octets - len(start) - 4) + b"\r\n\r\n"


def header_list(size):
    """A header list of exactly this size by RFC 9113 §6.5.2: name, value and 32 for each field."""
    fields = frames.request(fields=[("x-fill", "")])
    missing = size - sum(len(name) + len(value) + 32 for name, value in fields)
    return [*fields[:-1], ("x-fill", "x" * missing)]


# ---- the header section ----


def test_a_header_section_is_held_to_its_octets(start):
    probe = start(settings={"max_header_bytes": "4096"})
    with secure(probe) as peer:
        for octets in (4095, 4096):
            assert peer.send(head(octets))
            assert peer.response().status == 200, octets
        # An empty line in front belongs to no header section.
        peer.send(b"\r\n" + head(4096))
        assert peer.response().status == 200
        peer.send(head(4097))
        response = peer.response()
        assert (response.status, response.get("connection")) == (431, "close")
    with secure(probe) as peer:
        peer.send(head(4096), drip=512)
        assert peer.response().status == 200
        peer.send(head(4097), drip=512)
        assert peer.response().status == 431
    assert probe.await_closed(peer)["reason"] == "header.bytes"
    with secure(probe) as peer:
        peer.send(b"GET /" + b"x" * 5000)
        assert peer.response().status == 414, "the cap is met inside the request line"


def test_a_header_list_is_held_to_its_size(start):
    probe = start(settings={"max_header_bytes": "4096"})
    with secure_h2(probe) as peer:
        for stream, size, status in ((1, 4095, 200), (3, 4096, 200), (5, 4097, 431), (7, 4096, 200), (9, 8192, 431)):
            peer.headers(stream, header_list(size))
            assert peer.response(stream).status == status, size
        assert not peer.goaways
        peer.headers(11, header_list(40_000))
        assert peer.response(11).status in (0, 431)
        if not peer.stream(11).status:
            peer.await_end()
            assert peer.goaways[-1][1] in ("ENHANCE_YOUR_CALM", "COMPRESSION_ERROR")


@pytest.mark.parametrize("fields", [10, 11])
def test_field_lines_are_counted(start, fields):
    probe = start(settings={"max_header_fields": "10"})
    status = 200 if fields == 10 else 431
    with secure(probe) as peer:
        assert peer.ask("/", fields=["X: y"] * (fields - 1)).status == status
    with secure_h2(probe) as peer:
        assert peer.ask(1, "/", fields=[("x", "y")] * fields).status == status, "pseudo-fields do not count"
        assert peer.ask(3, "/").status == 200, "only the stream is refused"


@pytest.mark.parametrize("crumbs", [20, 21])
def test_cookie_crumbs_are_counted_apart(start, crumbs):
    probe = start(settings={"max_cookie_fields": "20", "max_header_fields": "2"})
    with secure_h2(probe) as peer:
        answer = peer.ask(1, "/", fields=[("cookie", "a=b")] * crumbs + [("x", "y")] * 2)
        assert answer.status == (200 if crumbs == 20 else 431)


@pytest.mark.parametrize("octets", [100, 101])
def test_a_target_is_held_to_its_octets(start, octets):
    probe = start(settings={"max_target_bytes": "100"})
    target = "/?" + "x" * (octets - 2)
    status = 200 if octets == 100 else 414
    reason = "complete" if octets == 100 else "header.target"
    with secure(probe) as peer:
        assert peer.ask(target).status == status
        assert probe.await_request(peer, reason)
    with secure_h2(probe) as peer:
        assert peer.ask(1, target).status == status
        assert probe.await_request(peer, reason)


# ---- content ----


@pytest.mark.parametrize("route", ["/sink", "/inspect"])
def test_content_is_held_to_its_octets(start, route):
    probe = start(settings={"max_body_bytes": "1000", "buffer_body_bytes": "500"})
    for octets, status in ((1000, 200), (1001, 413)):
        content = b"x" * octets
        with secure(probe) as peer:
            assert peer.ask(route, "POST", content=content).status == status, octets
        with secure(probe) as peer:
            peer.send(f"POST {route} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
            peer.send(f"{octets:x}\r\n".encode() + content + b"\r\n0\r\n\r\n")
            assert peer.response().status == status, octets
        with secure_h2(probe) as peer:
            assert peer.ask(1, route, "POST", [("content-length", str(octets))], content).status == status, octets
            assert peer.ask(3, route, "POST", content=content).status == status, octets
    with secure(probe) as peer:
        peer.send(f"POST {route} HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n".encode())
        assert peer.response().status == 413, "before any of it came"
    assert probe.await_closed(peer)["reason"] == "body.size"


def test_content_that_would_be_buffered_is_refused_at_once(start):
    probe = start(settings={"max_body_bytes": "1000", "buffer_body_bytes": "4096"})
    with secure(probe) as peer:
        peer.send(b"POST /sink?max_body_bytes=off HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n")
        assert peer.response().status == 413


def test_a_handler_raises_the_cap_of_its_content(start):
    probe = start(settings={"max_body_bytes": "1000", "buffer_body_bytes": "500"})
    for target in ("/sink?max_body_bytes=2000", "/sink?max_body_bytes=off"):
        with secure(probe) as peer:
            assert peer.ask(target, "POST", content=b"x" * 2000).content == b"2000"
        with secure_h2(probe) as peer:
            assert peer.ask(1, target, "POST", content=b"x" * 2000).content == b"2000"
    with secure(probe) as peer:
        assert peer.ask("/sink?max_body_bytes=2000", "POST", content=b"x" * 2001).status == 413


def test_a_handler_lowers_the_cap_of_content_that_came_with_the_request(start):
    probe = start()
    for octets, status in ((1000, 200), (1001, 413)):
        with secure(probe) as peer:
            assert peer.ask("/sink?max_body_bytes=1000", "POST", content=b"x" * octets).status == status
        with secure_h2(probe) as peer:
            lines = [("content-length", str(octets))]
            assert peer.ask(1, "/sink?max_body_bytes=1000", "POST", lines, b"x" * octets).status == status


def test_an_answer_arrives_although_content_is_still_coming(start):
    """The peer sends all of it before it reads: closing over what is unread would reset the answer away."""
    probe = start(settings={"max_body_bytes": "1000"})
    with clear(probe) as peer:
        peer.send(b"POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000)
        assert peer.response().status == 413
        assert peer.await_end() == "closed"


# ---- handlers ----


def test_running_handlers_are_counted(start):
    probe = start(settings={"max_running_handlers": "3"})
    hanging = [secure(probe) for _ in range(3)]
    for peer in hanging:
        peer.send(b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
    await_stats(probe, handlers_running=3)
    with secure(probe) as peer, secure_h2(probe) as h2:
        answer = peer.ask("/")
        assert (answer.status, answer.get("retry-after") is not None) == (503, True)
        answer = h2.ask(1, "/")
        assert (answer.status, answer.get("retry-after") is not None) == (503, True)
        for gone in hanging:
            gone.close()
        await_stats(probe, handlers_running=0)
        assert h2.ask(3, "/").status == 200
    assert probe.await_request(h2, "handler.capacity")


def test_a_reset_frees_no_running_handler(start):
    """A handler that blocks keeps its slot however often its peer gives up."""
    probe = start(mode="workers", settings={"max_running_handlers": "3"})
    with secure_h2(probe) as peer:
        for stream in (1, 3, 5):
            peer.headers(stream, frames.request(path="/block/2000"))
        await_stats(probe, handlers_running=3)
        for stream in (1, 3, 5):
            peer.send(frames.frame(frames.RST_STREAM, 0, stream, b"\0\0\0\x08"))
        assert peer.ping()
        assert probe.stats()["handlers_running"] == 3
        assert peer.ask(7, "/").status == 503
        await_stats(probe, handlers_running=0)
        assert peer.ask(9, "/").status == 200


def test_the_handlers_of_one_connection_are_counted(start):
    probe = start(settings={"max_handlers_per_connection": "3"})
    with secure_h2(probe) as peer, secure_h2(probe) as other:
        for stream in (1, 3, 5):
            peer.headers(stream, frames.request(path="/hang"))
        assert peer.ask(7, "/").status == 503
        assert other.ask(1, "/").status == 200, "others are not concerned"


def test_streams_are_counted(start):
    probe = start(settings={"h2_max_concurrent_streams": "3"})
    with secure_h2(probe) as peer:
        assert peer.ping()
        for stream in (1, 3, 5, 7):
            peer.headers(stream, frames.request(path="/hang"))
        assert peer.response(7).code == "REFUSED_STREAM"
        assert not peer.goaways


# ---- connections ----


def test_pending_handshakes_give_way_to_newcomers(start):
    probe = start(settings={"max_pending_handshakes": "4"})
    silent = []
    for _ in range(4):
        silent.append(clear(probe, listener=1))
        await_stats(probe, handshakes_pending=len(silent))
    silent.append(clear(probe, listener=1))
    assert probe.await_closed(silent[0])["reason"] == "tls.pending_limit", "the oldest"
    assert silent[0].await_end() in ("closed", "reset")
    for _ in range(3):
        with secure(probe) as honest:
            assert honest.ask("/").status == 200
    assert probe.stats()["handshakes_pending"] <= 4
    for peer in silent:
        peer.close()


def test_a_client_hello_is_held_to_its_octets(start):
    probe = start(settings={"max_client_hello_bytes": "1024"})
    with secure(probe) as peer:
        assert peer.ask("/").status == 200
    peer = clear(probe, listener=1)
    # A handshake record that announces a ClientHello of 8000 octets.
    peer.send(b"\x16\x03\x01\x1f\x44\x01\x00\x1f\x40\x03\x03" + b"x" * 2000)
    peer.await_end()
    assert probe.await_closed(peer)["reason"] == "tls.hello_size"


def test_the_longest_idle_connection_gives_way(start):
    probe = start(settings={"max_connections": "4"})
    idle = []
    for _ in range(4):
        idle.append(secure(probe))
        assert idle[-1].ask("/").status == 200
        time.sleep(0.15)
    assert probe.stats()["connections_open"] == 4, "nobody goes for nobody"
    with secure(probe) as newcomer:
        assert newcomer.ask("/").status == 200
        assert probe.await_closed(idle[0])["reason"] == "accept.limit"
        assert idle[0].await_end() == "closed"
        assert idle[3].ask("/").status == 200, "the others live on"


def test_newcomers_wait_when_no_connection_is_idle(start):
    probe = start(settings={"max_connections": "3"})
    busy = [secure(probe) for _ in range(3)]
    for peer in busy:
        peer.send(b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
    await_stats(probe, handlers_running=3)
    newcomer = clear(probe)
    newcomer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    with pytest.raises(TimeoutError):
        newcomer.receive(timeout=0.7)
    assert probe.stats()["connections_open"] == 3
    busy[0].close()
    assert newcomer.response().status == 200
    for peer in (*busy, newcomer):
        peer.close()


def test_connections_of_one_address_are_counted(start):
    probe = start(settings={"max_connections_per_ip": "2"})
    first, second = secure(probe), secure(probe)
    third = clear(probe, listener=1)
    third.await_end()
    assert probe.await_closed(third)["reason"] == "accept.per_ip"
    with secure(probe, source="127.0.0.2") as other:
        assert other.ask("/").status == 200
    first.close()
    probe.await_closed(first)
    with secure(probe) as again:
        assert again.ask("/").status == 200
    second.close()


def test_the_requests_of_one_connection_are_counted(start):
    probe = start(settings={"max_requests_per_connection": "3"})
    with secure(probe) as peer:
        assert [peer.ask("/").get("connection") for _ in range(3)] == [None, None, "close"]
        assert peer.await_end() == "closed"
    assert probe.await_closed(peer)["reason"] == "requests"
    with secure_h2(probe) as peer:
        assert [peer.ask(stream, "/").status for stream in (1, 3, 5)] == [200] * 3
        peer.await_end()
        assert peer.goaways[-1][1] == "NO_ERROR"
    assert probe.await_closed(peer)["reason"] == "requests"


def test_glitches_have_a_budget(start):
    """Settings, pings without answers between them, windows of one octet: each is allowed, a flood is not."""
    probe = start(settings={"h2_glitch_budget": "40"})
    for name, flood in {
        "ping": frames.frame(frames.PING, payload=b"12345678"),
        "settings": frames.frame(frames.SETTINGS),
        "priority": frames.frame(frames.PRIORITY, 0, 3, b"\0\0\0\0\x10"),
        "unknown": frames.frame(0xFA, payload=b"x"),
        "window": frames.frame(frames.WINDOW_UPDATE, 0, 0, b"\0\0\0\x01"),
    }.items():
        with secure_h2(probe) as peer:
            peer.ask(1, "/")
            peer.send(flood * 200)
            peer.await_end()
            assert peer.goaways[-1][1] == "ENHANCE_YOUR_CALM", name
        assert probe.await_closed(peer)["reason"] == "h2.glitches", name


def test_resets_have_a_budget(start):
    """Rapid reset: streams that are opened and given up at once."""
    probe = start(settings={"h2_glitch_budget": "40"})
    with secure_h2(probe) as peer:
        assert peer.ping()
        flood = b""
        for stream in range(1, 401, 2):
            opened = frames.frame(frames.HEADERS, 5, stream, frames.block(frames.request(path="/hang")))
            flood += opened + frames.frame(frames.RST_STREAM, 0, stream, b"\0\0\0\x08")
        peer.send(flood)
        peer.await_end()
        assert peer.goaways[-1][1] == "ENHANCE_YOUR_CALM"
    assert probe.await_closed(peer)["reason"] in ("h2.resets", "h2.glitches")


def await_stats(probe, **wanted):
    """Waits until the stats say so."""
    deadline = time.monotonic() + PATIENCE
    while True:
        stats = probe.stats()
        if all(stats[key] == value for key, value in wanted.items()):
            return
        assert time.monotonic() < deadline, {key: stats[key] for key in wanted}
        time.sleep(0.02)
