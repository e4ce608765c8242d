"""Callbacks that fail, forget to answer, block all workers, and answer after their peer has gone."""

import time
from collections import Counter

ROW, TITLE, IDS = 28, "Failing and stalling callbacks", "RUSTSEC-2026-0177, RUSTSEC-2026-0013"

# Four workers: so many blocked requests wait, the rest is refused.
SETTINGS = {"max_queued_requests": "16"}


def ask(peer, target):
    peer.send(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())


def test_callbacks(siege):
    with siege(SETTINGS, mode="workers") as attack:
        # A client that comes while the queue is full is refused like the others.
        attack.refusals_allowed = True
        failing = [attack.clear() for _ in range(40)]
        blocking = [attack.clear() for _ in range(60)]
        gone = [attack.clear() for _ in range(40)]
        attack.allowed = 140
        attack.hold()
        failures = Counter()
        for number, peer in enumerate(failing):
            # One after the other: it is not the queue that they try.
            try:
                response = peer.ask(("/fail", "/drop", "/abort", "/refuse")[number % 4])
                failures[response and response.status] += 1
            except OSError as error:
                failures[type(error).__name__] += 1
        for peer in gone:
            ask(peer, "/wait/400")
        time.sleep(0.2)
        for peer in gone:
            peer.reset()
        for peer in blocking:
            ask(peer, "/block/150")
        attack.play(blocking, 2.5)
        statuses = Counter(peer.buffer[9:12].decode() for peer in blocking)
        attack.endings.update({f"blocked: {status or 'nothing'}": count for status, count in statuses.items()})
        attack.check(set(statuses) == {"200", "503"} and statuses["200"] >= 16, statuses)
        refused = [peer for peer in blocking if peer.buffer[9:12] == b"503"]
        attack.check(all(b"retry-after:" in peer.buffer.lower() for peer in refused), "no Retry-After")
        attack.endings.update({f"failed: {status}": count for status, count in failures.items()})
        attack.check(failures == {500: 20, None: 10, 503: 10}, failures)
        attack.await_fall("handlers_running", 1, "slots were not given back")
        again = attack.secure()
        attack.check(again.ask("/").status == 200, "it has not recovered")
