"""Start, stop, wait, signals, fork, exit."""
import gc
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import weakref

import bartizan
import pytest
from conftest import Latch, Serve, dial, fetch


def test_a_with_block_starts_and_stops() -> None:
    server = bartizan.Server(io_threads=1, handler=lambda request: b"ok")
    assert not server.running
    with server as same:
        assert same is server and server.running
        assert server.url == f"http://{server.address}" and server.addresses == (server.address,)
        assert fetch(server).body == b"ok"
        address = server.address
    assert not server.running and server.address == address
    with pytest.raises(OSError):
        socket.create_connection(tuple(address.split(":")), timeout=1).close()


def test_a_server_starts_once() -> None:
    server = bartizan.Server(io_threads=1, handler=lambda request: b"ok")
    with pytest.raises(bartizan.ServerClosed):
        server.wait()
    with pytest.raises(bartizan.ServerClosed):
        server.url
    server.stop()
    with server:
        with pytest.raises(RuntimeError):
            server.start()
        with pytest.raises(RuntimeError):
            server.on_request(lambda request: b"")
    assert server.wait() is True
    server.stop()
    with pytest.raises(RuntimeError):
        server.start()


def test_stop_drains_and_a_second_one_hastens(serve: Serve) -> None:
    going, leave = Latch(), threading.Event()

    def handler(request: bartizan.Request) -> bytes:
        going.put()
        leave.wait(10)
        return b"finished"

    server = serve(handler)
    with dial(server) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        going.get()
        server.stop()
        assert server.wait(0.2) is False and server.running
        leave.set()
        assert b"finished" in peer.recv(1000)
        assert server.wait(10) is True and not server.running


def test_wait_knows_a_handler_that_still_runs(serve: Serve) -> None:
    going, leave = Latch(), threading.Event()

    def handler(request: bartizan.Request) -> bytes:
        going.put()
        leave.wait(10)
        return b""

    server = serve(handler)
    with dial(server) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        going.get()
        server.stop(0)
        assert server.wait(0.3) is False
        leave.set()
        assert server.wait(10) is True


def test_a_handler_cannot_wait_for_its_own_server() -> None:
    server = bartizan.Server(io_threads=1)

    @server.on_request
    def handler(request: bartizan.Request) -> str:
        try:
            server.wait()
        except RuntimeError:
            return "refused"
        return "waited"

    with server:
        assert fetch(server).body == b"refused"


@pytest.mark.parametrize("mode", ["workers", "inline"])
def test_an_ended_server_is_collected_with_its_handler(mode: str) -> None:
    def make() -> "weakref.ref[bartizan.Server]":
        server = bartizan.Server(mode=mode, io_threads=1)

        @server.on_request
        def handler(request: bartizan.Request) -> str:
            return str(server.running)

        @server.on_request_end
        def told(events: object) -> None:
            assert server.stats()

        with server:
            assert fetch(server).body == b"True"
        return weakref.ref(server)

    gone = make()
    gc.collect()
    assert gone() is None


def test_several_listeners_and_given_sockets(tmp_path: object) -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        path = f"{tmp_path}/socket"
        server = bartizan.Server(
            ["127.0.0.1:0", f"unix:{path}", given.fileno(), bartizan.Listener("127.0.0.1:0", idle_timeout=1)],
            lambda request: str(request.listener),
            io_threads=1,
        )
        with server:
            assert len(server.addresses) == 4 and server.addresses[1] == f"unix:{path}"
            with socket.socket(socket.AF_UNIX) as peer:
                peer.connect(path)
                peer.sendall(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
                assert peer.recv(1000).endswith(b"1")
            with socket.create_connection(given.getsockname()) as peer:
                peer.sendall(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
                assert peer.recv(1000).endswith(b"2")


def test_a_child_cannot_use_the_parents_server(serve: Serve) -> None:
    server = serve(lambda request: b"ok")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            server.stop(0)
        except RuntimeError:
            code = 0
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert fetch(server).body == b"ok"


def python(source: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(source)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


RUN = """
import bartizan, sys, threading, time
def handler(request):
    if request.path == "/slow":
        print("slow", flush=True)
        time.sleep({slow})
    return b"ok"
server = bartizan.Server(handler=handler, io_threads=1, worker_threads=2)
@server.on_connection
def told(events): pass
def tell():
    while not server.running: time.sleep(0.01)
    print(server.address, flush=True)
threading.Thread(target=tell, daemon=True).start()
server.run()
print("ended", flush=True)
"""


ON_LOOP = (
    RUN.replace("threading, time", "threading, time, asyncio")
    .replace("def handler", "async def handler")
    .replace("time.sleep({slow})", "await asyncio.sleep({slow})")
)
runs = pytest.mark.parametrize("run", [RUN, ON_LOOP], ids=["workers", "loop"])


def connect(process: "subprocess.Popen[str]") -> socket.socket:
    assert process.stdout is not None
    host, _, port = process.stdout.readline().strip().rpartition(":")
    return socket.create_connection((host, int(port)), timeout=10)


@runs
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_ends_with_a_signal_and_open_connections(number: int, run: str) -> None:
    process = python(run.format(slow=0))
    with connect(process) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert b"ok" in peer.recv(1000)
        process.send_signal(number)
        out, errors = process.communicate(timeout=10)
    assert (process.returncode, out, errors) == (0, "ended\n", "")


@runs
def test_a_request_in_flight_is_finished_after_the_first_signal(run: str) -> None:
    process = python(run.format(slow=1))
    with connect(process) as peer:
        peer.sendall(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n")
        assert process.stdout is not None and process.stdout.readline() == "slow\n"
        process.send_signal(signal.SIGINT)
        assert peer.recv(1000).endswith(b"ok")
        process.communicate(timeout=10)
    assert process.returncode == 0


@runs
def test_the_second_signal_forces(run: str) -> None:
    process = python(run.format(slow=600))
    with connect(process) as peer:
        peer.sendall(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n")
        assert process.stdout is not None and process.stdout.readline() == "slow\n"
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        try:
            assert b"ok" not in peer.recv(1000)
        except ConnectionResetError:
            pass
        process.communicate(timeout=10)
    assert process.returncode not in (0, 1)


def test_an_interrupted_loop_does_not_drain() -> None:
    own = ON_LOOP.replace("server.run()", "server.run(install_signal_handlers=False)")
    # A shell starts what runs in its background with SIGINT ignored.
    process = python("import signal; signal.signal(signal.SIGINT, signal.default_int_handler)" + own.format(slow=60))
    with connect(process) as peer:
        peer.sendall(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n")
        assert process.stdout is not None and process.stdout.readline() == "slow\n"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
    assert process.returncode not in (0, 1)


@pytest.mark.parametrize("mode", ["workers", "inline"])
def test_the_interpreter_exits_with_connections_open(mode: str) -> None:
    source = """
    import bartizan, socket
    server = bartizan.Server(handler=lambda request: b"ok", mode="%s", io_threads=2)
    server.start()
    host, port = server.address.split(":")
    peers = [socket.create_connection((host, int(port))) for _ in range(5)]
    for peer in peers:
        peer.sendall(b"GET / HTTP/1.1\\r\\nhost: a\\r\\n\\r\\n")
        assert b"ok" in peer.recv(1000)
    print("exit", flush=True)
    """
    process = python(source % mode)
    out, errors = process.communicate(timeout=10)
    assert (process.returncode, out, errors) == (0, "exit\n", "")


ENDLESS = {
    "a handler": """
        def handler(request):
            while True: time.sleep(0.001)
        server = bartizan.Server(handler=handler, io_threads=1, worker_threads=1)
        server.start()
        request()
        """,
    "an inline handler": """
        def handler(request):
            while True: pass
        server = bartizan.Server(handler=handler, mode="inline", io_threads=1, inline_stall=None)
        server.start()
        request()
        """,
    "a hook": """
        server = bartizan.Server(handler=lambda request: b"", io_threads=1, worker_threads=1)
        @server.on_connection
        def told(events):
            while True: time.sleep(0.001)
        server.start()
        request()
        """,
    "waits": """
        server = bartizan.Server(handler=lambda request: b"", io_threads=1, worker_threads=1)
        server.start()
        for _ in range(4): threading.Thread(target=server.wait, daemon=True).start()
        """,
    "a loop": """
        async def handler(request): await asyncio.sleep(60)
        server = bartizan.Server(handler=handler, io_threads=1)
        async def main():
            async with server: await server.closed()
        threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start()
        while not server.running: time.sleep(0.01)
        request()
        """,
}


@pytest.mark.parametrize("what", ENDLESS)
def test_what_never_returns_does_not_run_into_the_end_of_the_interpreter(what: str) -> None:
    source = """
        import asyncio, bartizan, logging, socket, threading, time
        logging.disable()
        def request():
            host, _, port = server.address.rpartition(":")
            threading.peer = socket.create_connection((host, int(port)))
            threading.peer.sendall(b"GET / HTTP/1.1\\r\\nhost: a\\r\\n\\r\\n")
            time.sleep(0.1)
        """
    processes = [python(textwrap.dedent(source) + textwrap.dedent(ENDLESS[what])) for _ in range(3)]
    for process in processes:
        out, errors = process.communicate(timeout=20)
        assert (process.returncode, out) == (0, ""), errors


def test_a_server_that_nobody_holds_stops_at_exit() -> None:
    process = python(
        """
        import bartizan
        bartizan.Server(handler=lambda request: b"ok").start()
        print("exit", flush=True)
        """
    )
    out, errors = process.communicate(timeout=10)
    assert (process.returncode, out, errors) == (0, "exit\n", "")


def test_ctrl_c_interrupts_a_wait() -> None:
    process = python(
        """
        import bartizan, signal
        # A shell starts what runs in its background with SIGINT ignored, and all below inherits that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with bartizan.Server(handler=lambda request: b"ok") as server:
            try:
                print("waiting", flush=True)
                server.wait()
            except KeyboardInterrupt:
                print("interrupted", flush=True)
        """
    )
    assert process.stdout is not None and process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=10)
    assert (process.returncode, out, errors) == (0, "interrupted\n", "")
