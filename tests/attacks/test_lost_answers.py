"""Uploads of megabytes that are refused at their head, by clients that send on without looking."""

import frames

ROW, TITLE, IDS = 25, "Answers lost to a reset", "RFC 9112 9.6"

SETTINGS = {"max_body_bytes": "100000"}
LENGTH = 10_000_000


def test_lost_answers(siege):
    with siege(SETTINGS) as attack:
        head = f"POST {attack.upload} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {LENGTH}\r\n\r\n".encode()
        plain = [attack.clear() for _ in range(15)] + [attack.secure() for _ in range(5)]
        framed = [attack.h2() for _ in range(5)]
        attack.hold()
        for peer in plain:
            peer.sock.settimeout(1)
            try:
                peer.send(head + bytes(LENGTH))
            except TimeoutError:
                continue
        for peer in framed:
            peer.headers(1, frames.request("POST", attack.upload, fields=[("content-length", str(LENGTH))]), end=False)
            peer.data(1, bytes(16_000))
        attack.play(plain, 5)
        attack.expect(plain, ("413, closed", "413, reset", "413, cut"), None, "body.size")
        attack.play(framed, 0.5)
        attack.expect(framed, "413, open")
