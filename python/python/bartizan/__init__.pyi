"""bartizan: a hardened TLS and HTTP server that lives inside your program.

Durations: seconds (int, float), timedelta or text ("10s"). Sizes: bytes or text ("16KiB"). None = off where the row allows
it, "auto" likewise; anything else raises ConfigError, which lists every fault. Keys are the C keys, letter for letter.
Handlers: sync ones run on attached worker threads ("workers") or on the reactor ("inline"); async ones on the loop of
`async with server` or `server.run`. An exception is a 500, a log record on "bartizan" and a counter; Abort ends the
exchange without a record. None as an answer is a TypeError, so a 500. On a reactor (mode "inline") body, read and a blocking
write raise RuntimeError. Each ended request is a line on the logger "bartizan.access", and TLS speaks on "bartizan.tls"; what
their levels drop as the server starts is not made. on_cancel callbacks and hooks run on one service thread. A request's slot
returns with its answer, not at garbage collection.
"""
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, NamedTuple, TypeAlias, TypedDict, TypeVar, final, overload
from typing_extensions import NotRequired, Self, Unpack

from ._settings import Duration as Duration
from ._settings import LimitSettings as LimitSettings
from ._settings import ListenerSettings as ListenerSettings
from ._settings import NameSettings as NameSettings
from ._settings import Settings as Settings
from ._settings import Size as Size

__all__ = [
    "Abort",
    "BindError",
    "BodyTooLarge",
    "ClientDisconnected",
    "ConfigError",
    "ConnectionEvent",
    "Deferred",
    "Error",
    "Headers",
    "LimitSettings",
    "Listener",
    "ListenerSettings",
    "NameSettings",
    "Request",
    "RequestEnd",
    "RequestTimeout",
    "Response",
    "Server",
    "ServerClosed",
    "Setting",
    "Settings",
    "Stats",
    "Tls",
    "TlsError",
    "TlsInfo",
    "TlsRecord",
    "__version__",
    "settings",
]

__version__: Final[str]

_T = TypeVar("_T")

Mode: TypeAlias = Literal["workers", "inline"]
Pem: TypeAlias = str | PathLike[str] | bytes                       # a path, or the PEM text as bytes
HeaderItems: TypeAlias = Mapping[str, str | bytes] | Iterable[tuple[str | bytes, str | bytes]]
Body: TypeAlias = bytes | bytearray | memoryview | str | Path | Iterable[bytes] | AsyncIterable[bytes]
Answer: TypeAlias = Response | tuple[int, HeaderItems, Body] | tuple[int, Body] | Body
Handler: TypeAlias = Callable[[Request], Answer | Deferred]
AsyncHandler: TypeAlias = Callable[[Request], Awaitable[Answer | Deferred]]

class Setting(NamedTuple):
    key: str
    unit: Literal["ms", "bytes", "count", "bytes/s", "switch", "choice"]
    default: int | Literal["auto"] | None                          # in unit; None = off
    minimum: int
    maximum: int
    choices: tuple[str, ...]
    off: bool
    auto: bool
    levels: str                                                    # of "L", "N", "Q"
    doc: str

def settings() -> tuple[Setting, ...]: ...

# ---- TLS and listeners ----
@final
class Tls:
    def __new__(
        cls, cert: Pem | None = ..., key: Pem | None = ..., *, password: str | bytes | None = ...,
        policy: Literal["intermediate", "modern", "pq-required"] = ..., groups: Sequence[str] | None = ...,
        suites: Sequence[str] | None = ..., versions: Sequence[str] | None = ..., alpn: Sequence[str] | None = ...,
        client_auth: Literal["off", "optional", "required"] = ..., client_ca: Pem | None = ..., crl: Pem | None = ...,
        server_names: Mapping[str, Tls] | None = ..., ticket_keys: Sequence[bytes] | None = ...,
    ) -> Self: ...
    @classmethod
    def self_signed(
        cls, *names: str, policy: Literal["intermediate", "modern", "pq-required"] = ..., groups: Sequence[str] | None = ...,
        suites: Sequence[str] | None = ..., versions: Sequence[str] | None = ..., alpn: Sequence[str] | None = ...,
        client_auth: Literal["off", "optional", "required"] = ..., client_ca: Pem | None = ..., crl: Pem | None = ...,
        server_names: Mapping[str, Tls] | None = ..., ticket_keys: Sequence[bytes] | None = ...,
    ) -> Self: ...                                                 # development only, logged as such

@final
class Listener:
    def __new__(
        cls, bind: str | int, *, tls: Tls | None = ..., trust_proxy: Sequence[str] = ...,
        server_names: Mapping[str, NameSettings] | None = ..., **settings: Unpack[ListenerSettings],
    ) -> Self: ...                                                 # bind: "host:port", "unix:/path" or a descriptor

@final
class TlsInfo:
    @property
    def version(self) -> str: ...                                  # "TLSv1.3"
    @property
    def suite(self) -> str: ...                                    # "TLS_AES_128_GCM_SHA256"
    @property
    def group(self) -> str: ...                                    # "X25519MLKEM768"
    @property
    def server_name(self) -> str | None: ...
    @property
    def alpn(self) -> str | None: ...
    @property
    def resumed(self) -> bool: ...
    @property
    def peer_certificates(self) -> tuple[bytes, ...]: ...          # DER, leaf first

# ---- a request and its answer ----
@final
class Headers(Mapping[str, str]):
    """Names without case; [] joins repeats with ", " (cookie: "; "); values decoded as Latin-1."""
    def __getitem__(self, name: str, /) -> str: ...
    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int: ...
    @overload
    def get(self, key: str, default: None = None) -> str | None: ...
    @overload
    def get(self, key: str, default: str | _T) -> str | _T: ...
    def get_all(self, name: str) -> tuple[str, ...]: ...
    @property
    def raw(self) -> tuple[tuple[bytes, bytes], ...]: ...          # lower-case names, order of the wire

@final
class Request:
    @property
    def method(self) -> str: ...
    @property
    def scheme(self) -> Literal["http", "https"]: ...
    @property
    def authority(self) -> str: ...
    @property
    def target(self) -> bytes: ...
    @property
    def path(self) -> str: ...                                     # percent-decoded
    @property
    def query(self) -> str: ...                                    # as sent, without "?"
    @property
    def http_version(self) -> Literal["1.0", "1.1", "2"]: ...
    @property
    def headers(self) -> Headers: ...
    @property
    def content_length(self) -> int | None: ...
    @property
    def peer(self) -> tuple[str, int]: ...
    @property
    def local(self) -> tuple[str, int]: ...
    @property
    def tls(self) -> TlsInfo | None: ...
    @property
    def connection(self) -> int: ...
    @property
    def listener(self) -> int: ...
    @property
    def stream(self) -> int | None: ...                            # None = HTTP/1
    @property
    def deadline(self) -> float | None: ...                        # seconds left for the handler; None = off
    @property
    def cancelled(self) -> str | None: ...                         # close reason, e.g. "peer.closed"
    @property
    def body(self) -> bytes: ...                                   # reads to the end, blocking; cached
    @property
    def trailers(self) -> Headers: ...                             # after the end of the body, else RuntimeError
    def json(self) -> Any: ...
    def read(self, size: int = ..., /) -> bytes: ...               # b"" = end; ClientDisconnected, RequestTimeout, BodyTooLarge
    def __iter__(self) -> Iterator[bytes]: ...
    async def aread(self, size: int = ..., /) -> bytes: ...
    def set(self, **limits: Unpack[LimitSettings]) -> None: ...    # level Q: tighten or extend, on the phase's own clock
    def on_cancel(self, callback: Callable[[str], object], /) -> None: ...
    def inform(self, status: int, headers: HeaderItems | None = ...) -> None: ...      # 103 and other 1xx
    def defer(self) -> Deferred: ...                               # return it, answer later from any thread

@final
class Deferred:
    @property
    def request(self) -> Request: ...
    def send(self, answer: Answer, /) -> None: ...                 # a second answer: RuntimeError
    def begin(self, status: int = ..., headers: HeaderItems | None = ..., *, content_length: int | None = ...) -> None: ...
    def write(self, data: bytes | bytearray | memoryview, /, *, timeout: float | None = ...) -> int: ...
    async def awrite(self, data: bytes | bytearray | memoryview, /) -> None: ...
    def finish(self, trailers: HeaderItems | None = ...) -> None: ...
    def abort(self) -> None: ...

@final
class Response:
    def __new__(
        cls, status: int = ..., headers: HeaderItems | None = ..., body: Body | None = ..., *,
        trailers: HeaderItems | Callable[[], HeaderItems] | None = ...,
    ) -> Self: ...
    status: int
    headers: HeaderItems
    body: Body

# ---- observation; ConnectionEvent is also the line of the probes' --events file ----
class TlsRecord(TypedDict):
    version: str
    suite: str
    group: str
    server_name: str | None
    alpn: str | None
    resumed: bool
    peer_certificates: int

class ConnectionEvent(TypedDict):
    event: Literal["entered", "closed"]
    seq: int                                                       # per server, without gaps, in order of happening
    time: float                                                    # Unix seconds
    conn: int
    listener: int
    peer: str                                                      # "127.0.0.1:1234", after PROXY
    phase: str                                                     # entered, or closed in
    reason: NotRequired[str]                                       # only with "closed"
    protocol: Literal["http/1.0", "http/1.1", "h2"] | None
    tls: TlsRecord | None
    bytes_in: int
    bytes_out: int
    requests: int
    millis: dict[str, float]                                       # per phase that was entered

class RequestEnd(TypedDict):
    event: Literal["request"]
    seq: int
    time: float
    conn: int
    stream: int | None
    method: str
    target: str
    status: int | None                                             # None = no head was sent
    reason: str                                                    # "complete" or a close reason
    bytes_in: int
    bytes_out: int
    millis: dict[str, float]

class Stats(TypedDict):
    connections_accepted: int
    connections_open: int
    connections_closed: int
    phases: dict[str, int]                                         # sum = connections_open
    reasons: dict[str, int]                                        # sum = connections_closed
    handshakes_completed: int
    handshakes_failed: int
    handshakes_resumed: int
    handshakes_pending: int
    requests_started: int
    requests_ended: int
    requests_live: int
    requests_queued: int
    requests_unanswered: int
    handlers_running: int
    bytes_received: int
    bytes_sent: int
    memory_bytes: int
    descriptors_open: int
    descriptors_limit: int

# ---- servers ----
_H = TypeVar("_H", Handler, AsyncHandler)

@final
class Server:
    def __new__(
        cls, bind: str | int | Listener | Sequence[str | int | Listener] | None = ..., handler: Handler | AsyncHandler | None = ...,
        *, mode: Mode = ..., tls: Tls | None = ..., trust_proxy: Sequence[str] = ..., **settings: Unpack[Settings],
    ) -> Self: ...
    @overload
    def on_request(self, handler: _H, /) -> _H: ...
    @overload
    def on_request(self, /, *, mode: Mode | None = ...) -> Callable[[_H], _H]: ...
    def on_connection(self, hook: Callable[[list[ConnectionEvent]], object], /) -> Callable[[list[ConnectionEvent]], object]: ...
    def on_request_end(self, hook: Callable[[list[RequestEnd]], object], /) -> Callable[[list[RequestEnd]], object]: ...
    def start(self) -> None: ...                                   # BindError, ConfigError, TlsError
    def stop(self, grace: Duration | None = ...) -> None: ...      # starts the drain, any thread, idempotent; None = drain_timeout
    def wait(self, timeout: float | None = ...) -> bool: ...       # True = all closed, all callbacks returned
    async def closed(self) -> None: ...
    def run(self, *, install_signal_handlers: bool = ...) -> None: ...          # start, wait; 2nd Ctrl-C forces
    def reload_tls(self, tls: Tls, listener: int = ...) -> None: ...
    def stats(self) -> Stats: ...
    def metrics(self) -> str: ...                                  # OpenMetrics 1.0
    @property
    def settings(self) -> Mapping[str, int | str | None]: ...      # effective, in the row's unit
    @property
    def addresses(self) -> tuple[str, ...]: ...
    @property
    def address(self) -> str: ...
    @property
    def url(self) -> str: ...                                      # "https://127.0.0.1:8443"
    @property
    def running(self) -> bool: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None, /) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None, /) -> None: ...

# ---- errors ----
class Error(Exception): ...
class ConfigError(Error, ValueError):
    @property
    def faults(self) -> tuple[str, ...]: ...                       # each names key, value and range
class TlsError(ConfigError): ...
class BindError(Error, OSError): ...
class ClientDisconnected(Error, ConnectionError):
    @property
    def reason(self) -> str: ...
class RequestTimeout(Error, TimeoutError):
    @property
    def reason(self) -> str: ...                                   # "body.idle", "body.rate", "write.idle" ...
class BodyTooLarge(Error): ...
class ServerClosed(Error): ...
class Abort(Exception): ...                                        # raise to end the exchange without noise
