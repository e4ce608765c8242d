"""Sockets that ask for megabytes and read nothing: behind a tiny receive buffer, over TLS, and behind a window of zero."""

import frames
from siege import MIB, wire

ROW, TITLE, IDS = 3, "Slow read: answers that are not taken", "zero window, CVE-2019-9517"

SETTINGS = {"write_idle_timeout": "2s"}


def test_slow_read(siege):
    with siege(SETTINGS) as attack:
        attack.memory = 48
        get = f"GET {attack.large} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        peers = [attack.clear(receive_buffer=4096) for _ in range(80)]
        peers += [attack.secure(receive_buffer=4096) for _ in range(20)]
        for peer in peers:
            peer.send(get)
        framed = [attack.h2(window=0) for _ in range(10)]
        for peer in framed:
            peer.headers(1, frames.request(path=attack.large))
        attack.play(peers, 1, reads=False)
        kernel = unsent(peers, attack.target.address(0), attack.target.address(1))
        attack.note(f"{kernel // 1024} KiB of kernel memory each", 1)
        attack.check(kernel <= MIB // 2, f"the kernel holds {kernel} octets for each")
        attack.play(peers, 6, reads=False)
        attack.expect(peers, ("bytes, reset", "200, reset", "200, cut", "reset", "cut"), 2, "write.idle")
        attack.play(framed, 3)
        attack.expect(framed, "200, open")
        attack.check(all(peer.stream(1).code == "CANCEL" for peer in framed), "the stream was not reset")
        attack.check(len(attack.requests(reason="write.idle")) == len(peers + framed), "requests")


def unsent(peers, *servers):
    """What the kernel holds for the server's side of these sockets, on the average: unsent octets, from /proc/net/tcp."""
    ports = {int(wire(peer).name.rsplit(":")[1]) for peer in peers}
    served = {address[1] for address in servers if address}
    queued = []
    for line in open("/proc/net/tcp").readlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        if int(remote.split(":")[1], 16) in ports and int(local.split(":")[1], 16) in served:
            queued.append(int(queues.split(":")[0], 16))
    return sum(queued) // max(len(queued), 1)
