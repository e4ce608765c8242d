"""TLS as Python sees it."""
import socket
import ssl
import subprocess
from pathlib import Path
from types import MappingProxyType
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


@pytest.mark.parametrize("names", [("not a name",), ("a\0b",), ("",), ("a", ""), ("x" * 64,)])
def test_a_self_signed_identity_is_for_names_and_addresses(names: tuple[str, ...]) -> None:
    with pytest.raises(bartizan.ConfigError, match="self-signed identity"):
        bartizan.Tls.self_signed(*names)
    bartizan.Tls.self_signed()
    bartizan.Tls.self_signed("*.a.example", "192.0.2.1", "::1")


def test_a_list_that_revokes_nothing_is_refused(pem: tuple[Path, Path]) -> None:
    # DER, nothing, and something else: with the check for revocation silently off each would be served.
    for crl in (b"\x30\x82", b"", pem[0]):
        with pytest.raises(bartizan.TlsError, match="crl: there is no PEM block X509 CRL in it"):
            bartizan.Tls(*pem, client_auth="required", client_ca=pem[0], crl=crl)


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


class Authority:
    """A certificate authority of the command line, which revokes too."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj")
        (folder / "ca.cnf").write_text(
            "[ca]\ndefault_ca=own\n[own]\ndatabase=index.txt\nserial=serial\nnew_certs_dir=.\ncertificate=ca.pem\n"
            "private_key=ca.key\ndefault_md=sha256\ndefault_days=2\ndefault_crl_days=2\ncrlnumber=serial\n"
            "crl_extensions=crl\npolicy=any\ncopy_extensions=copy\n"
            # Without an extension OpenSSL makes a list of version 1, which RFC 5280 does not know.
            "[any]\ncommonName=supplied\n[crl]\nauthorityKeyIdentifier=keyid:always\n"
        )
        (folder / "index.txt").touch()
        (folder / "serial").write_text("01\n")

    def run(self, *arguments: str) -> None:
        if arguments[-1] == "-subj":
            arguments += ("/CN=authority", "-keyout", "ca.key", "-out", "ca.pem")
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=self.folder)

    def issue(self, name: str, password: str = "") -> tuple[Path, Path]:
        # `req` would encrypt with triple DES, which nobody should be served with.
        secret = ["-aes-256-cbc", "-pass", f"pass:{password}"] if password else []
        self.run("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", *secret, "-out", f"{name}.key")
        self.run("req", "-new", "-key", f"{name}.key", "-passin", f"pass:{password}", "-subj", f"/CN={name}",
                 "-addext", f"subjectAltName=DNS:{name}", "-out", f"{name}.csr")
        self.run("ca", "-batch", "-config", "ca.cnf", "-in", f"{name}.csr", "-out", f"{name}.pem", "-notext")
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"

    def revoke(self, name: str) -> Path:
        self.run("ca", "-config", "ca.cnf", "-revoke", f"{name}.pem")
        self.run("ca", "-config", "ca.cnf", "-gencrl", "-out", "crl.pem")
        return self.folder / "crl.pem"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def ask(server: bartizan.Server, name: str = "localhost", certificate: tuple[Path, Path] | None = None) -> bytes:
    context = ssl._create_unverified_context()
    if certificate:
        context.load_cert_chain(*map(str, certificate))
    host, _, port = server.address.rpartition(":")
    received = b""
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        with context.wrap_socket(raw, server_hostname=name) as peer:
            peer.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            while piece := peer.recv(65536):
                received += piece
    return received


def test_clients_show_certificates_that_are_not_revoked(authority: Authority) -> None:
    good, bad = authority.issue("good.example"), authority.issue("bad.example")
    crl = authority.revoke("bad.example")
    shown: list[tuple[bytes, ...]] = []

    def handler(request: bartizan.Request) -> bytes:
        assert request.tls is not None
        shown.append(request.tls.peer_certificates)
        return b"known"

    cert, key = authority.issue("server.example")
    tls = bartizan.Tls(cert, key, client_auth="required", client_ca=authority.folder / "ca.pem", crl=crl)
    with bartizan.Server(handler=handler, tls=tls, io_threads=1, worker_threads=1) as server:
        assert ask(server, certificate=good).endswith(b"known")
        for refused in (None, bad):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                assert not ask(server, certificate=refused).endswith(b"known")
    # Behind the end: a client hears of its refusal before the connection is counted out.
    assert server.stats()["reasons"]["tls.client_cert"] == 2
    assert [len(chain) for chain in shown] == [1]
    assert shown[0][0] == ssl.PEM_cert_to_DER_cert(good[0].read_text())
    with pytest.raises(bartizan.ConfigError):
        bartizan.Tls(cert, key, client_auth="required")


def test_server_names_have_identities_and_settings(authority: Authority) -> None:
    one, two = authority.issue("one.example"), authority.issue("two.example")
    # Any mapping will do.
    names = MappingProxyType({"two.example": bartizan.Tls(*two), "*.deep.example": bartizan.Tls(*two)})
    tls = bartizan.Tls(*one, server_names=names)
    listener = bartizan.Listener("127.0.0.1:0", tls=tls, server_names={"two.example": {"max_target_bytes": 1}})
    with bartizan.Server(listener, handler=lambda request: b"named", io_threads=1, worker_threads=1) as server:
        host, _, port = server.address.rpartition(":")
        for name, expected in (("one.example", one), ("two.example", two), ("a.deep.example", two), ("x.example", one)):
            with socket.create_connection((host, int(port)), timeout=10) as raw:
                with ssl._create_unverified_context().wrap_socket(raw, server_hostname=name) as peer:
                    assert peer.getpeercert(True) == ssl.PEM_cert_to_DER_cert(expected[0].read_text()), name
        assert ask(server, "one.example").endswith(b"named")


def test_a_key_may_be_encrypted(authority: Authority) -> None:
    cert, key = authority.issue("locked.example", "secret")
    for password in ("secret", b"secret"):
        tls = bartizan.Tls(cert, key, password=password)
        with bartizan.Server(handler=lambda request: b"open", tls=tls, io_threads=1, worker_threads=1) as server:
            assert ask(server).endswith(b"open")
    for wrong in ("nonsense", None):
        with pytest.raises(bartizan.TlsError):
            bartizan.Tls(cert, key, password=wrong)


def test_servers_with_the_same_ticket_keys_resume_each_others_sessions(authority: Authority) -> None:
    pem, keys = authority.issue("shared.example"), [bytes(range(32))]
    context = ssl._create_unverified_context()
    session = None
    for turn in range(2):
        tls = bartizan.Tls(*pem, ticket_keys=keys, versions=["TLSv1.2"])
        with bartizan.Server(handler=lambda request: b"", tls=tls, io_threads=1, worker_threads=1) as server:
            host, _, port = server.address.rpartition(":")
            with socket.create_connection((host, int(port)), timeout=10) as raw:
                with context.wrap_socket(raw, server_hostname="shared.example", session=session) as peer:
                    assert peer.session_reused is bool(turn)
                    session = peer.session
    with pytest.raises(bartizan.ConfigError):
        bartizan.Tls(*pem, ticket_keys=[b"short"])
