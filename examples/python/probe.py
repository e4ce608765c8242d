"""The probe: a small server that shows everything the library does, for black-box checks. Here: start, signals, reload, stop.

Its options are probe_server/options.py, its routes probe_server/routes.py, its events probe_server/journal.py.
"""
import asyncio
import json
import os
import signal
import sys
import threading

import bartizan
from probe_server.journal import Journal, open_log
from probe_server.options import Options, refuse
from probe_server.routes import Probe

GLANCE = 0.02  # between two looks for a second signal while the server drains
STOP = 2.0  # most that a forced stop waits for the last events
FORCED = 130  # exit code of a forced stop: 128 + SIGINT, as shells count
TAKEN = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STOPS = (signal.SIGINT, signal.SIGTERM)


def run_on_loop(server: bartizan.Server) -> None:
    """Serves on an event loop in a thread of its own; returns when it accepts."""
    started = threading.Event()
    failure: list[BaseException] = []

    async def serve() -> None:
        try:
            async with server:
                started.set()
                await server.closed()
        except BaseException as error:
            failure.append(error)
            started.set()

    threading.Thread(target=lambda: asyncio.run(serve()), name="probe-loop", daemon=True).start()
    started.wait()
    if failure:
        raise failure[0]


def start(probe: Probe, options: Options) -> None:
    server = options.server(probe.handler())
    probe.server = server
    if options.events:
        server.on_connection(probe.journal.write_all)
        server.on_request_end(probe.journal.write_all)
    if options.mode == "queue":
        run_on_loop(server)
    else:
        server.start()
    options.close_descriptors()


def start_admin(probe: Probe, address: str) -> bartizan.Server:
    """A server of its own: what it serves is neither counted nor slowed by what the other one suffers."""
    admin = bartizan.Server(address, probe.serve_admin, io_threads=1, worker_threads=1)
    admin.start()
    return admin


def announce(servers: list[bartizan.Server], options: Options) -> None:
    schemes = ["http://" if listener.plaintext else "https://" for listener in options.listeners] + ["http://"]
    places = [place for server in servers for place in server.addresses]
    for scheme, place in zip(schemes, places):
        print(f"listening {place if place.startswith('unix:') else scheme + place}")
    print("ready", flush=True)


def reload(server: bartizan.Server, options: Options) -> None:
    """Everything is read and checked before anything is replaced."""
    try:
        fresh = [listener.tls() for listener in options.listeners]
        for index, tls in enumerate(fresh):
            if tls is not None:
                server.reload_tls(tls, index)
    except (bartizan.Error, OSError, ValueError) as error:
        print(f"reload failed: {' '.join(str(error).split())}", flush=True)
    else:
        print("reloaded", flush=True)


def await_stop(server: bartizan.Server, options: Options) -> None:
    while (received := signal.sigwait(TAKEN)) not in STOPS:
        if received == signal.SIGHUP:
            reload(server, options)


def drain(server: bartizan.Server) -> int:
    """0 when everything ended by itself, FORCED after a second signal."""
    server.stop()
    while not server.wait(GLANCE):
        received = signal.sigtimedwait(TAKEN, 0)
        if received is not None and received.si_signo in STOPS:
            server.stop(0)
            server.wait(STOP)
            return FORCED
    return 0


def main() -> int:
    # Taken by sigwait in the main thread; every thread inherits the mask. An ignored SIGINT, as background jobs of a shell
    # have, would never arrive.
    for number in TAKEN:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, TAKEN)
    options = Options.parse(sys.argv[1:])
    try:
        if options.print_settings:
            print(json.dumps(dict(options.server(None).settings)))
            return 0
        open_log(options.log)
        probe = Probe(options.mode, Journal(options.events))
        start(probe, options)
        servers = [probe.server] + ([start_admin(probe, options.admin)] if options.admin else [])
    except (bartizan.Error, OSError, ValueError, TypeError) as error:
        refuse(str(error))
    announce(servers, options)
    await_stop(probe.server, options)
    probe.journal.write({"event": "draining"})
    code = drain(probe.server)
    for admin in servers[1:]:
        admin.stop(0)
        admin.wait(STOP)
    if code:
        # A handler that does not return cannot be ended; the process can.
        sys.stdout.flush()
        os._exit(code)
    return code


if __name__ == "__main__":
    sys.exit(main())
