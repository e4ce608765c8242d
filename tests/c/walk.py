"""Writes the calls of walk.c out of the header, so that no function is forgotten: walk.py bartizan.h >walk_calls.h

For each function one C function that makes a fresh world, calls with good arguments but NULL where a bit of `nulls` says so,
and a row that tells what the call takes. What a good argument is stands here, by its name or its type; a parameter that has
none ends the generation, and with it the tests.
"""
import re
import sys

DECLARATION = re.compile(r"^BARTIZAN_API\s+([\w\s*]+?)(bartizan_\w+)\(([^)]*)\);", re.M)

# What may be NULL, by (function, parameter) or parameter alone: the comment of the declaration says so.
OPTIONAL = {
    "err", "drop", "user_data", "drop_arg",
    ("config_listen", "tls"), ("config_listen", "listener"), ("config_listen_fd", "tls"),
    ("config_listen_fd", "listener"), ("tls_identity", "server_name"), ("request_cancelled", "reason"),
    # One of the two.
    ("config_thread_hooks", "start"), ("config_thread_hooks", "stop"),
}

# Good arguments: by (function, parameter), else by parameter, else by type. W is the world, OUT where results go.
GOOD = {
    ("config_set", "value"): "100", ("request_set", "value"): "1000",
    ("config_set_text", "text"): '"100"', ("config_listener_set_text", "text"): '"100"',
    ("config_server_name_set_text", "key"): '"max_header_fields"', ("config_server_name_set_text", "text"): '"100"',
    ("request_set", "key"): '"body_timeout"', ("request_set_text", "key"): '"body_timeout"',
    ("request_set_text", "text"): '"1s"', ("request_remaining", "key"): '"handler_timeout"',
    ("config_listen_fd", "socket"): "W.socket", ("config_listen", "listener"): "&OUT.number",
    ("config_listen_fd", "listener"): "&OUT.number", ("setting_at", "out"): "&OUT.setting",
    ("server_update_tls", "listener"): "1", ("server_metrics", "inout"): "&OUT.metrics",
    ("config_get", "value"): "&OUT.wide", ("request_header", "value"): "&OUT.str",
    ("request_header", "name"): '"host"', ("tls_policy", "name"): '"modern"', ("tls_groups", "list"): '"X25519"',
    ("tls_suites", "list"): '"TLS_AES_128_GCM_SHA256"', ("tls_versions", "list"): '"TLSv1.3"',
    ("tls_alpn", "list"): '"http/1.1"', ("tls_ticket_keys", "count"): "1", ("body_read", "buf"): "OUT.room",
    ("body_read", "cap"): "sizeof OUT.room", ("response_write", "buf"): '"x"', ("response_write", "len"): "1",
    ("respond", "len"): "1", ("respond_owned", "len"): "1", ("body_consume", "n"): "1",
    ("request_peer_certificate", "len"): "&OUT.size", ("body_peek", "len"): "&OUT.size",
    ("request_tag", "tag"): "7", ("queue_release", "n"): "1", ("queue_release", "events"): "&W.event",
    ("config_handler", "fn"): "on_request", ("config_on_connection", "fn"): "on_connection",
    ("config_on_request_end", "fn"): "on_request_end", ("config_on_log", "fn"): "on_log",
    ("request_on_cancel", "fn"): "on_cancel", ("request_on_ready", "fn"): "on_ready",
    ("status_name", "status"): "0", ("phase_name", "phase"): "0", ("reason_name", "reason"): "0",
    ("request_cancelled", "reason"): "&OUT.number", ("server_address", "len"): "&OUT.size",
    ("server_metrics_text", "len"): "&OUT.size", ("tls_client_auth", "len"): "1",
    ("abi_check", "header_abi"): "BARTIZAN_ABI",
    "key": '"backlog"', "len": "BARTIZAN_NTS", "address": '"127.0.0.1:0"', "tls": "W.tls", "other": "W.tls",
    "identity": "W.identity", "listener": "0", "server_name": '"a.example"', "cidr": '"127.0.0.1"',
    "mode": "1", "drop": "count_drop", "user_data": "&W", "drop_arg": "&W", "event_mask": "0", "start": "on_thread",
    "stop": "on_thread", "max_level": "1", "chain": "W.pem", "chain_len": "1", "key_len": "1", "names": '"a.example"',
    "ca_pem": "W.pem", "keys": "W.keys", "events": "OUT.events", "max": "2", "timeout_ms": "0", "n": "&OUT.size",
    "buf": "OUT.room", "cap": "sizeof OUT.room", "grace_ms": "1000", "open_by_phase": "OUT.counts", "phases": "2",
    "closed_by_reason": "OUT.counts", "reasons": "2", "nth": "0", "index": "0", "der": "&OUT.pointer", "ms": "&OUT.wide",
    "ptr": "&OUT.pointer", "trailers": "&W.header", "count": "1", "headers": "&W.header", "body": '"x"', "code": "200",
    "content_length": "-1", "accepted": "&OUT.size", "err": "&W.error", "config": "W.config", "queue": "W.queue",
    "server": "W.server", "request": "W.request", "error": "W.old_error",
    ("body_trailers", "trailers"): "&OUT.headers", ("response_informational", "code"): "103",
    ("request_get", "out"): "&OUT.view", ("identity_from_pem", "out"): "&OUT.new_identity",
    ("identity_self_signed", "out"): "&OUT.new_identity", ("queue_new", "out"): "&OUT.new_queue",
    ("server_start", "out"): "&OUT.new_server", ("identity_from_pem", "key"): "W.pem",
}

# What the good call gives where it is not OK: the world is one of a queue, cleartext, with nothing read or answered yet.
GIVES = {
    "server_wait": "E_TIMEOUT", "identity_from_pem": "E_TLS", "tls_client_auth": "E_VALUE",
    "request_peer_certificate": "E_VALUE", "request_on_cancel": "E_STATE", "request_on_ready": "E_STATE",
    "body_trailers": "E_STATE", "body_read": "AGAIN", "body_peek": "AGAIN", "body_consume": "E_VALUE",
    "response_write": "E_STATE", "response_arm": "E_STATE", "response_finish": "E_STATE", "queue_next": "AGAIN",
    "queue_release": "E_HANDLE", "error_code": "E_OPTION",
}

OBJECTS = {"config", "tls", "other", "identity", "queue", "server", "error"}
# What a call with it takes over, so that the world must not free it again.
TAKES = {"error_free": "old_error", "config_free": "config", "tls_free": "tls", "identity_free": "identity",
         "queue_free": "queue", "server_free": "server"}


def good(function, parameter):
    for key in ((function, parameter), parameter):
        if key in GOOD:
            return GOOD[key]
    sys.exit(f"walk.py: no good argument for {parameter} of bartizan_{function}: say one")


def main(header):
    text = re.sub(r"//[^\n]*|/\*.*?\*/", "", open(header, encoding="utf-8").read(), flags=re.S)
    text = re.sub(r"\s+", " ", text).replace("BARTIZAN_API", "\nBARTIZAN_API")
    rows = []
    for result, symbol, parameters in DECLARATION.findall(text):
        name, result = symbol.removeprefix("bartizan_"), result.replace("struct ", "").strip()
        parameters = [] if parameters.strip() == "void" else [p.strip() for p in parameters.split(",")]
        arguments, nullable, required, inherited, zeroed, told = [], 0, 0, 0, 0, 0
        for bit, parameter in enumerate(parameters):
            argument = re.search(r"(\w+)$", parameter).group(1)
            value = good(name, argument)
            pointer = "*" in parameter or argument in {"fn", "start", "stop", "drop"}
            if pointer:
                nullable |= 1 << bit
                if argument not in OPTIONAL and (name, argument) not in OPTIONAL:
                    required |= 1 << bit
                zeroed |= (value == "&OUT.size") << bit
                told |= (argument == "err") << bit
                value = f"(nulls >> {bit} & 1 ? NULL : {value})"
            inherited |= argument in OBJECTS or argument == "request"
            arguments.append(value)
        takes_id = any(p.startswith("bartizan_request ") for p in parameters)
        drops = sum(p.startswith("bartizan_drop_fn") << bit for bit, p in enumerate(parameters))
        call = f"{symbol}({', '.join(arguments)})"
        print(f"static bartizan_status walk_{name}(unsigned nulls) {{")
        print("    (void)nulls;")
        if name in TAKES:
            print(f"    {call};\n    if (!nulls && !W.forked) W.{TAKES[name]} = NULL;\n    return BARTIZAN_OK;")
        elif result == "bartizan_status":
            print(f"    return {call};")
        elif "*" in result and result.startswith("bartizan_"):
            print(f"    {result}made = {call};\n    CHECK(made);\n    {symbol.removesuffix('_new')}_free(made);")
            print("    return BARTIZAN_OK;")
        elif "*" in result:
            print(f"    CHECK({call});\n    return BARTIZAN_OK;")
        elif result == "int64_t":
            print(f"    return {call} < 0 ? W.forked ? BARTIZAN_E_FORKED : BARTIZAN_E_NULL : BARTIZAN_OK;")
        elif result == "uint32_t":
            print(f"    CHECK({call});\n    return BARTIZAN_OK;")
        else:
            sys.exit(f"walk.py: {symbol} gives {result}: say what is good")
        print("}\n")
        free = name in TAKES or name == "error_message"
        gives = GIVES.get(name, "OK")
        rows.append(f'    {{"{symbol}", walk_{name}, BARTIZAN_{gives}, {nullable:#x}, {0 if free else required:#x}, '
                    f"{zeroed:#x}, {told:#x}, {int(takes_id)}, {int(inherited and not free)}, {drops:#x}}},")
    print("static const struct call CALLS[] = {")
    print("\n".join(rows))
    print("};")


main(sys.argv[1])
