#define BARTIZAN_IO_THREADS "io_threads"                                    /* auto */
#define BARTIZAN_WORKER_THREADS "worker_threads"                            /* auto */
#define BARTIZAN_BACKLOG "backlog"                                          /* L */
#define BARTIZAN_MAX_CONNECTIONS "max_connections"                          /* auto */
#define BARTIZAN_MAX_CONNECTIONS_PER_IP "max_connections_per_ip"            /* L off */
#define BARTIZAN_PROXY_PROTOCOL "proxy_protocol"                            /* L; off v1 v2 any = 0 1 2 3 */
#define BARTIZAN_PROXY_HEADER_TIMEOUT_MS "proxy_header_timeout"             /* L */
#define BARTIZAN_CLIENT_HELLO_TIMEOUT_MS "client_hello_timeout"             /* L */
#define BARTIZAN_MAX_CLIENT_HELLO_BYTES "max_client_hello_bytes"            /* L */
#define BARTIZAN_HANDSHAKE_TIMEOUT_MS "handshake_timeout"                   /* L N */
#define BARTIZAN_MAX_PENDING_HANDSHAKES "max_pending_handshakes"            /* L */
#define BARTIZAN_MAX_HANDSHAKES_PER_SECOND "max_handshakes_per_second"      /* L off */
#define BARTIZAN_HTTP2 "http2"                                              /* L; switch */
#define BARTIZAN_H2_PREFACE_TIMEOUT_MS "h2_preface_timeout"                 /* L */
#define BARTIZAN_H2_SETTINGS_TIMEOUT_MS "h2_settings_timeout"               /* L */
#define BARTIZAN_HEADER_TIMEOUT_MS "header_timeout"                         /* L */
#define BARTIZAN_MAX_HEADER_BYTES "max_header_bytes"                        /* L N */
#define BARTIZAN_MAX_HEADER_FIELDS "max_header_fields"                      /* L N */
#define BARTIZAN_MAX_COOKIE_FIELDS "max_cookie_fields"                      /* L N */
#define BARTIZAN_MAX_TARGET_BYTES "max_target_bytes"                        /* L N */
#define BARTIZAN_MAX_BODY_BYTES "max_body_bytes"                            /* L Q off */
#define BARTIZAN_BUFFER_BODY_BYTES "buffer_body_bytes"                      /* L */
#define BARTIZAN_BODY_IDLE_TIMEOUT_MS "body_idle_timeout"                   /* L Q off */
#define BARTIZAN_MIN_BODY_RATE "min_body_rate"                              /* L Q off; bytes per second */
#define BARTIZAN_MIN_RATE_GRACE_MS "min_rate_grace"                         /* L Q */
#define BARTIZAN_BODY_TIMEOUT_MS "body_timeout"                             /* L Q off */
#define BARTIZAN_HANDLER_TIMEOUT_MS "handler_timeout"                       /* L Q off */
#define BARTIZAN_MAX_RUNNING_HANDLERS "max_running_handlers"
#define BARTIZAN_MAX_QUEUED_REQUESTS "max_queued_requests"
#define BARTIZAN_MAX_HANDLERS_PER_CONNECTION "max_handlers_per_connection"  /* L */
#define BARTIZAN_INLINE_STALL_MS "inline_stall"                             /* off; watchdog of inline callbacks */
#define BARTIZAN_WRITE_IDLE_TIMEOUT_MS "write_idle_timeout"                 /* L Q off */
#define BARTIZAN_MIN_WRITE_RATE "min_write_rate"                            /* L Q off */
#define BARTIZAN_RESPONSE_TIMEOUT_MS "response_timeout"                     /* L Q off */
#define BARTIZAN_FLUSH_TIMEOUT_MS "flush_timeout"                           /* L */
#define BARTIZAN_IDLE_TIMEOUT_MS "idle_timeout"                             /* L */
#define BARTIZAN_MAX_CONNECTION_AGE_MS "max_connection_age"                 /* L off */
#define BARTIZAN_MAX_REQUESTS_PER_CONNECTION "max_requests_per_connection"  /* L off */
#define BARTIZAN_H2_MAX_CONCURRENT_STREAMS "h2_max_concurrent_streams"      /* L */
#define BARTIZAN_H2_STREAM_WINDOW_BYTES "h2_stream_window_bytes"            /* L */
#define BARTIZAN_H2_CONNECTION_WINDOW_BYTES "h2_connection_window_bytes"    /* L */
#define BARTIZAN_H2_SEND_BUFFER_BYTES "h2_send_buffer_bytes"                /* L */
#define BARTIZAN_H2_GLITCH_BUDGET "h2_glitch_budget"                        /* L */
#define BARTIZAN_MAX_CONNECTION_MEMORY_BYTES "max_connection_memory_bytes"  /* L */
#define BARTIZAN_MAX_TOTAL_MEMORY_BYTES "max_total_memory_bytes"            /* off */
#define BARTIZAN_LINGER_TIMEOUT_MS "linger_timeout"                         /* L */
#define BARTIZAN_MAX_LINGER_BYTES "max_linger_bytes"                        /* L */
#define BARTIZAN_DRAIN_TIMEOUT_MS "drain_timeout"
#define BARTIZAN_TCP_KEEPALIVE_IDLE_MS "tcp_keepalive_idle"                 /* L off */
#define BARTIZAN_TCP_KEEPALIVE_INTERVAL_MS "tcp_keepalive_interval"         /* L */
#define BARTIZAN_TCP_KEEPALIVE_PROBES "tcp_keepalive_probes"                /* L */
#define BARTIZAN_REDIRECT_TO_HTTPS "redirect_to_https"                      /* L; switch: 308 on cleartext */
#define BARTIZAN_HSTS_MAX_AGE_MS "hsts_max_age"                             /* L N off; sent in whole seconds, TLS only */
