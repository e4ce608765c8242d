"""More clients than the process has descriptors, some of them idle and some that say nothing."""

import resource
import time

ROW, TITLE, IDS = 23, "Descriptor exhaustion", "tokio #3529"

LIMIT = 96
SETTINGS = {"client_hello_timeout": "2s", "handshake_timeout": "2s", "header_timeout": "2s"}


def test_descriptors(siege):
    with siege(SETTINGS) as attack:
        if not attack.foreign:
            resource.prlimit(attack.pid, resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
        used = attack.stats().get("descriptors_open", 0)
        # Those that nobody has spoken on wait in the kernel; of the others, as many as there are descriptors for.
        attack.allowed = LIMIT - used - 8
        began, before = time.monotonic(), attack.cpu()
        idle = [attack.clear() for _ in range(150)]
        for peer in idle:
            peer.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        silent = [attack.tcp() for _ in range(50)]
        attack.play(idle + silent, 4)
        spent = (attack.cpu() - before) / (time.monotonic() - began)
        attack.note(f"{100 * spent:.0f} % of a core")
        attack.check(spent < 0.7, f"{spent:.2f} of a core: it spins")
        attack.endings.update("200" if b" 200 " in peer.buffer else "nothing" for peer in idle)
        # All of it is over: newcomers are served at once again.
        for peer in idle + silent:
            peer.close()
        attack.await_fall("connections_open", 2, "connections were left behind")
        again = attack.secure()
        attack.check(again.ask("/").status == 200, "it has not recovered")
