"""Table entries of four thousand octets that are named a thousand times, and strings whose Huffman code is as slow as can be."""

import frames
from frames import END_HEADERS, END_STREAM, HEADERS, frame

ROW, TITLE, IDS = 16, "HPACK bomb", "CVE-2016-6581, CVE-2022-41723"

# Of 30 bits each, but not allowed in a field: a quarter is padding of the same symbol, `~` of 13 bits.
LONG_CODE = 0x1FFD


def integer(value, prefix, first):
    octets = bytearray(frames._integer(value, prefix))
    octets[0] |= first
    return bytes(octets)


def huffman(count):
    """So many `~`: 13 bits each, and ones to the end of the octet."""
    bits = "".join(f"{LONG_CODE:013b}" for _ in range(count))
    bits += "1" * (-len(bits) % 8)
    octets = int(bits, 2).to_bytes(len(bits) // 8, "big")
    return integer(len(octets), 7, 0x80) + octets


def test_hpack_bomb(siege):
    with siege() as attack:
        # A thousand requests of nine thousand octets hang, each an object of the program's.
        attack.memory = 64
        request = frames.block(frames.request(path="/hang"))
        big = b"\x40\x01a" + integer(4000, 7, 0) + b"x" * 4000
        bombs, slow = [attack.settled_h2() for _ in range(10)], [attack.settled_h2() for _ in range(10)]
        attack.hold()
        before = attack.cpu()
        for peer in bombs:
            first = frame(HEADERS, END_STREAM | END_HEADERS, 1, request + big)
            peer.send(
                first
                + b"".join(
                    frame(HEADERS, END_STREAM | END_HEADERS, n, request + b"\xbe" * 10_000) for n in range(3, 203, 2)
                )
            )
        text = b"\0\x01b" + huffman(9000)
        for peer in slow:
            peer.send(b"".join(frame(HEADERS, END_STREAM | END_HEADERS, n, request + text) for n in range(1, 201, 2)))
        attack.play(bombs + slow, 2)
        spent = (attack.cpu() - before) / 20
        attack.note(f"{1000 * spent:.0f} ms of processor time each")
        attack.check(spent < 0.2, f"{spent:.3f} s of processor time for each")
        said = ("431", "GOAWAY ENHANCE_YOUR_CALM", "GOAWAY COMPRESSION_ERROR")
        ends = [f"{word}, {how}" for word in said for how in ("open", "closed", "reset")]
        attack.expect(bombs, ends)
        # 9000 octets are allowed; these requests hang, until there are too many.
        attack.expect(slow, ("open", "503, open", *ends))
