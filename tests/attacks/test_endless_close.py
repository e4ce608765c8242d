"""Peers that are told to go, by a GOAWAY or by the end of the server, and neither read it nor go."""

import time

import frames
from frames import PING, WINDOW_UPDATE, frame

ROW, TITLE, IDS = 19, "Closing connections that never end", "CVE-2022-27664, hyper #4170"

SETTINGS = {"flush_timeout": "2s", "write_idle_timeout": "20s", "drain_timeout": "2s"}


def deaf(attack, count):
    """Peers with answers under way that they do not read."""
    peers = [attack.settled_h2(window=(1 << 31) - 1, receive_buffer=4096) for _ in range(count)]
    for peer in peers:
        peer.send(frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\0\0"))
        peer.headers(1, frames.request(path=attack.large))
    return peers


def test_endless_close(siege):
    with siege(SETTINGS) as attack:
        attack.memory = 48
        told, drained = deaf(attack, 20), deaf(attack, 20)
        time.sleep(0.3)
        attack.hold()
        for peer in told:
            # Enough to be told to go, which waits behind an answer that nobody takes.
            peer.send(frame(PING, payload=b"12345678") * 300)
        attack.play(told, 6, reads=False)
        attack.expect(
            told, ("200, reset", "200, cut", "reset", "cut", "200, closed"), None, ("h2.glitches", "flush.timeout")
        )
        if attack.foreign:
            return
        # The end of the server: honest clients are served until it begins.
        attack.honest.finish()
        began = time.monotonic()
        attack.target.signal()
        attack.check(attack.target.wait(timeout=2 + 5) == 0, "exit status")
        attack.note(f"drained in {time.monotonic() - began:.1f} s")
        attack.play(drained, 2, reads=False)
        attack.expect(drained, ("200, reset", "200, cut", "reset", "cut"), None, "drain")
