"""What a handler may return, and what becomes of everything else."""
import logging
from pathlib import Path

import bartizan
import pytest
from conftest import Serve, fetch, talk


def test_bytes_text_and_tuples_are_answers(serve: Serve) -> None:
    answers = {
        "/bytes": b"octets",
        "/text": "größe",
        "/pair": (201, b"made"),
        "/triple": (202, {"x-name": "value"}, b"taken"),
        "/pairs": (200, [("x-a", "1"), (b"x-a", b"2")], "two"),
        "/bytearray": bytearray(b"array"),
        "/view": memoryview(b"view"),
        "/response": bartizan.Response(418, {"x-pot": "tea"}, b"short"),
    }
    server = serve(lambda request: answers[request.path])
    assert fetch(server, "/bytes").body == b"octets"
    text = fetch(server, "/text")
    assert (text.body.decode(), text.headers["content-type"]) == ("größe", "text/plain; charset=utf-8")
    assert (fetch(server, "/pair").status, fetch(server, "/pair").body) == (201, b"made")
    triple = fetch(server, "/triple")
    assert (triple.status, triple.headers["x-name"], triple.body) == (202, "value", b"taken")
    assert fetch(server, "/pairs").headers.get_all("x-a") == ["1", "2"]
    assert fetch(server, "/bytearray").body == b"array"
    assert fetch(server, "/view").body == b"view"
    response = fetch(server, "/response")
    assert (response.status, response.headers["x-pot"], response.body) == (418, "tea", b"short")


def test_a_content_type_of_the_program_stays(serve: Serve) -> None:
    server = serve(lambda request: (200, {"Content-Type": "text/html"}, "<p>"))
    assert fetch(server).headers.get_all("content-type") == ["text/html"]


def test_a_large_body_arrives_whole(serve: Serve) -> None:
    large = bytes(range(256)) * 40_000
    server = serve(lambda request: large)
    assert fetch(server).body == large


def test_iterators_are_streamed(serve: Serve) -> None:
    server = serve(lambda request: (200, {}, (b"%d," % number for number in range(1000))))
    answer = fetch(server)
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.body == b"".join(b"%d," % number for number in range(1000))


def test_an_empty_iterator_is_an_empty_answer(serve: Serve) -> None:
    answer = fetch(serve(lambda request: iter(())))
    assert (answer.status, answer.body) == (200, b"")


def test_a_path_is_sent_with_its_length_and_type(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_bytes(b"x" * 300_000)
    answer = fetch(serve(lambda request: file))
    assert answer.body == file.read_bytes()
    assert (answer.headers["content-length"], answer.headers["content-type"]) == ("300000", "text/html")


@pytest.mark.parametrize("mode", ["workers", "inline"])
def test_a_path_that_cannot_be_read_is_a_500(
    serve: Serve, records: list[logging.LogRecord], tmp_path: Path, mode: str
) -> None:
    server = serve(lambda request: tmp_path / request.query, mode=mode)
    assert (fetch(server, "/?").status, fetch(server, "/?missing").status) == (500, 500)
    errors = [record.exc_info[1] for record in records if record.exc_info]
    assert [type(error) for error in errors] == [IsADirectoryError, FileNotFoundError]
    assert [error.filename for error in errors if isinstance(error, OSError)] == [str(tmp_path), str(tmp_path / "missing")]


@pytest.mark.parametrize(
    "answer",
    [None, 7, {"a": 1}, (200,), (200, {}, b"", b""), ("200", b""), (200, None, b""), (200, "text", b""), object()],
    ids=repr,
)
def test_nonsense_is_a_500_and_a_record(serve: Serve, records: list[logging.LogRecord], answer: object) -> None:
    assert fetch(serve(lambda request: answer)).status == 500
    assert [record.name for record in records] == ["bartizan"]
    assert records[0].exc_info is not None


@pytest.mark.parametrize(
    "headers", [{"connection": "close"}, {"content-length": "3"}, {"x": "a\r\nb"}, {"a b": "c"}, {"x": "\u20ac"}], ids=repr
)
def test_forbidden_headers_are_a_500(serve: Serve, records: list[logging.LogRecord], headers: dict[str, str]) -> None:
    assert fetch(serve(lambda request: (200, headers, b"abc"))).status == 500
    assert len(records) == 1


@pytest.mark.parametrize("status", [0, 99, 199, 600, 70000, -1])
def test_a_status_out_of_range_is_a_500(serve: Serve, status: int) -> None:
    assert fetch(serve(lambda request: (status, b""))).status == 500


def test_an_exception_is_a_500_with_its_traceback(serve: Serve, records: list[logging.LogRecord]) -> None:
    def handler(request: bartizan.Request) -> bytes:
        raise LookupError("no such thing")

    server = serve(handler)
    assert fetch(server, "/a?b").status == 500
    assert fetch(server, "/a?b").status == 500, "the worker lives on"
    assert records[0].getMessage() == "the handler failed on GET '/a?b'"
    assert records[0].exc_info is not None and records[0].exc_info[0] is LookupError


def test_abort_ends_the_exchange_without_a_record(serve: Serve, records: list[logging.LogRecord]) -> None:
    def handler(request: bartizan.Request) -> bytes:
        raise bartizan.Abort

    assert b"HTTP/" not in talk(serve(handler), b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    assert not records


def test_an_iterator_that_fails_at_once_is_a_500(serve: Serve, records: list[logging.LogRecord]) -> None:
    def pieces() -> object:
        raise LookupError
        yield b""

    assert fetch(serve(lambda request: pieces())).status == 500
    assert len(records) == 1


def test_an_iterator_that_fails_later_cuts_the_answer(serve: Serve, records: list[logging.LogRecord]) -> None:
    closed = []

    def pieces() -> object:
        try:
            yield b"first"
            raise LookupError
        finally:
            closed.append(True)

    received = talk(serve(lambda request: pieces()), b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    assert not received.endswith(b"0\r\n\r\n")
    assert len(records) == 1 and closed


def test_the_iterator_is_closed_when_the_peer_leaves(serve: Serve, records: list[logging.LogRecord]) -> None:
    from conftest import Latch, dial

    ended = Latch()

    def pieces() -> object:
        try:
            while True:
                yield b"x" * 65536
        finally:
            ended.put()

    with dial(serve(lambda request: pieces())) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert peer.recv(10)
    ended.get()
    assert not records, "a peer that leaves is no fault of the program"


def test_trailers_follow_the_content(serve: Serve) -> None:
    def handler(request: bartizan.Request) -> bartizan.Response:
        return bartizan.Response(200, {"trailer": "x-sum"}, [b"a", b"b"], trailers=lambda: {"x-sum": "2"})

    server = serve(handler)
    received = talk(server, b"GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: close\r\n\r\n")
    assert received.endswith(b"0\r\nx-sum: 2\r\n\r\n")
