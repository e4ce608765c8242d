"""What the server says of itself adds up, while it runs and whatever became of its peers."""

import re
from collections import defaultdict

import frames
from frames import secure_h2
from wire import clear, secure


def mixed_peers(probe):
    """One peer of each fate; those that are returned are still there."""
    with secure(probe) as peer:
        peer.ask("/")
    with secure(probe) as peer:
        peer.ask("/nowhere")
        peer.send(b"GET / HTTP/1.1\r\n\r\n")
        assert peer.response().status == 400
    with clear(probe) as peer:
        peer.send(b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
        probe.await_event(lambda event: event["event"] == "entered" and event["phase"] == "handler", since=peer.mark)
        peer.reset()
    with clear(probe, listener=1) as peer:
        peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        peer.await_end()
    with secure_h2(probe) as peer:
        for stream in (1, 3, 5):
            assert peer.ask(stream, "/").status == 200
        peer.send(frames.frame(frames.DATA, 0, 0, b"x"))
        peer.await_end()
    with secure(probe) as peer:
        assert peer.ask("/drop").status == 500
        assert peer.ask("/fail").status == 500
    idle, busy, h2 = secure(probe), clear(probe), secure_h2(probe)
    idle.ask("/")
    busy.send(b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
    h2.headers(1, frames.request(path="/hang"))
    assert h2.ping()
    silent = clear(probe, listener=1)
    return [idle, busy, h2.peer, silent]


def await_quiet(probe, peers):
    """All closes of the others have been told."""
    names = {(peer.listener, peer.name) for peer in peers}
    probe.await_event(lambda _: open_peers(probe) == names, what="the closes of all others")


def open_peers(probe):
    peers = set()
    for event in probe.events():
        if event["event"] == "entered":
            peers.add((event["listener"], event["peer"]))
        elif event["event"] == "closed":
            peers.discard((event["listener"], event["peer"]))
    return peers


def test_the_stats_add_up(start):
    probe = start()
    peers = mixed_peers(probe)
    await_quiet(probe, peers)
    stats = probe.stats()
    assert stats["connections_open"] == len(peers) == sum(stats["phases"].values())
    assert stats["connections_accepted"] - stats["connections_closed"] == stats["connections_open"]
    assert stats["connections_closed"] == sum(stats["reasons"].values())
    assert stats["requests_started"] - stats["requests_ended"] == stats["requests_live"] == 2
    assert stats["phases"]["idle"] == 1 and stats["phases"]["handler"] == 1
    assert stats["phases"]["streams"] == 1 and stats["phases"]["hello"] == 1
    assert stats["handlers_running"] == 2 and stats["handshakes_pending"] == 1
    assert stats["handshakes_completed"] >= 5
    assert 0 < stats["descriptors_open"] < stats["descriptors_limit"]
    for peer in peers:
        peer.close()
    await_quiet(probe, [])
    stats = probe.stats()
    assert stats["connections_open"] == 0 and stats["requests_live"] == 0 and stats["handlers_running"] == 0


def test_the_stats_agree_with_the_events(start):
    probe = start()
    peers = mixed_peers(probe)
    for peer in peers:
        peer.close()
    await_quiet(probe, [])
    reasons = defaultdict(int)
    ended = 0
    for event in probe.events():
        if event["event"] == "closed":
            reasons[event["reason"]] += 1
        ended += event["event"] == "request"
    stats = probe.stats()
    assert {reason: count for reason, count in stats["reasons"].items() if count} == reasons
    assert ended == stats["requests_ended"] == stats["requests_started"]


SAMPLE = re.compile(r'^([a-z0-9_]+)(?:\{(.*)\})? (\S+)$')


def test_the_metrics_add_up(start):
    probe = start()
    peers = mixed_peers(probe)
    await_quiet(probe, peers)
    text = probe.metrics()
    assert text.endswith("# EOF\n") and text.count("# EOF") == 1
    sums, seen = defaultdict(float), set()
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name, labels, value = SAMPLE.match(line).groups()
        assert (name, labels) not in seen, line
        seen.add((name, labels))
        sums[name] += float(value)
    accepted, closed = sums["bartizan_connections_accepted_total"], sums["bartizan_connections_closed_total"]
    assert accepted - closed == sums["bartizan_connections"] == len(peers)
    assert sums["bartizan_requests_total"] == sums["bartizan_requests_ended_total"]
    assert sums["bartizan_limits_total"] >= 1
    assert sums["bartizan_handshakes_total"] == probe.stats()["handshakes_completed"]
    for family in ("bartizan_build_info", "bartizan_draining", "bartizan_open_descriptors", "bartizan_streams"):
        assert any(name == family for name, _ in seen), family
    for peer in peers:
        peer.close()


def test_one_connection_passes_its_phases_in_order(start):
    probe = start()
    with secure(probe) as peer:
        peer.ask("/")
        peer.ask("/wait/100")
    closed = probe.await_closed(peer)
    phases = [e["phase"] for e in probe.events() if e["event"] == "entered" and e["conn"] == closed["conn"]]
    assert phases[:3] == ["hello", "handshake", "header"], phases
    assert phases.count("handler") == 2 and phases[-1] == "idle", phases
    assert (closed["reason"], closed["requests"], closed["protocol"]) == ("peer.closed", 2, "http/1.1")
    assert closed["bytes_in"] > 300 and closed["bytes_out"] > 300
    first, second = probe.requests(closed["conn"])
    assert (first["status"], first["method"], first["target"], first["reason"]) == (200, "GET", "/", "complete")
    assert second["millis"]["handler"] >= 95
    assert first["bytes_out"] >= 13
