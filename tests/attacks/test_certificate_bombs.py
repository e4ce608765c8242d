"""Client certificates that cost more to judge than to send: many authorities of one name that sign each other, and one certificate
with thousands of names. No revocation list is read, so that there is none to crash on."""

import datetime
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from wire import tls_context

ROW, TITLE, IDS = 10, "Certificate bombs of clients", "RUSTSEC-2023-0053, RUSTSEC-2026-0104"

DAY = datetime.timedelta(days=1)


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(subject, issuer, key, signer, names=(), authority=False):
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False)
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def write(directory, file, key, *certificates):
    pem = directory / file
    encoded = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(b"".join(certificates) + encoded)
    return str(pem)


def test_certificate_bombs(siege, tmp_path):
    key, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = write(tmp_path, "ca.pem", other, certificate("ca", "ca", other, other, authority=True))
    # One key, one name: each of them can be the issuer of each, and none leads to the authority.
    maze = [certificate("maze", "maze", key, key, authority=True) for _ in range(24)]
    bombs = [
        write(tmp_path, "maze.pem", key, certificate("leaf", "maze", key, key), *maze),
        write(
            tmp_path,
            "names.pem",
            key,
            certificate("leaf", "ca", key, other, [f"{n}.example.test" for n in range(1500)]),
        ),
        write(
            tmp_path, "huge.pem", key, certificate("leaf", "ca", key, other, [f"{n}.example.test" for n in range(4000)])
        ),
    ]
    tls = ("--self-signed", "--client-ca", authority, "--client-auth", "optional")
    with siege(listeners=("--listen", "127.0.0.1:0", "--plaintext", "--listen", "127.0.0.1:0", *tls)) as attack:
        # Those that are no bomb, only large, may stay; the others are refused at once.
        attack.allowed = 10
        before, peers = attack.cpu(), []
        for number in range(30):
            context = tls_context()
            context.load_cert_chain(bombs[number % 3])
            try:
                peers.append(attack.secure(context=context))
            except OSError as error:
                attack.note(type(error).__name__)
        attack.hold()
        attack.play(peers, 5)
        spent = (attack.cpu() - before) / 30
        attack.note(f"{1000 * spent:.0f} ms of processor time each")
        attack.check(spent < 0.2, f"{spent:.3f} s of processor time for each")
        attack.endings.update(ending for ending in map(how, peers))
        if not attack.foreign:
            deadline = time.monotonic() + 5
            while attack.stats()["reasons"].get("tls.client_cert", 0) < 10 and time.monotonic() < deadline:
                time.sleep(0.05)
            reasons = attack.stats()["reasons"]
            attack.check(reasons.get("tls.client_cert", 0) >= 10, reasons)


def how(peer):
    return peer.ended if peer.eof else "open"
