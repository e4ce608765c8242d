"""Content of an octet per frame, for a handler that does not read it."""

import frames

ROW, TITLE, IDS = 18, "Tiny DATA frames", "GHSA-q83h-524g-xf6h, RUSTSEC-2026-0258"


def test_tiny_data(siege):
    with siege() as attack:
        peers = [attack.settled_h2() for _ in range(20)]
        attack.hold()
        for peer in peers:
            peer.headers(1, frames.request("POST", "/unread/5000"), end=False)
            peer.send(frames.frame(frames.DATA, 0, 1, b"x") * 10_000)
        attack.play(peers, 5)
        calm = "GOAWAY ENHANCE_YOUR_CALM"
        attack.expect(peers, (f"{calm}, closed", f"{calm}, reset"), 0, "h2.glitches")
