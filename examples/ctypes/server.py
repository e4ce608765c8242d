"""A server for asyncio on the C ABI alone: a handler is a coroutine, and the loop is woken by the queue's descriptor. The probe and
the hello beside it use nothing else; what is C stands in binding.py."""

import asyncio
import weakref
from ctypes import addressof, byref, c_char_p, c_size_t, c_void_p, cast, create_string_buffer, string_at

import binding as c
from binding import Error

__all__ = ["Error", "Identity", "Server"]

# A burst of requests costs one call.
BATCH = 64


def text(piece):
    return string_at(piece.ptr, piece.len)


def pairs(fields, count):
    return [(text(fields[i].name), text(fields[i].value)) for i in range(count)]


def address(ip, port):
    ip = text(ip).decode()
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}" if ip else "unix:"


def lend(fields):
    """Fields as C has them. ctypes keeps the octets alive as long as the array."""
    array = (c.bartizan_header * len(fields))()
    array.octets = [octets for pair in fields for octets in pair]
    for lent, (name, value) in zip(array, fields):
        lent.name.ptr, lent.name.len = cast(c_char_p(name), c_void_p), len(name)
        lent.value.ptr, lent.value.len = cast(c_char_p(value), c_void_p), len(value)
    return array, len(fields)


def reply(ask):
    """Asks again with more room while there is too little."""
    room, length = 1024, c_size_t()
    while True:
        buffer = create_string_buffer(room)
        status = ask(buffer, room, byref(length))
        if status != c.E_LIMIT:
            c.check(status)
            return buffer.raw[: length.value]
        room = length.value * 5 // 4 + 1


class Identity:
    """A certificate chain and its key."""

    def __init__(self, make, *arguments):
        self.at = c_void_p()
        c.set_up(make, *arguments, byref(self.at))
        weakref.finalize(self, c.identity_free, self.at)

    @classmethod
    def self_signed(cls, *names):
        """For development: DNS names and IP addresses."""
        octets = ",".join(names).encode()
        return cls(c.identity_self_signed, octets, len(octets))

    @classmethod
    def from_pem(cls, chain, key):
        return cls(c.identity_from_pem, chain, len(chain), key, len(key))


class Server:
    """Settings by their names, listeners as pairs of address and identity (None: cleartext). Made and served on one loop."""

    def __init__(self, listeners, settings=None):
        c.check(c.abi_check(c.ABI))
        self._requests = {}
        self._server, self._queue = c_void_p(), c_void_p()
        config = c.config_new()
        try:
            for key, value in (settings or {}).items():
                value = str(value).encode()
                c.set_up(c.config_set_text, config, key.encode(), value, len(value))
            for where, identity in listeners:
                self._listen(config, where, identity)
            # Freed with the last reference, not with the end: `metrics` and `shutdown` are harmless behind it.
            c.set_up(c.queue_new, byref(self._queue))
            weakref.finalize(self, c.queue_free, self._queue)
            c.set_up(c.config_queue, config, self._queue, 0)
            c.set_up(c.server_start, config, byref(self._server))
            weakref.finalize(self, c.server_free, self._server)
        finally:
            c.config_free(config)

    @staticmethod
    def _listen(config, where, identity):
        tls = c.tls_new() if identity else None
        try:
            if identity:
                c.set_up(c.tls_identity, tls, None, identity.at)
            c.set_up(c.config_listen, config, where.encode(), tls, None)
        finally:
            c.tls_free(tls)

    def address(self, listener=0):
        return reply(lambda *buffer: c.server_address(self._server, listener, *buffer)).decode()

    def metrics(self):
        return reply(lambda *buffer: c.server_metrics_text(self._server, *buffer))

    def shutdown(self):
        """Accepts nothing new; what is under way completes within drain_timeout. Then `serve` returns."""
        c.server_shutdown(self._server, -1)

    async def serve(self, handle):
        """Hands each request to a coroutine, until the server was shut down and is drained. Once."""
        loop = asyncio.get_running_loop()
        ended = loop.create_future()
        events, n = (c.bartizan_event * BATCH)(), c_size_t()
        tasks = set()

        def drain():
            status = c.queue_next(self._queue, events, BATCH, 0, byref(n))
            for i in range(n.value):
                self._take(events[i], handle, tasks)
            if status == c.E_CLOSED:
                loop.remove_reader(descriptor)
                ended.set_result(None)

        descriptor = c.queue_fd(self._queue)
        loop.add_reader(descriptor, drain)
        try:
            await ended
            await asyncio.gather(*tasks)
        finally:
            loop.remove_reader(descriptor)
        c.server_wait(self._server, -1)

    def _take(self, event, handle, tasks):
        if event.kind == c.EV_REQUEST:
            view = cast(event.data, c.POINTER(c.bartizan_request_view)).contents
            request = self._requests[event.request] = Request(view)
            task = asyncio.ensure_future(self._run(request, handle))
            # The loop keeps only weak references to tasks.
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        elif request := self._requests.get(event.request):
            request._tell(event)

    async def _run(self, request, handle):
        """Whatever becomes of the handler, its request is released: without an answer that is a 500."""
        try:
            await handle(request)
        except Exception as error:
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"handler of {request.path!r} failed", "exception": error}
            )
        finally:
            del self._requests[request._id]
            request._release()


class Request:
    """One request and its answer, until its handler returns; from then on everything raises E_HANDLE. Octets are bytes."""

    def __init__(self, view):
        self._view = view
        self._id = view.request
        self._waiting = {}
        # To be awaited: the reason for which the exchange was cancelled (after "peer.closed", which may be half a close, an answer
        # may still go out), and its end on the network.
        self.gone = asyncio.get_running_loop().create_future()
        self.over = asyncio.get_running_loop().create_future()

    def _release(self):
        self._view = None
        c.request_release(self._id)
        self.gone.cancel()
        self.over.cancel()

    @property
    def _shown(self):
        if self._view is None:
            raise Error(c.E_HANDLE, "the request was released")
        return self._view

    def __getattr__(self, name):
        """What the view shows under its own name: texts as bytes, numbers as they are."""
        value = getattr(self._shown, name)
        return text(value) if isinstance(value, c.bartizan_str) else value

    @property
    def fields(self):
        return pairs(self._shown.headers, self._shown.header_count)

    @property
    def peer(self):
        return address(self._shown.peer_ip, self._shown.peer_port)

    @property
    def local(self):
        return address(self._shown.local_ip, self._shown.local_port)

    @property
    def tls(self):
        """What the handshake negotiated; None on cleartext."""
        if not self._shown.tls:
            return None
        info = self._shown.tls.contents
        return {
            "version": text(info.version_name).decode(),
            "suite": text(info.suite_name).decode(),
            "group": text(info.group_name).decode(),
            "server_name": text(info.server_name).decode() or None,
            "alpn": text(info.alpn).decode() or None,
            "resumed": bool(info.resumed),
            "peer_certificates": info.peer_certificates,
        }

    # ---- events ----

    def _tell(self, event):
        if event.kind == c.EV_CANCELLED and not self.gone.done():
            self.gone.set_result(c.reason_name(event.arg[0]).decode())
        elif event.kind == c.EV_DONE:
            self.over.set_result(None)
        for kind in (c.EV_BODY, c.EV_WRITABLE):
            waiting = self._waiting.get(kind)
            if waiting and not waiting.done() and (event.kind == kind or self.over.done()):
                waiting.set_result(None)

    async def _await(self, arm, kind):
        c.check(arm(self._id))
        if not self.over.done():
            self._waiting[kind] = asyncio.get_running_loop().create_future()
            await self._waiting[kind]

    # ---- content ----

    async def read(self):
        """A piece of the content; b"" when it is complete."""
        octets, n = c_void_p(), c_size_t()
        while (status := c.check(c.body_peek(self._id, byref(octets), byref(n)))) == c.AGAIN:
            await self._await(c.body_arm, c.EV_BODY)
        if status == c.EOF:
            return b""
        piece = string_at(octets, n.value)
        c.check(c.body_consume(self._id, n))
        return piece

    def trailers(self):
        """Once everything is read."""
        fields, n = c_void_p(), c_size_t()
        c.check(c.body_trailers(self._id, byref(fields), byref(n)))
        return pairs(cast(fields, c.POINTER(c.bartizan_header)), n.value)

    # ---- the answer ----

    def respond(self, code, fields=(), content=b""):
        """Answers in one piece."""
        c.check(c.respond(self._id, code, *lend(fields), content, len(content)))

    def begin(self, code, fields=(), content_length=-1):
        """Begins an answer that is written piece by piece."""
        c.check(c.response_begin(self._id, code, *lend(fields), content_length))

    async def write(self, content):
        """Writes a piece, at the pace of the peer."""
        buffer, written, n = c_char_p(content), 0, c_size_t()
        at = cast(buffer, c_void_p).value
        while written < len(content):
            status = c.check(c.response_write(self._id, at + written, len(content) - written, 0, byref(n)))
            written += n.value
            if status == c.AGAIN:
                await self._await(c.response_arm, c.EV_WRITABLE)

    def finish(self, trailers=()):
        c.check(c.response_finish(self._id, *lend(trailers)))

    def set(self, key, value):
        """Moves a limit of this request: "handler_timeout", b"1m"."""
        c.check(c.request_set_text(self._id, key, value, len(value)))
