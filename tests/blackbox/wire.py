"""Raw peers: sockets and TLS sockets that send exactly what they are told, and say exactly what came back and when."""

import contextlib
import socket
import ssl
import struct
import time
from dataclasses import dataclass, field

# Long enough for a loaded machine, short enough for a bounded suite.
PATIENCE = 10.0


def tls_context(alpn=("http/1.1",), **changes):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    for name, value in changes.items():
        setattr(context, name, value)
    return context


@dataclass
class Response:
    status: int
    fields: list = field(default_factory=list)
    content: bytes = b""
    trailers: list = field(default_factory=list)
    interim: list = field(default_factory=list)

    def get(self, name):
        return next((value for key, value in self.fields if key == name), None)


class Peer:
    """A client socket. Events call it by `name` and `listener`; what they said before line `mark` is about others."""

    mark = 0
    listener = None

    def __init__(self, address, tls=None, server_name="localhost", receive_buffer=None, source=None):
        self.sock = socket.socket()
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            self.sock.bind((source, 0))
        self.sock.settimeout(PATIENCE)
        self.sock.connect(address)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        host, port = self.sock.getsockname()[:2]
        self.name = f"{host}:{port}"
        self.began = time.monotonic()
        self.buffer = b""
        self.eof = False
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname=server_name, suppress_ragged_eofs=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        """Closes with a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def send(self, octets, drip=None):
        """True unless the other side is gone. `drip`: so many octets at a time."""
        step = drip or len(octets) or 1
        try:
            for start in range(0, len(octets), step):
                self.sock.sendall(octets[start : start + step])
        except (ConnectionError, ssl.SSLError):
            return False
        return True

    def end(self):
        """Nothing more will be sent: a FIN, and over TLS no close_notify in front of it."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.sock, socket.SHUT_WR)

    def receive(self, timeout=PATIENCE):
        """Reads what is there into the buffer: False at the end, however it comes; `self.ended` says how."""
        if self.eof:
            return False
        self.sock.settimeout(max(timeout, 0.001))
        try:
            octets = self.sock.recv(65536)
            self.ended = "closed"
        except ssl.SSLEOFError:
            octets, self.ended = b"", "cut"
        except ConnectionError:
            octets, self.ended = b"", "reset"
        except ssl.SSLError as error:
            octets, self.ended = b"", f"alert {error.reason}"
        self.buffer += octets
        self.eof = not octets
        return not self.eof

    def receive_until(self, wanted, timeout=PATIENCE):
        """Reads until `wanted(buffer)` or the end."""
        deadline = time.monotonic() + timeout
        while not wanted(self.buffer) and self.receive(deadline - time.monotonic()):
            pass
        return self.buffer

    def await_end(self, timeout=PATIENCE):
        """Reads to the end, and returns how it came: `closed`, `cut` (TLS without close_notify), `reset` or an alert."""
        deadline = time.monotonic() + timeout
        while self.receive(deadline - time.monotonic()):
            assert time.monotonic() < deadline, "still sending"
        return self.ended

    @property
    def elapsed(self):
        return time.monotonic() - self.began

    # ---- HTTP/1.1 ----

    def ask(self, target, method="GET", fields=(), content=None, timeout=PATIENCE):
        """A request and its answer."""
        lines = [f"{method} {target} HTTP/1.1", "Host: localhost", *fields]
        if content is not None:
            lines.append(f"Content-Length: {len(content)}")
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + (content or b""))
        return self.response(method, timeout)

    def response(self, method="GET", timeout=PATIENCE):
        """The next answer, or None if the connection ended before one began."""
        deadline = time.monotonic() + timeout
        interim = []
        while True:
            head = self._head(deadline)
            if head is None:
                return None
            status, fields = head
            if status // 100 != 1:
                break
            interim.append((status, fields))
        response = Response(status, fields, interim=interim)
        if method == "HEAD" or status in (204, 304):
            return response
        if response.get("transfer-encoding") == "chunked":
            self._chunks(response, deadline)
        elif response.get("content-length") is not None:
            response.content = self._octets(int(response.get("content-length")), deadline)
        else:
            while self.receive(deadline - time.monotonic()):
                pass
            response.content, self.buffer = self.buffer, b""
        return response

    def _head(self, deadline):
        self.receive_until(lambda buffer: b"\r\n\r\n" in buffer, deadline - time.monotonic())
        if not self.buffer:
            return None
        head, separator, self.buffer = self.buffer.partition(b"\r\n\r\n")
        assert separator, f"half a head: {head!r}"
        first, *lines = head.decode("latin-1").split("\r\n")
        version, status, *_ = first.split(" ")
        assert version == "HTTP/1.1" and len(status) == 3, first
        return int(status), [_field(line) for line in lines]

    def _octets(self, count, deadline):
        self.receive_until(lambda buffer: len(buffer) >= count, deadline - time.monotonic())
        assert len(self.buffer) >= count, f"{len(self.buffer)} of {count} octets, then {self.ended}"
        octets, self.buffer = self.buffer[:count], self.buffer[count:]
        return octets

    def _line(self, deadline):
        self.receive_until(lambda buffer: b"\r\n" in buffer, deadline - time.monotonic())
        line, separator, self.buffer = self.buffer.partition(b"\r\n")
        assert separator, f"half a line: {line!r}"
        return line

    def _chunks(self, response, deadline):
        pieces = []
        while size := int(self._line(deadline), 16):
            pieces.append(self._octets(size, deadline))
            assert self._line(deadline) == b"", "no CRLF behind a chunk"
        response.content = b"".join(pieces)
        while line := self._line(deadline):
            response.trailers.append(_field(line.decode("latin-1")))


def _field(line):
    name, _, value = line.partition(":")
    return name.lower(), value.strip(" \t")


def clear(probe, listener=0, **more):
    """A peer of the cleartext listener."""
    mark = len(probe.events())
    peer = Peer(probe.address(listener), **more)
    peer.mark, peer.listener = mark, listener
    return peer


def secure(probe, alpn=("http/1.1",), listener=1, context=None, **more):
    """A peer of the TLS listener, its handshake done."""
    return clear(probe, listener, tls=context or tls_context(alpn), **more)
