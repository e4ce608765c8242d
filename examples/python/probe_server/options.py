"""The probe's command line. It is checked for shape here; what a key, a policy or an address may be, the library says."""
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

import bartizan

USAGE = """\
usage: probe [--mode inline|workers|queue] [--queues N] [--consumers N] [--set KEY=TEXT]...
             --listen ADDR [listener options] [--listen ADDR [listener options]]...

  --mode MODE           who runs the handlers (inline); queue: an async handler on an event loop
  --queues N            accepted, and one: a loop has one queue
  --consumers N         accepted, and one: a loop is one thread
  --set KEY=TEXT        a setting: of the server, or behind --listen of that listener
  --listen ADDR         127.0.0.1:8443, [::1]:0, unix:/path
  --listen-fd N         a bound socket instead
  --events FILE         one JSON object per connection and request event
  --log FILE            the library's log records
  --admin ADDR          /metrics and /stats in cleartext, exempt from load caps
  --print-settings      the effective settings as JSON, then exit

listener options:
  --self-signed[=NAME,NAME] | --cert FILE --key FILE | --plaintext
  --policy NAME  --groups LIST  --suites LIST  --versions LIST  --alpn LIST
  --client-ca FILE  --client-auth off|optional|required
  --sni NAME=CERT:KEY[:POLICY]  --set-sni NAME:KEY=TEXT
  --trust-proxy CIDR  --ticket-keys FILE
"""

TICKET_KEY = 32  # octets
TLS_OPTIONS = ("cert", "key", "policy", "groups", "suites", "versions", "alpn", "client-ca", "client-auth", "ticket-keys")


def refuse(why: str) -> NoReturn:
    """Bad usage or configuration: one clear line."""
    print(f"probe: {' '.join(why.split())}", file=sys.stderr)
    sys.exit(2)


def assignment(option: str, text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        refuse(f"{option} {text}: expected KEY=TEXT")
    return key, value


@dataclass
class ListenerOptions:
    """One --listen with what stands behind it."""

    bind: str | int
    self_signed: str | None = None
    plaintext: bool = False
    settings: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    identities: list[tuple[str, str, str, str]] = field(default_factory=list)
    name_settings: dict[str, dict[str, str]] = field(default_factory=dict)
    proxies: list[str] = field(default_factory=list)

    def take(self, option: str, value: str) -> bool:
        name = option[2:]
        if name in TLS_OPTIONS:
            self.texts[name] = value
        elif name == "trust-proxy":
            self.proxies.append(value)
        elif name == "sni":
            server_name, equals, files = value.partition("=")
            cert, colon, rest = files.partition(":")
            if not equals or not colon:
                refuse(f"--sni {value}: expected NAME=CERT:KEY[:POLICY]")
            key, _, policy = rest.partition(":")
            self.identities.append((server_name, cert, key, policy or "intermediate"))
        elif name == "set-sni":
            server_name, colon, rest = value.partition(":")
            if not colon:
                refuse(f"--set-sni {value}: expected NAME:KEY=TEXT")
            key, text = assignment(option, rest)
            self.name_settings.setdefault(server_name, {})[key] = text
        else:
            return False
        return True

    def check(self) -> None:
        has_cert, has_key = "cert" in self.texts, "key" in self.texts
        secured = self.self_signed is not None or has_cert or bool(self.identities)
        if has_cert != has_key:
            refuse(f"{self.bind}: --cert and --key go together")
        if self.self_signed is not None and has_cert:
            refuse(f"{self.bind}: either --self-signed or --cert")
        if self.plaintext and (secured or self.texts):
            refuse(f"{self.bind}: --plaintext has no TLS to configure")
        if not self.plaintext and not secured:
            refuse(f"{self.bind}: needs --self-signed, --cert and --key, or --plaintext")

    def tls(self) -> bartizan.Tls | None:
        if self.plaintext:
            return None
        texts = self.texts
        keywords: dict[str, Any] = {}
        for option in ("policy", "groups", "suites", "versions", "alpn"):
            if option in texts:
                keywords[option] = texts[option] if option == "policy" else texts[option].split(",")
        if "client-ca" in texts:
            keywords["client_ca"] = texts["client-ca"]
            keywords["client_auth"] = texts.get("client-auth", "required")
        elif "client-auth" in texts:
            keywords["client_auth"] = texts["client-auth"]
        if "ticket-keys" in texts:
            with open(texts["ticket-keys"], "rb") as file:
                keys = file.read()
            if not keys or len(keys) % TICKET_KEY:
                raise ValueError(f"--ticket-keys {texts['ticket-keys']}: expected {TICKET_KEY} octets per key")
            keywords["ticket_keys"] = [keys[at : at + TICKET_KEY] for at in range(0, len(keys), TICKET_KEY)]
        if self.identities:
            keywords["server_names"] = {
                name: bartizan.Tls(cert, key, policy=policy) for name, cert, key, policy in self.identities
            }
        if self.self_signed is not None:
            return self_signed(self.self_signed, keywords)
        return bartizan.Tls(texts.get("cert"), texts.get("key"), **keywords)

    def listener(self) -> bartizan.Listener:
        settings: Any = self.settings
        names: Any = self.name_settings
        return bartizan.Listener(self.bind, tls=self.tls(), trust_proxy=self.proxies, server_names=names, **settings)


def self_signed(names: str, keywords: dict[str, Any]) -> bartizan.Tls:
    listed = [name for name in names.split(",") if name]
    return bartizan.Tls.self_signed(*listed, **keywords)


@dataclass
class Options:
    """The whole command line."""

    mode: str = "inline"
    settings: dict[str, str] = field(default_factory=dict)
    listeners: list[ListenerOptions] = field(default_factory=list)
    events: str | None = None
    log: str | None = None
    admin: str | None = None
    print_settings: bool = False

    @classmethod
    def parse(cls, words: list[str]) -> "Options":
        options = cls()
        rest = list(words)
        while rest:
            option, equals, value = rest.pop(0).partition("=")
            if not option.startswith("--"):
                refuse(f"{option}: expected an option, see --help")
            if options._flag(option, value if equals else None):
                continue
            if not equals:
                if not rest:
                    refuse(f"{option}: no such option, or its value is missing")
                value = rest.pop(0)
            options._take(option, value)
        if not options.listeners and not options.print_settings:
            refuse("nothing to do without --listen, see --help")
        for listener in options.listeners:
            listener.check()
        return options

    def _flag(self, option: str, value: str | None) -> bool:
        current = self.listeners[-1] if self.listeners else None
        if option == "--help":
            print(USAGE, end="")
            sys.exit(0)
        elif option == "--print-settings":
            self.print_settings = True
        elif option not in ("--plaintext", "--self-signed"):
            return False
        elif current is None:
            refuse(f"{option} belongs behind a --listen")
        elif option == "--self-signed":
            current.self_signed = value or ""
            return True
        else:
            current.plaintext = True
        if value is not None:
            refuse(f"{option} takes no value")
        return True

    def _take(self, option: str, value: str) -> None:
        current = self.listeners[-1] if self.listeners else None
        if option == "--mode":
            if value not in ("inline", "workers", "queue"):
                refuse(f"--mode {value}: expected inline, workers or queue")
            self.mode = value
        elif option in ("--queues", "--consumers"):
            if not value.isdecimal() or not 1 <= int(value) <= 256:
                refuse(f"{option} {value}: expected a number from 1 to 256")
        elif option == "--set":
            key, text = assignment(option, value)
            (current.settings if current else self.settings)[key] = text
        elif option == "--listen":
            self.listeners.append(ListenerOptions(value))
        elif option == "--listen-fd":
            if not value.isdecimal():
                refuse(f"--listen-fd {value}: expected a number")
            self.listeners.append(ListenerOptions(int(value)))
        elif option in ("--events", "--log", "--admin"):
            setattr(self, option[2:], value)
        elif current is None:
            refuse(f"{option}: no such option, or it belongs behind a --listen")
        elif not current.take(option, value):
            refuse(f"{option}: no such option")

    def server(self, handler: Callable[..., Any] | None) -> bartizan.Server:
        mode: Literal["workers", "inline"] = "inline" if self.mode == "inline" else "workers"
        settings: Any = self.settings
        listeners = [listener.listener() for listener in self.listeners]
        return bartizan.Server(listeners or "127.0.0.1:0", handler, mode=mode, **settings)

    def close_descriptors(self) -> None:
        """The server has its own copies: with ours open, the kernel would go on accepting after the stop."""
        for listener in self.listeners:
            if isinstance(listener.bind, int):
                os.close(listener.bind)
