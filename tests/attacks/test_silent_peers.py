"""More sockets than may be in the handshake at once, silent or stopped in the middle of their ClientHello."""

import time

from hellos import X25519, client_hello

ROW, TITLE, IDS = 4, "Silent peers, and halves of a ClientHello", "hyper #3756, tokio-rustls #4"

PENDING = 256
SETTINGS = {"client_hello_timeout": "4s", "handshake_timeout": "4s", "max_pending_handshakes": str(PENDING)}


def test_silent_peers(siege):
    with siege(SETTINGS) as attack:
        # An honest client may be in the handshake too.
        attack.allowed = PENDING - 2
        hello = client_hello([X25519], [X25519])
        peers = []
        for number in range(400):
            peers.append(attack.tcp())
            if number % 4 == 0:
                peers[-1].send(hello[: len(hello) // 2])
        # Whoever gives way to a newcomer goes a moment after it, and of 400 some are still to be accepted.
        deadline = time.monotonic() + 5
        while True:
            stats = attack.stats()
            pending, gone = stats.get("handshakes_pending", 0), stats.get("reasons", {}).get("tls.pending_limit", 0)
            if (gone >= 400 - PENDING and pending <= PENDING) or time.monotonic() > deadline:
                break
            time.sleep(0.02)
        attack.check(pending <= PENDING, f"{pending} are pending, and {PENDING} may be")
        attack.play(peers, 8)
        attack.expect(peers, ("closed", "reset"))
        attack.expect_reasons(peers, ("tls.hello_timeout", "tls.pending_limit"))
        attack.await_fall("handshakes_pending", 2, "slots were not given back")
        reasons = attack.stats().get("reasons", {})
        attack.check(reasons.get("tls.pending_limit", 0) >= 400 - PENDING, reasons)
