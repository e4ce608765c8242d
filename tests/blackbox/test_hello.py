"""Clients that other people wrote: each gets the hello, over each protocol that it speaks."""

import shutil
import subprocess

import httpx
import pytest

HELLO = "Hello, World!"


def run(*command, text=None):
    assert shutil.which(command[0]), f"{command[0]} is missing here"
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize("listener", [0, 1], ids=["cleartext", "TLS"])
@pytest.mark.parametrize("option", ["--http1.0", "--http1.1"])
def test_curl_is_answered_over_http1(shared, listener, option):
    url = shared.urls[listener] + "/"
    answer = run("curl", "--silent", "--insecure", option, "--no-alpn", "--write-out", " %{http_code}", url)
    assert answer.stdout == f"{HELLO} 200", answer


@pytest.mark.parametrize(
    ("listener", "option"), [(0, "--http2-prior-knowledge"), (1, "--http2")], ids=["cleartext", "TLS"]
)
def test_curl_is_answered_over_http2(shared, listener, option):
    answer = run("curl", "--silent", "--insecure", option, "--write-out", " %{http_version}", shared.urls[listener] + "/")
    assert answer.stdout == f"{HELLO} 2", answer


def test_curl_uploads_and_downloads(shared, tmp_path):
    content = tmp_path / "content"
    content.write_bytes(bytes(range(256)) * 4096)
    for option in ("--http1.1", "--http2"):
        copy = tmp_path / option
        url = shared.urls[1] + "/echo"
        command = ("curl", "--silent", "--insecure", option, "--data-binary", f"@{content}", "--output", copy, url)
        answer = run(*map(str, command))
        assert answer.returncode == 0, answer
        assert copy.read_bytes() == content.read_bytes()


def test_curl_verifies_a_certificate_of_an_authority(start, identities):
    probe = start(listeners=("--listen", "127.0.0.1:0", *identities.options("localhost")))
    port = probe.address(0)[1]
    command = ("curl", "--silent", "--cacert", identities.cert("authority"), "--resolve", f"localhost:{port}:127.0.0.1")
    answer = run(*command, f"https://localhost:{port}/")
    assert answer.stdout == HELLO, answer


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_is_answered(shared, version):
    host, port = shared.address(1)
    request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    command = ("openssl", "s_client", "-connect", f"{host}:{port}", "-alpn", "http/1.1", "-ign_eof", version)
    answer = run(*command, text=request)
    assert HELLO in answer.stdout and "HTTP/1.1 200" in answer.stdout, answer


def test_httpx_is_answered_over_http2(shared):
    with httpx.Client(http2=True, verify=False, timeout=20) as client:
        for _ in range(3):
            answer = client.get(shared.urls[1] + "/")
            assert (answer.status_code, answer.text, answer.http_version) == (200, HELLO, "HTTP/2")
        content = b"x" * 300_000
        assert client.post(shared.urls[1] + "/echo", content=content).content == content


def test_nghttp_is_answered(shared):
    answer = run("nghttp", shared.urls[1] + "/")
    assert HELLO in answer.stdout, answer


def test_h2load_finds_nothing_failed(shared):
    answer = run("h2load", "--requests=500", "--clients=5", "--max-concurrent-streams=20", shared.urls[1] + "/")
    assert "500 succeeded, 0 failed, 0 errored, 0 timeout" in answer.stdout, answer
