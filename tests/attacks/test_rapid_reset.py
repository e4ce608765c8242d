"""Streams that are opened and reset at once, ten thousand of them, on a server whose callbacks block and cannot be cancelled."""

import threading
import time

import frames

ROW, TITLE, IDS = 12, "Rapid Reset", "CVE-2023-44487, CVE-2023-26964"

SETTINGS = {"max_handlers_per_connection": "8"}
STREAMS = 2000


def flood():
    head = frames.block(frames.request(path="/block/50"))
    cancel = b"\0\0\0\x08"
    return b"".join(
        frames.frame(frames.HEADERS, frames.END_STREAM | frames.END_HEADERS, 2 * n + 1, head)
        + frames.frame(frames.RST_STREAM, 0, 2 * n + 1, cancel)
        for n in range(STREAMS)
    )


def test_rapid_reset(siege):
    with siege(SETTINGS, mode="workers") as attack:
        octets, running = flood(), []
        peers = [attack.settled_h2() for _ in range(5)]
        attack.hold()
        # Some streams live for a while, so that their handlers run when they are reset.
        for peer in peers:
            for stream in range(1, 9, 2):
                peer.headers(stream, frames.request(path="/block/50"))
        watcher = threading.Thread(target=lambda: running.extend(watch(attack)))
        watcher.start()
        for peer in peers:
            peer.send(b"".join(frames.frame(frames.RST_STREAM, 0, n, b"\0\0\0\x08") for n in range(1, 9, 2)))
            peer.send(octets[octets.index(frames.frame(frames.RST_STREAM, 0, 7, b"\0\0\0\x08")) + 13 :])
        attack.play(peers, 5)
        watcher.join()
        attack.expect(peers, ("GOAWAY ENHANCE_YOUR_CALM, closed", "GOAWAY ENHANCE_YOUR_CALM, reset"), 0, "h2.resets")
        attack.check(max(running, default=0) <= 5 * 8 + 1, f"{max(running, default=0)} handlers ran")
        attack.note(f"{max(running, default=0)} handlers at once")


def watch(attack):
    for _ in range(20):
        yield attack.stats().get("handlers_running", 0)
        time.sleep(0.05)
