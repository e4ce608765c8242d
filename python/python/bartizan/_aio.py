"""Coroutines: what the extension module cannot say as well as Python can.

The loop's own thread drains the server's queue through `add_reader`, so a burst costs one wake-up, and every request is a
real `asyncio.Task` in a fresh copy of the context in which the server was entered: nothing leaks from one to the next.
"""
import asyncio
import contextvars
import functools
import inspect
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

from ._errors import ServerClosed

# Requests per turn of the loop: enough to share a wake-up, few enough that other callbacks get their turn.
_BATCH = 64

# Tasks that nobody else holds: asyncio itself only knows them weakly.
_tasks: set["asyncio.Task[None]"] = set()


def is_async(handler: Callable[..., Any]) -> bool:
    """Whether the handler is a coroutine function, or an object that is called like one."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(getattr(handler, "__call__", None))


def future() -> "asyncio.Future[None]":
    """A future of the running loop."""
    return asyncio.get_running_loop().create_future()


def in_loop() -> bool:
    """Whether this thread runs an event loop just now, and so must not block."""
    return asyncio._get_running_loop() is not None


def settle(waiting: "asyncio.Future[None]") -> None:
    """Marks a future as done, from whatever thread."""
    loop = waiting.get_loop()
    if asyncio._get_running_loop() is loop:
        _settle(waiting)
        return
    try:
        loop.call_soon_threadsafe(_settle, waiting)
    except RuntimeError:
        pass  # the loop is closed, and nobody waits any more


def _settle(waiting: "asyncio.Future[None]") -> None:
    if not waiting.done():
        waiting.set_result(None)


# ---- content and streamed answers ----


async def aread(request: Any, size: int) -> bytes:
    """At most `size` octets of content, or all of it."""
    pieces: list[bytes] = []
    while True:
        found = request._poll_read(size if size >= 0 else sys.maxsize)
        if not isinstance(found, bytes):
            await found
        elif size >= 0:
            return found
        elif found:
            pieces.append(found)
        else:
            return b"".join(pieces)


async def awrite(deferred: Any, data: bytes) -> None:
    """Hands over all of `data`, at the pace of the peer."""
    start = 0
    while start < len(data):
        taken = deferred._poll_write(data, start)
        if isinstance(taken, int):
            start += taken
        else:
            await taken
    if not data:
        deferred.write(data, timeout=0)


async def _pieces(source: Any) -> AsyncGenerator[bytes, None]:
    if hasattr(source, "__aiter__"):
        async for piece in source:
            yield piece
    elif hasattr(source, "readinto"):
        with source:
            while piece := await asyncio.to_thread(source.read, 64 * 1024):
                yield piece
    else:
        for piece in source:
            yield piece


async def pump(request: Any, stream: Any) -> None:
    """Sends a streamed answer to its end. The head goes out with the first piece, so that a failure before is a 500."""
    deferred = request.defer()
    source = stream.source()
    pieces = _pieces(source)
    begun = False
    try:
        async for piece in pieces:
            if not begun:
                stream.begin(request)
                begun = True
            await awrite(deferred, bytes(piece) if isinstance(piece, (bytearray, memoryview)) else piece)
        if not begun:
            stream.begin(request)
        stream.finish(request)
    finally:
        await pieces.aclose()
        for name in ("aclose", "close"):
            if close := getattr(source, name, None):
                ended = close()
                if inspect.isawaitable(ended):
                    await ended
                break


def spawn(request: Any, stream: Any) -> None:
    """Drives a streamed answer beside whatever the loop does."""

    async def drive() -> None:
        try:
            await pump(request, stream)
        except BaseException:
            request.defer().abort()
            raise

    _keep(asyncio.get_running_loop().create_task(drive()))


def _keep(task: "asyncio.Task[None]") -> None:
    if not task.done():
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)


# ---- the server ----


class _Driver:
    """Turns the requests of one server into tasks of one loop."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self._handler = source.handler
        self.loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        self.tasks: set["asyncio.Task[None]"] = set()
        self.loop.add_reader(source.fileno(), self._drain)

    def _drain(self) -> None:
        requests = self._source.take(_BATCH)
        if requests is None:
            self.loop.remove_reader(self._source.fileno())
            return
        for request in requests:
            self._start(self._serve(request))

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        context = self._context.copy()
        if sys.version_info < (3, 11):
            task = context.run(self.loop.create_task, coroutine)
        elif sys.version_info < (3, 12) or self.loop.get_task_factory() is not None:
            task = self.loop.create_task(coroutine, context=context)
        else:
            # Most handlers are done before they ever have to wait: the loop then never hears of them.
            task = asyncio.Task(coroutine, loop=self.loop, context=context, eager_start=True)
        if not task.done():
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _serve(self, request: Any) -> None:
        try:
            stream = self._source.give(request, await self._handler(request))
            if stream is not None:
                await pump(request, stream)
        except asyncio.CancelledError:
            self._source.cancelled(request)
            raise
        except (KeyboardInterrupt, SystemExit) as error:
            self._source.failed(request, error)
            raise
        except BaseException as error:
            self._source.failed(request, error)


_drivers: dict[int, _Driver] = {}


async def enter(server: Any) -> Any:
    """`async with server`: starts it on the running loop."""
    source = server._start_on_loop()
    if source is not None:
        _drivers[id(server)] = _Driver(source)
    return server


async def leave(server: Any) -> None:
    """The end of `async with server`: drains."""
    server.stop()
    try:
        await closed(server)
    except asyncio.CancelledError:
        server.stop(0)
        await closed(server)
        raise
    finally:
        _drivers.pop(id(server), None)


async def closed(server: Any) -> None:
    """Waits for the server's end without holding the loop, and gives up on handlers that outlive it: their peers are gone."""
    loop = asyncio.get_running_loop()
    ended: "asyncio.Future[None]" = loop.create_future()

    def wait() -> None:
        try:
            server.wait()
        except ServerClosed:
            pass  # the interpreter ends
        finally:
            settle(ended)

    # A thread of its own: the loop's executor would be joined when the loop ends, and so would wait for the server.
    threading.Thread(target=wait, name="bartizan-closed", daemon=True).start()
    await ended
    driver = _drivers.get(id(server))
    if driver is None or driver.loop is not loop:
        return
    # Who waits may be a handler.
    late = driver.tasks - {asyncio.current_task()}
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
