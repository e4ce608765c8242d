"""Records that carry nothing: a thousand KeyUpdates, empty ones of application data, warnings."""

from tls13 import ALERT, USER_CANCELED, Client

ROW, TITLE, IDS = 8, "Floods of KeyUpdate, empty records and warnings", "CVE-2026-56862"

SETTINGS = {"header_timeout": "5s"}


def clients(attack, count):
    found = [Client(attack.tcp()) for _ in range(count)]
    for client in found:
        client.finish()
    return found


def test_key_update_flood(siege):
    with siege(SETTINGS) as attack:
        updates, empties, warnings = clients(attack, 8), clients(attack, 8), clients(attack, 8)
        attack.hold()
        before = attack.cpu()
        for client in updates:
            client.peer.send(b"".join(client.key_update() for _ in range(500)))
        for client in warnings:
            client.peer.send(b"".join(client.seal(USER_CANCELED, ALERT) for _ in range(100)))
        for client in empties:
            client.peer.send(b"".join(client.seal(b"") for _ in range(500)))
        attack.play([client.peer for client in updates + warnings + empties], 9)
        attack.note(f"{1000 * (attack.cpu() - before) / 24:.0f} ms of processor time each")
        attack.expect(
            [client.peer for client in updates + warnings],
            ("bytes, closed", "bytes, reset"),
            0,
            ("tls.protocol", "tls.alert_sent"),
        )
        # Nothing of a request: no more is due to it than its header section's time.
        attack.expect(
            [client.peer for client in empties],
            ("bytes, closed", "bytes, reset"),
            None,
            ("header.timeout", "tls.protocol"),
        )
