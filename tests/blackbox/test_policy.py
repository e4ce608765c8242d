"""Both corpora, case by case: what is malformed or ambiguous is refused, nothing behind it is answered, and what is accepted
arrives exactly as it was sent."""

import hashlib
import json

import pytest

import corpus
import frames
from frames import clear_h2, secure_h2
from wire import clear, secure

# Answered or not, this tells whether something behind a case was taken for a request.
CANARY = b"GET /canary HTTP/1.1\r\nHost: canary\r\n\r\n"

HTTP1 = corpus.http1()
HTTP2 = corpus.http2()


def test_the_corpora_are_large_enough():
    assert len(HTTP1) >= 200
    assert len(HTTP2) >= 60


@pytest.mark.parametrize("case", HTTP1, ids=lambda case: case.name)
@pytest.mark.parametrize("delivery", ["at once", "in pieces", "over TLS"])
def test_an_http1_case_ends_as_the_corpus_says(shared, case, delivery):
    if delivery == "over TLS" and case.ends:
        # The end of a TLS stream is close_notify, which the clock suite covers.
        delivery = "at once"
    with secure(shared) if delivery == "over TLS" else clear(shared) as peer:
        octets = case.octets if case.ends else case.octets + CANARY
        peer.send(octets, drip=1 + len(octets) // 500 if delivery == "in pieces" else None)
        if case.ends:
            peer.end()
        ends = [check(peer, expected, "https" if delivery == "over TLS" else "http") for expected in case.expected]
        if ends[-1] == "open" and not case.last:
            assert peer.response().status == 404, "the canary, behind what was accepted"
        else:
            assert peer.await_end() != "reset"
            assert peer.buffer == b"", "something behind was answered"
    closed = shared.await_closed(peer)
    requests = shared.requests(closed["conn"])
    canaries = [request for request in requests if request["target"] == "/canary"]
    assert len(canaries) == (ends[-1] == "open" and not case.last and not case.ends)
    reasons = [request["reason"] for request in requests if request not in canaries]
    check_reasons(case, reasons)


def check(peer, expected, scheme):
    """Reads the answer to one request; returns whether the connection lives on."""
    response = peer.response(expected.method or "GET")
    if expected.kind == "cut":
        assert response is None or response.status == 400
        return "closed"
    if expected.kind in ("refused", "broken"):
        if response is None:
            assert expected.kind == "broken" and not expected.statuses
            return "closed"
        assert response.status in (expected.statuses or (400, 408))
        assert response.get("connection") == "close"
        return "closed"
    assert response is not None, f"{peer.ended} without an answer"
    if expected.kind == "answered":
        assert response.status in expected.statuses
        return "open"
    assert response.status == 200, response
    seen = json.loads(response.content)
    assert (seen["method"], seen["target"], seen["scheme"]) == (expected.method, expected.target, scheme)
    assert seen["headers"] == expected.fields
    check_content(seen, expected)
    return "open"


def check_content(seen, expected):
    digest = hashlib.sha256(expected.content).hexdigest()
    assert seen["body"] == {"length": len(expected.content), "sha256": digest}
    assert seen["trailers"] == expected.trailers


def check_reasons(case, reasons):
    """One end for each request: those that the program answered are complete, the last one says why it was refused.

    In any order: a refusal is over at once, an answer in front of it once it is taken.
    """
    wanted = [expected.kind for expected in case.expected]
    complete = sum(kind in ("accepted", "answered") for kind in wanted)
    assert reasons.count("complete") == complete
    others = [reason for reason in reasons if reason != "complete"]
    if "refused" in wanted:
        assert [reason.split(".")[0] for reason in others] == ["header"]
    elif "broken" in wanted:
        assert len(others) == 1 and (others[0].startswith("body.") or others[0] == "peer.closed")
    else:
        assert len(others) <= ("cut" in wanted)


# ---- HTTP/2 ----


@pytest.mark.parametrize("case", HTTP2, ids=lambda case: case.name)
@pytest.mark.parametrize("delivery", ["over TLS", "in pieces"])
def test_an_http2_case_ends_as_the_corpus_says(shared, case, delivery):
    preface = not case.bare
    if delivery == "in pieces" and case.octets.startswith(b"GET"):
        # In cleartext this is a request of HTTP/1.1, and welcome.
        delivery = "over TLS"
    with (secure_h2 if delivery == "over TLS" else clear_h2)(shared, preface=preface) as peer:
        scheme = "https" if delivery == "over TLS" else "http"
        octets = case.octets + frames.frame(
            frames.HEADERS, frames.END_STREAM | frames.END_HEADERS, 99, frames.block(frames.request(path="/canary"))
        )
        peer.send(octets, drip=1 + len(octets) // 200 if delivery == "in pieces" else None)
        ends = [check_stream(peer, expected, scheme) for expected in case.expected]
        if "closed" in ends:
            assert peer.streams.get(99) is None or not peer.stream(99).status, "the canary, behind the end"
        else:
            assert peer.response(99).status == 404, "the canary"
            assert not peer.goaways
    closed = shared.await_closed(peer)
    requests = {request["stream"]: request for request in shared.requests(closed["conn"])}
    assert (99 in requests and requests[99]["target"] == "/canary") == ("closed" not in ends)
    for expected in case.expected:
        ended = requests.get(expected.stream)
        if expected.kind in ("accepted", "answered"):
            assert ended["reason"] == "complete"
        elif ended:
            assert ended["reason"] != "complete"


def check_stream(peer, expected, scheme):
    """Reads what became of one stream; returns whether the connection lives on."""
    if expected.kind in ("goaway", "closed"):
        peer.await_end()
        codes = [code for _, code in peer.goaways]
        assert expected.kind == "closed" or codes[-1:] and codes[-1] in expected.statuses, codes
        return "closed"
    if expected.kind == "nothing":
        assert peer.ping()
        assert peer.stream(expected.stream) == frames.Stream()
        return "open"
    stream = peer.response(expected.stream)
    if expected.kind == "reset":
        assert stream.code in expected.statuses, (stream, peer.goaways)
        assert stream.status in (0, *range(400, 500))
    elif expected.kind == "refused":
        assert stream.status in expected.statuses, (stream, peer.goaways)
    elif expected.kind == "answered":
        assert stream.status in expected.statuses and stream.ended, stream
    else:
        assert stream.status == 200 and stream.ended, (stream, peer.goaways)
        seen = json.loads(stream.content)
        assert (seen["method"], seen["target"], seen["scheme"]) == (expected.method, expected.target, scheme)
        # What the case says beside what every request of the corpus has.
        assert [pair for pair in seen["headers"] if pair not in [["host", "localhost"]]] == [
            pair for pair in expected.fields if pair not in [["host", "localhost"]]
        ]
        check_content(seen, expected)
    return "open"
