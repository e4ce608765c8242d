"""Names that an environment of CGI would fold into one: the program must be able to tell them apart."""

import json

import frames

ROW, TITLE, IDS = 22, "Names that fold into one", "GHSA-f59h-q822-g45g, GHSA-49wc-4hcv-v58q"

FIELDS = [("x-user", "honest"), ("x_user", "hostile"), ("x.user", "hostile")]


def test_ambiguous_names(siege):
    with siege() as attack:
        plain, framed = [attack.clear() for _ in range(20)], [attack.h2() for _ in range(10)]
        attack.hold()
        for peer in plain:
            peer.send(
                b"GET /inspect HTTP/1.1\r\nHost: localhost\r\n"
                + b"".join(f"{n}: {v}\r\n".encode() for n, v in FIELDS)
                + b"\r\n"
            )
        for peer in framed:
            peer.headers(1, frames.request(path="/inspect", fields=FIELDS))
        seen = [peer.response().content for peer in plain] + [peer.response(1).content for peer in framed]
        if not attack.foreign:
            for content in seen:
                values = dict(json.loads(content)["headers"])
                attack.check(values.get("x-user") == "honest", values)
            attack.note("told apart", len(seen))
