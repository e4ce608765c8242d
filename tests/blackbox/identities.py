"""Certificates and keys of the tests, made fresh: two authorities that do not know each other, servers, clients."""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)


class Identities:
    """Files in one directory; `NAME.pem` and `NAME.key` of each."""

    def __init__(self, directory):
        self.directory = directory
        self.authority = self._authority("authority")
        self.stranger = self._authority("stranger")
        self.issue("localhost", self.authority)
        self.issue("a.test", self.authority)
        self.issue("b.test", self.authority)
        self.issue("client", self.authority, client=True)
        self.issue("taken back", self.authority, client=True)
        self.issue("foreign", self.stranger, client=True)

    def cert(self, name):
        return str(self.directory / f"{name}.pem")

    def key(self, name):
        return str(self.directory / f"{name}.key")

    def options(self, name):
        return ("--cert", self.cert(name), "--key", self.key(name))

    def der(self, name):
        pem = (self.directory / f"{name}.pem").read_bytes()
        return x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)

    def issue(self, name, authority, client=False, file=None):
        """A leaf of this name, signed by the authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = (
            self._builder(name, authority[0].subject, key)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        )
        self._write(file or name, builder.sign(authority[1], hashes.SHA256()), key)

    def authority_that_revokes(self, name):
        """A file with the authority's certificate, and its list of what it takes back: one certificate."""
        certificate, key = self.authority
        now = datetime.datetime.now(datetime.timezone.utc)
        revoked = x509.load_pem_x509_certificate((self.directory / f"{name}.pem").read_bytes()).serial_number
        entry = x509.RevokedCertificateBuilder().serial_number(revoked).revocation_date(now - DAY).build()
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(certificate.public_key())
        revocations = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(certificate.subject)
            .last_update(now - DAY)
            .next_update(now + DAY)
            .add_revoked_certificate(entry)
            .add_extension(x509.CRLNumber(1), critical=False)
            .add_extension(issuer, critical=False)
            .sign(key, hashes.SHA256())
        )
        file = self.directory / f"revokes-{name}.pem"
        both = (certificate, revocations)
        file.write_bytes(b"".join(part.public_bytes(serialization.Encoding.PEM) for part in both))
        return str(file)

    def _authority(self, name):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(name, subject, key).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        certificate = builder.sign(key, hashes.SHA256())
        self._write(name, certificate, key)
        return certificate, key

    @staticmethod
    def _builder(name, issuer, key):
        now = datetime.datetime.now(datetime.timezone.utc)
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + 30 * DAY)
        )

    def _write(self, name, certificate, key):
        (self.directory / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (self.directory / f"{name}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
