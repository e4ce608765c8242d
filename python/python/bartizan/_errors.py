"""What can go wrong, as classes: the base is `Error`, and each is also the built-in that it resembles.

Raised from the extension module; which failure becomes which class stands in `src/errors.rs`.
"""


class Error(Exception):
    """The base of what this package raises."""


class ConfigError(Error, ValueError):
    """Settings, addresses or lists that cannot be used: every fault at once."""

    @property
    def faults(self) -> tuple[str, ...]:
        """One sentence each: key, value and range."""
        return tuple(str(fault) for fault in self.args)

    def __str__(self) -> str:
        return "; ".join(self.faults)


class TlsError(ConfigError):
    """A certificate, key, chain or trust list that cannot be used."""


class BindError(Error, OSError):
    """The system refused to bind, listen or open; `errno` says why where it is known."""


class _Reasoned(Error):
    @property
    def reason(self) -> str:
        """The close reason, such as `peer.closed` or `body.idle`."""
        return str(self.args[0]) if self.args else ""


class ClientDisconnected(_Reasoned, ConnectionError):
    """The exchange is over: nothing more can be read or sent."""

    def __str__(self) -> str:
        return f"the exchange is over: {self.reason}"


class RequestTimeout(_Reasoned, TimeoutError):
    """A limit in time ended the exchange."""

    def __str__(self) -> str:
        return f"a time limit ended the exchange: {self.reason}"


class BodyTooLarge(Error):
    """The content is larger than `max_body_bytes`; the library answers 413."""


class ServerClosed(Error):
    """The server has stopped, or was never started."""


class Abort(Exception):
    """Raise it to end the exchange without an answer and without noise."""
