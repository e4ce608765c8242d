/* Rendered from the settings list (core/src/settings.rs): edit that, not this.
 * The string is the key in every language; the macro adds the unit of the int64_t. Rates are in octets per second.
 * L, N, Q: may be overridden for a listener, a server name, one live request. off, auto: BARTIZAN_OFF, BARTIZAN_AUTO
 * are allowed. What each bounds, and what the peer sees: bartizan_setting_at, docs/settings.md. */
#ifndef BARTIZAN_SETTINGS_H
#define BARTIZAN_SETTINGS_H
#define BARTIZAN_IO_THREADS "io_threads"                                    /* default auto; 1 to 256; auto */
#define BARTIZAN_WORKER_THREADS "worker_threads"                            /* default auto; 1 to 1024; auto */
#define BARTIZAN_BACKLOG "backlog"                                          /* default 1024; 1 to 65535; L */
#define BARTIZAN_MAX_CONNECTIONS "max_connections"                          /* default auto; 1 to 1000000; auto */
#define BARTIZAN_MAX_CONNECTIONS_PER_IP "max_connections_per_ip"            /* default off; 1 to 1000000; L off */
#define BARTIZAN_PROXY_PROTOCOL "proxy_protocol"                            /* default 0; off v1 v2 any = 0 to 3; L */
#define BARTIZAN_PROXY_HEADER_TIMEOUT_MS "proxy_header_timeout"             /* default 5000; 10 to 3600000; L */
#define BARTIZAN_CLIENT_HELLO_TIMEOUT_MS "client_hello_timeout"             /* default 5000; 10 to 3600000; L */
#define BARTIZAN_MAX_CLIENT_HELLO_BYTES "max_client_hello_bytes"            /* default 16384; 64 to 65535; L */
#define BARTIZAN_HANDSHAKE_TIMEOUT_MS "handshake_timeout"                   /* default 10000; 10 to 3600000; L N */
#define BARTIZAN_MAX_PENDING_HANDSHAKES "max_pending_handshakes"            /* default 512; 1 to 1000000; L */
#define BARTIZAN_MAX_HANDSHAKES_PER_SECOND "max_handshakes_per_second"      /* default off; 1 to 1000000; L off */
#define BARTIZAN_HTTP2 "http2"                                              /* default 1; 0 to 1; L */
#define BARTIZAN_H2_PREFACE_TIMEOUT_MS "h2_preface_timeout"                 /* default 5000; 10 to 3600000; L */
#define BARTIZAN_H2_SETTINGS_TIMEOUT_MS "h2_settings_timeout"               /* default 10000; 10 to 3600000; L */
#define BARTIZAN_HEADER_TIMEOUT_MS "header_timeout"                         /* default 10000; 10 to 3600000; L */
#define BARTIZAN_MAX_HEADER_BYTES "max_header_bytes"                        /* default 16384; 64 to 1048576; L N */
#define BARTIZAN_MAX_HEADER_FIELDS "max_header_fields"                      /* default 100; 1 to 1000; L N */
#define BARTIZAN_MAX_COOKIE_FIELDS "max_cookie_fields"                      /* default 200; 1 to 10000; L N */
#define BARTIZAN_MAX_TARGET_BYTES "max_target_bytes"                        /* default 8192; 1 to 65534; L N */
#define BARTIZAN_MAX_BODY_BYTES "max_body_bytes"                            /* default 16777216; 0 to 1099511627776; L Q off */
#define BARTIZAN_BUFFER_BODY_BYTES "buffer_body_bytes"                      /* default 65536; 0 to 16777216; L */
#define BARTIZAN_BODY_IDLE_TIMEOUT_MS "body_idle_timeout"                   /* default 15000; 10 to 86400000; L Q off */
#define BARTIZAN_MIN_BODY_RATE "min_body_rate"                              /* default 240; 1 to 1073741824; L Q off */
#define BARTIZAN_MIN_RATE_GRACE_MS "min_rate_grace"                         /* default 20000; 100 to 3600000; L Q */
#define BARTIZAN_BODY_TIMEOUT_MS "body_timeout"                             /* default off; 10 to 86400000; L Q off */
#define BARTIZAN_HANDLER_TIMEOUT_MS "handler_timeout"                       /* default 30000; 10 to 86400000; L Q off */
#define BARTIZAN_MAX_RUNNING_HANDLERS "max_running_handlers"                /* default 4096; 1 to 1000000 */
#define BARTIZAN_MAX_QUEUED_REQUESTS "max_queued_requests"                  /* default 1024; 1 to 1000000 */
#define BARTIZAN_MAX_HANDLERS_PER_CONNECTION "max_handlers_per_connection"  /* default 100; 1 to 10000; L */
#define BARTIZAN_INLINE_STALL_MS "inline_stall"                             /* default 100; 10 to 3600000; off */
#define BARTIZAN_WRITE_IDLE_TIMEOUT_MS "write_idle_timeout"                 /* default 30000; 10 to 86400000; L Q off */
#define BARTIZAN_MIN_WRITE_RATE "min_write_rate"                            /* default 240; 1 to 1073741824; L Q off */
#define BARTIZAN_RESPONSE_TIMEOUT_MS "response_timeout"                     /* default off; 10 to 86400000; L Q off */
#define BARTIZAN_FLUSH_TIMEOUT_MS "flush_timeout"                           /* default 15000; 10 to 3600000; L */
#define BARTIZAN_IDLE_TIMEOUT_MS "idle_timeout"                             /* default 75000; 10 to 86400000; L */
#define BARTIZAN_MAX_CONNECTION_AGE_MS "max_connection_age"                 /* default 3600000; 10 to 2592000000; L off */
#define BARTIZAN_MAX_REQUESTS_PER_CONNECTION "max_requests_per_connection"  /* default off; 1 to 1000000000; L off */
#define BARTIZAN_H2_MAX_CONCURRENT_STREAMS "h2_max_concurrent_streams"      /* default 100; 1 to 10000; L */
#define BARTIZAN_H2_STREAM_WINDOW_BYTES "h2_stream_window_bytes"            /* default 262144; 1024 to 2147483647; L */
#define BARTIZAN_H2_CONNECTION_WINDOW_BYTES "h2_connection_window_bytes"    /* default 1048576; 65535 to 2147483647; L */
#define BARTIZAN_H2_SEND_BUFFER_BYTES "h2_send_buffer_bytes"                /* default 65536; 1024 to 16777216; L */
#define BARTIZAN_H2_GLITCH_BUDGET "h2_glitch_budget"                        /* default 100; 1 to 1000000; L */
#define BARTIZAN_MAX_CONNECTION_MEMORY_BYTES "max_connection_memory_bytes"  /* default 4194304; 65536 to 1073741824; L */
#define BARTIZAN_MAX_TOTAL_MEMORY_BYTES "max_total_memory_bytes"            /* default off; 1048576 to 1099511627776; off */
#define BARTIZAN_LINGER_TIMEOUT_MS "linger_timeout"                         /* default 2000; 10 to 3600000; L */
#define BARTIZAN_MAX_LINGER_BYTES "max_linger_bytes"                        /* default 262144; 0 to 1073741824; L */
#define BARTIZAN_DRAIN_TIMEOUT_MS "drain_timeout"                           /* default 30000; 0 to 86400000 */
#define BARTIZAN_TCP_KEEPALIVE_IDLE_MS "tcp_keepalive_idle"                 /* default 15000; 1000 to 32400000; L off */
#define BARTIZAN_TCP_KEEPALIVE_INTERVAL_MS "tcp_keepalive_interval"         /* default 15000; 1000 to 32400000; L */
#define BARTIZAN_TCP_KEEPALIVE_PROBES "tcp_keepalive_probes"                /* default 9; 1 to 127; L */
#define BARTIZAN_REDIRECT_TO_HTTPS "redirect_to_https"                      /* default 0; 0 to 1; L */
#define BARTIZAN_HSTS_MAX_AGE_MS "hsts_max_age"                             /* default off; 0 to 315360000000; L N off */
#endif
