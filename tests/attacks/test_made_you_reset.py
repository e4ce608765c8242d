"""Streams whose peer makes the server reset them: by a window of nothing, by one that overflows, by content behind the end, by a
stream that depends on itself."""

import frames

ROW, TITLE, IDS = 13, "MadeYouReset", "CVE-2025-8671, RUSTSEC-2025-0070, RUSTSEC-2024-0003"

SETTINGS = {"max_handlers_per_connection": "10"}

FAULTS = {
    "window of 0": lambda n: frames.frame(frames.WINDOW_UPDATE, 0, n, bytes(4)),
    "overflow": lambda n: frames.frame(frames.WINDOW_UPDATE, 0, n, b"\x7f\xff\xff\xff") * 2,
    "DATA behind the end": lambda n: frames.frame(frames.DATA, 0, n, b"x"),
    "depends on itself": lambda n: frames.frame(frames.PRIORITY, 0, n, n.to_bytes(4, "big") + b"\x10"),
    "PRIORITY of 4 octets": lambda n: frames.frame(frames.PRIORITY, 0, n, bytes(4)),
}


def test_made_you_reset(siege):
    with siege(SETTINGS) as attack:
        head, peers = frames.block(frames.request(path="/hang")), []
        for fault in FAULTS.values():
            flood = b"".join(
                frames.frame(frames.HEADERS, frames.END_STREAM | frames.END_HEADERS, n, head) + fault(n)
                for n in range(1, 1001, 2)
            )
            for _ in range(4):
                peers.append((attack.settled_h2(), flood))
        attack.hold()
        for peer, flood in peers:
            peer.send(flood)
        peers = [peer for peer, _ in peers]
        attack.play(peers, 5)
        ends = [
            f"GOAWAY {code}, {how}"
            for code in ("ENHANCE_YOUR_CALM", "PROTOCOL_ERROR", "STREAM_CLOSED", "FRAME_SIZE_ERROR")
            for how in ("closed", "reset")
        ]
        attack.expect(peers, ends, 0, ("h2.resets", "h2.glitches", "h2.protocol"))
        attack.await_fall("handlers_running", 1, "handlers were left behind")
