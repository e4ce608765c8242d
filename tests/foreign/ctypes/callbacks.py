"""Callbacks of C made by ctypes, registered while the collector works: the library holds a number, and the program holds what the
number stands for until drop gives it back. The last argument is the mode. Prints "ready" with the address, serves until SIGTERM,
and tells then what came back."""

import ctypes as ct
import gc
import signal
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "examples/ctypes"))

import binding as c  # noqa: E402
from server import reply, text  # noqa: E402

CANCELLED = ct.CFUNCTYPE(None, ct.c_void_p, ct.c_uint64, ct.c_uint32)
DROP = ct.CFUNCTYPE(None, ct.c_void_p)
REQUEST = ct.CFUNCTYPE(ct.c_int32, ct.c_void_p, ct.POINTER(c.bartizan_request_view))

for name, takes in {
    "config_handler": (ct.c_void_p, ct.c_uint32, ct.c_void_p, ct.c_void_p, ct.c_void_p, ct.c_void_p),
    "request_on_cancel": (ct.c_uint64, ct.c_void_p, ct.c_void_p, ct.c_void_p),
}.items():
    function = getattr(c._library, "bartizan_" + name)
    function.restype, function.argtypes = ct.c_int32, takes
    setattr(c, name, function)

held = {}
numbers = iter(range(1, 1 << 62))
dropped = 0


@DROP
def drop(number):
    global dropped
    del held[number]
    dropped += 1


def give(function):
    """The arguments that register a callback: itself, what names it, and how it comes back."""
    number = next(numbers)
    held[number] = function
    return ct.cast(function, ct.c_void_p), number, ct.cast(drop, ct.c_void_p)


def handle(_, view):
    view = view.contents
    asked = text(view.path)

    def cancelled(_, request, reason):
        pass

    c.check(c.request_on_cancel(view.request, *give(CANCELLED(cancelled))))
    c.check(c.respond(view.request, 200, None, 0, asked, len(asked)))
    return c.request_release(view.request)


def main():
    config, server = c.config_new(), ct.c_void_p()
    c.set_up(c.config_listen, config, b"127.0.0.1:0", None, None)
    c.set_up(c.config_handler, config, int(sys.argv[-1]), *give(REQUEST(handle)))
    c.set_up(c.server_start, config, ct.byref(server))
    c.config_free(config)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    print(f"listening http://{reply(lambda *room: c.server_address(server, 0, *room)).decode()}\nready", flush=True)
    while not stop.wait(0.01):
        gc.collect()
    c.server_shutdown(server, -1)
    c.check(c.server_wait(server, -1))
    c.server_free(server)
    print(f"dropped {dropped}, held {len(held)}", flush=True)


main()
