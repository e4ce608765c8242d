"""Clients that ask again at the very moment at which their idle connection is closed. Whoever is not answered must be able to ask
elsewhere: nobody's request is served and its answer lost, and none is answered in half."""

import time

ROW, TITLE, IDS = 24, "Keep-alive race", "node #52649"

SETTINGS = {"idle_timeout": "1500ms"}
AGAIN = b"GET /inspect?again HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_keep_alive_race(siege):
    with siege(SETTINGS) as attack:
        peers, due = [attack.clear() for _ in range(150)], []
        for number, peer in enumerate(peers):
            attack.check(peer.ask("/").status == 200, "the first request")
            # From just before the limit until it is past.
            due.append(time.monotonic() + 1.4 + number % 30 * 0.01)
        attack.hold()
        for at, peer in sorted(zip(due, peers), key=lambda pair: pair[0]):
            time.sleep(max(0, at - time.monotonic()))
            peer.send(AGAIN)
        answered = 0
        for peer in peers:
            peer.buffer = b""
            try:
                response = peer.response(timeout=3)
            except OSError:
                response = None
            answered += response is not None
            attack.check(response is None or response.status == 200, response)
        attack.note("answered again", answered)
        attack.note("closed, and not answered", len(peers) - answered)
        attack.play(peers, 4)
        served = len(attack.requests(target="/inspect?again"))
        attack.check(served == answered, f"{served} were served and {answered} answered")
