"""A peer of each kind that attackers play, all at once against one probe: each phase is ended by its own clock, with its own
outcome and reason, while honest clients are served and uploads go through untouched."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import frames
from frames import secure_h2
from probe import Probe
from scenarios import LATE, SCENARIOS, SETTINGS
from wire import secure

# The honest upload: one megabyte a second.
UPLOAD, PIECE = 16 << 20, 1 << 17


class Honest(threading.Thread):
    """A client that asks for the hello on fresh connections all the while."""

    def __init__(self, probe):
        super().__init__()
        self.probe, self.slowest, self.answers, self.enough = probe, 0.0, 0, threading.Event()

    def run(self):
        while not self.enough.wait(0.1):
            began = time.monotonic()
            with secure(self.probe) as peer:
                assert peer.ask("/").content == b"Hello, World!"
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.answers += 1


def upload_over_http1(probe):
    with secure(probe) as peer:
        peer.send(f"POST /sink?max_body_bytes=off HTTP/1.1\r\nHost: localhost\r\nContent-Length: {UPLOAD}\r\n\r\n".encode())
        for _ in paced():
            assert peer.send(b"x" * PIECE)
        assert int(peer.response().content) == UPLOAD


def upload_over_http2(probe):
    with secure_h2(probe) as peer:
        peer.headers(1, frames.request("POST", "/sink?max_body_bytes=off"), end=False)
        frame = frames.frame(frames.DATA, 0, 1, b"x" * 16384)
        for _ in paced():
            for _ in range(PIECE // 16384):
                assert peer.read(lambda: peer.room(1) >= 16384, timeout=10), "window"
                peer.spend(1, 16384)
                assert peer.send(frame)
        peer.data(1, b"", end=True)
        assert int(peer.response(1).content) == UPLOAD


def paced():
    """One turn for each piece of a megabyte a second."""
    began = time.monotonic()
    for piece in range(UPLOAD // PIECE):
        time.sleep(max(0, began + piece * PIECE / 1e6 - time.monotonic()))
        yield piece


@pytest.fixture(scope="module")
def running(language, tmp_path_factory):
    """All scenarios, each in a thread of its own, against one probe; and the honest ones."""
    probe = Probe(language, tmp_path_factory.mktemp(language) / "events", settings=SETTINGS)
    honest = Honest(probe)
    honest.start()
    with ThreadPoolExecutor(len(SCENARIOS) + 2) as pool:
        futures = {scenario.play.__name__: pool.submit(scenario.run, probe) for scenario in SCENARIOS}
        for upload in (upload_over_http1, upload_over_http2):
            futures[upload.__name__] = pool.submit(upload, probe)
        yield futures, honest, probe
        honest.enough.set()
    honest.join()
    probe.close()


@pytest.mark.parametrize("name", [scenario.play.__name__ for scenario in SCENARIOS])
def test_a_phase_is_ended_by_its_own_clock(running, name):
    running[0][name].result(timeout=50)


@pytest.mark.parametrize("upload", [upload_over_http1, upload_over_http2])
def test_an_honest_upload_goes_through_meanwhile(running, upload):
    running[0][upload.__name__].result(timeout=50)


def test_honest_clients_are_served_meanwhile(running):
    futures, honest, _ = running
    for name, future in futures.items():
        assert future.exception(timeout=50) is None, name
    assert honest.answers > 20 and honest.slowest < LATE, (honest.answers, honest.slowest)


def test_the_numbers_add_up_afterwards(running):
    futures, _, probe = running
    for future in futures.values():
        future.exception(timeout=50)
    stats = probe.stats()
    assert stats["connections_accepted"] - stats["connections_closed"] == stats["connections_open"]
    assert stats["connections_open"] == sum(stats["phases"].values())
    assert stats["connections_closed"] == sum(stats["reasons"].values())
    assert stats["requests_started"] - stats["requests_ended"] == stats["requests_live"]
