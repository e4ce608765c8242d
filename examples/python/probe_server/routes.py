"""The probe's routes. What takes time is written once, as a coroutine over an `Io`: it runs on a thread, where every step
blocks, or on an event loop, where none does.
"""
import asyncio
import hashlib
import json
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import bartizan

from .journal import Journal

HELLO = b"Hello, World!"
TEXT = {"content-type": "text/plain"}
OCTETS = {"content-type": "application/octet-stream"}
METRICS = {"content-type": "application/openmetrics-text; version=1.0.0; charset=utf-8"}
HINT = {"link": "</style.css>; rel=preload; as=style"}
BLOCK = bytes(64 * 1024)
MAX_MILLIS = 2**31 - 1

# A probe may lose a peer at any step: the library has said so in its events already.
GONE = (bartizan.ClientDisconnected, bartizan.RequestTimeout, bartizan.BodyTooLarge, bartizan.ServerClosed)


class BadValue(Exception):
    """A value of the target that does not parse: 400, with the reason."""


class Io:
    """Reading, writing and waiting for one request: blocking, on a thread of its own."""

    def __init__(self, request: bartizan.Request) -> None:
        self.request = request
        self.deferred = request.defer()
        self._gone = threading.Event()

    def leave(self) -> None:
        """The peer has gone: whoever sleeps need not go on."""
        self._gone.set()

    async def read(self) -> bytes:
        return self.request.read(64 * 1024)

    async def write(self, data: bytes) -> None:
        self.deferred.write(data)

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    async def sleep_or_leave(self, seconds: float) -> bool:
        return self._gone.wait(seconds)

    def run(self, flow: Coroutine[Any, Any, None]) -> None:
        threading.Thread(target=self._drive, args=(flow,), name="probe-flow", daemon=True).start()

    def _drive(self, flow: Coroutine[Any, Any, None]) -> None:
        try:
            flow.send(None)
        except (StopIteration, *GONE):
            pass


class LoopIo(Io):
    """The same on the event loop."""

    def __init__(self, request: bartizan.Request) -> None:
        super().__init__(request)
        self._loop = asyncio.get_running_loop()
        self._left = asyncio.Event()

    def leave(self) -> None:
        self._loop.call_soon_threadsafe(self._left.set)

    async def read(self) -> bytes:
        return await self.request.aread(64 * 1024)

    async def write(self, data: bytes) -> None:
        await self.deferred.awrite(data)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def sleep_or_leave(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._left.wait(), seconds)
        except asyncio.TimeoutError:
            return False
        return True


def raw_path(request: bartizan.Request) -> str:
    """The path of the target, undecoded."""
    target = request.target.decode("latin-1")
    if "://" in target and not target.startswith("/"):
        rest = target.partition("://")[2]
        slash = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
        target = rest[slash:]
    return target.partition("?")[0] or "/"


def number(text: str, most: int = 2**63 - 1) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) <= most):
        raise BadValue(f"{text}: not a number from 0 to {most}")
    return int(text)


def set_limits(request: bartizan.Request) -> None:
    """KEY=TEXT of the query sets a limit of this request."""
    for piece in filter(None, request.query.split("&")):
        key, equals, text = piece.partition("=")
        if not equals:
            raise BadValue(f"{piece}: not KEY=TEXT")
        try:
            request.set(**{key: text})
        except bartizan.ConfigError as error:
            raise BadValue(f"{piece}: {error}") from None


def tls_record(tls: bartizan.TlsInfo | None) -> dict[str, Any] | None:
    if tls is None:
        return None
    names = ("version", "suite", "group", "server_name", "alpn", "resumed")
    return {name: getattr(tls, name) for name in names} | {"peer_certificates": len(tls.peer_certificates)}


def address(end: tuple[str, int]) -> str:
    ip, port = end
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}" if ip else "unix:"


def pairs(headers: bartizan.Headers) -> list[list[str]]:
    return [[name.decode("latin-1"), value.decode("latin-1")] for name, value in headers.raw]


# ---- routes that take time ----


async def inspect(io: Io) -> None:
    request, digest, length = io.request, hashlib.sha256(), 0
    while piece := await io.read():
        digest.update(piece)
        length += len(piece)
    facts = {
        "method": request.method,
        "scheme": request.scheme,
        "authority": request.authority,
        "target": request.target.decode("latin-1"),
        "path": raw_path(request),
        "query": request.query,
        "http": request.http_version,
        "headers": pairs(request.headers),
        "trailers": pairs(request.trailers),
        "body": {"length": length, "sha256": digest.hexdigest()},
        "peer": address(request.peer),
        "local": address(request.local),
        "listener": request.listener,
        "conn": request.connection,
        "tls": tls_record(request.tls),
    }
    io.deferred.send((200, {"content-type": "application/json"}, json.dumps(facts).encode()))


async def echo(io: Io) -> None:
    # The answer begins with the first content, not before: until then a 408 or 413 can still be sent.
    piece = await io.read()
    io.deferred.begin(200, OCTETS, content_length=io.request.content_length)
    while piece:
        await io.write(piece)
        piece = await io.read()
    io.deferred.finish()


async def sink(io: Io) -> None:
    count = 0
    while piece := await io.read():
        count += len(piece)
    io.deferred.send((200, TEXT, str(count).encode()))


async def octets(io: Io, count: int) -> None:
    io.deferred.begin(200, OCTETS, content_length=count)
    while count:
        piece = BLOCK[:count]
        await io.write(piece)
        count -= len(piece)
    io.deferred.finish()


async def wait(io: Io, millis: int) -> None:
    await io.sleep(millis / 1000)
    io.deferred.send((200, TEXT, HELLO))


async def unread(io: Io, millis: int) -> None:
    await io.sleep(millis / 1000)
    await sink(io)


async def hang(io: Io) -> None:
    while not await io.sleep_or_leave(60):
        pass


async def trailers(io: Io) -> None:
    request = io.request
    listed = [part.strip().lower() for value in request.headers.get_all("te") for part in value.split(",")]
    # RFC 9110 §6.5.1: over HTTP/1.1 only to who says that trailers are not lost on the way.
    takes = request.http_version == "2" or (request.http_version == "1.1" and "trailers" in listed)
    io.deferred.begin(200, TEXT | ({"trailer": "x-sum"} if takes else {}))
    await io.write(HELLO)
    io.deferred.finish({"x-sum": hashlib.sha256(HELLO).hexdigest()} if takes else {})


async def sse(io: Io, millis: int) -> None:
    io.deferred.begin(200, {"content-type": "text/event-stream", "cache-control": "no-cache"})
    count = 0
    while not await io.sleep_or_leave(millis / 1000):
        count += 1
        await io.write(b"data: %d\n\n" % count)


# ---- the table ----

Route = Callable[[bartizan.Request, str], Any]


class Probe:
    """The handler, and what its routes share."""

    def __init__(self, mode: str, journal: Journal) -> None:
        self.mode = mode
        self.journal = journal
        self.server: bartizan.Server
        self._second = "none"
        self._lock = threading.Lock()
        self._io = LoopIo if mode == "queue" else Io
        # Path, or what stands before its argument: the route, and whether every method may ask.
        self._exact: dict[str, tuple[Route, bool]] = {
            "/": (lambda request, _: (200, TEXT, HELLO), False),
            "/inspect": (lambda request, _: self._flow(request, inspect), True),
            "/echo": (lambda request, _: self._flow(request, echo), True),
            "/sink": (lambda request, _: self._limited(request, sink), True),
            "/hang": (lambda request, _: self._flow(request, hang), False),
            "/early": (lambda request, _: (200, TEXT, b"early"), True),
            "/drop": (lambda request, _: request.defer(), False),
            "/double": (self._double, False),
            "/fail": (self._fail, False),
            "/refuse": (lambda request, _: (503, {"retry-after": "1"}, b""), False),
            "/abort": (self._abort, False),
            "/deadline": (self._deadline, False),
            "/hints": (self._hints, False),
            "/trailers": (lambda request, _: self._flow(request, trailers), False),
            "/stats": (self._stats, False),
            "/metrics": (self._metrics, False),
        }
        self._prefixed: dict[str, tuple[Route, bool]] = {
            "/bytes/": (lambda request, rest: self._limited(request, octets, number(rest)), False),
            "/wait/": (lambda request, rest: self._flow(request, wait, number(rest, MAX_MILLIS)), False),
            "/block/": (self._block, False),
            "/unread/": (lambda request, rest: self._flow(request, unread, number(rest, MAX_MILLIS)), True),
            "/cert/": (self._cert, False),
            "/sse/": (lambda request, rest: self._flow(request, sse, number(rest, MAX_MILLIS)), False),
        }

    def handler(self) -> Callable[[bartizan.Request], Any]:
        return self.serve_async if self.mode == "queue" else self.serve

    def serve(self, request: bartizan.Request) -> Any:
        if request.path == "/" and request.method == "GET":
            return 200, TEXT, HELLO
        return self._route(request)

    async def serve_async(self, request: bartizan.Request) -> Any:
        answer = self._route(request)
        return await answer if isinstance(answer, Awaitable) else answer

    def serve_admin(self, request: bartizan.Request) -> Any:
        return self._route(request) if request.path in ("/stats", "/metrics") else self._not_found()

    def _route(self, request: bartizan.Request) -> Any:
        path = raw_path(request)
        found, rest = self._exact.get(path), ""
        if found is None:
            stem = path[: path.find("/", 1) + 1]
            found, rest = self._prefixed.get(stem), path[len(stem) :]
        if found is None or not (found[1] or request.method in ("GET", "HEAD")):
            return self._not_found()
        try:
            return found[0](request, rest)
        except BadValue as why:
            return 400, TEXT, f"{why}\n"

    def _not_found(self) -> Any:
        return 404, TEXT, b"not found\n"

    def _flow(self, request: bartizan.Request, flow: Callable[..., Coroutine[Any, Any, None]], *args: int) -> Any:
        io = self._io(request)
        if self.journal.is_open or flow in (hang, sse):
            connection, stream = request.connection, request.stream

            def cancelled(reason: str) -> None:
                self.journal.cancelled(connection, stream, reason)
                io.leave()

            request.on_cancel(cancelled)
        if self.mode != "queue":
            io.run(flow(io, *args))
            return io.deferred
        return self._on_loop(io, flow(io, *args))

    async def _on_loop(self, io: Io, flow: Coroutine[Any, Any, None]) -> bartizan.Deferred:
        await flow
        return io.deferred

    def _limited(self, request: bartizan.Request, flow: Callable[..., Coroutine[Any, Any, None]], *args: int) -> Any:
        set_limits(request)
        return self._flow(request, flow, *args)

    def _block(self, request: bartizan.Request, rest: str) -> Any:
        time.sleep(number(rest, MAX_MILLIS) / 1000)
        return 200, TEXT, HELLO

    def _double(self, request: bartizan.Request, _: str) -> Any:
        # Locked throughout: the first answer may be read, and ?last asked for, before the second is refused.
        with self._lock:
            if request.query == "last":
                return 200, TEXT | {"x-second": self._second}, HELLO
            deferred = request.defer()
            deferred.send((200, TEXT, HELLO))
            try:
                deferred.send((200, TEXT, HELLO))
                self._second = "OK"
            except RuntimeError:
                self._second = "E_STATE"
            return deferred

    def _fail(self, request: bartizan.Request, _: str) -> Any:
        raise RuntimeError("the probe was asked to fail")

    def _abort(self, request: bartizan.Request, _: str) -> Any:
        raise bartizan.Abort

    def _deadline(self, request: bartizan.Request, _: str) -> Any:
        left = request.deadline
        return 200, TEXT, b"off" if left is None else str(int(left * 1000)).encode()

    def _hints(self, request: bartizan.Request, _: str) -> Any:
        request.inform(103, HINT)
        return 200, TEXT, HELLO

    def _cert(self, request: bartizan.Request, rest: str) -> Any:
        index = number(rest, MAX_MILLIS)
        chain = request.tls.peer_certificates if request.tls else ()
        if index >= len(chain):
            return self._not_found()
        return 200, {"content-type": "application/pkix-cert"}, chain[index]

    def _stats(self, request: bartizan.Request, _: str) -> Any:
        return 200, {"content-type": "application/json"}, json.dumps(self.server.stats()).encode()

    def _metrics(self, request: bartizan.Request, _: str) -> Any:
        return 200, METRICS, self.server.metrics().encode()
