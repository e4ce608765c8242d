"""Async handlers, on the loop of `async with server`."""
import asyncio
import contextvars
import logging
import threading
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import bartizan
import pytest
from conftest import Answer, PATIENCE, dial, fetch, talk

GET = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"


def run(test: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(test, PATIENCE))


async def afetch(server: bartizan.Server, *args: Any, **keywords: Any) -> Answer:
    return await asyncio.to_thread(fetch, server, *args, **keywords)


def test_async_handlers_run_as_tasks_on_the_loop() -> None:
    seen = []

    async def handler(request: bartizan.Request) -> Any:
        task = asyncio.current_task()
        seen.append((threading.get_ident(), isinstance(task, asyncio.Task)))
        await asyncio.sleep(0.01)
        return 201, {"x-a": "b"}, await request.aread()

    async def test() -> None:
        async with bartizan.Server(handler=handler, io_threads=1) as server:
            answers = await asyncio.gather(*(afetch(server, "/", "POST", b"abc") for _ in range(8)))
        assert [(answer.status, answer.body) for answer in answers] == [(201, b"abc")] * 8
        assert seen == [(threading.get_ident(), True)] * 8

    run(test())


def test_content_streams_both_ways() -> None:
    async def handler(request: bartizan.Request) -> bartizan.Deferred:
        deferred = request.defer()
        deferred.begin(200, content_length=request.content_length)
        while piece := await request.aread(10_000):
            assert len(piece) <= 10_000
            await deferred.awrite(piece)
        deferred.finish()
        return deferred

    async def test() -> None:
        content = bytes(range(256)) * 8000
        async with bartizan.Server(handler=handler, io_threads=1) as server:
            answer = await afetch(server, "/", "POST", content)
        assert answer.body == content

    run(test())


def test_asynchronous_iterators_and_files_are_answers(tmp_path: Path) -> None:
    closed = []
    file = tmp_path / "file"
    file.write_bytes(b"z" * 200_000)

    async def pieces() -> AsyncIterator[bytes]:
        try:
            for number in range(100):
                await asyncio.sleep(0)
                yield b"%d," % number
        finally:
            closed.append(True)

    async def handler(request: bartizan.Request) -> Any:
        return {"/async": lambda: pieces(), "/sync": lambda: iter([b"a", b"b"]), "/file": lambda: file}[request.path]()

    async def test() -> None:
        async with bartizan.Server(handler=handler, io_threads=1) as server:
            assert (await afetch(server, "/async")).body == b"".join(b"%d," % number for number in range(100))
            assert (await afetch(server, "/sync")).body == b"ab"
            assert (await afetch(server, "/file")).body == file.read_bytes()
        assert closed == [True]

    run(test())


def test_each_request_has_a_fresh_context() -> None:
    variable = contextvars.ContextVar("variable", default="none")
    seen = []

    async def handler(request: bartizan.Request) -> bytes:
        seen.append(variable.get())
        variable.set("leaked")
        await asyncio.sleep(0)
        return b""

    async def test() -> None:
        variable.set("base")
        async with bartizan.Server(handler=handler, io_threads=1) as server:
            for _ in range(3):
                await afetch(server)
        assert seen == ["base"] * 3

    run(test())


def test_failures_are_those_of_sync_handlers(records: list[logging.LogRecord]) -> None:
    async def handler(request: bartizan.Request) -> Any:
        if request.path == "/raise":
            raise LookupError
        if request.path == "/abort":
            raise bartizan.Abort
        return None

    async def test() -> None:
        async with bartizan.Server(handler=handler, io_threads=1) as server:
            assert (await afetch(server, "/raise")).status == 500
            assert (await afetch(server, "/none")).status == 500
            assert b"HTTP/" not in await asyncio.to_thread(talk, server, GET.replace(b"/ ", b"/abort ", 1))
        assert len(records) == 2

    run(test())


def test_a_reader_and_a_writer_learn_that_the_peer_left(records: list[logging.LogRecord]) -> None:
    async def test() -> None:
        errors: "asyncio.Queue[str]" = asyncio.Queue()

        async def handler(request: bartizan.Request) -> Any:
            try:
                if request.method == "POST":
                    await request.aread()
                deferred = request.defer()
                deferred.begin()
                while True:
                    await deferred.awrite(b"x" * 65536)
            except bartizan.ClientDisconnected as error:
                errors.put_nowait(error.reason)
                raise

        async with bartizan.Server(handler=handler, io_threads=1) as server:
            for octets in (GET, b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9999999\r\n\r\n"):
                peer = await asyncio.to_thread(dial, server)
                peer.sendall(octets)
                await asyncio.sleep(0.2)
                peer.close()
                assert await errors.get() in ("peer.closed", "peer.reset")
        assert not records

    run(test())


def test_closed_waits_without_holding_the_loop() -> None:
    async def handler(request: bartizan.Request) -> bytes:
        server.stop()
        return b"stopping"

    server = bartizan.Server(handler=handler, io_threads=1)

    async def test() -> None:
        async with server:
            answer = asyncio.create_task(afetch(server))
            with pytest.raises(RuntimeError):
                server.wait()
            await server.closed()
            assert (await answer).body == b"stopping"
        assert not server.running

    run(test())


def test_handlers_that_outlive_the_drain_are_cancelled() -> None:
    ended = []

    async def handler(request: bartizan.Request) -> bytes:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        return b""

    async def test() -> None:
        async with bartizan.Server(handler=handler, io_threads=1, drain_timeout=0.2) as server:
            peer = await asyncio.to_thread(dial, server)
            peer.sendall(GET)
            await asyncio.sleep(0.1)
        peer.close()
        assert ended == ["cancelled"]

    run(test())


def test_nobody_is_served_any_more_once_it_is_closed() -> None:
    ended = []

    async def handler(request: bartizan.Request) -> bytes:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(request.cancelled)
        return b""

    async def test() -> None:
        async with bartizan.Server(handler=handler, io_threads=1) as server:
            peer = await asyncio.to_thread(dial, server)
            peer.sendall(GET)
            await asyncio.sleep(0.1)
            server.stop(0.2)
            await server.closed()
            assert ended == ["drain"] and not server.running and server.wait(0)
        peer.close()

    run(test())


def test_sync_handlers_run_on_workers_under_async_with() -> None:
    threads = []

    def handler(request: bartizan.Request) -> bytes:
        threads.append(threading.get_ident())
        return b"ok"

    async def test() -> None:
        async with bartizan.Server(handler=handler, io_threads=1) as server:
            assert (await afetch(server)).body == b"ok"
        assert threads[0] != threading.get_ident()

    run(test())


def test_an_async_handler_needs_a_loop() -> None:
    async def handler(request: bartizan.Request) -> bytes:
        return b""

    with pytest.raises(RuntimeError, match="async with"):
        bartizan.Server(handler=handler).start()
