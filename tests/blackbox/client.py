"""One connection over TLS, of either protocol, asked the same way. What only one of them can say is said through `wire` or
`frames`, by way of `peer`."""

import frames
from frames import secure_h2
from wire import secure


class Client:
    def __init__(self, probe, protocol):
        self.protocol = protocol
        self.peer = secure(probe) if protocol == "http/1.1" else secure_h2(probe)
        self.mark, self.name, self.listener = self.peer.mark, self.peer.name, self.peer.listener
        self.number = -1

    def ask(self, path, method="GET", fields=(), content=None, timeout=20):
        if self.protocol == "http/1.1":
            lines = [f"{name}: {value}" for name, value in fields]
            return self.peer.ask(path, method, lines, content, timeout)
        self.number += 2
        self.peer.headers(self.number, frames.request(method, path, fields=fields), end=content is None)
        for at in range(0, len(content or b""), 16384):
            piece = content[at : at + 16384]
            assert self.peer.read(lambda: self.peer.room(self.number) >= len(piece), timeout)
            self.peer.spend(self.number, len(piece))
            self.peer.data(self.number, piece)
        if content is not None:
            self.peer.data(self.number, b"", end=True)
        return self.peer.response(self.number, timeout)

    def close(self):
        (self.peer if self.protocol == "http/1.1" else self.peer.peer).close()
