"""bartizan: a hardened TLS and HTTP server that lives inside your program.

The classes are those of the extension module; what each accepts and gives stands in the stub beside this file.
"""
import atexit as _atexit
from collections.abc import Mapping as _Mapping
from importlib import import_module as _import_module
from typing import NamedTuple as _NamedTuple

from . import _bartizan
from ._bartizan import Deferred, Headers, Listener, Request, Response, Server, Tls, TlsInfo, __version__
from ._errors import (
    Abort,
    BindError,
    BodyTooLarge,
    ClientDisconnected,
    ConfigError,
    Error,
    RequestTimeout,
    ServerClosed,
    TlsError,
)

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


class Setting(_NamedTuple):
    """One row of the settings list."""

    key: str
    unit: str
    default: int | str | None
    minimum: int
    maximum: int
    choices: tuple[str, ...]
    off: bool
    auto: bool
    levels: str
    doc: str


def settings() -> tuple[Setting, ...]:
    """Every row of the settings list."""
    return tuple(Setting(*row) for row in _bartizan.rows())


def __getattr__(name: str) -> object:
    # Types are for annotations: a program that has none does not pay for them.
    try:
        return getattr(_import_module("._types", __name__), name)
    except AttributeError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


_Mapping.register(Headers)
_atexit.register(_bartizan.stop_all)
