"""`Server.run`: signal handlers, which belong to the main thread and to Python."""
import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


# Seconds that a stop by force waits for handlers: one that blocks may do so for ever, and is left behind.
FORCED = 2.0


def run(server: Any, install_signal_handlers: bool) -> None:
    """Starts the server and serves until SIGINT, SIGTERM or `stop`; the second signal ends it at once."""
    with _signals(server, install_signal_handlers):
        server.start()
        try:
            server.wait()
        except BaseException:
            server.stop(0)
            server.wait(FORCED)
            raise


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

    with _signals(server, install_signal_handlers):
        asyncio.run(serve())


@contextmanager
def _signals(server: Any, install: bool) -> Iterator[None]:
    if not install or threading.current_thread() is not threading.main_thread():
        yield
        return
    stopping = False

    def handle(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        if stopping:
            raise KeyboardInterrupt
        stopping = True
        server.stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
