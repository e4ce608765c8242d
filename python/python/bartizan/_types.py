"""The stub's dictionaries and aliases at run time, for annotations that are evaluated."""
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Literal, TypeAlias, TypedDict, Union

from . import Deferred, Request, Response
from ._settings import Duration as Duration
from ._settings import LimitSettings as LimitSettings
from ._settings import ListenerSettings as ListenerSettings
from ._settings import NameSettings as NameSettings
from ._settings import Settings as Settings
from ._settings import Size as Size

Mode: TypeAlias = Union[Literal["workers"], Literal["inline"]]
Pem: TypeAlias = Union[str, "PathLike[str]", bytes]
HeaderItems: TypeAlias = Union[Mapping[str, Union[str, bytes]], Iterable[tuple[Union[str, bytes], Union[str, bytes]]]]
Body: TypeAlias = Union[bytes, bytearray, memoryview, str, Path, Iterable[bytes], AsyncIterable[bytes]]
Answer: TypeAlias = Union[Response, tuple[int, HeaderItems, Body], tuple[int, Body], Body]
Handler: TypeAlias = Callable[[Request], Union[Answer, Deferred]]
AsyncHandler: TypeAlias = Callable[[Request], Awaitable[Union[Answer, Deferred]]]

class TlsRecord(TypedDict):
    """What a handshake negotiated, in an event."""

    version: str
    suite: str
    group: str
    server_name: Union[str, None]
    alpn: Union[str, None]
    resumed: bool
    peer_certificates: int


class _ConnectionEvent(TypedDict):
    event: Literal["entered", "closed"]
    seq: int
    time: float
    conn: int
    listener: int
    peer: str
    phase: str
    protocol: Union[Literal["http/1.0", "http/1.1", "h2"], None]
    tls: Union[TlsRecord, None]
    bytes_in: int
    bytes_out: int
    requests: int
    millis: dict[str, float]


class ConnectionEvent(_ConnectionEvent, total=False):
    """One step of a connection."""

    reason: str


class RequestEnd(TypedDict):
    """How one request ended."""

    event: Literal["request"]
    seq: int
    time: float
    conn: int
    stream: Union[int, None]
    method: str
    target: str
    status: Union[int, None]
    reason: str
    bytes_in: int
    bytes_out: int
    millis: dict[str, float]


class Stats(TypedDict):
    """One consistent snapshot."""

    connections_accepted: int
    connections_open: int
    connections_closed: int
    phases: dict[str, int]
    reasons: dict[str, int]
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
