"""Sockets that announce a megabyte and send an octet at a time, or in chunks of one, or stop."""

import frames

ROW, TITLE, IDS = 2, "Slow POST: content that drips", "R.U.D.Y."

SETTINGS = {"body_idle_timeout": "2s", "min_rate_grace": "2s"}


def test_slow_post(siege):
    with siege(SETTINGS) as attack:
        announced = [attack.clear() for _ in range(80)] + [attack.secure() for _ in range(20)]
        chunked = [attack.clear() for _ in range(40)]
        stopped = [attack.clear() for _ in range(40)]
        framed = [attack.h2() for _ in range(10)]
        head = f"POST {attack.upload} HTTP/1.1\r\nHost: localhost\r\n".encode()
        for peer in announced + stopped:
            peer.send(head + b"Content-Length: 1000000\r\n\r\nx")
        for peer in chunked:
            peer.send(head + b"Transfer-Encoding: chunked\r\n\r\n")
        for peer in framed:
            peer.headers(1, frames.request("POST", attack.upload), end=False)

        def drip(peer):
            if peer in framed:
                peer.data(1, b"x")
            elif peer not in stopped:
                peer.send(b"1\r\nx\r\n" if peer in chunked else b"x")

        attack.play(announced + chunked + stopped, 6, drip, every=0.5)
        attack.expect(announced + chunked, "408, closed", 2, "body.rate")
        attack.expect(stopped, "408, closed", 2, ("body.idle", "body.rate"))
        attack.play(framed, 0.5)
        attack.expect(framed, "408, open")
        told = attack.requests(reason="body.rate") + attack.requests(reason="body.idle")
        attack.check(len(told) == 190, f"{len(told)} handlers were told")
