"""Header lists that are a hundred times larger than what is sent for them, crumbs of cookies by the thousand, and streams that are
held behind a window of nothing, which then opens an octet at a time."""

import frames
from frames import END_HEADERS, END_STREAM, HEADERS, WINDOW_UPDATE, frame

ROW, TITLE, IDS = 15, "HTTP/2 Bomb", "CVE-2026-49975, CVE-2026-47774"

SETTINGS = {"write_idle_timeout": "2s", "min_rate_grace": "2s", "flush_timeout": "2s"}

# Into the table, and index 62 is the newest entry there.
ENTRY, AGAIN = b"\x40\x01a\x00", b"\xbe"
CRUMB, CRUMB_AGAIN = b"\x60\x01a", b"\xbe"


def bomb(stream, entry, again, count):
    """A request whose fields are one octet each but the first."""
    return frame(
        HEADERS, END_STREAM | END_HEADERS, stream, frames.block(frames.request(path="/hang")) + entry + again * count
    )


def test_http2_bomb(siege):
    with siege(SETTINGS) as attack:
        fields = [attack.settled_h2(window=0) for _ in range(10)]
        crumbs = [attack.settled_h2(window=0) for _ in range(10)]
        small = [attack.settled_h2(window=0) for _ in range(5)]
        held = [attack.settled_h2(window=0) for _ in range(10)]
        dripping = [attack.settled_h2(window=0) for _ in range(5)]
        attack.hold()
        for peer in fields:
            peer.send(b"".join(bomb(n, ENTRY, AGAIN, 16_000) for n in range(1, 41, 2)))
        for peer in crumbs:
            peer.send(b"".join(bomb(n, CRUMB, CRUMB_AGAIN, 16_000) for n in range(1, 41, 2)))
        # Within the octets of a header section, and not within its fields.
        for peer in small:
            peer.send(bomb(1, ENTRY, AGAIN, 101) + bomb(3, CRUMB, CRUMB_AGAIN, 201))
        for peer in held + dripping:
            for stream in range(1, 20, 2):
                peer.headers(stream, frames.request(path=attack.large))
        attack.play(fields + crumbs, 2)
        calm = [
            f"{said}, {how}"
            for said in ("431", "GOAWAY ENHANCE_YOUR_CALM", "GOAWAY COMPRESSION_ERROR")
            for how in ("open", "closed", "reset")
        ]
        attack.expect(fields + crumbs, calm)
        attack.play(small, 0.5)
        attack.expect(small, "431, open")

        def drip(peer):
            if peer in dripping:
                peer.send(b"".join(frame(WINDOW_UPDATE, 0, stream, b"\0\0\0\1") for stream in range(1, 20, 2)))

        attack.play(held + dripping, 4, drip, every=0.5)
        attack.expect(held, "200, open")
        codes = {peer.stream(stream).code for peer in held for stream in range(1, 20, 2)}
        attack.check(codes == {"CANCEL"}, codes)
        attack.expect(
            dripping,
            (
                "200, open",
                "GOAWAY ENHANCE_YOUR_CALM, closed",
                "GOAWAY ENHANCE_YOUR_CALM, reset",
                "GOAWAY NO_ERROR, open",
                "GOAWAY NO_ERROR, closed",
            ),
        )
        alive = [peer for peer in dripping if not peer.goaways]
        attack.check(all(peer.stream(1).code == "CANCEL" for peer in alive), "a drip was taken for progress")
        reasons = {event["reason"] for event in attack.requests(target="/bytes/8388608")}
        attack.check(reasons and reasons <= {"write.idle", "write.rate", "h2.glitches"}, reasons)
        attack.await_fall("handlers_running", 1, "handlers were left behind")
