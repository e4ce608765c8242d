"""The eight of 2019, one kind of connection for each."""

import struct

import frames
from frames import CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PRIORITY, SETTINGS, WINDOW_UPDATE, frame

ROW, TITLE, IDS = 17, "The floods of 2019", "CVE-2019-9511 to -9518"

SETTINGS_OF_PROBE = {"write_idle_timeout": "2s", "flush_timeout": "2s", "header_timeout": "3s"}

MOST = b"\x7f\xff\x00\x00"


def request(path, number=1, flags=END_STREAM):
    return frame(HEADERS, flags | END_HEADERS, number, frames.block(frames.request(path=path)))


def dribble(large):
    return request(large) + frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\1") * 5000


def pings(_):
    return frame(PING, payload=b"12345678") * 20_000


def priorities(_):
    return b"".join(frame(PRIORITY, 0, n % 101 * 2 + 1, struct.pack(">IB", n % 97 * 2 + 3, 15)) for n in range(5000))


def resets(_):
    bad = frames.block([(":method", "GET"), (":path", "/"), ("x", "y"), (":scheme", "https")])
    return b"".join(frame(HEADERS, END_STREAM | END_HEADERS, n, bad) for n in range(1, 2001, 2))


def settings(_):
    return frame(SETTINGS, payload=struct.pack(">HI", 4, 65535)) * 5000


def empty_names(_):
    nothing = frames.block(frames.request(path="/hang")) + b"\0\0\0" * 1000
    return b"".join(frame(HEADERS, END_STREAM | END_HEADERS, n, nothing) for n in range(1, 401, 2))


def empty_frames(_):
    opened = frame(HEADERS, END_HEADERS, 1, frames.block(frames.request("POST", "/unread/4000")))
    return opened + frame(DATA, 0, 1) * 5000


def empty_continuations(_):
    return frame(HEADERS, END_STREAM, 1, frames.block(frames.request())) + frame(CONTINUATION, 0, 1) * 5000


FLOODS = (dribble, pings, priorities, resets, settings, empty_names, empty_frames, empty_continuations)


def test_floods_of_2019(siege):
    with siege(SETTINGS_OF_PROBE) as attack:
        attack.memory = 48
        peers = []
        for flood in FLOODS:
            initial = {"window": 0} if flood is dribble else {}
            peers += [(attack.settled_h2(**initial), flood) for _ in range(3)]
        # Internal buffering: windows as large as can be, many answers, and a socket that is not read.
        deaf = [attack.settled_h2(window=(1 << 31) - 1, receive_buffer=4096) for _ in range(5)]
        attack.hold()
        for peer, flood in peers:
            peer.send(flood(attack.large))
        for peer in deaf:
            peer.send(frame(WINDOW_UPDATE, 0, 0, MOST) + b"".join(request(attack.large, n) for n in range(1, 60, 2)))
        hostile = [peer for peer, _ in peers]
        attack.play(hostile, 4)
        said = ("GOAWAY ENHANCE_YOUR_CALM", "GOAWAY PROTOCOL_ERROR", "GOAWAY COMPRESSION_ERROR")
        attack.expect(
            hostile,
            [f"{text}, {how}" for text in said for how in ("closed", "reset")] + ["reset"],
            0,
            ("h2.glitches", "h2.resets", "h2.protocol", "header.bytes"),
        )
        attack.play(deaf, 6, reads=False)
        attack.expect(deaf, ("200, reset", "200, cut", "reset", "cut"), None, ("write.idle", "flush.timeout"))
        attack.await_fall("handlers_running", 1, "handlers were left behind")
