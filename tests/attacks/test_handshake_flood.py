"""ClientHellos that cost the server a key exchange: many whose peer goes at once, and as many standing as there is time for."""

import threading
import time

from hellos import X25519, X25519MLKEM768, client_hello
from wire import Peer

ROW, TITLE, IDS = 5, "Handshake flood", "THC-SSL-DOS"

SETTINGS = {"client_hello_timeout": "3s", "handshake_timeout": "3s"}
HELLOS = [client_hello([group], [group]) for group in (X25519, X25519MLKEM768)]


COUNT = 600


def come_and_go(attack):
    """A thousand a second, or as fast as one thread of this client is."""
    for number in range(COUNT):
        peer = Peer(attack.target.address(1))
        peer.send(HELLOS[number % 2])
        peer.reset() if number % 4 else peer.close()
        time.sleep(0.001)
    attack.note("went behind its ClientHello", COUNT)


def test_handshake_flood(siege):
    with siege(SETTINGS) as attack:
        standing = [attack.tcp() for _ in range(150)]
        for number, peer in enumerate(standing):
            peer.send(HELLOS[number % 2])
        attack.hold()
        flood = threading.Thread(target=come_and_go, args=(attack,))
        flood.start()
        attack.play(standing, 6)
        flood.join()
        attack.expect(standing, "bytes, closed", 3, "tls.timeout")
        attack.await_fall("handshakes_pending", 2, "slots were not given back")
