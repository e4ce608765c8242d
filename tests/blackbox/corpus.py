"""Reads the cases of `tests/corpus`; their form is told at the head of the files."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import frames

CORPUS = Path(__file__).resolve().parents[1] / "corpus"

ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "s": b" ", "0": b"\0", "\\": b"\\"}


def unescape(text):
    def octets(match):
        code = match.group(1)
        return (bytes([int(code[1:], 16)]) if code[0] == "x" else ESCAPES[code]).decode("latin-1")

    # Latin-1 is the identity on octets; the files themselves are ASCII.
    return re.sub(r"\\(x[0-9a-f]{2}|.)", octets, text).encode("latin-1")


@dataclass
class Expected:
    """What happens to one request of a case."""

    kind: str
    method: str = ""
    target: str = ""
    statuses: tuple = ()
    fields: list = field(default_factory=list)
    content: bytes = b""
    trailers: list = field(default_factory=list)
    stream: int | None = None


@dataclass
class Case:
    """`ends`: the peer sends nothing behind it. `last`: the connection ends. `bare`: without preface and SETTINGS."""

    name: str
    rfc: str = ""
    octets: bytes = b""
    ends: bool = False
    last: bool = False
    bare: bool = False
    expected: list = field(default_factory=list)


def blocks(name):
    """(name, lines) of each case; the name is without its word."""
    found = []
    for line in (CORPUS / name).read_text("ascii").splitlines():
        word, _, rest = line.partition(" ")
        if word == "case":
            found.append((rest, []))
        elif line and not line.startswith("#"):
            found[-1][1].append(line)
    names = [name for name, _ in found]
    assert len(set(names)) == len(names), sorted(name for name in names if names.count(name) > 1)
    return found


def expect(case, word, rest):
    """Takes a line that says what must happen; False if it says something else."""
    words = rest.split(" ")
    if word == "accepted":
        case.expected.append(Expected(word, method=words[0], target=unescape(words[1]).decode("latin-1")))
    elif word == "answered":
        case.expected.append(Expected(word, method=words[0], statuses=(int(words[1]),)))
    elif word in ("refused", "broken", "cut"):
        case.expected.append(Expected(word, statuses=tuple(int(status) for status in words if status)))
    elif word == "with" or word == "trailer":
        name, _, value = rest.partition(":")
        pair = [name, unescape(value.removeprefix(" ")).decode("latin-1")]
        (case.expected[-1].fields if word == "with" else case.expected[-1].trailers).append(pair)
    elif word == "content":
        case.expected[-1].content = unescape(rest)
    elif word == "last":
        case.last = True
    else:
        return False
    return True


def http1():
    cases = []
    for name, lines in blocks("http1.txt"):
        case = Case(name)
        for line in lines:
            word, _, rest = line.strip().partition(" ") if line.startswith("  ") else line.partition(" ")
            if word == "rfc":
                case.rfc = rest
            elif word == ">":
                case.octets += unescape(rest) + b"\r\n"
            elif word == "|":
                case.octets += unescape(rest)
            elif word == "*":
                times, _, text = rest.partition(" ")
                case.octets += unescape(text) * int(times)
            elif word == "end":
                case.ends = True
            else:
                assert expect(case, word, rest), f"{name}: {line}"
        assert case.rfc and case.expected, name
        cases.append(case)
    return cases


def http2():
    return [_http2_case(name, lines) for name, lines in blocks("http2.txt")]


def _http2_case(name, lines):
    """Its octets are without preface and SETTINGS."""
    case = Case(name)
    open_frame, stream = None, 1

    def flush():
        nonlocal open_frame
        if open_frame:
            kind, flags, number, fields = open_frame
            case.octets += frames.frame(kind, flags, number, frames.block(fields))
        open_frame = None

    for line in lines:
        word, _, rest = line.strip().partition(" ") if line.startswith("  ") else line.partition(" ")
        if word in (">", "*"):
            times, rest = rest.split(" ", 1) if word == "*" else (1, rest)
            open_frame[3].extend([_field(rest)] * int(times))
            continue
        if word == "+":
            times, _, text = rest.partition(" ")
            field_name, value = open_frame[3].pop()
            open_frame[3].append((field_name, value + unescape(text) * int(times)))
            continue
        flush()
        words = rest.split(" ")
        if word == "rfc":
            case.rfc = rest
        elif word == "bare":
            case.bare = True
        elif word == "octets":
            case.octets += unescape(rest)
        elif word in ("get", "post", "headers"):
            flags = frames.END_STREAM * ("end" in words) | frames.END_HEADERS * ("open" not in words)
            fields = [] if word == "headers" else frames.request(word.upper(), "/inspect")
            open_frame = (frames.HEADERS, flags, int(words[0]), fields)
        elif word == "continuation":
            open_frame = (frames.CONTINUATION, frames.END_HEADERS * ("open" not in words), int(words[0]), [])
        elif word == "data":
            number, _, text = rest.partition(" ")
            end = text == "end" or text.startswith("end ")
            text = text.removeprefix("end").removeprefix(" ") if end else text
            case.octets += frames.frame(frames.DATA, frames.END_STREAM * end, int(number), unescape(text))
        elif word == "frame":
            kind, flags, number, *text = rest.split(" ", 3)
            case.octets += frames.frame(
                int(kind, 16), int(flags, 16), int(number, 16), unescape(text[0] if text else "")
            )
        elif word == "stream":
            stream = int(rest)
        elif word in ("reset", "goaway", "closed", "nothing"):
            case.expected.append(Expected(word, statuses=tuple(code for code in words if code)))
        else:
            assert expect(case, word, rest), f"{name}: {line}"
        if case.expected and case.expected[-1].stream is None:
            case.expected[-1].stream = stream
    assert case.rfc and case.expected, name
    return case


def _field(text):
    """The colon of a pseudo-field is part of its name."""
    name, _, value = text[1:].partition(":")
    return unescape(text[0] + name), unescape(value.removeprefix(" "))
