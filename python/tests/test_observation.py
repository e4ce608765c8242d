"""Hooks, numbers and log records."""
import logging
import threading
from typing import Any

import bartizan
import pytest
from conftest import Latch, Serve, dial, fetch


def test_hooks_hear_everything_in_order_on_one_thread() -> None:
    events: list[Any] = []
    threads = set()
    server = bartizan.Server(io_threads=1, handler=lambda request: b"ok")

    @server.on_connection
    def connections(batch: list[bartizan.ConnectionEvent]) -> None:
        threads.add(threading.get_ident())
        events.extend(batch)

    @server.on_request_end
    def requests(batch: list[bartizan.RequestEnd]) -> None:
        threads.add(threading.get_ident())
        events.extend(batch)

    with server:
        for _ in range(3):
            fetch(server, "/path?query")
    kinds = [event["event"] for event in events]
    assert kinds.count("closed") == 3 and kinds.count("request") == 3 and len(threads) == 1
    steps = [event for event in events if event["event"] != "request"]
    assert [event["seq"] for event in steps] == list(range(1, len(steps) + 1))
    first = [event for event in events if event["conn"] == events[0]["conn"]]
    assert first[0]["event"] == "entered" and first[0]["phase"] == "header"
    assert first[-1]["event"] == "closed" and first[-1]["reason"] == "peer.closed"
    assert first[-1]["requests"] == 1 and first[-1]["protocol"] == "http/1.1" and first[-1]["bytes_in"] > 0
    request = next(event for event in first if event["event"] == "request")
    assert (request["method"], request["target"], request["status"], request["reason"], request["stream"]) == (
        "GET",
        "/path?query",
        200,
        "complete",
        None,
    )
    assert request["bytes_out"] == 2


def test_a_hook_that_raises_ends_nothing(records: list[logging.LogRecord]) -> None:
    heard = Latch()
    server = bartizan.Server(io_threads=1, handler=lambda request: b"ok")

    @server.on_request_end
    def bad(batch: object) -> None:
        raise LookupError

    @server.on_request_end
    def good(batch: object) -> None:
        heard.put()

    with server:
        assert fetch(server).status == 200
        heard.get()
    assert any(record.exc_info and record.exc_info[0] is LookupError for record in records)


def test_numbers_add_up(serve: Serve) -> None:
    server = serve(lambda request: b"ok")
    for _ in range(3):
        fetch(server)
    with dial(server):
        stats = server.stats()
        while stats["connections_open"] != 1 or stats["connections_accepted"] != 4:
            stats = server.stats()
    assert set(stats) == set(bartizan.Stats.__annotations__)
    assert stats["connections_accepted"] - stats["connections_closed"] == stats["connections_open"]
    assert sum(stats["phases"].values()) == stats["connections_open"]
    assert sum(stats["reasons"].values()) == stats["connections_closed"]
    assert stats["requests_started"] == stats["requests_ended"] == 3
    text = server.metrics()
    assert text.endswith("# EOF\n") and "bartizan_connections_accepted_total" in text


def test_numbers_outlive_the_server() -> None:
    with bartizan.Server(io_threads=1, handler=lambda request: b"ok") as server:
        fetch(server)
    assert server.stats()["connections_closed"] == 1
    assert server.stats()["connections_open"] == 0


def test_the_library_logs_to_the_standard_logger(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "bartizan")
    with bartizan.Server(io_threads=1, handler=lambda request: b"ok"):
        pass
    names = {record.name for record in caplog.records}
    assert "bartizan" in names and all(name.startswith("bartizan") for name in names)
