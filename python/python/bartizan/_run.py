"""`Server.run`: signal handlers, which belong to the main thread and to Python."""
import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


def run(server: Any, install_signal_handlers: bool) -> None:
    """Starts the server and serves until SIGINT, SIGTERM or `stop`; the second signal ends it at once."""
    with _signals(server, install_signal_handlers) as received:
        server.start()
        try:
            server.wait()
        except BaseException:
            server.stop(0)
            server.wait()
            raise
    if len(received) > 1:
        raise KeyboardInterrupt


def run_on_loop(server: Any, install_signal_handlers: bool) -> None:
    """The same for an async handler: on an event loop of its own."""

    async def serve() -> None:
        async with server:
            try:
                await server.closed()
            except asyncio.CancelledError:
                # Ctrl-C where no handler of ours is installed: at once, as from a wait that is interrupted.
                server.stop(0)
                raise

    with _signals(server, install_signal_handlers) as received:
        asyncio.run(serve())
    if len(received) > 1:
        raise KeyboardInterrupt


@contextmanager
def _signals(server: Any, install: bool) -> Iterator[list[int]]:
    received: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        server.stop(None if len(received) == 1 else 0)

    if not install or threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
