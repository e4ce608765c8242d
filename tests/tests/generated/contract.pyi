class LimitSettings(TypedDict, total=False):
    """May be set for one live request (level Q) as well."""
    max_body_bytes: Size | None
    body_idle_timeout: Duration | None
    min_body_rate: Size | None
    min_rate_grace: Duration
    body_timeout: Duration | None
    handler_timeout: Duration | None
    write_idle_timeout: Duration | None
    min_write_rate: Size | None
    response_timeout: Duration | None

class NameSettings(TypedDict, total=False):
    """May be set per server name (level N)."""
    handshake_timeout: Duration
    max_header_bytes: Size
    max_header_fields: int
    max_cookie_fields: int
    max_target_bytes: Size
    hsts_max_age: Duration | None

class ListenerSettings(LimitSettings, total=False):
    """May be set per listener (level L)."""
    backlog: int
    max_connections_per_ip: int | None
    proxy_protocol: Literal["off", "v1", "v2", "any"]
    proxy_header_timeout: Duration
    client_hello_timeout: Duration
    max_client_hello_bytes: Size
    handshake_timeout: Duration
    max_pending_handshakes: int
    max_handshakes_per_second: int | None
    http2: bool
    h2_preface_timeout: Duration
    h2_settings_timeout: Duration
    header_timeout: Duration
    max_header_bytes: Size
    max_header_fields: int
    max_cookie_fields: int
    max_target_bytes: Size
    buffer_body_bytes: Size
    max_handlers_per_connection: int
    flush_timeout: Duration
    idle_timeout: Duration
    max_connection_age: Duration | None
    max_requests_per_connection: int | None
    h2_max_concurrent_streams: int
    h2_stream_window_bytes: Size
    h2_connection_window_bytes: Size
    h2_send_buffer_bytes: Size
    h2_glitch_budget: int
    max_connection_memory_bytes: Size
    linger_timeout: Duration
    max_linger_bytes: Size
    tcp_keepalive_idle: Duration | None
    tcp_keepalive_interval: Duration
    tcp_keepalive_probes: int
    redirect_to_https: bool
    hsts_max_age: Duration | None

class Settings(ListenerSettings, total=False):
    """Every row of the settings list (rendered)."""
    io_threads: int | Literal["auto"]
    worker_threads: int | Literal["auto"]
    max_connections: int | Literal["auto"]
    max_running_handlers: int
    max_queued_requests: int
    inline_stall: Duration | None
    max_total_memory_bytes: Size | None
    drain_timeout: Duration

