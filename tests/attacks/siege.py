"""One attack on one server: its hostile sockets, the honest clients beside them, and the books of both.

The peers themselves are those of the black-box suite. What is particular to an attack is in its file.
"""

import json
import re
import select
import socket
import statistics
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from frames import H2, clear_h2, secure_h2
from wire import Peer, clear, secure

# A deadline is never early; how late it may be is a matter of the machine: two cores, and other attacks on them.
EARLY, LATE = 0.1, 3.0

ESTABLISHED = 1
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")
MIB = 1 << 20


class Foreign:
    """A server that is not ours: it has addresses, and perhaps a process id, but says nothing of itself."""

    def __init__(self, secure_address, clear_address, pid, wait):
        self.addresses = [address(clear_address) if clear_address else None, address(secure_address)]
        self.pid, self.wait = pid, wait

    def address(self, listener):
        return self.addresses[listener]

    def events(self):
        return []

    def close(self):
        pass


def address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


class Siege:
    """`with` one around an attack. In it, the attack opens peers, plays them, and says how they have to end; behind it, the
    books are closed: enough sockets were held, honest clients were served in their normal time, and memory stayed bounded.
    Nothing is asserted of a foreign server."""

    def __init__(self, target, row, language, record, large, upload):
        self.target, self.row, self.language, self.record = target, row, language, record
        self.large, self.upload = large, upload
        self.foreign = isinstance(target, Foreign)
        self.pid = target.pid if self.foreign else target.process.pid
        # Two threads of ours share the interpreter; the honest one must not wait for the other's turns.
        sys.setswitchinterval(0.001)
        self.opened, self.held, self.server_held = [], 0, 0
        self.endings = Counter()
        # What the caps allow of what is offered, and how many MiB the server may grow: an attack may say otherwise.
        self.allowed, self.memory = None, 24
        self.honest = Honest(target)
        self.refusals_allowed = False

    # ---- around the attack ----

    def __enter__(self):
        try:
            self.honest.before()
            self.memory_before = resident(self.pid, peak=False)
            forget_peak(self.pid)
            self.peak = self.memory_before
            self.honest.start()
        except BaseException:
            self.target.close()
            raise
        return self

    def __exit__(self, kind, error, _):
        try:
            self.honest.finish()
            self.peak = max(self.peak, resident(self.pid, peak=True))
            grown = (self.peak - self.memory_before) / MIB
            self.report(grown, error)
            if self.foreign:
                return error is not None and issubclass(kind, Exception)
            if error is None:
                self.close_books(grown)
            return False
        finally:
            for peer in self.opened:
                wire(peer).close()
            self.target.close()

    def close_books(self, grown):
        offered = len(self.opened)
        allowed = offered if self.allowed is None else self.allowed
        assert self.held >= allowed, f"{self.held} hostile sockets were held at once; the caps allow {allowed}"
        assert self.server_held >= allowed, f"the server had {self.server_held} connections; the caps allow {allowed}"
        self.honest.check(self.refusals_allowed)
        assert grown <= self.memory, f"grew by {grown:.1f} MiB, not {self.memory}"
        if self.target.process.poll() is None:
            reasons = self.target.stats()["reasons"]
            assert not reasons.get("internal"), reasons

    def report(self, grown, error):
        row = {
            "row": self.row.ROW,
            "title": self.row.TITLE,
            "ids": self.row.IDS,
            "server": "target" if self.foreign else self.language,
            "offered": len(self.opened),
            "held": self.held,
            "endings": self.endings.most_common(),
            "before": self.honest.median_before,
            "during": self.honest.median_during,
            "served": len(self.honest.during),
            "failed": len(self.honest.failures),
            "grown": round(grown, 1) if self.pid else None,
            "error": f"{type(error).__name__}: {error}".splitlines()[0][:100] if error else None,
        }
        self.record("attack", json.dumps(row))
        print(json.dumps(row))

    # ---- hostile peers ----

    def clear(self, **more):
        """A peer of the cleartext listener; where a foreign server has none, of the other one."""
        if self.target.address(0) is None:
            return self.secure(**more)
        return self._open(clear, **more)

    def tcp(self, **more):
        """A peer of the TLS listener that has not said anything."""
        return self._open(clear, listener=1, **more)

    def secure(self, alpn=("http/1.1",), **more):
        return self._open(secure, alpn=alpn, **more)

    def h2(self, **more):
        """An HTTP/2 peer over TLS."""
        return self._open(secure_h2, **more)

    def clear_h2(self, **more):
        if self.target.address(0) is None:
            return self.h2(**more)
        return self._open(clear_h2, **more)

    def settled_h2(self, **more):
        """One that has acknowledged SETTINGS: an acknowledgement would break a header block. Every fifth is over TLS, which costs
        this client most of its time and changes nothing for HTTP/2."""
        peer = self.clear_h2(**more) if len(self.opened) % 5 else self.h2(**more)
        peer.read(lambda: peer.settings_seen and peer.acknowledged)
        return peer

    def _open(self, kind, **more):
        return self.adopt(kind(self.target, **more))

    def adopt(self, peer):
        """A peer of another make is one of this attack's."""
        wire(peer).ended_at = None
        self.opened.append(peer)
        return peer

    def count(self):
        """Counts the hostile sockets that live, on both sides."""
        self.peak = max(self.peak, resident(self.pid, peak=True))
        alive = sum(is_alive(peer) for peer in self.opened)
        self.held = max(self.held, alive)
        if not self.foreign and self.target.process.poll() is None:
            self.server_held = max(self.server_held, self.target.stats()["connections_open"])
        return alive

    def hold(self):
        """Waits until all that may be held are, and honest clients have been served beside them."""
        allowed, served = self.allowed or len(self.opened), len(self.honest.during)
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            self.count()
            if len(self.honest.during) >= served + 2 and (self.foreign or self.server_held >= allowed):
                break
            time.sleep(0.03)

    def play(self, peers, limit, act=None, every=0.25, reads=True):
        """Lets peers `act` every so often and reads what comes, until all have ended or `limit` seconds are over. Peers that do
        not read are seen to end by their sockets."""
        limit = self.target.wait if self.foreign else limit
        self.played_at = time.monotonic()
        deadline, turn = self.played_at + limit, 0.0
        alive = {wire(peer).sock.fileno(): peer for peer in peers if not has_ended(peer)}
        poller = select.poll()
        for number in alive:
            poller.register(number, (select.POLLIN if reads else 0) | select.POLLRDHUP)
        while alive and time.monotonic() < deadline:
            if time.monotonic() >= turn:
                turn = time.monotonic() + every
                self.count()
                for peer in list(alive.values()) if act else ():
                    wire(peer).sock.settimeout(0.5)
                    try:
                        act(peer)
                    except OSError:
                        continue
            for number, flags in poller.poll(20):
                peer = alive[number]
                # What ended a peer that does not read is still to be told from a close: by reading, now that it is over.
                gone = flags & (select.POLLHUP | select.POLLERR | select.POLLRDHUP)
                if (reads or gone) and not read(peer):
                    wire(peer).ended_at = time.monotonic()
                    poller.unregister(number)
                    del alive[number]
        return not alive

    # ---- how they have to end ----

    def expect(self, peers, endings, after=None, reasons=()):
        """All peers have ended in one of these ways (`endings` of `ending`), not before `after` seconds and soon behind, for one of
        these reasons."""
        endings = (endings,) if isinstance(endings, str) else endings
        told = {peer: ending(peer) for peer in peers}
        self.endings.update(told.values())
        if self.foreign:
            return
        strange = Counter(text for text in told.values() if text not in endings)
        assert not strange, f"{strange}, not {endings}"
        for peer in peers if after is not None else ():
            end = wire(peer).ended_at
            lived, late = end - wire(peer).began, end - self.played_at - after
            assert lived >= after - EARLY, f"{told[peer]} after {lived:.2f} s, not {after} s"
            assert late <= LATE, f"{told[peer]} {late:.2f} s too late"
        if reasons:
            self.expect_reasons(peers, reasons)

    def expect_reasons(self, peers, reasons):
        """Their connections were closed for one of these."""
        if self.foreign:
            return
        reasons = (reasons,) if isinstance(reasons, str) else reasons
        counted = Counter(self.closes(peers).values())
        assert not set(counted) - set(reasons), f"{counted}, not {reasons}"

    def closes(self, peers, timeout=5.0):
        """The reason of each peer's connection, when all have been told."""
        wanted = {(wire(peer).name, wire(peer).listener) for peer in peers}
        since = min(wire(peer).mark for peer in peers)
        found, deadline = {}, time.monotonic() + timeout
        while True:
            # The honest client reads events too, and the list grows meanwhile.
            fresh = self.target.events()[since:]
            for event in fresh:
                key = event.get("peer"), event.get("listener")
                if event["event"] == "closed" and key in wanted:
                    found[key] = event["reason"]
            since += len(fresh)
            if len(found) == len(wanted):
                return found
            if time.monotonic() > deadline:
                # A program that is behind loses records, and the losses are counted.
                missing, lost = len(wanted) - len(found), self.lost()
                assert missing <= lost, f"{missing} closes of {len(wanted)} were not told, and {lost} records lost"
                return found
            time.sleep(0.02)

    def lost(self):
        """The records that the server has lost."""
        name = "bartizan_log_records_lost_total "
        return sum(int(line.split()[1]) for line in self.target.metrics().splitlines() if line.startswith(name))

    def check(self, truth, what):
        """Something else that holds of our own server."""
        assert self.foreign or truth, what

    def await_fall(self, key, most, what):
        """A number of the statistics falls to `most`: what the attack has ended the server ends when it comes to it."""
        deadline = time.monotonic() + LATE
        while self.stats().get(key, 0) > most and time.monotonic() < deadline:
            time.sleep(0.02)
        self.check(self.stats().get(key, 0) <= most, what)

    def note(self, text, count=1):
        """Something else that is told in the table."""
        if count:
            self.endings[text] += count

    def stats(self):
        return {} if self.foreign else self.target.stats()

    def requests(self, **wanted):
        """The ends of requests that have these values."""
        return [
            event
            for event in self.target.events()
            if event["event"] == "request" and all(event[key] == value for key, value in wanted.items())
        ]

    def cpu(self):
        """Seconds of processor time that the server has taken."""
        if not self.pid:
            return 0.0
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100


class Honest(threading.Thread):
    """A client that asks for the hello over and over, each time on a fresh connection over TLS, before and during the attack."""

    PAUSE = 0.05

    def __init__(self, target):
        super().__init__(daemon=True)
        self.target, self.enough = target, threading.Event()
        self.earlier, self.during, self.failures = [], [], []

    def ask(self):
        began = time.monotonic()
        with secure(self.target) as peer:
            response = peer.ask("/")
            assert response is not None and response.status < 400, response and response.status
        return time.monotonic() - began

    def before(self):
        # The first one pays for what is made once.
        self.ask()
        self.earlier = [self.ask() for _ in range(9)]

    def run(self):
        while not self.enough.wait(self.PAUSE):
            try:
                self.during.append(self.ask())
            except (OSError, AssertionError) as error:
                self.failures.append(f"{type(error).__name__}: {error}")

    def finish(self):
        self.enough.set()
        if self.is_alive():
            self.join(30)

    @property
    def median_before(self):
        return statistics.median(self.earlier)

    @property
    def median_during(self):
        return statistics.median(self.during) if self.during else None

    def check(self, refusals_allowed):
        assert self.during, "no honest client was served"
        assert refusals_allowed or not self.failures, f"{len(self.failures)} failed: {self.failures[:3]}"
        # Far below any deadline here, so that a client that has to wait for one shows; far above what a loaded machine does.
        bound = max(10 * self.median_before, self.median_before + 0.4)
        assert self.median_during <= bound, f"{self.median_during:.3f} s, and {self.median_before:.3f} s before"


# ---- peers of either kind ----


def wire(peer):
    return peer.peer if isinstance(peer, H2) else peer


def read(peer):
    """Reads what is there; False at the end."""
    try:
        if isinstance(peer, H2):
            peer.read(lambda: False, 0.001)
        else:
            peer.receive(0.001)
    except OSError:
        pass
    return not wire(peer).eof


def has_ended(peer):
    return wire(peer).eof


def is_alive(peer):
    """Whether the socket is connected both ways."""
    try:
        state = wire(peer).sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    except OSError:
        return False
    return state == ESTABLISHED and not has_ended(peer)


def ending(peer):
    """What the peer saw, and how its connection ended."""
    if isinstance(peer, H2):
        answers = Counter(str(s.status or s.code) for s in peer.streams.values() if s.status or s.code)
        said = [text for text, _ in answers.most_common(2)] if not peer.goaways else []
        said += [f"GOAWAY {peer.goaways[-1][1]}"] if peer.goaways else []
    else:
        statuses = STATUS.findall(peer.buffer)
        said = [statuses[-1].decode()] if statuses else ["bytes"] if peer.buffer else []
    return ", ".join([*said, wire(peer).ended if has_ended(peer) else "open"])


def resident(pid, peak):
    """Octets of the server's memory, now or at most."""
    if not pid:
        return 0
    name = "VmHWM:" if peak else "VmRSS:"
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return int(next((line.split()[1] for line in text.splitlines() if line.startswith(name)), 0)) * 1024


def forget_peak(pid):
    """Lets the kernel count the peak anew."""
    if pid:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
