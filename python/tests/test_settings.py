"""Settings, addresses and TLS descriptions: every fault at once."""
import errno
import socket
from datetime import timedelta
from pathlib import Path
from typing import Any

import bartizan
import pytest


def test_values_have_the_forms_of_the_stub() -> None:
    server = bartizan.Server(
        handshake_timeout=2.5,
        header_timeout=3,
        idle_timeout=timedelta(minutes=1),
        body_idle_timeout="250ms",
        body_timeout=None,
        max_header_bytes="8KiB",
        max_body_bytes=1000,
        max_connections="auto",
        http2=False,
        proxy_protocol="off",
    )
    settings = server.settings
    assert settings["handshake_timeout"] == 2500 and settings["header_timeout"] == 3000
    assert settings["idle_timeout"] == 60_000 and settings["body_idle_timeout"] == 250
    assert settings["body_timeout"] is None and settings["max_header_bytes"] == 8192
    assert settings["max_body_bytes"] == 1000 and settings["max_connections"] == "auto"
    assert settings["http2"] == 0 and settings["proxy_protocol"] == "off"
    assert set(settings) == {row.key for row in bartizan.settings()}


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(bartizan.ConfigError) as caught:
        bartizan.Server(
            "nowhere",
            mode="sideways",  # type: ignore[arg-type]
            hanshake_timeout=1,  # type: ignore[call-arg]
            max_header_bytes=-1,
            idle_timeout=None,  # type: ignore[arg-type]
            header_timeout=float("nan"),
            io_threads=True,
            max_connections="many",  # type: ignore[arg-type]
            http2=1,  # type: ignore[arg-type]
            body_timeout=object(),  # type: ignore[arg-type]
            trust_proxy=["10.0.0.0/99"],
        )
    faults = caught.value.faults
    for word in (
        "nowhere",
        "sideways",
        "handshake_timeout",
        "max_header_bytes",
        "idle_timeout",
        "header_timeout",
        "io_threads",
        "max_connections",
        "http2",
        "body_timeout",
        "10.0.0.0/99",
    ):
        assert sum(word in fault for fault in faults) >= 1, word
    assert len(faults) == 11
    assert isinstance(caught.value, ValueError) and isinstance(caught.value, bartizan.Error)
    assert all(fault in str(caught.value) for fault in faults)


def test_minus_one_is_not_off() -> None:
    for value in (-1, -2, -0.001):
        with pytest.raises(bartizan.ConfigError):
            bartizan.Server(body_timeout=value)


def test_settings_that_disagree_are_refused_at_the_start() -> None:
    server = bartizan.Server(handler=lambda request: b"", handshake_timeout=1, client_hello_timeout=2)
    with pytest.raises(bartizan.ConfigError, match="client_hello_timeout"):
        server.start()


def test_listeners_and_names_have_levels() -> None:
    with pytest.raises(bartizan.ConfigError) as caught:
        bartizan.Listener(
            "127.0.0.1:0",
            io_threads=1,  # type: ignore[call-arg]
            server_names={"a.example": {"idle_timeout": 1}, "a b": {}},  # type: ignore[typeddict-unknown-key]
        )
    assert len(caught.value.faults) == 3


def test_a_port_in_use_is_a_bind_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = bartizan.Server(f"127.0.0.1:{taken.getsockname()[1]}", lambda request: b"")
        with pytest.raises(bartizan.BindError) as caught:
            server.start()
    assert caught.value.errno == errno.EADDRINUSE
    assert isinstance(caught.value, OSError)


def test_a_descriptor_that_is_none_is_a_bind_error() -> None:
    with pytest.raises(bartizan.BindError) as caught:
        bartizan.Server(10_000, lambda request: b"")
    assert caught.value.errno == errno.EBADF


@pytest.mark.parametrize("what", [5, "handler", b""])
def test_what_cannot_be_called_is_refused_where_it_is_given(what: Any) -> None:
    with pytest.raises(TypeError, match="not callable"):
        bartizan.Server(handler=what)
    server = bartizan.Server()
    for give in (server.on_request, server.on_connection, server.on_request_end):
        with pytest.raises(TypeError, match="not callable"):
            give(what)


@pytest.mark.parametrize("grace", [-1, float("nan"), float("inf"), "soon"])
def test_a_grace_that_is_no_duration_is_a_config_error(grace: Any) -> None:
    with bartizan.Server(handler=lambda request: b"") as server, pytest.raises(bartizan.ConfigError):
        server.stop(grace)


def test_no_handler_is_a_config_error() -> None:
    with pytest.raises(bartizan.ConfigError):
        bartizan.Server().start()


def test_bad_pem_is_a_tls_error(tmp_path: Path) -> None:
    with pytest.raises(bartizan.TlsError) as caught:
        bartizan.Tls(cert=b"no pem", key=b"no pem", policy="lax", groups=["none"])  # type: ignore[arg-type]
    assert len(caught.value.faults) == 3 and isinstance(caught.value, bartizan.ConfigError)
    with pytest.raises(bartizan.TlsError, match="missing.pem"):
        bartizan.Tls(cert=tmp_path / "missing.pem")
    with pytest.raises(bartizan.TlsError, match="lax"):
        bartizan.Tls.self_signed(policy="lax")  # type: ignore[arg-type]


def test_rows_describe_themselves() -> None:
    rows = {row.key: row for row in bartizan.settings()}
    row = rows["handshake_timeout"]
    assert (row.unit, row.default, row.off, row.auto, row.levels) == ("ms", 10_000, False, False, "LN")
    assert rows["body_timeout"].default is None and rows["io_threads"].default == "auto"
    assert rows["proxy_protocol"].choices == ("off", "v1", "v2", "any")
    assert all(row.doc for row in rows.values())
