"""What the probe writes of its server: one JSON object per line, one write per line, numbered under the write lock."""
import json
import logging
import os
import threading
from typing import Any


class Journal:
    """The file of --events; without one nothing is written."""

    def __init__(self, path: str | None) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644) if path else None
        self._lock = threading.Lock()
        self._next = 0

    @property
    def is_open(self) -> bool:
        return self._file is not None

    def write(self, event: dict[str, Any]) -> None:
        if self._file is None:
            return
        with self._lock:
            line = json.dumps({**event, "seq": self._next})
            os.write(self._file, line.encode() + b"\n")
            self._next += 1

    def write_all(self, events: list[Any]) -> None:
        for event in events:
            self.write(event)

    def cancelled(self, connection: int, stream: int | None, reason: str) -> None:
        self.write({"event": "cancelled", "conn": connection, "stream": stream, "reason": reason})


def open_log(path: str | None) -> None:
    """The library's records, and what handlers raise: to the file of --log, else to stderr from warnings up."""
    handler = logging.FileHandler(path, "w") if path else logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
    logger = logging.getLogger("bartizan")
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.DEBUG if path else logging.WARNING)
