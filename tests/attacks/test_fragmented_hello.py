"""ClientHellos in records of one octet each, some of them a few octets per segment."""

from hellos import X25519, client_hello, records
from tls13 import Client

ROW, TITLE, IDS = 6, "Fragmented ClientHello", "CVE-2024-11738"

SETTINGS = {"handshake_timeout": "2s", "client_hello_timeout": "2s"}


def test_fragmented_hello(siege):
    with siege(SETTINGS) as attack:
        hello = records(client_hello([X25519], [X25519]), 1)
        peers = [attack.tcp() for _ in range(60)]
        for number, peer in enumerate(peers):
            peer.send(hello, drip=61 if number % 4 == 0 else None)
        whole = Client(attack.tcp(), size=1)
        whole.finish()
        whole.peer.send(whole.seal(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"))
        whole.peer.receive_until(lambda buffer: buffer)
        kind, head, sealed = whole.record()
        answer = whole.theirs.open(head, sealed)[1]
        # Tickets may stand in front of it.
        while not answer.startswith(b"HTTP/1.1"):
            _, head, sealed = whole.record()
            answer = whole.theirs.open(head, sealed)[1]
        attack.check(answer.startswith(b"HTTP/1.1 200"), answer[:40])
        attack.note("200")
        attack.play(peers, 5)
        attack.check(all(peer.buffer[:1] == b"\x16" for peer in peers), "a ServerHello")
        attack.expect(peers, "bytes, closed", 2, "tls.timeout")
