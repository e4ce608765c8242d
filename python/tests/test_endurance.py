"""Many requests leave nothing behind: neither references nor memory. Some thousands here; `make endurance` asks a million."""
import asyncio
import gc
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bartizan
import pytest
from conftest import PATIENCE

REQUESTS = int(os.environ.get("BARTIZAN_REQUESTS", "12000"))
# Arenas of the interpreter and of malloc come and go in steps of this order.
SLACK = 4 << 20


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def ask(address: str, requests: int, content: bytes) -> None:
    client = [sys.executable, Path(__file__).with_name("pipeline.py"), address, str(requests), str(len(content))]
    subprocess.run(client, check=True, timeout=60 + requests / 500)


def measure(address: str, handler: object, content: bytes) -> None:
    ask(address, REQUESTS // 2, content)
    gc.collect()
    references, objects, memory = sys.getrefcount(handler), len(gc.get_objects()), resident()
    ask(address, REQUESTS, content)
    gc.collect()
    assert sys.getrefcount(handler) <= references + 2
    assert len(gc.get_objects()) < objects + 500
    assert resident() < memory + SLACK, f"{resident() - memory} octets more after {REQUESTS} requests"


def look(request: bartizan.Request) -> Any:
    """Touches what a handler may touch."""
    assert request.headers["host"] == "a" and request.path == "/path" and request.query == "query"
    assert request.peer[1] and request.deadline and request.cancelled is None and request.tls is None
    return request.body


@pytest.mark.parametrize("mode", ["workers", "inline"])
def test_sync_handlers_leave_nothing_behind(mode: Any) -> None:
    def handler(request: bartizan.Request) -> Any:
        if mode == "workers":
            return 200, {"x-a": "b"}, look(request) + b"!"
        return b"!"

    content = b"c" * 100 if mode == "workers" else b""
    with bartizan.Server(handler=handler, mode=mode, io_threads=1, worker_threads=2) as server:
        measure(server.address, handler, content)
        assert server.stats()["requests_live"] == 0 == server.stats()["handlers_running"]


def test_async_handlers_leave_nothing_behind() -> None:
    async def handler(request: bartizan.Request) -> Any:
        return bartizan.Response(200, [("x-a", "b")], await request.aread() + b"!")

    async def main() -> None:
        async with bartizan.Server(handler=handler, io_threads=1) as server:
            await asyncio.to_thread(measure, server.address, handler, b"c" * 100)

    asyncio.run(main())


def test_failures_and_callbacks_leave_nothing_behind(records: list[Any]) -> None:
    told: list[int] = [0]
    lock = threading.Lock()

    def hook(events: list[Any]) -> None:
        with lock:
            told[0] += len(events)

    def handler(request: bartizan.Request) -> Callable[[], None] | bytes:
        request.on_cancel(print)
        if told[0] % 3 == 0:
            raise bartizan.Abort
        return b"!"

    server = bartizan.Server(handler=handler, io_threads=1, worker_threads=2)
    server.on_request_end(hook)
    with server:
        host, _, port = server.address.rpartition(":")
        for turn in range(300):
            with socket.create_connection((host, int(port)), timeout=PATIENCE) as peer:
                peer.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                try:
                    while peer.recv(4096):
                        pass
                except ConnectionResetError:
                    pass
            if turn == 100:
                gc.collect()
                references, objects = sys.getrefcount(handler), len(gc.get_objects())
        gc.collect()
        assert sys.getrefcount(handler) <= references + 2
        assert len(gc.get_objects()) < objects + 500
    assert told[0] == 300
