"""mode="inline": on the reactor, where nothing may block."""
import logging
import threading
from pathlib import Path

import bartizan
from conftest import Latch, Serve, fetch


def test_an_inline_handler_answers(serve: Serve) -> None:
    threads = set()

    def handler(request: bartizan.Request) -> bytes:
        threads.add(threading.get_ident())
        return b"inline"

    server = serve(handler, mode="inline")
    assert [fetch(server).body for _ in range(3)] == [b"inline"] * 3
    assert len(threads) == 1


def test_the_decorator_takes_the_mode() -> None:
    server = bartizan.Server(io_threads=1)

    @server.on_request(mode="inline")
    def handler(request: bartizan.Request) -> str:
        try:
            request.read(1)
        except RuntimeError:
            return "on the reactor"
        return "elsewhere"

    with server:
        assert fetch(server).body == b"on the reactor"


def test_what_could_block_raises(serve: Serve) -> None:
    errors = Latch()

    def handler(request: bartizan.Request) -> bartizan.Deferred:
        caught = []
        deferred = request.defer()
        deferred.begin()
        for attempt in (
            lambda: request.body,
            request.read,
            lambda: list(request),
            lambda: deferred.write(b"x" * 10_000_000),
        ):
            try:
                attempt()
            except RuntimeError as error:
                caught.append(str(error))
        assert deferred.write(b"", timeout=0) == 0
        errors.put(len(caught))
        deferred.abort()
        return deferred

    server = serve(handler, mode="inline")
    try:
        fetch(server, "/", "POST", b"here already")
    except (OSError, EOFError, Exception):
        pass
    assert errors.get() == 4


def test_iterators_and_files_are_streamed_off_the_reactor(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"y" * 1_000_000)
    answers = {"/file": lambda: file, "/pieces": lambda: (b"x" * 1000 for _ in range(1000))}
    server = serve(lambda request: answers[request.path](), mode="inline")
    assert fetch(server, "/file").body == file.read_bytes()
    assert fetch(server, "/pieces").body == b"x" * 1_000_000


def test_a_failure_is_recorded_off_the_reactor(serve: Serve, records: list[logging.LogRecord]) -> None:
    def handler(request: bartizan.Request) -> bytes:
        raise LookupError

    server = serve(handler, mode="inline")
    assert fetch(server).status == 500
    server.stop()
    assert server.wait(10)
    assert [record.exc_info[0] for record in records if record.exc_info] == [LookupError]
