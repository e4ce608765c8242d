"""Clients that people use, over TLS: curl, nghttp and h2load, httpx; and the hello of each runtime."""

import re
import signal
import subprocess

import httpx
import pytest

from program import path
from wire import PATIENCE

HELLO = "Hello, World!"


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout


def curl(*options):
    return run("curl", "--insecure", "--silent", "--show-error", "--fail", "--max-time", "20", *options)


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_curl_is_answered(probe, version):
    url = probe.urls[1]
    protocol = "--http1.1" if version == "1.1" else "--http2"
    assert curl(protocol, "--write-out", " %{http_version} %{scheme}", f"{url}/").split(" ")[-2:] == [version, "HTTPS"]
    assert curl(protocol, f"{url}/") == HELLO
    assert curl(protocol, "--data-binary", "@" + __file__, f"{url}/echo") == open(__file__).read()
    sent = curl(protocol, "--output", "/dev/null", "--write-out", "%{size_download}", f"{url}/bytes/5000000")
    assert sent == "5000000"
    # One process, one connection, several requests.
    assert curl(protocol, *[f"{url}/"] * 5, f"{url}/wait/50") == HELLO * 6


def test_curl_is_answered_in_cleartext(probe):
    assert curl("--http2-prior-knowledge", probe.urls[0]) == curl(probe.urls[0]) == HELLO


def test_nghttp_is_answered(probe):
    assert run("nghttp", "--timeout", "20", f"{probe.urls[1]}/", f"{probe.urls[1]}/wait/10") == HELLO * 2


@pytest.mark.parametrize("options", [("-m", "20"), ("--h1",)], ids=["h2", "http/1.1"])
def test_thousands_of_requests_are_answered(probe, options):
    told = run("h2load", "-n", "4000", "-c", "8", "-t", "1", "-N", "20", *options, f"{probe.urls[1]}/")
    assert re.search(r"4000 succeeded, 0 failed, 0 errored, 0 timeout", told), told


def test_httpx_is_answered(probe):
    with httpx.Client(http2=True, verify=False, base_url=probe.urls[1], timeout=PATIENCE) as client:
        answer = client.get("/")
        assert (answer.http_version, answer.text) == ("HTTP/2", HELLO)
        assert client.post("/echo", content=b"x" * 200_000).content == b"x" * 200_000


def test_the_hello_of_the_readme(language):
    process = subprocess.Popen([path(language, "hello"), "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        assert re.fullmatch(r"curl --insecure https://127\.0\.0\.1:\d+/\n", line)
        assert curl(line.split()[-1]) == HELLO + "\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
