"""A program that uses every class and most methods, for a type checker: it is never run."""
import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import bartizan
from bartizan import Answer, ConnectionEvent, Deferred, Request, RequestEnd, Response, Server, Stats, Tls

names = {"a.example": Tls("a.pem", "a.key")}
tls = Tls(
    cert="fullchain.pem", key=Path("key.pem"), password=b"secret", policy="modern", groups=["X25519"], server_names=names
)
development: Tls = Tls.self_signed("localhost", "127.0.0.1")
server = Server("0.0.0.0:8443", tls=tls, handshake_timeout=5.0, max_header_bytes="16KiB", body_timeout=None)
limits: bartizan.ListenerSettings = {"idle_timeout": timedelta(minutes=1), "http2": False}
other = Server(
    [bartizan.Listener("unix:/run/a", server_names={"a.example": {"max_header_bytes": 4096}}, **limits), 3],
    mode="inline",
    io_threads="auto",
)


@server.on_request
def handle(request: Request) -> Answer:
    request.set(body_timeout=None, max_body_bytes="1GiB")
    one: str | None = request.headers.get("a")
    two: str = request.headers.get("a", "b")
    three: tuple[str, ...] = request.headers.get_all("a")
    peer: tuple[str, int] = request.peer
    if request.tls is not None and request.tls.resumed:
        return 200, [("x-a", b"1")], request.body
    if request.deadline is None or request.cancelled == "peer.closed":
        return Path("file")
    return 200, {"content-type": "text/plain"}, f"{one}{two}{three}{peer}"


@server.on_request(mode="inline")
def inline(request: Request) -> Response:
    request.inform(103, {"link": "</a>"})
    return Response(200, {"trailer": "x"}, pieces(), trailers=lambda: {"x": "y"})


@server.on_request
def deferred(request: Request) -> Deferred:
    def later(promise: Deferred) -> None:
        promise.begin(200, content_length=3)
        taken: int = promise.write(b"abc", timeout=1.0)
        promise.finish({"x-taken": str(taken)})

    promise = request.defer()
    request.on_cancel(print)
    threading.Thread(target=later, args=(promise,)).start()
    return promise


@server.on_request
async def coroutine(request: Request) -> Answer:
    await request.defer().awrite(await request.aread(10))
    return apieces()


def pieces() -> Iterator[bytes]:
    yield b"piece"


async def apieces() -> AsyncIterator[bytes]:
    yield b"piece"


@server.on_connection
def connections(events: list[ConnectionEvent]) -> None:
    for event in events:
        print(event["phase"], event.get("reason"), event["tls"])


@server.on_request_end
def requests(events: list[RequestEnd]) -> None:
    print(sum(event["bytes_out"] for event in events))


def serve() -> None:
    try:
        with server as running:
            print(running.url, running.address, running.addresses, running.settings["idle_timeout"])
            stats: Stats = running.stats()
            print(stats["phases"], running.metrics())
            running.reload_tls(tls, listener=0)
            ended: bool = running.wait(1.5)
            running.stop("5s" if ended else timedelta(seconds=1))
    except bartizan.BindError as error:
        print(error.errno)
    except bartizan.ConfigError as error:
        print(error.faults)
    other.run(install_signal_handlers=False)


async def aserve() -> None:
    async with server as running:
        await running.closed()


for row in bartizan.settings():
    print(row.key, row.unit, row.default, row.levels)
asyncio.run(aserve())
