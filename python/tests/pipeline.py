"""A client in a process of its own, so that it does not share the interpreter with the server: pipeline.py ADDRESS REQUESTS LENGTH

Answers end with "!", which stands nowhere else in them. A connection carries some batches, then the next one comes.
"""
import socket
import sys

BATCH = 200


def main(address: str, requests: int, length: int) -> None:
    host, _, port = address.rpartition(":")
    request = b"POST /path?query HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % length + b"c" * length
    for _ in range(0, requests, BATCH * 10):
        with socket.create_connection((host, int(port)), timeout=20) as peer:
            for _ in range(10):
                peer.sendall(request * BATCH)
                answered = 0
                while answered < BATCH:
                    piece = peer.recv(1 << 16)
                    assert piece, "the server has closed"
                    answered += piece.count(b"!")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
