"""Clients of TLS 1.2 that renegotiate, over and over."""

import time

from relay import Relay
from tls13 import ALERT

ROW, TITLE, IDS = 9, "Renegotiation", "CVE-2009-3555, CVE-2011-1473"

SETTINGS = {"header_timeout": "3s"}


def test_renegotiation(siege):
    with siege(SETTINGS) as attack:
        relays = [Relay(attack.tcp(), "-tls1_2") for _ in range(4)]
        try:
            pump(relays, 1.0)
            attack.hold()
            attack.check(all(relay.seen for relay in relays), "no handshake")
            before = [len(relay.seen) for relay in relays]
            for _ in range(5):
                for relay in relays:
                    try:
                        relay.type(b"R\n")
                    except OSError:
                        continue
                pump(relays, 0.2)
            pump(relays, 5.0)
            # A second ServerHello and certificate would be a kilobyte; a refusal is an alert.
            answered = max(len(relay.seen) - length for relay, length in zip(relays, before))
            attack.check(answered < 200, f"{answered} octets were said to a renegotiation")
            attack.check(all(ALERT in kinds(relay) for relay in relays), "a renegotiation was not refused")
            peers = [relay.peer for relay in relays]
            attack.expect(peers, ("closed", "reset"), None, ("tls.alert_sent", "tls.alert_received", "header.timeout"))
        finally:
            for relay in relays:
                relay.close()


def pump(relays, limit):
    """Lets both sides speak for so long, or until the server has closed all."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline and not all(relay.peer.eof for relay in relays):
        for relay in relays:
            try:
                alive = relay.peer.receive(0.02)
            except TimeoutError:
                alive = True
            relay.drain()
            if not alive:
                relay.peer.ended_at = time.monotonic()


def kinds(relay):
    """The kinds of the records that came."""
    octets, found = relay.seen, set()
    while len(octets) >= 5:
        found.add(octets[0])
        octets = octets[5 + int.from_bytes(octets[3:5], "big") :]
    return found
