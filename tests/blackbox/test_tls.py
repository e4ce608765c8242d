"""What is negotiated, what is refused with which alert and reason, who is asked for a certificate, which one is shown."""

import os
import shutil
import signal
import socket
import ssl
import subprocess

import pytest

import hellos
from hellos import SECP256R1, SECP384R1, X25519, X25519MLKEM768
from wire import clear, secure, tls_context

HANDSHAKE_FAILURE, PROTOCOL_VERSION, NO_APPLICATION_PROTOCOL = 40, 70, 120


def tls_listener(*options):
    return ("--listen", "127.0.0.1:0", "--plaintext", "--listen", "127.0.0.1:0", *options)


def first_answer(probe, hello, drip=None):
    """The server's first record, and the reason if it closes."""
    with clear(probe, listener=1) as peer:
        peer.send(hello, drip)
        peer.receive_until(lambda octets: len(octets) > 5 + int.from_bytes(octets[3:5], "big") - 1 > 4)
        found = hellos.answer(peer.buffer)
    return found, probe.await_closed(peer)["reason"]


# ---- groups ----


def test_the_hybrid_group_is_preferred(shared):
    for groups, shares in (
        ([X25519MLKEM768, X25519], [X25519MLKEM768, X25519]),
        ([X25519, X25519MLKEM768], [X25519, X25519MLKEM768]),
        ([X25519MLKEM768], [X25519MLKEM768]),
    ):
        found, _ = first_answer(shared, hellos.client_hello(groups, shares))
        assert found == ("hello", X25519MLKEM768), (groups, shares)


def test_a_peer_without_the_hybrid_group_gets_x25519(shared):
    found, _ = first_answer(shared, hellos.client_hello([X25519, SECP256R1], [X25519]))
    assert found == ("hello", X25519)


def test_a_peer_without_a_share_is_asked_again(shared):
    found, _ = first_answer(shared, hellos.client_hello([SECP256R1], []))
    assert found == ("retry", SECP256R1)


def test_a_p384_only_hello_is_refused(shared):
    found, reason = first_answer(shared, hellos.client_hello([SECP384R1], []))
    assert found == ("alert", HANDSHAKE_FAILURE)
    assert reason == "tls.no_group"


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_p384_only_openssl_is_refused(shared, version):
    mark = len(shared.events())
    host, port = shared.address(1)
    result = subprocess.run(
        ["openssl", "s_client", "-connect", f"{host}:{port}", "-groups", "P-384", version],
        input="",
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert "alert handshake failure" in result.stderr, result.stderr
    closed = shared.await_event(lambda event: event["event"] == "closed", since=mark)
    assert closed["reason"] == "tls.no_group"


def test_p384_is_there_when_it_is_named(start):
    probe = start(listeners=tls_listener("--self-signed", "--groups", "secp384r1"))
    context = tls_context()
    context.set_ecdh_curve("secp384r1")
    with secure(probe, context=context) as peer:
        assert peer.ask("/").status == 200
    assert probe.await_closed(peer)["tls"]["group"] == "secp384r1"


def test_the_group_is_told(shared):
    context = tls_context()
    context.set_ecdh_curve("prime256v1")
    with secure(shared, context=context) as peer:
        assert peer.ask("/").status == 200
    assert shared.await_closed(peer)["tls"]["group"] == "secp256r1"


# ---- presets ----


@pytest.mark.parametrize(
    ("policy", "version", "reason"),
    [
        ("intermediate", ssl.TLSVersion.TLSv1_3, None),
        ("intermediate", ssl.TLSVersion.TLSv1_2, None),
        ("intermediate", ssl.TLSVersion.TLSv1_1, "tls.no_version"),
        ("modern", ssl.TLSVersion.TLSv1_3, None),
        ("modern", ssl.TLSVersion.TLSv1_2, "tls.no_version"),
        ("pq-required", ssl.TLSVersion.TLSv1_3, "tls.no_group"),
        ("pq-required", ssl.TLSVersion.TLSv1_2, "tls.no_version"),
    ],
)
def test_a_preset_takes_what_it_says(start, policy, version, reason):
    probe = start(listeners=tls_listener("--self-signed", "--policy", policy))
    context = tls_context()
    # Old versions are out of reach of OpenSSL's own level.
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    if reason is None:
        with secure(probe, context=context) as peer:
            assert peer.ask("/").status == 200
        assert probe.await_closed(peer)["tls"]["version"] == {"TLSv1_3": "TLSv1.3", "TLSv1_2": "TLSv1.2"}[version.name]
    else:
        # A library that has the hybrid group by itself is kept from offering it.
        context.set_ecdh_curve("X25519")
        assert refused(probe, context) == reason


def test_pq_required_takes_the_hybrid_group_alone(start):
    probe = start(listeners=tls_listener("--self-signed", "--policy", "pq-required"))
    found, _ = first_answer(probe, hellos.client_hello([X25519, X25519MLKEM768], [X25519, X25519MLKEM768]))
    assert found == ("hello", X25519MLKEM768)
    found, reason = first_answer(probe, hellos.client_hello([X25519, SECP256R1], [X25519]))
    assert (found[0], reason) == ("alert", "tls.no_group")


@pytest.mark.parametrize("cipher", ["ECDHE-ECDSA-AES128-SHA256", "AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA"])
def test_only_suites_with_aead_and_forward_secrecy_are_taken(shared, cipher):
    context = tls_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"{cipher}:@SECLEVEL=0")
    # A hello without any suite of elliptic curves has no groups either.
    assert refused(shared, context) in ("tls.alert_sent", "tls.no_group")


def test_versions_and_suites_can_be_narrowed(start):
    probe = start(listeners=tls_listener("--self-signed", "--versions", "TLSv1.2", "--suites", ONE_SUITE))
    with secure(probe) as peer:
        assert peer.ask("/").status == 200
    tls = probe.await_closed(peer)["tls"]
    assert (tls["version"], tls["suite"]) == ("TLSv1.2", ONE_SUITE)


ONE_SUITE = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"


# ---- ALPN ----


def test_no_common_protocol_is_refused(shared):
    assert refused(shared, tls_context(alpn=("foo",))) == "tls.no_protocol"


def test_without_alpn_it_is_http1(shared):
    with secure(shared, alpn=()) as peer:
        assert peer.ask("/").status == 200


def test_http2_can_be_switched_off(start):
    probe = start(settings={"http2": "off"})
    with secure(probe, alpn=("h2", "http/1.1")) as peer:
        assert peer.sock.selected_alpn_protocol() == "http/1.1"
        assert peer.ask("/").status == 200
    with clear(probe) as peer:
        peer.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert peer.response().status in (400, 505)


# ---- names ----


def test_a_server_name_chooses_the_certificate(start, identities):
    names = [f"{name}={identities.cert(name)}:{identities.key(name)}" for name in ("a.test", "b.test")]
    options = (*identities.options("localhost"), "--sni", names[0], "--sni", names[1])
    probe = start(listeners=tls_listener(*options))
    for name in ("a.test", "b.test", "localhost"):
        context = ssl.create_default_context(cafile=identities.cert("authority"))
        context.set_alpn_protocols(["http/1.1"])
        with secure(probe, context=context, server_name=name) as peer:
            assert peer.sock.getpeercert(binary_form=True) == identities.der(name)
            assert peer.ask("/").status == 200
        assert probe.await_closed(peer)["tls"]["server_name"] == name


def test_a_name_that_nobody_serves_is_refused(start, identities):
    sni = f"a.test={identities.cert('a.test')}:{identities.key('a.test')}"
    probe = start(listeners=tls_listener("--sni", sni))
    assert refused(probe, tls_context(), server_name="b.test") == "tls.no_server_name"
    with secure(probe, server_name="a.test") as peer:
        assert peer.ask("/").status == 200


def test_a_limit_of_a_server_name_holds_there_only(start, identities):
    sni = f"a.test={identities.cert('a.test')}:{identities.key('a.test')}"
    probe = start(
        listeners=tls_listener(*identities.options("localhost"), "--sni", sni, "--set-sni", "a.test:max_header_fields=3")
    )
    for name, status in (("a.test", 431), ("localhost", 200)):
        with secure(probe, server_name=name) as peer:
            assert peer.ask("/", fields=["X: y"] * 3).status == status


# ---- client certificates ----


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("auth", ["optional", "required"])
def test_client_certificates_are_asked_for(start, identities, auth, version):
    options = ("--client-ca", identities.cert("authority"), "--client-auth", auth)
    probe = start(listeners=tls_listener(*identities.options("localhost"), *options))

    def context(name=None):
        context = tls_context()
        context.minimum_version = context.maximum_version = version
        if name:
            context.load_cert_chain(identities.cert(name), identities.key(name))
        return context

    with secure(probe, context=context("client")) as peer:
        assert peer.ask("/cert/0").content == identities.der("client")
        assert peer.ask("/cert/1").status == 404
    assert probe.await_closed(peer)["tls"]["peer_certificates"] == 1
    assert refused(probe, context("foreign")) == "tls.client_cert"
    if auth == "required":
        assert refused(probe, context()) == "tls.client_cert"
    else:
        with secure(probe, context=context()) as peer:
            assert peer.ask("/cert/0").status == 404


def test_a_client_certificate_that_was_revoked_is_refused(start, identities):
    authority = identities.authority_that_revokes("taken back")
    options = ("--client-ca", authority, "--client-auth", "optional")
    probe = start(listeners=tls_listener(*identities.options("localhost"), *options))
    good, revoked = tls_context(), tls_context()
    good.load_cert_chain(identities.cert("client"), identities.key("client"))
    revoked.load_cert_chain(identities.cert("taken back"), identities.key("taken back"))
    with secure(probe, context=good) as peer:
        assert peer.ask("/cert/0").content == identities.der("client")
    assert refused(probe, revoked) == "tls.client_cert"


# ---- sessions ----


def test_sessions_are_resumed(shared):
    context = tls_context()
    with secure(shared, context=context) as peer:
        peer.ask("/")
        session = peer.sock.session
    assert not shared.await_closed(peer)["tls"]["resumed"]
    host, port = shared.address(1)
    mark = len(shared.events())
    with socket.create_connection((host, port), timeout=10) as sock:
        with context.wrap_socket(sock, server_hostname="localhost", session=session) as tls:
            name = "{}:{}".format(*tls.getsockname())
            assert tls.session_reused
    closed = shared.await_event(lambda e: e["event"] == "closed" and (e["peer"], e["listener"]) == (name, 1), since=mark)
    assert closed["tls"]["resumed"]


def test_renegotiation_is_refused(shared):
    """CVE-2009-3555, CVE-2011-1473."""
    host, port = shared.address(1)
    command = ["openssl", "s_client", "-connect", f"{host}:{port}", "-tls1_2", "-legacy_renegotiation"]
    result = subprocess.run(command, input="R\n", capture_output=True, text=True, timeout=20)
    assert "no renegotiation" in result.stderr or "handshake failure" in result.stderr, result.stderr


# ---- malformed ----


@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_fragmented_hello_is_understood(shared, size):
    """CVE-2024-11738: a record for each octet."""
    hello = hellos.client_hello([X25519], [X25519])
    assert first_answer(shared, hellos.records(hello, size))[0] == ("hello", X25519)
    assert first_answer(shared, hellos.records(hello, size), drip=3)[0] == ("hello", X25519)


def test_plaintext_on_the_tls_port_gets_a_plain_400(shared):
    with clear(shared, listener=1) as peer:
        peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        response = peer.response()
        assert (response.status, response.get("connection")) == (400, "close")
        assert peer.await_end() == "closed"
    assert shared.await_closed(peer)["reason"] == "tls.plaintext"


@pytest.mark.parametrize(
    "octets",
    [
        b"\x16\x03\x01\x00\x05hello",
        b"\x16\x03\x01\xff\xff" + b"x" * 100,
        b"\x17\x03\x03\x00\x05hello",
        b"\x15\x03\x03\x00\x02\x01\x00",
        b"\x80\x2e\x01\x03\x01",
        bytes(200),
        b"\xff" * 200,
    ],
)
def test_what_is_no_client_hello_is_closed(shared, octets):
    with clear(shared, listener=1) as peer:
        peer.send(octets)
        peer.end()
        peer.await_end()
    assert shared.await_closed(peer)["reason"].startswith(("tls.", "peer."))
    with secure(shared) as peer:
        assert peer.ask("/").status == 200


# ---- change ----


def test_a_new_certificate_is_taken_without_a_restart(start, identities):
    for name in ("cert", "key"):
        shutil.copy(getattr(identities, name)("a.test"), getattr(identities, name)("changing"))
    probe = start(listeners=tls_listener(*identities.options("changing")))
    with secure(probe) as old:
        assert old.sock.getpeercert(binary_form=True) == identities.der("a.test")
        for name in ("cert", "key"):
            shutil.copy(getattr(identities, name)("b.test"), getattr(identities, name)("changing"))
        probe.signal(signal.SIGHUP)
        assert probe.next_line() == "reloaded"
        with secure(probe) as new:
            assert new.sock.getpeercert(binary_form=True) == identities.der("b.test")
        assert old.ask("/").status == 200, "who is connected stays"
        os.truncate(identities.cert("changing"), 100)
        probe.signal(signal.SIGHUP)
        assert probe.next_line().startswith("reload failed: ")
        with secure(probe) as new:
            assert new.sock.getpeercert(binary_form=True) == identities.der("b.test")


def refused(probe, context, server_name="localhost"):
    """Fails the handshake, by an alert, and returns the reason. A client of TLS 1.3 may hear of it only when it reads."""
    mark = len(probe.events())
    with socket.create_connection(probe.address(1), timeout=10) as sock:
        name = "{}:{}".format(*sock.getsockname())
        with pytest.raises(ssl.SSLError, match="(?i)alert|unrecognized_name") as raised:
            with context.wrap_socket(sock, server_hostname=server_name) as tls:
                tls.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                assert tls.recv(1000) == b"no alert"
        assert raised
    closed = probe.await_event(lambda e: e["event"] == "closed" and (e["peer"], e["listener"]) == (name, 1), since=mark)
    return closed["reason"]
