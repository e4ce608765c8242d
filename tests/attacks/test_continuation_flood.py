"""Header sections that never end: as much CONTINUATION as the server takes, empty ones, and one now and then."""

import frames

ROW, TITLE, IDS = (
    14,
    "CONTINUATION flood",
    "CVE-2024-27316, CVE-2023-45288, CVE-2024-27983, CVE-2024-30255, RUSTSEC-2024-0332",
)

SETTINGS = {"header_timeout": "3s"}


def test_continuation_flood(siege):
    with siege(SETTINGS) as attack:
        dripping = [attack.settled_h2() for _ in range(20)]
        full = [attack.settled_h2() for _ in range(10)]
        empty = [attack.settled_h2() for _ in range(10)]
        attack.hold()
        piece = frames.frame(frames.CONTINUATION, 0, 1, frames.block([("x-fill", "x" * 16000)]))
        for peer in dripping:
            peer.headers(1, frames.request(), whole=False)
        for peer in full + empty:
            peer.headers(1, frames.request(), whole=False)
            peer.send(piece * 500 if peer in full else frames.frame(frames.CONTINUATION, 0, 1) * 20_000)
        few = frames.frame(frames.CONTINUATION, 0, 1, frames.block([("x-a", "b")]))
        attack.play(dripping + full + empty, 6, lambda peer: peer in dripping and peer.send(few), every=0.7)
        calm = ("GOAWAY ENHANCE_YOUR_CALM, closed", "GOAWAY ENHANCE_YOUR_CALM, reset", "reset")
        attack.expect(dripping, calm[:1], 3, "header.timeout")
        attack.expect(
            full,
            (*calm, "GOAWAY COMPRESSION_ERROR, closed", "GOAWAY COMPRESSION_ERROR, reset"),
            0,
            ("header.bytes", "h2.glitches", "h2.protocol"),
        )
        attack.expect(empty, calm, 0, ("header.bytes", "h2.glitches", "h2.protocol"))
