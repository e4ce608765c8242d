"""Answers from other threads, at once or in pieces."""
import gc
import logging
import threading
import time
from typing import Any

import bartizan
import pytest
from conftest import Latch, Serve, dial, fetch, talk

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


def in_thread(work: Any) -> Any:
    """A handler whose `work` runs on another thread, with the Deferred."""

    def handler(request: bartizan.Request) -> bartizan.Deferred:
        deferred = request.defer()
        threading.Thread(target=work, args=(deferred,), daemon=True).start()
        return deferred

    return handler


@pytest.mark.parametrize("mode", ["workers", "inline"])
def test_another_thread_may_answer(serve: Serve, mode: str) -> None:
    def work(deferred: bartizan.Deferred) -> None:
        time.sleep(0.05)
        deferred.send((201, b"late: " + deferred.request.body))

    answer = fetch(serve(in_thread(work), mode=mode), "/", "POST", b"abc")
    assert (answer.status, answer.body) == (201, b"late: abc")


def test_a_second_answer_is_refused(serve: Serve) -> None:
    errors = Latch()

    def handler(request: bartizan.Request) -> bartizan.Deferred:
        deferred = request.defer()
        deferred.send(b"one")
        caught = []
        for again in (lambda: deferred.send(b"two"), deferred.begin, deferred.finish, lambda: deferred.write(b"x")):
            with pytest.raises(RuntimeError):
                again()
            caught.append(True)
        errors.put(len(caught))
        return deferred

    assert fetch(serve(handler)).body == b"one"
    assert errors.get() == 4


def test_an_answer_in_pieces(serve: Serve) -> None:
    def work(deferred: bartizan.Deferred) -> None:
        with pytest.raises(RuntimeError):
            deferred.write(b"too early")
        deferred.begin(202, {"x-a": "b"})
        assert deferred.write(b"one") == 3
        assert deferred.write(memoryview(b"two")) == 3
        deferred.finish()

    answer = fetch(serve(in_thread(work)))
    assert (answer.status, answer.headers["x-a"], answer.body) == (202, "b", b"onetwo")


def test_an_announced_length_is_enforced(serve: Serve) -> None:
    errors = Latch()

    def work(deferred: bartizan.Deferred) -> None:
        deferred.begin(content_length=3)
        with pytest.raises(ValueError):
            deferred.write(b"four")
        deferred.write(b"ab")
        with pytest.raises(RuntimeError):
            deferred.finish()
        errors.put()

    received = talk(serve(in_thread(work)), GET)
    assert not received.endswith(b"abc")
    errors.get()


def test_write_waits_for_the_peer_no_longer_than_told(serve: Serve) -> None:
    took = Latch()

    def work(deferred: bartizan.Deferred) -> None:
        deferred.begin()
        block = b"x" * 4_000_000
        before = time.monotonic()
        partial = deferred.write(block, timeout=0.3)
        none = deferred.write(block, timeout=0)
        took.put((partial, none, time.monotonic() - before))
        deferred.abort()

    with dial(serve(in_thread(work))) as peer:
        peer.sendall(GET)
        partial, none, seconds = took.get()
    assert 0 < partial < 4_000_000 and none == 0 and 0.2 < seconds < 3


def test_a_writer_learns_that_the_peer_left(serve: Serve) -> None:
    errors = Latch()

    def work(deferred: bartizan.Deferred) -> None:
        deferred.begin()
        try:
            while True:
                deferred.write(b"x" * 65536)
        except bartizan.ClientDisconnected as error:
            errors.put(error.reason)

    with dial(serve(in_thread(work))) as peer:
        peer.sendall(GET)
        peer.recv(100)
    assert errors.get() in ("peer.closed", "peer.reset")


def test_abort_resets(serve: Serve, records: list[logging.LogRecord]) -> None:
    assert b"HTTP/" not in talk(serve(in_thread(lambda deferred: deferred.abort())), GET)
    assert not records


def test_a_forgotten_promise_is_a_500(serve: Serve) -> None:
    assert fetch(serve(lambda request: request.defer())).status == 500


def test_the_promise_of_another_request_is_no_answer(serve: Serve, records: list[logging.LogRecord]) -> None:
    kept: list[bartizan.Deferred] = []

    def handler(request: bartizan.Request) -> bartizan.Deferred:
        kept.append(request.defer())
        return kept[0]

    server = serve(handler)
    with dial(server) as peer:
        peer.sendall(GET)
        while not kept:
            time.sleep(0.01)
        assert fetch(server).status == 500
        kept[0].send(b"first")
        assert b"first" in peer.recv(1000)
    assert len(records) == 1


def test_the_slot_returns_with_the_answer(serve: Serve) -> None:
    kept: list[Any] = []

    def handler(request: bartizan.Request) -> bytes:
        kept.append((request, request.defer()))
        return b"ok"

    server = serve(handler, max_running_handlers=1, max_queued_requests=4)
    gc.disable()
    try:
        assert [fetch(server).status for _ in range(5)] == [200] * 5
    finally:
        gc.enable()
    assert server.stats()["handlers_running"] == 0
