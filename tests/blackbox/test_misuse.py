"""Wrong options: exit 2 with one clear line, and nothing served."""

import json

import pytest

from probe import run

LISTEN = ("--listen", "127.0.0.1:0", "--plaintext")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), ["listen"]),
        (("--no-such-option",), ["no-such-option"]),
        (("--mode", "magic", *LISTEN), ["magic"]),
        (("--listen",), ["listen"]),
        (("--listen", "nowhere", "--plaintext"), ["nowhere"]),
        (("--listen", "127.0.0.1:0"), []),
        (("--set", "handshake_timeot=2s", *LISTEN), ["handshake_timeot", "handshake_timeout"]),
        (("--set", "handshake_timeout", *LISTEN), ["handshake_timeout"]),
        (("--set", "handshake_timeout=soon", *LISTEN), ["handshake_timeout", "soon"]),
        (("--set", "handshake_timeout=0s", *LISTEN), ["handshake_timeout"]),
        (("--set", "handshake_timeout=off", *LISTEN), ["handshake_timeout"]),
        (("--set", "max_header_bytes=-1", *LISTEN), ["max_header_bytes"]),
        (("--set", "max_header_bytes=1e99", *LISTEN), ["max_header_bytes"]),
        ((*LISTEN, "--set", "io_threads=2"), ["io_threads"]),
        (("--set", "client_hello_timeout=5s", "--set", "handshake_timeout=2s", *LISTEN), ["handshake_timeout"]),
        (("--listen", "127.0.0.1:0", "--self-signed", "--policy", "magic"), ["magic"]),
        (("--listen", "127.0.0.1:0", "--self-signed", "--groups", "magic"), ["magic"]),
        (("--listen", "127.0.0.1:0", "--self-signed", "--versions", "SSLv3"), ["SSLv3"]),
        (("--listen", "127.0.0.1:0", "--cert", "/nowhere.pem", "--key", "/nowhere.key"), ["/nowhere"]),
        ((*LISTEN, "--set", "proxy_protocol=any"), ["proxy"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_options_are_told_in_one_line(language, options, words):
    refused(run(language, *options), words)


def test_wrong_identities_are_told_in_one_line(language, identities, tmp_path):
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("-----BEGIN CERTIFICATE-----\nZm9v\n-----END CERTIFICATE-----\n")
    listen = ("--listen", "127.0.0.1:0")
    cert, key = identities.cert("localhost"), identities.key("localhost")
    refused(run(language, *listen, "--cert", cert, "--key", identities.key("a.test")), [])
    refused(run(language, *listen, "--cert", str(garbage), "--key", key), [])
    refused(run(language, *listen, "--cert", key, "--key", key), [])
    refused(run(language, *listen, "--cert", cert, "--key", cert), [])
    refused(run(language, *listen, "--cert", cert), [])


def test_a_port_in_use_is_told_in_one_line(language, start):
    probe = start()
    host, port = probe.address(0)
    refused(run(language, "--listen", f"{host}:{port}", "--plaintext"), [str(port)])


def refused(result, words):
    assert result.returncode == 2, result
    assert result.stdout == "", result
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0], result.stderr
    for word in words:
        assert word in lines[0], (word, lines[0])


def test_help_is_no_mistake(language):
    result = run(language, "--help")
    assert result.returncode == 0 and "--listen" in result.stdout + result.stderr


def test_effective_settings_are_printed(language):
    result = run(language, "--set", "max_header_bytes=4KiB", "--set", "idle_timeout=2s", "--print-settings", *LISTEN)
    assert result.returncode == 0, result
    settings = json.loads(result.stdout)
    assert settings["max_header_bytes"] == 4096 and settings["idle_timeout"] == 2000
    assert settings["header_timeout"] == 10_000, "a default"
    assert settings["body_timeout"] is None or settings["body_timeout"] in (-1, "off")
