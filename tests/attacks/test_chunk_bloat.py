"""Chunks of an octet with a kilobyte of extension, extensions that never end, and trailers without end."""

ROW, TITLE, IDS = 21, "Bloat of chunk extensions and trailers", "CVE-2023-39326, CVE-2024-22019"

HEAD = b"POST /sink HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_chunk_bloat(siege):
    with siege({"linger_timeout": "500ms", "body_idle_timeout": "3s"}) as attack:
        bodies = [
            (b"1;" + b"e" * 1000 + b"\r\nx\r\n") * 500,
            b"1;" + b"e" * 500_000,
            b"1\r\nx\r\n0\r\n" + b"X: y\r\n" * 50_000,
            b"1\r\nx\r\n0\r\nX: " + b"y" * 500_000,
        ]
        peers = [(attack.clear() if n % 5 else attack.secure(), bodies[n % 4]) for n in range(60)]
        attack.hold()
        for peer, body in peers:
            peer.send(HEAD)
            try:
                peer.send(body)
            except TimeoutError:
                continue
        peers = [peer for peer, _ in peers]
        attack.play(peers, 5)
        ends = [f"{status}, {how}" for status in (400, 431) for how in ("closed", "reset", "cut")]
        attack.expect(peers, [*ends, "reset"], 0, ("body.syntax", "header.bytes", "header.fields"))
