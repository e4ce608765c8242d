"""The metrics page, read by the parser that Prometheus' own Python client has, against the list at the end of the C header."""

import re
import threading
from pathlib import Path

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from wire import clear, secure

HEADER = Path(__file__).resolve().parents[1] / "c/binding/bartizan.h"
BUCKETS = ["0.001", "0.005", "0.025", "0.1", "0.5", "1.0", "2.5", "5.0", "10.0", "30.0", "60.0", "+Inf"]
LABELS = {"L": "listener", "P": "protocol"}


def promised():
    """Names of samples and their labels, as the last comment of the binding header lists them."""
    comment = HEADER.read_text().split("Metrics text:")[1].split("Buckets:")[0]
    found = re.findall(r"\b(bartizan_[a-z0-9_]+)(?:\{([A-Za-z_,]+)\})?", comment)
    assert len(found) == 30, found
    return {name: {LABELS.get(label, label) for label in labels.split(",") if label} for name, labels in found}


def scrape(probe):
    return {family.name: family for family in text_string_to_metric_families(probe.metrics())}


def samples(families, name):
    return [s for s in families[family_of(name)].samples if s.name == name]


def family_of(sample):
    return re.sub("_(total|info|count|sum|bucket)$", "", sample)


def total(families, name, **labels):
    return sum(s.value for s in samples(families, name) if labels.items() <= s.labels.items())


def test_the_families_are_those_of_the_header(start):
    probe = start("--mode", "queue")
    with secure(probe) as peer:
        peer.ask("/")
    families = scrape(probe)
    names = promised()
    assert set(families) == {family_of(name) for name in names}
    for name, labels in names.items():
        found = families[family_of(name)].samples
        # Only a server that drains queues of its own has any; the wheel's are inside.
        assert found or name.startswith("bartizan_queue_"), name
        for sample in found:
            assert set(sample.labels) - {"le"} == labels, sample
    for name in ("bartizan_handshake_seconds", "bartizan_handler_seconds", "bartizan_request_seconds"):
        assert families[name].type == "histogram" and families[name].unit == "seconds"
        edges = [s.labels["le"] for s in families[name].samples if "le" in s.labels]
        assert edges[: len(BUCKETS)] == BUCKETS and len(edges) % len(BUCKETS) == 0


def test_every_reason_and_phase_stands_there_from_the_start(start):
    probe = start()
    families, stats = scrape(probe), probe.stats()
    for listener in ("0", "1"):
        for name, label, values in (
            ("bartizan_connections_closed_total", "reason", stats["reasons"]),
            ("bartizan_connections", "phase", stats["phases"]),
            ("bartizan_streams", "phase", stats["phases"]),
        ):
            found = [s for s in samples(families, name) if s.labels["listener"] == listener]
            assert sorted(s.labels[label] for s in found) == sorted(values), name
            assert not any(s.value for s in found), name
        for name, protocols in (
            ("bartizan_limits_total", {"none", "http/1.0", "http/1.1", "h2"}),
            ("bartizan_requests_ended_total", {"http/1.0", "http/1.1", "h2"}),
        ):
            found = [s for s in samples(families, name) if s.labels["listener"] == listener]
            assert {s.labels["protocol"] for s in found} == protocols, name
            assert {s.labels["reason"] for s in found} == set(stats["reasons"]), name
            assert len(found) == len(protocols) * len(stats["reasons"]), name
    states = {s.labels["state"]: s.value for s in samples(families, "bartizan_requests_live")}
    assert states == {"queued": 0, "running": 0, "answered": 0}
    kinds = {s.labels["kind"] for s in samples(families, "bartizan_h2_glitches_total")}
    words = re.search(r"kind=((?:\"[a-z_]+\"[ *\n]*)+)", HEADER.read_text()).group(1)
    assert kinds == set(re.findall(r'"([a-z_]+)"', words))
    causes = {s.labels["cause"] for s in samples(families, "bartizan_accept_paused_seconds_total")}
    assert causes == {"descriptors", "connections", "memory"}


def test_a_first_request_that_is_refused_is_one_of_http_1_1(start):
    probe = start()
    with clear(probe) as peer:
        peer.send(b"GET / HTTP/1.1\r\n\r\n")
        assert peer.response().status == 400
    probe.await_closed(peer)
    families = scrape(probe)
    for name in ("bartizan_requests_total", "bartizan_requests_ended_total", "bartizan_limits_total"):
        assert {s.labels["protocol"] for s in samples(families, name) if s.value} == {"http/1.1"}, name


def test_the_sums_are_exact_under_load(start):
    peers, each = 8, 60
    probe = start(settings={"io_threads": 2})
    failures = []

    def ask(index):
        try:
            with (clear if index % 2 else secure)(probe) as peer:
                for number in range(each):
                    assert peer.ask("/nowhere" if number % 10 == 9 else "/").status in (200, 404)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=ask, args=[index]) for index in range(peers)]
    for thread in threads:
        thread.start()
    before, scrapes = None, 0
    while any(thread.is_alive() for thread in threads) or scrapes < 3:
        now = scrape(probe)
        scrapes += 1
        accepted, closed = (total(now, f"bartizan_connections_{what}_total") for what in ("accepted", "closed"))
        assert accepted - closed == total(now, "bartizan_connections")
        ended = total(now, "bartizan_requests_ended_total")
        assert ended == total(now, "bartizan_requests_total")
        assert ended == total(now, "bartizan_request_seconds_count")
        for name in ("bartizan_connections_accepted_total", "bartizan_requests_total", "bartizan_sent_bytes_total"):
            assert before is None or total(now, name) >= total(before, name), name
        before = now
    for thread in threads:
        thread.join()
    assert not failures, failures
    probe.await_event(lambda _: sum(event["event"] == "closed" for event in probe.events()) == peers, what="every close")
    families = scrape(probe)
    assert total(families, "bartizan_requests_total") == peers * each
    assert total(families, "bartizan_requests_total", code="200", protocol="http/1.1") == peers * each * 9 / 10
    assert total(families, "bartizan_requests_ended_total", reason="complete") == peers * each
    for name in ("bartizan_handler_seconds_count", "bartizan_request_seconds_count"):
        assert total(families, name) == peers * each, name
    assert total(families, "bartizan_handshakes_total") == peers / 2 == total(families, "bartizan_handshake_seconds_count")
    assert total(families, "bartizan_connections_accepted_total") == peers
    assert total(families, "bartizan_connections_closed_total", reason="peer.closed") == peers
    assert not total(families, "bartizan_connections") and not total(families, "bartizan_requests_live")
    events = probe.events()
    ended = [event for event in events if event["event"] == "request"]
    assert len(ended) == peers * each
    closed = [event for event in events if event["event"] == "closed"]
    for name, key in (("bartizan_received_bytes_total", "bytes_in"), ("bartizan_sent_bytes_total", "bytes_out")):
        assert total(families, name) == sum(event[key] for event in closed), name
