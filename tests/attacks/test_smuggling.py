"""Requests that two servers in a row would cut differently; behind each stands one that must never be taken for a request. The
whole corpus is `tests/corpus`; these are the incidents."""

ROW, TITLE, IDS = (
    20,
    "Request smuggling",
    "CVE-2025-55315, CVE-2025-22871, CVE-2025-58056, CVE-2021-21299, CVE-2021-32715, CVE-2025-4366, CVE-2026-2833, CVE-2026-2835",
)

HIDDEN = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
HEAD = b"POST /sink HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

CASES = [
    HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + HIDDEN,
    HEAD + b"Content-Length: 0\r\nContent-Length: 43\r\n\r\n" + HIDDEN,
    HEAD + b"Content-Length: +0\r\n\r\n" + HIDDEN,
    HEAD + b"Content-Length: 0, 43\r\n\r\n" + HIDDEN,
    HEAD + b"Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    HEAD + b"X: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    HEAD + b"X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    b"POST /sink HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    CHUNKED + b"1;ext\nx\r\n1\r\ny\r\n0\r\n\r\n" + HIDDEN,
    CHUNKED + b"1\nx\r\n0\r\n\r\n" + HIDDEN,
    CHUNKED + b"0x1\r\nx\r\n0\r\n\r\n" + HIDDEN,
    CHUNKED + b"1 \r\nx\r\n0\r\n\r\n" + HIDDEN,
    CHUNKED + b"1\r\nxy0\r\n\r\n" + HIDDEN,
    CHUNKED + b"00000000000000000001\r\nx\r\n-0\r\n\r\n" + HIDDEN,
    CHUNKED + b"0\r\nX: y\n\r\n" + HIDDEN,
    b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: other\r\n\r\n" + HIDDEN,
    b"GET http://other/ HTTP/1.1\r\nHost: localhost\r\n\r\n" + HIDDEN,
    b"GET / HTTP/1.1\nHost: localhost\n\n" + HIDDEN,
]


def test_smuggling(siege):
    with siege({"header_timeout": "3s", "linger_timeout": "500ms"}) as attack:
        peers = [attack.clear() for _ in range(2 * len(CASES))] + [attack.secure() for _ in CASES]
        attack.allowed = len(peers)
        attack.hold()
        for number, peer in enumerate(peers):
            peer.send(CASES[number % len(CASES)])
        attack.play(peers, 5)
        attack.expect(peers, ("400, closed", "501, closed"), None, ("header.policy", "header.syntax", "body.syntax"))
        hidden = attack.requests(target="/smuggled")
        attack.check(not hidden, f"{len(hidden)} were taken for requests")
        statuses = [peer.buffer.count(b"HTTP/1.1 ") for peer in peers]
        attack.check(max(statuses) == 1, "something behind a refusal was answered")

        # What an Upgrade says before its answer is content of nobody.
        early = [attack.clear() for _ in range(5)]
        for peer in early:
            peer.send(
                b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"
                + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
            )
        attack.play(early, 4)
        attack.check(all(peer.buffer.startswith(b"HTTP/1.1 200") for peer in early), "h2c was not ignored")
        attack.expect(early, ("400, closed", "505, closed"))
