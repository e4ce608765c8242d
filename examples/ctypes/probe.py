"""The routes of the probe contract that show a queue: whole answers, streams both ways, time, cancellation."""

import argparse
import asyncio
import hashlib
import json
import signal
import sys

from server import Error, Identity, Server

HELLO = b"Hello, World!"
TEXT = [(b"content-type", b"text/plain")]
OCTETS = [(b"content-type", b"application/octet-stream")]
JSON = [(b"content-type", b"application/json")]
METRICS = [(b"content-type", b"application/openmetrics-text; version=1.0.0; charset=utf-8")]
PIECE = bytes(64 * 1024)
STOP = (signal.SIGINT, signal.SIGTERM)


class BadValue(Exception):
    """A value of the target that does not parse: 400, with the reason."""


def number(octets, most):
    if not (octets.isdigit() and int(octets) <= most):
        raise BadValue(f"{octets.decode('latin-1')}: not a number from 0 to {most}")
    return int(octets)


def set_limits(request):
    """KEY=TEXT of the query sets a limit of this request."""
    for piece in filter(None, request.query.split(b"&")):
        key, equals, value = piece.partition(b"=")
        try:
            if not equals:
                raise ValueError("not KEY=TEXT")
            request.set(key, value)
        except (ValueError, Error) as error:
            raise BadValue(f"{piece.decode('latin-1')}: {error}") from None


def latin1(fields):
    return [[name.decode("latin-1"), value.decode("latin-1")] for name, value in fields]


async def inspect(request):
    digest, length = hashlib.sha256(), 0
    while piece := await request.read():
        digest.update(piece)
        length += len(piece)
    shown = ("method", "scheme", "authority", "target", "path", "query")
    seen = {name: getattr(request, name).decode("latin-1") for name in shown} | {
        "http": {10: "1.0", 11: "1.1", 20: "2"}[request.http_version],
        "headers": latin1(request.fields),
        "trailers": latin1(request.trailers()),
        "body": {"length": length, "sha256": digest.hexdigest()},
        "peer": request.peer,
        "local": request.local,
        "listener": request.listener,
        "conn": request.connection,
        "tls": request.tls,
    }
    request.respond(200, JSON, json.dumps(seen).encode())


async def echo(request):
    # The answer begins with the first content, not before: until then a 408 or 413 can still be sent.
    piece = await request.read()
    request.begin(200, OCTETS, request.content_length)
    while piece:
        await request.write(piece)
        piece = await request.read()
    request.finish()


async def zeros(request, count):
    request.begin(200, OCTETS, count)
    while count:
        piece = PIECE[:count]
        await request.write(piece)
        count -= len(piece)
    request.finish()


class Probe:
    """The handler."""

    def __init__(self, server):
        self.server = server

    async def serve(self, request):
        try:
            await self.route(request)
        except BadValue as why:
            request.respond(400, TEXT, f"{why}\n".encode())
        except Error as error:
            # The exchange is over, and the library has said why.
            if error.status != "E_CANCELLED":
                raise

    async def route(self, request):
        path, get = request.path, request.method in (b"GET", b"HEAD")
        if path == b"/" and get:
            request.respond(200, TEXT, HELLO)
        elif path == b"/inspect":
            await inspect(request)
        elif path == b"/echo":
            await echo(request)
        elif path.startswith(b"/bytes/") and get:
            count = number(path[7:], 2**63 - 1)
            set_limits(request)
            await zeros(request, count)
        elif path.startswith(b"/wait/") and get:
            await asyncio.wait([request.over], timeout=number(path[6:], 2**31 - 1) / 1000)
            request.respond(200, TEXT, HELLO)
        elif path == b"/hang" and get:
            await request.gone
        elif path == b"/metrics" and get:
            request.respond(200, METRICS, self.server.metrics())
        else:
            request.respond(404, TEXT, b"not found\n")


class Parser(argparse.ArgumentParser):
    def error(self, message):
        refuse(message)


def refuse(why):
    print("probe:", " ".join(str(why).splitlines()), file=sys.stderr)
    sys.exit(2)


class ListenerOption(argparse.Action):
    """--self-signed and --plaintext are about the listener before them."""

    def __call__(self, parser, options, value, option=None):
        if not options.listen:
            parser.error(f"{option} stands behind its --listen")
        names = (value or "localhost,127.0.0.1,::1").split(",")
        options.identities[len(options.listen) - 1] = names if option == "--self-signed" else None


def parse():
    parser = Parser(prog="probe", allow_abbrev=False)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=TEXT")
    parser.add_argument("--listen", action="append", default=[], required=True, metavar="ADDR")
    parser.add_argument("--self-signed", action=ListenerOption, nargs="?", metavar="NAME,NAME")
    parser.add_argument("--plaintext", action=ListenerOption, nargs=0)
    parser.set_defaults(identities={})
    options = parser.parse_args()
    for pair in options.set:
        if "=" not in pair:
            parser.error(f"--set {pair}: expected KEY=TEXT")
    return options


async def main(options):
    names = [options.identities.get(index) for index in range(len(options.listen))]
    try:
        listeners = [
            (where, Identity.self_signed(*listed) if listed else None) for where, listed in zip(options.listen, names)
        ]
        server = Server(listeners, dict(pair.split("=", 1) for pair in options.set))
    except Error as error:
        refuse(error)
    loop = asyncio.get_running_loop()

    def stop():
        server.shutdown()
        # A second signal ends the process at once.
        for number in STOP:
            loop.remove_signal_handler(number)

    for number in STOP:
        loop.add_signal_handler(number, stop)
    for index, listed in enumerate(names):
        print(f"listening {'https' if listed else 'http'}://{server.address(index)}")
    print("ready", flush=True)
    await server.serve(Probe(server).serve)


asyncio.run(main(parse()))
