"""Requests in the clear on the port of TLS."""

ROW, TITLE, IDS = 27, "Plain HTTP on the TLS port", "Go answers 400"


def test_plaintext_on_tls(siege):
    with siege() as attack:
        peers = [attack.tcp() for _ in range(100)]
        attack.hold()
        for peer in peers:
            peer.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        attack.play(peers, 5)
        attack.expect(peers, "400, closed", 0, "tls.plaintext")
