"""TLS as Python sees it."""
import ssl
import subprocess
from pathlib import Path
from typing import Any

import bartizan
import httpx
import pytest
from conftest import fetch


def certificate(server: bartizan.Server) -> str:
    host, _, port = server.address.rpartition(":")
    return ssl.get_server_certificate((host, int(port)), timeout=10)


@pytest.fixture
def pem(tmp_path: Path) -> tuple[Path, Path]:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        + ["-subj", "/CN=a.example", "-addext", "subjectAltName=DNS:a.example", "-keyout", str(key), "-out", str(cert)],
        check=True,
        capture_output=True,
    )
    return cert, key


def test_requests_show_what_was_negotiated() -> None:
    shown: list[Any] = []

    def handler(request: bartizan.Request) -> bytes:
        shown.append((request.scheme, request.tls))
        return b"secure"

    server = bartizan.Server(handler=handler, tls=bartizan.Tls.self_signed("localhost"), io_threads=1)
    with server:
        assert server.url.startswith("https://")
        assert fetch(server).body == b"secure"
    scheme, tls = shown[0]
    assert scheme == "https" and tls.version == "TLSv1.3" and tls.suite.startswith("TLS_") and tls.group
    assert tls.resumed is False and tls.peer_certificates == () and tls.server_name is None


@pytest.mark.parametrize("form", ["path", "text", "bytes"])
def test_certificates_come_from_files_or_memory(pem: tuple[Path, Path], form: str) -> None:
    as_form = {"path": lambda path: path, "text": str, "bytes": Path.read_bytes}[form]
    tls = bartizan.Tls(*(as_form(path) for path in pem))
    with bartizan.Server(handler=lambda request: b"", tls=tls, io_threads=1) as server:
        assert certificate(server).strip() == pem[0].read_text().strip()


def test_reload_changes_the_identity(pem: tuple[Path, Path]) -> None:
    server = bartizan.Server(handler=lambda request: b"", tls=bartizan.Tls.self_signed("localhost"), io_threads=1)
    with pytest.raises(bartizan.ServerClosed):
        server.reload_tls(bartizan.Tls(*pem))
    with server:
        assert certificate(server).strip() != pem[0].read_text().strip()
        server.reload_tls(bartizan.Tls(*pem))
        assert certificate(server).strip() == pem[0].read_text().strip()
        with pytest.raises(bartizan.ConfigError):
            server.reload_tls(bartizan.Tls(*pem), 7)


def test_http2_is_served() -> None:
    def handler(request: bartizan.Request) -> Any:
        return 200, {"x-version": request.http_version, "x-stream": str(request.stream)}, request.body

    with bartizan.Server(handler=handler, tls=bartizan.Tls.self_signed("localhost"), io_threads=1) as server:
        with httpx.Client(http2=True, verify=False, timeout=10) as client:
            for length in (0, 10, 200_000):
                answer = client.post(server.url, content=b"x" * length)
                assert answer.http_version == "HTTP/2" and answer.headers["x-version"] == "2"
                assert len(answer.content) == length and int(answer.headers["x-stream"]) % 2 == 1
