"""A close_notify in the middle of the handshake, in the clear or under the handshake's keys, from sockets that then stay. What is
looked for is a server that spins on them."""

import time

from hellos import X25519, client_hello
from tls13 import ALERT, CLOSE_NOTIFY, Client

ROW, TITLE, IDS = 7, "close_notify in the handshake", "CVE-2024-32650"

SETTINGS = {"handshake_timeout": "2s", "client_hello_timeout": "2s"}


def test_close_notify_in_the_handshake(siege):
    with siege(SETTINGS) as attack:
        bare = [attack.tcp() for _ in range(40)]
        for peer in bare:
            peer.send(client_hello([X25519], [X25519]))
        sealed = [Client(attack.tcp()) for _ in range(20)]
        for client in sealed:
            client.read_hello()
        attack.hold()
        for peer in bare:
            peer.receive()
            peer.send(b"\x15\x03\x03\0\x02" + CLOSE_NOTIFY)
        for client in sealed:
            client.peer.send(client.ours.seal(ALERT, CLOSE_NOTIFY))
        began, before = time.monotonic(), attack.cpu()
        peers = bare + [client.peer for client in sealed]
        attack.play(peers, 3)
        time.sleep(max(0, began + 1 - time.monotonic()))
        spent = (attack.cpu() - before) / (time.monotonic() - began)
        attack.note(f"{100 * spent:.0f} % of a core")
        # Honest handshakes are in it.
        attack.check(spent < 0.6, f"{spent:.2f} of a core")
        attack.expect(
            peers, ("bytes, closed", "bytes, reset"), None, ("peer.closed", "tls.alert_received", "tls.protocol")
        )
