"""The openssl program as a hostile peer: what it does cannot be had from Python's `ssl`. Its octets go through a socket of ours, so
that they are counted like those of any other peer."""

import socket
import subprocess
import threading


class Relay:
    """`openssl s_client` with these options, on a peer that has only been connected. `type` gives it a line."""

    def __init__(self, peer, *options):
        self.peer, self.seen = peer, b""
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            self.process = subprocess.Popen(
                ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost", *options],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            server.settimeout(10)
            self.client, _ = server.accept()
        threading.Thread(target=self.pump, daemon=True).start()

    def pump(self):
        """From the program to the server, until the program goes."""
        try:
            while octets := self.client.recv(65536):
                if not self.peer.send(octets):
                    break
        except OSError:
            pass

    def drain(self):
        """From the server to the program: what the peer has read so far."""
        octets, self.peer.buffer = self.peer.buffer, b""
        self.seen += octets
        try:
            self.client.sendall(octets)
        except OSError:
            pass

    def type(self, text):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.client.close()
