"""Everything that a Python program can do wrong with a request, one route each. What went wrong is told on stdout as
"WHAT TYPE: MESSAGE"; the suite compares."""

import asyncio
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "examples/ctypes"))

from server import Error, Identity, Server  # noqa: E402


def tell(what, call, *arguments):
    try:
        call(*arguments)
        print(what, "nothing: no error")
    except Error as error:
        print(what, f"{type(error).__module__}.{type(error).__name__}: {error}")


def twice(request):
    request.respond(200, [], b"first")
    tell("twice", request.respond, 200, [], b"second")


def throw(request):
    raise ValueError("thrown on purpose")


async def throw_later(request):
    await asyncio.sleep(0.01)
    raise ValueError("thrown later")


def stale(request):
    def late():
        tell("stale", request.respond, 200, [], b"second")
        tell("stale-read", lambda: request.target)

    request.respond(200, [], b"first")
    asyncio.get_running_loop().call_later(0.05, late)


def inject(request):
    tell("inject", request.respond, 200, [(b"x-a", b"b\r\nx-injected: c")])
    request.respond(200, [], b"well")


async def behind(request):
    request.begin(200, [], 5)
    await request.write(b"first")
    request.finish()
    tell("behind", request.write(b"second").send, None)


def configure(request):
    tell("key", Server, [], {"handshake_timeot": "2s"})
    tell("value", Server, [], {"handshake_timeout": "soon"})
    tell("address", Server, [("nowhere", None)])
    tell("nothing", Server, [])
    request.respond(200, [], b"well")


ROUTES = {
    b"/twice": twice,
    b"/throw": throw,
    b"/throw-later": throw_later,
    b"/forget": lambda request: None,
    b"/stale": stale,
    b"/inject": inject,
    b"/behind": behind,
    b"/configure": configure,
    b"/hang": lambda request: request.gone,
    b"/exit": lambda request: sys.exit(7),
}


async def route(request):
    answered = ROUTES.get(request.path, lambda request: request.respond(200, [], b"well"))(request)
    if answered is not None:
        await answered


async def main():
    server = Server([("127.0.0.1:0", None), ("127.0.0.1:0", Identity.self_signed("localhost"))])
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.shutdown)
    print(f"listening http://{server.address(0)}\nlistening https://{server.address(1)}\nready")
    await server.serve(route)

    # Behind the end.
    server.shutdown()
    await server.serve(route)
    print("ended", server.address(), bool(server.metrics()))


sys.stdout.reconfigure(line_buffering=True)
asyncio.run(main())
