"""Sockets that send their header section an octet at a time, on both listeners and both protocols, and some that begin none."""

import frames

ROW, TITLE, IDS = 1, "Slowloris: header sections that drip", "CVE-2007-6750"

SETTINGS = {"header_timeout": "3s"}
START = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Drip: "


def test_slowloris(siege):
    with siege(SETTINGS) as attack:
        framed = [attack.settled_h2() for _ in range(10)]
        sealed = [attack.secure() for _ in range(20)]
        plain = [attack.clear() for _ in range(170)]
        for peer in sealed + plain:
            peer.send(START)
        for peer in framed:
            peer.headers(1, frames.request(), whole=False)

        def drip(peer):
            if peer in framed:
                peer.send(frames.frame(frames.CONTINUATION, 0, 1, frames.block([("x-a", "b")])))
            else:
                peer.send(b"x")

        # Of CONTINUATION, h2 takes five frames at most: its fuse against floods of them.
        attack.play(plain + sealed + framed, 7, drip, every=0.9)
        attack.expect(plain + sealed, "408, closed", 3, "header.timeout")
        attack.expect(framed, "GOAWAY ENHANCE_YOUR_CALM, closed", 3, "header.timeout")
