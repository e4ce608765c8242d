"""HTTPS in fifteen lines: python hello.py, then curl --insecure https://127.0.0.1:8443/. Ctrl-C lets what is in flight finish."""
import sys

import bartizan

server = bartizan.Server(
    sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:8443",
    tls=bartizan.Tls.self_signed("localhost", "127.0.0.1", "::1"),
    handshake_timeout=10.0,
)


@server.on_request
def hello(request: bartizan.Request) -> bartizan.Answer:
    return 200, {"content-type": "text/plain"}, b"Hello, World!\n"


server.run()
