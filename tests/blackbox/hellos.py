"""ClientHellos written by hand, for what no TLS library at hand can be told to offer."""

import struct

X25519MLKEM768, X25519, SECP256R1, SECP384R1 = 0x11EC, 0x001D, 0x0017, 0x0018

# Key shares that a server can work with: an ML-KEM-768 key of zeros is well-formed, and 9 is the base point of X25519.
SHARES = {X25519: b"\x09" + bytes(31), X25519MLKEM768: bytes(1184) + b"\x09" + bytes(31)}

HELLO_RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")


def vector(octets, width=2):
    return len(octets).to_bytes(width, "big") + octets


def extension(number, content):
    return struct.pack(">H", number) + vector(content)


def client_hello(groups, shares, name=b"localhost"):
    """One record of TLS 1.3, offering these groups, with key shares for some of them."""
    key_shares = b"".join(struct.pack(">H", group) + vector(SHARES[group]) for group in shares)
    extensions = b"".join(
        [
            extension(0, vector(b"\0" + vector(name))),
            extension(10, vector(b"".join(struct.pack(">H", group) for group in groups))),
            extension(13, vector(bytes.fromhex("04030804080508060401"))),
            extension(16, vector(vector(b"http/1.1", 1))),
            extension(43, vector(b"\x03\x04", 1)),
            extension(51, vector(key_shares)),
        ]
    )
    body = b"\x03\x03" + bytes(32) + vector(bytes(32), 1) + vector(b"\x13\x01\x13\x02\x13\x03") + vector(b"\0", 1)
    message = b"\x01" + vector(body + vector(extensions), 3)
    return b"\x16\x03\x01" + vector(message)


def records(hello, size):
    """The same message in records of so many octets each."""
    message = hello[5:]
    pieces = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + vector(piece) for piece in pieces)


def answer(octets):
    """(kind, group) of a server's first message: `hello`, `retry`, or `alert` with its number."""
    if octets[0] == 0x15:
        return "alert", octets[6]
    assert octets[0] == 0x16 and octets[5] == 2, octets[:16]
    random = octets[11:43]
    session = octets[43]
    at = 44 + session + 3
    end = at + 2 + int.from_bytes(octets[at : at + 2], "big")
    at += 2
    while at < end:
        number, length = struct.unpack(">HH", octets[at : at + 4])
        if number == 51:
            return "retry" if random == HELLO_RETRY else "hello", int.from_bytes(octets[at + 4 : at + 6], "big")
        at += 4 + length
    raise AssertionError("no key share")
