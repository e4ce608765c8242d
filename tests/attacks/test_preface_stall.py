"""Sockets that begin the preface of HTTP/2 and do not go on: where the protocol is still to be told, and where it is agreed."""

import frames

ROW, TITLE, IDS = 11, "Preface stall", "CVE-2026-56853, hyper #3756"

SETTINGS = {"h2_preface_timeout": "3s"}


def test_preface_stall(siege):
    with siege(SETTINGS) as attack:
        agreed = [attack.secure(alpn=("h2",)) for _ in range(10)]
        for number, peer in enumerate(agreed):
            peer.send(frames.PREFACE[: 2 * number])
        peers = []
        for start in (frames.PREFACE[:12], frames.PREFACE[:16], frames.PREFACE):
            for _ in range(50):
                peers.append(attack.clear())
                peers[-1].send(start)
        attack.play(peers + agreed, 7)
        attack.expect(peers + agreed, ("closed", "bytes, closed"), 3, "h2.preface_timeout")
