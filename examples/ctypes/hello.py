"""The smallest server: one address, one answer, and a drain on Ctrl-C."""

import asyncio
import signal
import sys

from server import Identity, Server


async def hello(request):
    request.respond(200, [(b"content-type", b"text/plain")], b"Hello, World!\n")


async def main():
    address = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:8443"
    identity = Identity.self_signed("localhost", "127.0.0.1", "::1")
    server = Server([(address, identity)], {"handshake_timeout": "10s"})
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, server.shutdown)
    print(f"curl --insecure https://{server.address()}/", flush=True)
    await server.serve(hello)


asyncio.run(main())
