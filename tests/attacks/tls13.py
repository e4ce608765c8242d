"""A client of TLS 1.3 that does what no library does: any record at any time. X25519 and AES-128-GCM only (RFC 8446); the server's
certificate and Finished are read and not judged."""

import hashlib
import hmac
import os
import struct

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from hellos import X25519, extension, records, vector

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION = 20, 21, 22, 23
CLOSE_NOTIFY, USER_CANCELED = bytes([1, 0]), bytes([1, 90])


def extract(salt, key):
    return hmac.digest(salt, key, "sha256")


def expand(secret, label, context=b"", length=32):
    info = struct.pack(">H", length) + vector(b"tls13 " + label, 1) + vector(context, 1)
    return HKDFExpand(SHA256(), length, info).derive(secret)


class Keys:
    """One direction of a connection."""

    def __init__(self, secret):
        self.secret, self.sequence = secret, 0
        self.cipher, self.iv = AESGCM(expand(secret, b"key", length=16)), expand(secret, b"iv", length=12)

    def nonce(self):
        nonce = int.from_bytes(self.iv, "big") ^ self.sequence
        self.sequence += 1
        return nonce.to_bytes(12, "big")

    def seal(self, kind, content):
        head = struct.pack(">BHH", APPLICATION, 0x0303, len(content) + 17)
        return head + self.cipher.encrypt(self.nonce(), content + bytes([kind]), head)

    def open(self, head, sealed):
        inner = self.cipher.decrypt(self.nonce(), sealed, head).rstrip(b"\0")
        return inner[-1], inner[:-1]

    def updated(self):
        return Keys(expand(self.secret, b"traffic upd"))


class Client:
    """Over a `wire.Peer` that has only been connected. Its hello goes out at once, in records of
    `size` octets; `finish` completes the handshake."""

    def __init__(self, peer, size=1 << 14):
        self.peer = peer
        self.private = X25519PrivateKey.generate()
        share = struct.pack(">H", X25519) + vector(self.private.public_key().public_bytes_raw())
        extensions = [
            extension(0, vector(b"\0" + vector(b"localhost"))),
            extension(10, vector(struct.pack(">H", X25519))),
            extension(13, vector(bytes.fromhex("04030804080508060401"))),
            extension(16, vector(vector(b"http/1.1", 1))),
            extension(43, vector(b"\x03\x04", 1)),
            extension(51, vector(share)),
        ]
        body = b"\x03\x03" + os.urandom(32) + vector(bytes(32), 1) + vector(b"\x13\x01") + vector(b"\0", 1)
        self.transcript = b"\x01" + vector(body + vector(b"".join(extensions)), 3)
        peer.send(records(b"\x16\x03\x01\0\0" + self.transcript, size))

    def record(self):
        """The next record: its kind, head and content."""
        self.peer.receive_until(lambda buffer: len(buffer) >= 5)
        length = int.from_bytes(self.peer.buffer[3:5], "big")
        self.peer.receive_until(lambda buffer: len(buffer) >= 5 + length)
        octets, self.peer.buffer = self.peer.buffer[: 5 + length], self.peer.buffer[5 + length :]
        assert len(octets) == 5 + length, f"the server went away: {self.peer.ended}"
        return octets[0], octets[:5], octets[5:]

    def digest(self):
        return hashlib.sha256(self.transcript).digest()

    def read_hello(self):
        """Reads the server's hello; from here on both sides have keys."""
        kind, _, hello = self.record()
        assert kind == HANDSHAKE and hello[0] == 2, hello[:16]
        self.transcript += hello
        share = hello[hello.index(struct.pack(">HHHH", 51, 36, X25519, 32)) + 8 :][:32]
        shared = self.private.exchange(X25519PublicKey.from_public_bytes(share))
        nothing = hashlib.sha256().digest()
        early = extract(bytes(32), bytes(32))
        self.handshake_secret = extract(expand(early, b"derived", nothing), shared)
        self.theirs = Keys(expand(self.handshake_secret, b"s hs traffic", self.digest()))
        self.ours = Keys(expand(self.handshake_secret, b"c hs traffic", self.digest()))

    def finish(self):
        self.read_hello()
        messages = b""
        # The last message of the server's flight is its Finished, of 36 octets.
        while not (len(messages) >= 36 and messages[-36:-32] == b"\x14\0\0\x20"):
            kind, head, content = self.record()
            if kind != CHANGE_CIPHER_SPEC:
                kind, content = self.theirs.open(head, content)
                assert kind == HANDSHAKE, (kind, content)
                messages += content
        self.transcript += messages
        verify = hmac.digest(expand(self.ours.secret, b"finished"), self.digest(), "sha256")
        master = extract(expand(self.handshake_secret, b"derived", hashlib.sha256().digest()), bytes(32))
        finished = self.ours.seal(HANDSHAKE, b"\x14" + vector(verify, 3))
        self.ours = Keys(expand(master, b"c ap traffic", self.digest()))
        self.theirs = Keys(expand(master, b"s ap traffic", self.digest()))
        self.peer.send(finished)

    def seal(self, content, kind=APPLICATION):
        return self.ours.seal(kind, content)

    def key_update(self):
        """A KeyUpdate that asks for none in return, and the step to the next key."""
        octets = self.seal(b"\x18\0\0\x01\0", HANDSHAKE)
        self.ours = self.ours.updated()
        return octets

    def alert(self):
        """The number of the alert that came last, or None."""
        found = None
        while len(self.peer.buffer) >= 5:
            kind, head, content = self.record()
            if kind == APPLICATION:
                kind, content = self.theirs.open(head, content)
            if kind == ALERT:
                found = content[1]
        return found
