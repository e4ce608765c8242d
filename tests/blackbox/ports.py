"""Ports that a program is told to listen on, for when it cannot choose one itself and say which."""
import random
import socket

# Below those that Linux, unless told otherwise, gives to outgoing connections: of the thousands that the tests beside this one
# open, none takes the port between here and the program's start.
PORTS = range(10000, 32768)


def free_port() -> int:
    """A port that nobody has now."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
