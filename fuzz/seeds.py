"""The inputs that each target starts from, written into a directory per target: the corpora of `tests/corpus`, what the black-box
suite sends, and a few headers and values. Nothing of it is kept in the repository twice."""

import random
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/blackbox"))

import corpus
import frames
import hellos

# The octets in front of an input: which limits, and where it is cut (`core/src/tests/fuzzing.rs`).
CHOICES = [b"\0\0", b"\0\1", b"\3\2", b"\x15\3"]


def served(number):
    """Likewise for connections: those of a case with this number, with a server at rest and with a restless one."""
    return bytes([number % 256, number % 4]), bytes([number * 7 % 256, 128 + number % 128])


V2 = b"\r\n\r\n\0\r\nQUIT\n"
PROXY = [
    b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\nGET / ",
    b"PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n",
    b"PROXY UNKNOWN whatever\r\n",
    V2 + b"\x20\0\0\0",
    V2 + b"\x21\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\2\xdc\4\1\xbb",
    V2 + b"\x21\x21\0\x24" + bytes(range(36)),
    V2 + b"\x21\x31\0\xd8" + bytes(216),
]


def floods():
    """Frames of HTTP/2 that are paid for, more of each than a small budget holds; answers that wait for window, and content that
    waits to be asked for."""
    get = frames.HEADERS, frames.END_STREAM | frames.END_HEADERS
    block = frames.block(frames.request())
    reset = frames.frame(frames.RST_STREAM, 0, 1, b"\0\0\0\x08")
    yield frames.frame(frames.PING, payload=bytes(8)) * 12
    yield frames.settings() * 12
    yield frames.settings(window=0) + frames.frame(*get, 1, block)
    yield frames.frame(frames.HEADERS, frames.END_HEADERS, 1, frames.block(frames.request("POST"))) + frames.frame(0, 0, 1) * 14
    opened = (frames.frame(*get, number, block) + reset[:5] + number.to_bytes(4, "big") + reset[9:] for number in range(1, 27, 2))
    yield b"".join(opened)
    fields = [("content-length", "5"), ("expect", "100-continue")]
    asked = frames.frame(frames.HEADERS, frames.END_HEADERS, 1, frames.block(frames.request("POST", fields=fields)))
    yield asked
    yield asked + frames.frame(frames.DATA, frames.END_STREAM, 1, b"hello")


VALUES = "10s 1.5s 1h30m 250ms 16KiB 1.5MiB 16kb 240B/s 1KiB/s 4096 off auto on true 0 v2 any 99999999999999999999 0.0001d".split()


def written():
    """(target, input) of every seed."""
    for number, case in enumerate(corpus.http1()):
        head, _, content = case.octets.partition(b"\r\n\r\n")
        for choices in served(number):
            yield "http1", choices + case.octets
        for choices in CHOICES:
            yield "head", choices + case.octets
            if b"chunked" in head.lower():
                yield "chunked", choices + content
        yield "differential", case.octets
    for number, case in enumerate(corpus.http2()):
        for choices in served(number):
            yield "http2", choices + case.octets
    for number, octets in enumerate(floods()):
        for restless in range(0, 128, 16):
            yield "http2", bytes([number + restless, 128 + restless]) + octets
    for header in PROXY:
        for version in range(3):
            yield "proxy", bytes([version, 1]) + header
    for row in range(64):
        for value in VALUES:
            yield "settings", bytes([row]) + value.encode()
    for groups in ([hellos.X25519], [hellos.X25519MLKEM768, hellos.X25519], [hellos.SECP384R1]):
        hello = hellos.client_hello(groups, groups[:1] if groups[0] in hellos.SHARES else [])
        for seed in range(8):
            yield "client_hello", bytes([0, seed]) + hello
            yield "client_hello", bytes([7, seed]) + hello[5:]
        yield "client_hello", b"\0\0" + hellos.records(hello, 100)
    yield "client_hello", b"\0\0GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    # Choices are just octets; these are the same in every run.
    dice = random.Random(1)
    for length in range(20, 420):
        yield "acts", dice.randbytes(length)
    for length in range(20, 220):
        yield "calls", dice.randbytes(length)


def write(directory):
    for number, (target, octets) in enumerate(written()):
        seeds = directory / target
        seeds.mkdir(parents=True, exist_ok=True)
        (seeds / f"{number:05}").write_bytes(octets)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
