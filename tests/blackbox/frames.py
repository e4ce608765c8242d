"""HTTP/2 as octets: frames are written one by one, so that wrong ones can be; what comes back is read by hpack's decoder."""

import struct
import time
from dataclasses import dataclass, field

from hpack import Decoder

from wire import PATIENCE, clear, secure

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED = 0x1, 0x1, 0x4, 0x8

CODES = (
    "NO_ERROR PROTOCOL_ERROR INTERNAL_ERROR FLOW_CONTROL_ERROR SETTINGS_TIMEOUT STREAM_CLOSED FRAME_SIZE_ERROR "
    "REFUSED_STREAM CANCEL COMPRESSION_ERROR CONNECT_ERROR ENHANCE_YOUR_CALM INADEQUATE_SECURITY HTTP_1_1_REQUIRED"
).split()

INITIAL_WINDOW_SIZE = 4


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def settings(**values):
    identifiers = {"table": 1, "push": 2, "streams": 3, "window": 4, "frame": 5, "list": 6}
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", identifiers[k], v) for k, v in values.items()))


def _integer(value, prefix):
    if value < (1 << prefix) - 1:
        return bytes([value])
    octets, value = [(1 << prefix) - 1], value - ((1 << prefix) - 1)
    while value >= 128:
        octets.append(value % 128 + 128)
        value //= 128
    return bytes([*octets, value])


def block(fields):
    """Literals without indexing and without Huffman coding: a name or value is sent as it is, whatever it holds."""
    octets = b""
    for pair in fields:
        name, value = (text if isinstance(text, bytes) else text.encode("latin-1") for text in pair)
        octets += b"\0" + _integer(len(name), 7) + name + _integer(len(value), 7) + value
    return octets


def request(method="GET", path="/", authority="localhost", scheme="https", fields=()):
    return [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path), *fields]


@dataclass
class Stream:
    """What came back on one stream."""

    status: int = 0
    fields: list = field(default_factory=list)
    interim: list = field(default_factory=list)
    content: bytes = b""
    trailers: list = field(default_factory=list)
    ended: bool = False
    code: str = ""

    def get(self, name):
        return next((value for key, value in self.fields if key == name), None)


class H2:
    """An HTTP/2 peer over a `wire.Peer`. Acknowledges SETTINGS unless told not to, opens windows only when told."""

    def __init__(self, peer, preface=True, acknowledge=True, **initial):
        self.peer = peer
        self.name = peer.name
        self.mark = peer.mark
        self.listener = peer.listener
        self.acknowledge = acknowledge
        self.decoder = Decoder()
        self.decoder.max_header_list_size = 1 << 20
        self.streams = {}
        self.goaways = []
        self.pongs = 0
        self.settings_seen = 0
        self.acknowledged = 0
        self.unread = b""
        # What we may still send: of the connection (0) and of each stream.
        self.windows = {0: 65535}
        self.initial_window = 65535
        # What came and has not been returned to the other side's windows.
        self.owed = {}
        if preface:
            self.peer.send(PREFACE + settings(**initial))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.peer.close()

    def send(self, octets, drip=None):
        return self.peer.send(octets, drip)

    def headers(self, stream, fields, end=True, whole=True):
        """HEADERS, and CONTINUATION for what does not fit; without END_HEADERS unless `whole`."""
        octets = block(fields)
        pieces = [octets[at : at + 16384] for at in range(0, len(octets), 16384)] or [b""]
        frames = [frame(HEADERS if not at else CONTINUATION, 0, stream, piece) for at, piece in enumerate(pieces)]
        frames[0] = frames[0][:4] + bytes([frames[0][4] | END_STREAM * end]) + frames[0][5:]
        frames[-1] = frames[-1][:4] + bytes([frames[-1][4] | END_HEADERS * whole]) + frames[-1][5:]
        return self.send(b"".join(frames))

    def data(self, stream, octets, end=False):
        return self.send(frame(DATA, END_STREAM * end, stream, octets))

    def stream(self, number):
        return self.streams.setdefault(number, Stream())

    def read(self, wanted, timeout=PATIENCE):
        """Reads frames until `wanted()` or the end of the connection; whether it was wanted."""
        deadline = time.monotonic() + timeout
        while not wanted():
            try:
                alive = self.peer.receive(deadline - time.monotonic())
            except TimeoutError:
                return wanted()
            self._take()
            if not alive:
                return wanted()
        return True

    def response(self, number, timeout=PATIENCE):
        """The whole answer on a stream, or how it was cut: by its code, or by the end of the connection."""
        self.read(lambda: self.stream(number).ended or self.stream(number).code, timeout)
        return self.stream(number)

    def ask(self, number, path, method="GET", fields=(), content=None, timeout=PATIENCE):
        self.headers(number, request(method, path, fields=fields), end=content is None)
        if content is not None:
            self.data(number, content, end=True)
        return self.response(number, timeout)

    def await_end(self, timeout=PATIENCE):
        """Reads to the end of the connection, and returns how it came."""
        assert not self.read(lambda: False, timeout)
        assert self.peer.eof, "still open"
        return self.peer.ended

    def room(self, number):
        """How many octets of content may be sent on a stream."""
        return min(self.windows[0], self.windows.setdefault(number, self.initial_window))

    def spend(self, number, octets):
        self.windows[0] -= octets
        self.windows[number] -= octets

    def ping(self, timeout=PATIENCE):
        """A round trip: everything sent before it has been seen."""
        before = self.pongs
        self.send(frame(PING, payload=b"blackbox"))
        return self.read(lambda: self.pongs > before, timeout)

    def _take(self):
        buffer = self.unread + self.peer.buffer
        self.peer.buffer = b""
        while len(buffer) >= 9:
            length = int.from_bytes(buffer[:3], "big")
            if len(buffer) < 9 + length:
                break
            kind, flags, number = struct.unpack(">BBI", buffer[3:9])
            payload, buffer = buffer[9 : 9 + length], buffer[9 + length :]
            self._frame(kind, flags, number & 0x7FFFFFFF, payload)
        self.unread = buffer

    def _frame(self, kind, flags, number, payload):
        if kind == DATA:
            stream = self.stream(number)
            stream.content += payload
            stream.ended |= bool(flags & END_STREAM)
            self._refund(0, len(payload))
            if not stream.ended:
                self._refund(number, len(payload))
        elif kind == HEADERS:
            # The servers under test send header blocks that fit one frame.
            assert flags & END_HEADERS, "CONTINUATION from a server"
            self._header_list(self.stream(number), flags, self.decoder.decode(payload, raw=True))
        elif kind == RST_STREAM:
            self.stream(number).code = code(payload)
        elif kind == SETTINGS and flags & ACK:
            self.acknowledged += 1
        elif kind == WINDOW_UPDATE:
            opened = self.windows.setdefault(number, self.initial_window)
            self.windows[number] = opened + int.from_bytes(payload, "big")
        elif kind == SETTINGS:
            self.settings_seen += 1
            for identifier, value in struct.iter_unpack(">HI", payload):
                if identifier == INITIAL_WINDOW_SIZE:
                    self.windows.update({n: w + value - self.initial_window for n, w in self.windows.items() if n})
                    self.initial_window = value
            if self.acknowledge:
                self.send(frame(SETTINGS, ACK))
        elif kind == PING and flags & ACK:
            self.pongs += 1
        elif kind == GOAWAY:
            self.goaways.append((int.from_bytes(payload[:4], "big"), code(payload[4:8])))

    def _refund(self, number, octets):
        """Opens a window again, by large steps: many small ones are taken for an attack."""
        self.owed[number] = self.owed.get(number, 0) + octets
        if self.owed[number] >= 16384:
            self.send(frame(WINDOW_UPDATE, 0, number, struct.pack(">I", self.owed.pop(number))))

    @staticmethod
    def _header_list(stream, flags, pairs):
        fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in pairs]
        if stream.status:
            stream.trailers = fields
        else:
            (name, status), *fields = fields
            assert name == ":status"
            if status.startswith("1"):
                stream.interim.append((int(status), fields))
            else:
                stream.status, stream.fields = int(status), fields
        stream.ended |= bool(flags & END_STREAM)


def code(payload):
    number = int.from_bytes(payload[:4], "big")
    return CODES[number] if number < len(CODES) else str(number)


def clear_h2(probe, source=None, receive_buffer=None, **more):
    """Prior knowledge, on the cleartext listener."""
    return H2(clear(probe, source=source, receive_buffer=receive_buffer), **more)


def secure_h2(probe, source=None, receive_buffer=None, **more):
    """ALPN, on the TLS listener."""
    peer = secure(probe, alpn=("h2",), source=source, receive_buffer=receive_buffer)
    assert peer.sock.selected_alpn_protocol() == "h2"
    return H2(peer, **more)
