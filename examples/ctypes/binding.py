"""The C ABI as ctypes sees it: structures, prototypes and numbers under their names in bartizan.h, whose words apply. Only what a
program that drains a queue needs stands here; what makes it Python is server.py."""

from ctypes import CDLL, POINTER, Structure, byref, c_char_p, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p

ABI = 0

OK, EOF, AGAIN = 0, 1, 2
E_HANDLE, E_CLOSED, E_LIMIT = -5, -10, -12

EV_REQUEST, EV_BODY, EV_WRITABLE, EV_CANCELLED, EV_DONE = 1, 2, 3, 4, 5


class bartizan_str(Structure):
    _fields_ = [("ptr", c_void_p), ("len", c_size_t)]


class bartizan_header(Structure):
    _fields_ = [("name", bartizan_str), ("value", bartizan_str)]


class bartizan_tls_info(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("version", c_uint32),
        ("cipher_suite", c_uint32),
        ("group", c_uint32),
        ("version_name", bartizan_str),
        ("suite_name", bartizan_str),
        ("group_name", bartizan_str),
        ("server_name", bartizan_str),
        ("alpn", bartizan_str),
        ("resumed", c_uint32),
        ("peer_certificates", c_uint32),
    ]


class bartizan_request_view(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("flags", c_uint32),
        ("request", c_uint64),
        ("connection", c_uint64),
        ("http_version", c_uint32),
        ("listener", c_uint32),
        ("method", bartizan_str),
        ("scheme", bartizan_str),
        ("authority", bartizan_str),
        ("target", bartizan_str),
        ("path", bartizan_str),
        ("query", bartizan_str),
        ("peer_ip", bartizan_str),
        ("local_ip", bartizan_str),
        ("peer_port", c_uint32),
        ("local_port", c_uint32),
        ("headers", POINTER(bartizan_header)),
        ("header_count", c_size_t),
        ("header_block", bartizan_str),
        ("content_length", c_int64),
        ("body", bartizan_str),
        ("tls", POINTER(bartizan_tls_info)),
        ("stream", c_uint32),
        ("reserved", c_uint32),
    ]


class bartizan_event(Structure):
    _fields_ = [
        ("kind", c_uint32),
        ("status", c_int32),
        ("request", c_uint64),
        ("connection", c_uint64),
        ("tag", c_uint64),
        ("data", c_void_p),
        ("arg", c_uint64 * 3),
    ]


STRUCTURES = (bartizan_str, bartizan_header, bartizan_tls_info, bartizan_request_view, bartizan_event)

STATUS, REQUEST = c_int32, c_uint64
ERROR = HEADERS = OUT = BUFFER = c_void_p

# What each function gives, and what it takes.
PROTOTYPES = {
    "abi_check": (STATUS, c_uint32),
    "status_name": (c_char_p, STATUS),
    "reason_name": (c_char_p, c_uint32),
    "error_message": (c_char_p, ERROR),
    "error_free": (None, ERROR),
    "config_new": (c_void_p,),
    "config_free": (None, c_void_p),
    "config_set_text": (STATUS, c_void_p, c_char_p, c_char_p, c_size_t, OUT),
    "config_listen": (STATUS, c_void_p, c_char_p, c_void_p, OUT, OUT),
    "config_queue": (STATUS, c_void_p, c_void_p, c_uint64, OUT),
    "identity_from_pem": (STATUS, c_char_p, c_size_t, c_char_p, c_size_t, OUT, OUT),
    "identity_self_signed": (STATUS, c_char_p, c_size_t, OUT, OUT),
    "identity_free": (None, c_void_p),
    "tls_new": (c_void_p,),
    "tls_free": (None, c_void_p),
    "tls_identity": (STATUS, c_void_p, c_char_p, c_void_p, OUT),
    "queue_new": (STATUS, OUT, OUT),
    "queue_fd": (c_int64, c_void_p),
    "queue_next": (STATUS, c_void_p, c_void_p, c_size_t, c_int64, OUT),
    "queue_free": (None, c_void_p),
    "server_start": (STATUS, c_void_p, OUT, OUT),
    "server_address": (STATUS, c_void_p, c_uint32, BUFFER, c_size_t, OUT),
    "server_metrics_text": (STATUS, c_void_p, BUFFER, c_size_t, OUT),
    "server_shutdown": (STATUS, c_void_p, c_int64),
    "server_wait": (STATUS, c_void_p, c_int64),
    "server_free": (None, c_void_p),
    "request_set_text": (STATUS, REQUEST, c_char_p, c_char_p, c_size_t),
    "request_release": (STATUS, REQUEST),
    "body_peek": (STATUS, REQUEST, OUT, OUT),
    "body_consume": (STATUS, REQUEST, c_size_t),
    "body_arm": (STATUS, REQUEST),
    "body_trailers": (STATUS, REQUEST, OUT, OUT),
    "respond": (STATUS, REQUEST, c_uint32, HEADERS, c_size_t, c_char_p, c_size_t),
    "response_begin": (STATUS, REQUEST, c_uint32, HEADERS, c_size_t, c_int64),
    "response_write": (STATUS, REQUEST, c_void_p, c_size_t, c_int64, OUT),
    "response_arm": (STATUS, REQUEST),
    "response_finish": (STATUS, REQUEST, HEADERS, c_size_t),
}

# CDLL gives the interpreter's lock back during every call.
_library = CDLL("libbartizan.so.0")

for _name, (_result, *_takes) in PROTOTYPES.items():
    _function = getattr(_library, "bartizan_" + _name)
    _function.restype, _function.argtypes = _result, _takes
    globals()[_name] = _function


class Error(Exception):
    """A call that failed: its status, such as "E_STATE", and the library's sentence where it has one."""

    def __init__(self, status, message=""):
        self.status = status_name(status).decode()
        super().__init__(f"{self.status}: {message}" if message else self.status)


def check(status):
    """A status of a call about a request: what is below zero is raised."""
    if status < 0:
        raise Error(status)
    return status


def set_up(call, *arguments):
    """A call whose last parameter says why it failed."""
    why = c_void_p()
    status = call(*arguments, byref(why))
    if status < 0:
        message = error_message(why).decode()
        error_free(why)
        raise Error(status, message)
