"""A running probe server: started with options, observed through its events and its admin listener, stopped by its process id.

The contract is that of the probe servers; nothing here knows the language behind it.
"""

import json
import os
import signal
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

from ports import free_port

LANGUAGES = ("c", "python", "rust")
ROOT = Path(__file__).resolve().parents[2]

# A loaded machine with two cores: an interpreter with a wheel takes its time.
START = 20.0
STOP = 20.0

# One listener of each kind, small pools: the suites test limits, not throughput.
LISTENERS = ("--listen", "127.0.0.1:0", "--plaintext", "--listen", "127.0.0.1:0", "--self-signed")
THREADS = ("--set", "io_threads=1", "--set", "worker_threads=4")

# Who starts the suite in its background ignores Ctrl-C, and what is ignored stays so in a program that is started from here: the
# Java runtime then does not listen for it.
signal.signal(signal.SIGINT, signal.default_int_handler)


def path(language):
    program = Path(os.environ.get("BARTIZAN_PROBE_DIR", ROOT / "target/probes")) / language / "probe"
    assert program.exists(), f"{program} is missing: make probes"
    return program


def run(language, *options, timeout=START):
    """Runs a probe that is expected to end by itself."""
    return subprocess.run(
        [path(language), *options], capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL
    )


def is_of(event, peer):
    """Whether an event tells of this peer. The kernel gives one port to two peers at once when they go to two listeners, and to
    one after another on the same: so the listener counts too, and the caller begins at the peer's mark."""
    return event["peer"] == peer.name and peer.listener in (None, event["listener"])


class Probe:
    """`settings` come before the first listener; `listeners` replace the usual two, cleartext and TLS. `keep` are descriptors that
    the probe inherits, `nofile` is how many it may have."""

    def __init__(
        self,
        language,
        events,
        *options,
        mode="inline",
        settings=None,
        listeners=LISTENERS,
        env=None,
        keep=(),
        nofile=None,
    ):
        self.language = language
        self.events_path = Path(events)
        # The contract does not print the admin listener's address.
        self.admin = f"127.0.0.1:{free_port()}"
        command = [path(language), "--mode", mode, *THREADS]
        for key, text in (settings or {}).items():
            command += ["--set", f"{key}={text}"]
        command += [*options, *listeners, "--events", str(events), "--admin", self.admin]
        if nofile:
            command = ["prlimit", f"--nofile={nofile}:{nofile}", *command]
        self._launch(command, env, keep)

    def _launch(self, command, env=None, keep=()):
        """Starts the program and waits until it serves."""
        self.stderr_path = self.events_path.with_suffix(".stderr")
        with self.stderr_path.open("wb") as stderr:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={**os.environ, **(env or {})},
                pass_fds=keep,
            )
        self.lines = []
        self._reading = threading.Lock()
        self._read = 0
        self._rest = b""
        self._output = b""
        try:
            self.urls = self._await_ready()
        except BaseException:
            self.close()
            raise

    def _await_ready(self):
        os.set_blocking(self.process.stdout.fileno(), False)
        text, deadline = b"", time.monotonic() + START
        while b"\nready\n" not in b"\n" + text:
            assert time.monotonic() < deadline, f"never ready: {text!r} {self.stderr()}"
            assert self.process.poll() is None, f"exit {self.process.returncode}: {self.stderr()}"
            text += self.process.stdout.read() or b""
            time.sleep(0.005)
        lines = text.decode().splitlines()
        assert lines[-1] == "ready", lines
        words = [line.split(" ") for line in lines[:-1]]
        assert all(len(pair) == 2 and pair[0] == "listening" for pair in words), lines
        return [pair[1] for pair in words]

    def next_line(self, timeout=5.0):
        """The next line of its output behind `ready`."""
        deadline = time.monotonic() + timeout
        while b"\n" not in self._output:
            assert time.monotonic() < deadline, f"nothing said within {timeout} s"
            self._output += self.process.stdout.read() or b""
            time.sleep(0.01)
        line, _, self._output = self._output.partition(b"\n")
        return line.decode()

    def address(self, listener):
        """(host, port) of a listener on TCP."""
        host, port = self.urls[listener].split("://")[1].rsplit(":", 1)
        return host.strip("[]"), int(port)

    def stderr(self):
        return self.stderr_path.read_text(errors="replace")

    # ---- what it says of itself ----

    def events(self):
        """All lines so far."""
        with self._reading:
            return self._events()

    def _events(self):
        if not self.events_path.exists():
            return self.lines
        with self.events_path.open("rb") as file:
            file.seek(self._read)
            text = file.read()
        self._read += len(text)
        *whole, self._rest = (self._rest + text).split(b"\n")
        self.lines += [json.loads(line) for line in whole]
        return self.lines

    def await_event(self, wanted, timeout=5.0, what="event", since=0):
        """The first line that `wanted` likes, not counting the first `since`."""
        deadline = time.monotonic() + timeout
        while True:
            for event in self.events()[since:]:
                if wanted(event):
                    return event
            assert time.monotonic() < deadline, f"no {what} within {timeout} s; last: {self.lines[-5:]}"
            time.sleep(0.002)

    def await_closed(self, peer, timeout=5.0):
        """The close of a peer's connection."""
        return self.await_event(
            lambda event: event["event"] == "closed" and is_of(event, peer),
            timeout,
            f"close of {peer.name}",
            since=peer.mark,
        )

    def has_closed(self, peer):
        """Whether it has said so."""
        return any(event["event"] == "closed" and is_of(event, peer) for event in self.events()[peer.mark :])

    def conn(self, peer):
        """The id of a peer's connection."""
        entered = self.await_event(
            lambda event: event["event"] == "entered" and is_of(event, peer), what=peer.name, since=peer.mark
        )
        return entered["conn"]

    def await_request(self, peer, reason, timeout=5.0):
        """The end of a request of this peer, with this reason."""
        conn = self.conn(peer)
        return self.await_event(
            lambda event: event["event"] == "request" and (event["conn"], event["reason"]) == (conn, reason),
            timeout,
            f"request of {peer.name} that ended with {reason}",
            since=peer.mark,
        )

    def requests(self, conn):
        """The ends of the requests of a connection."""
        return [event for event in self.events() if event["event"] == "request" and event["conn"] == conn]

    def stats(self):
        with urllib.request.urlopen(f"http://{self.admin}/stats", timeout=10) as answer:
            return json.load(answer)

    def metrics(self):
        with urllib.request.urlopen(f"http://{self.admin}/metrics", timeout=10) as answer:
            return answer.read().decode()

    # ---- the end ----

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def wait(self, timeout=STOP):
        """The exit status."""
        return self.process.wait(timeout)

    def close(self):
        """Twice the signal: at once, without waiting for peers."""
        for _ in range(2):
            if self.process.poll() is None:
                self.process.terminate()
                try:
                    self.process.wait(0.2)
                except subprocess.TimeoutExpired:
                    pass
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
        self.process.stdout.close()
