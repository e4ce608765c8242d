"""Browsers that connect ahead and then ask for nothing: an unasked 408 would be taken for the answer to their next request."""

ROW, TITLE, IDS = 26, "408 for nobody's request", "HAProxy http-ignore-probes"

SETTINGS = {"header_timeout": "2s"}


def test_preconnect(siege):
    with siege(SETTINGS) as attack:
        peers = [attack.clear() for _ in range(100)] + [attack.secure() for _ in range(30)]
        attack.play(peers, 5)
        attack.expect(peers, "closed", 2, "header.timeout")
