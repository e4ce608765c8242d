"""The end: what is under way completes on SIGTERM, what hangs is cut at the drain's deadline, and a process may go at once."""

import signal
import threading
import time

import frames
from client import Client
from frames import secure_h2
from wire import secure

HELLO = b"Hello, World!"


def test_what_is_under_way_completes(start):
    probe = start()
    answers = []
    clients = [Client(probe, protocol) for protocol in ("http/1.1", "h2")]
    threads = [threading.Thread(target=lambda c=client: answers.append(c.ask("/wait/700"))) for client in clients]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    probe.signal()
    for thread in threads:
        thread.join()
    assert [(answer.status, answer.content) for answer in answers] == [(200, HELLO)] * 2
    assert probe.wait() == 0
    assert "Traceback" not in probe.stderr() and "xception" not in probe.stderr()


def test_what_hangs_is_cut_at_the_deadline(start):
    probe = start(settings={"drain_timeout": "500ms"})
    with secure(probe) as peer, secure_h2(probe) as other:
        peer.send(b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
        other.headers(1, frames.request(path="/hang"))
        other.headers(3, frames.request(path="/wait/1000000"))
        other.headers(5, frames.request("POST", "/echo"), end=False)
        other.headers(7, frames.request("POST", "/inspect"), end=False)
        assert other.ping()
        time.sleep(0.2)
        probe.signal(signal.SIGINT)
        assert probe.wait() == 0


def test_an_idle_server_ends_at_once(start):
    probe = start()
    probe.signal()
    assert probe.wait() == 0


def test_a_long_answer_ends_with_the_server(start):
    probe = start(settings={"drain_timeout": "500ms"})
    with secure(probe) as peer:
        peer.send(b"GET /bytes/1000000000000 HTTP/1.1\r\nHost: a\r\n\r\n")
        peer.receive_until(lambda buffer: len(buffer) > 100_000)
        probe.signal()
        assert probe.wait() == 0
