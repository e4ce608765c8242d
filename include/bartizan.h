/* bartizan: a hardened TLS and HTTP server inside your program. C99 and C++11, and later. Generated from ffi/src: edit that.
 *
 * Everywhere, unless a function says otherwise:
 *  - Status: 0 ok, > 0 informational, < 0 error. On error nothing changed; out-parameters are written only on success,
 *    except size_t *n / *len, which are zeroed first.
 *  - err: may be NULL; *err is written only on failure; the caller frees it.
 *  - Text in: pointer + length, BARTIZAN_NTS = NUL-terminated. NULL + 0 is the empty text, NULL + n is E_NULL.
 *  - Data passed in is copied before return. Opaque pointers are the caller's; every _free accepts NULL and never blocks. A second
 *    _free of one aborts with a message, where it is noticed.
 *  - fn + user_data + drop move to the library at the call even when it fails (then drop is called before return, in every
 *    mode). drop may be NULL; it runs exactly once after the last fn returned. With a queue: as BARTIZAN_EV_DROP on the
 *    request's queue (server-wide ones: the first queue) instead of a call, even when drop is NULL; after queue_free it is
 *    called. A config that starts several servers drops once, after the last, and not before bartizan_config_free.
 *  - Threads: config, tls: one at a time. server, queue, request, body, response: any thread, any time, concurrently, except
 *    _free: no other call on that pointer may be running.
 *  - Blocks: only server_wait, and queue_next / body_read / response_write with timeout_ms != 0 (-1 = for ever). On a
 *    reactor thread those give E_DEADLOCK (server_wait also on a worker thread).
 *  - After fork() the child gets E_FORKED from every call on an inherited object or id; _free returns and leaks.
 *  - A reply buffer (buf, cap, len): *len = length without the NUL. E_LIMIT unless cap is more than that: nothing written,
 *    *len says how long it is. buf may be NULL when cap is 0.
 *  - Callbacks must not throw across, longjmp, or fork. Who links the static library into a plugin must not unload it. */


#ifndef BARTIZAN_H
#define BARTIZAN_H

#include <stddef.h>
#include <stdint.h>

#include "bartizan_settings.h"

#ifndef BARTIZAN_API
#  if defined(_WIN32) && !defined(BARTIZAN_STATIC)
#    define BARTIZAN_API __declspec(dllimport)
#  else
#    define BARTIZAN_API
#  endif
#endif

#define BARTIZAN_ABI 0u                       /* changes only with the SONAME */
#define BARTIZAN_NTS ((size_t)-1)             /* a length: the text is NUL-terminated */
#define BARTIZAN_OFF INT64_C(-1)              /* setting value: no limit, where its row allows it */
#define BARTIZAN_AUTO INT64_C(-2)             /* setting value: derived at start, where its row allows it */
#define BARTIZAN_TICKET_KEY_LEN 32u

/* bartizan_status */
#define BARTIZAN_OK 0
#define BARTIZAN_EOF 1                        /* content complete */
#define BARTIZAN_AGAIN 2                      /* nothing now: retry, or arm and wait for the event */
#define BARTIZAN_E_NULL (-1)
#define BARTIZAN_E_VALUE (-2)                 /* out of range, malformed, forbidden byte */
#define BARTIZAN_E_STRUCT (-3)                /* struct_size too small, or unknown non-zero tail */
#define BARTIZAN_E_OPTION (-4)                /* unknown setting, policy, group, suite; or key not allowed in this scope */
#define BARTIZAN_E_HANDLE (-5)                /* id never valid, of another type, or released */
#define BARTIZAN_E_STATE (-6)                 /* second answer, write before begin or after finish, second body reader */
#define BARTIZAN_E_CANCELLED (-7)             /* the exchange is over; bartizan_request_cancelled says why */
#define BARTIZAN_E_DEADLOCK (-8)              /* the call would wait on the very thread that must do the work */
#define BARTIZAN_E_FORKED (-9)                /* made before fork(), used in the child */
#define BARTIZAN_E_CLOSED (-10)               /* queue or server finished */
#define BARTIZAN_E_TIMEOUT (-11)              /* the caller's own timeout_ms passed */
#define BARTIZAN_E_LIMIT (-12)                /* buffer too small, body over its cap, overload */
#define BARTIZAN_E_TLS (-13)                  /* PEM, key, chain, mismatch */
#define BARTIZAN_E_IO (-14)                   /* bind, listen, descriptor */
#define BARTIZAN_E_UNSUPPORTED (-15)
#define BARTIZAN_E_PANIC (-16)                /* a bug of ours was caught; the server drains */
#define BARTIZAN_E_REFUSED (-17)              /* a handler may return it: 503 with Retry-After */

#define BARTIZAN_MODE_INLINE 1u               /* handler modes */
#define BARTIZAN_MODE_WORKERS 2u
#define BARTIZAN_CLIENT_AUTH_OFF 0u
#define BARTIZAN_CLIENT_AUTH_OPTIONAL 1u
#define BARTIZAN_CLIENT_AUTH_REQUIRED 2u
#define BARTIZAN_ROLE_WORKER 1u               /* thread hooks */
#define BARTIZAN_ROLE_REACTOR 2u
#define BARTIZAN_LOG_ERROR 1u
#define BARTIZAN_LOG_WARN 2u
#define BARTIZAN_LOG_INFO 3u
#define BARTIZAN_LOG_DEBUG 4u
#define BARTIZAN_CONNECTION_ENTERED 1u        /* bartizan_connection_record.what */
#define BARTIZAN_CONNECTION_CLOSED 2u
#define BARTIZAN_VIEW_TARGET_UTF8 1u          /* bartizan_request_view.flags */
#define BARTIZAN_VIEW_HAS_BODY 2u
#define BARTIZAN_VIEW_BODY_BUFFERED 4u        /* body is complete in the view; body_read then gives it too */

#define BARTIZAN_EV_REQUEST 1u                /* data.ptr = const bartizan_request_view *; carries one reference */
#define BARTIZAN_EV_BODY 2u                   /* armed body: readable, EOF or over */
#define BARTIZAN_EV_WRITABLE 3u               /* armed response has room */
#define BARTIZAN_EV_CANCELLED 4u              /* arg[0] = reason; at most once */
#define BARTIZAN_EV_DONE 5u                   /* arg = status code sent (0 = none), content bytes sent, reason (1 = complete) */
#define BARTIZAN_EV_CONNECTION 6u             /* data.ptr = const bartizan_connection_record * */
#define BARTIZAN_EV_LOG 7u                    /* data.ptr = const bartizan_log_record *; arg[0] = records lost before it */
#define BARTIZAN_EV_DROP 8u                   /* data.ptr = user_data that is the program's again */
#define BARTIZAN_EV_SHUTDOWN 9u               /* last event of a queue, to one consumer; then queue_next gives E_CLOSED */
#define BARTIZAN_EV_REQUEST_END 10u           /* data.ptr = const bartizan_request_record * */


/// A server to be. Owned by the program; one thread at a time.
typedef struct bartizan_config bartizan_config;

/// Why a set-up call failed. Owned by the program once a call has set it; read by one thread at a time.
typedef struct bartizan_error bartizan_error;

/// A certificate chain and its key. Owned by the program; one thread at a time.
typedef struct bartizan_identity bartizan_identity;

/// A completion queue. Owned by the program; any thread.
typedef struct bartizan_queue bartizan_queue;

/// A running server. Owned by the program; any thread.
typedef struct bartizan_server bartizan_server;

/// How a listener speaks TLS. Owned by the program; one thread at a time.
typedef struct bartizan_tls bartizan_tls;

/// Result of a call: 0 ok, > 0 informational (EOF, AGAIN), < 0 error. On error nothing changed.
typedef int32_t bartizan_status;

/// One row of the settings list. The caller fills struct_size in; the texts are static.
typedef struct bartizan_setting {
    /// Set by the caller to the octets of the structure that it was compiled with.
    uint32_t struct_size;
    /// 1 = OFF allowed, 2 = AUTO allowed, 4 = per listener, 8 = per server name, 16 = per request.
    uint32_t flags;
    /// The name, the same in every language.
    const char *key;
    /// "ms" "bytes" "count" "bytes/s" "switch" "choice".
    const char *unit;
    /// The names of a choice's values from 0, comma separated; NULL for every other unit.
    const char *choices;
    /// What it bounds; what it costs, or which attack it stops; what the peer sees.
    const char *doc;
    /// May be BARTIZAN_OFF or BARTIZAN_AUTO.
    int64_t default_value;
    /// The smallest value.
    int64_t min_value;
    /// The largest value.
    int64_t max_value;
} bartizan_setting;

/// Id of a request: checked by every call, 0 = none, below 2^53. The program's until released.
typedef uint64_t bartizan_request;

/// Id of a connection, for correlation only: never owned, 0 = none, below 2^53.
typedef uint64_t bartizan_connection;

/// Octets without a promise of a NUL behind them; `len` BARTIZAN_NTS = NUL-terminated where the program gives it.
typedef struct bartizan_str {
    /// NULL only with len 0.
    const char *ptr;
    /// In octets.
    size_t len;
} bartizan_str;

/// One field line of a header or trailer section.
typedef struct bartizan_header {
    /// In requests in lower case.
    struct bartizan_str name;
    /// Without surrounding whitespace.
    struct bartizan_str value;
} bartizan_header;

/// What the TLS handshake of a connection negotiated.
typedef struct bartizan_tls_info {
    /// Octets of this structure; it only grows at the end.
    uint32_t struct_size;
    /// IANA number, such as 0x0304.
    uint32_t version;
    /// IANA number.
    uint32_t cipher_suite;
    /// IANA number; 0 for a resumed TLS 1.2 session, which exchanges no keys.
    uint32_t group;
    /// Such as "TLSv1.3".
    struct bartizan_str version_name;
    /// Such as "TLS_AES_128_GCM_SHA256".
    struct bartizan_str suite_name;
    /// Such as "X25519MLKEM768".
    struct bartizan_str group_name;
    /// As the client sent it, in lower case; empty if it sent none.
    struct bartizan_str server_name;
    /// Such as "h2"; empty if none was negotiated.
    struct bartizan_str alpn;
    /// 1 = an earlier session was resumed.
    uint32_t resumed;
    /// How many certificates the client sent.
    uint32_t peer_certificates;
} bartizan_tls_info;

/// Everything about a request. It and all that it points to live until the request is released, also after the answer, after
/// a cancel and after bartizan_server_free.
typedef struct bartizan_request_view {
    /// Octets of this structure; it only grows at the end.
    uint32_t struct_size;
    /// BARTIZAN_VIEW_TARGET_UTF8, BARTIZAN_VIEW_HAS_BODY, BARTIZAN_VIEW_BODY_BUFFERED.
    uint32_t flags;
    /// The id for every call about this request.
    bartizan_request request;
    /// The connection that carries it.
    bartizan_connection connection;
    /// 10, 11 or 20.
    uint32_t http_version;
    /// The listener, as counted by bartizan_config_listen.
    uint32_t listener;
    /// In the client's spelling: methods are case-sensitive.
    struct bartizan_str method;
    /// "https" on TLS, else "http": what carried the request, never what the client claims.
    struct bartizan_str scheme;
    /// Host and port.
    struct bartizan_str authority;
    /// The request target as sent.
    struct bartizan_str target;
    /// Neither decoded nor normalised; never empty.
    struct bartizan_str path;
    /// Behind the first '?'; not decoded.
    struct bartizan_str query;
    /// Text of the client's address; empty for a unix socket. After a PROXY header, the address that it names.
    struct bartizan_str peer_ip;
    /// Text of our address.
    struct bartizan_str local_ip;
    /// 0 for a unix socket.
    uint32_t peer_port;
    /// 0 for a unix socket.
    uint32_t local_port;
    /// The header fields in order, names in lower case.
    const struct bartizan_header *headers;
    /// How many.
    size_t header_count;
    /// The same in one piece: name NUL value NUL ...
    struct bartizan_str header_block;
    /// -1 = not announced.
    int64_t content_length;
    /// The whole content, with BARTIZAN_VIEW_BODY_BUFFERED only.
    struct bartizan_str body;
    /// NULL = cleartext.
    const struct bartizan_tls_info *tls;
    /// HTTP/2 stream id; 0 = HTTP/1.
    uint32_t stream;
    /// 0.
    uint32_t reserved;
} bartizan_request_view;

/// Answers a request, at once or later from any thread. OK: answered, or kept for later. < 0: the library answers 500, with
/// E_REFUSED or E_LIMIT 503, if nothing was sent. The callback's reference is the program's: release it whatever is
/// returned. Must not throw, longjmp or fork; inline it must not block either.
typedef bartizan_status (*bartizan_request_fn)(void *user_data, const struct bartizan_request_view *view);

/// Takes `user_data` back, once, after the last call with it. With a queue it comes as BARTIZAN_EV_DROP instead. May be NULL.
/// Must not throw, longjmp or fork.
typedef void (*bartizan_drop_fn)(void *user_data);

/// Told on each thread of the library as it starts, and as it ends: role = BARTIZAN_ROLE_WORKER or BARTIZAN_ROLE_REACTOR.
/// Must not throw, longjmp or fork.
typedef void (*bartizan_thread_fn)(void *user_data, uint32_t role);

/// One step of a connection: a phase was entered, or it closed. All that it points to lives until the callback returns or the
/// event is released.
typedef struct bartizan_connection_record {
    /// Octets of this structure; it only grows at the end.
    uint32_t struct_size;
    /// BARTIZAN_CONNECTION_ENTERED or BARTIZAN_CONNECTION_CLOSED.
    uint32_t what;
    /// The connection.
    bartizan_connection connection;
    /// The phase that was entered, or in which it closed.
    uint32_t phase;
    /// Why it closed; 0 unless CLOSED.
    uint32_t reason;
    /// The listener, as counted by bartizan_config_listen.
    uint32_t listener;
    /// 10, 11 or 20; 0 = not known yet.
    uint32_t http_version;
    /// Text of the client's address; empty for a unix socket.
    struct bartizan_str peer_ip;
    /// 0 for a unix socket.
    uint32_t peer_port;
    /// 1 = the peer comes from a PROXY header.
    uint32_t proxied;
    /// NULL before the handshake ended, and on cleartext.
    const struct bartizan_tls_info *tls;
    /// Octets read from the socket, TLS included.
    uint64_t bytes_in;
    /// Octets written to the socket, TLS included.
    uint64_t bytes_out;
    /// Requests begun on it.
    uint64_t requests;
    /// Time spent per phase; index = phase id.
    const uint64_t *phase_micros;
    /// Elements of phase_micros.
    size_t phase_count;
    /// Order of happening on this connection, from 1.
    uint64_t seq;
    /// Unix time.
    int64_t time_micros;
} bartizan_connection_record;

/// Told of each step of a connection, on the reactor that owns it: for one connection in order and never concurrently. Must
/// not block, throw, longjmp or fork.
typedef void (*bartizan_connection_fn)(void *user_data, const struct bartizan_connection_record *record);

/// How one request ended. All that it points to lives until the callback returns or the event is released.
typedef struct bartizan_request_record {
    /// Octets of this structure; it only grows at the end.
    uint32_t struct_size;
    /// Status code sent, 0 = none.
    uint32_t code;
    /// Order of happening on its connection, from 1.
    uint64_t seq;
    /// Unix time.
    int64_t time_micros;
    /// For correlation; may be released already. 0 = it never reached the program.
    bartizan_request request;
    /// The connection that carried it.
    bartizan_connection connection;
    /// HTTP/2 stream id; 0 = HTTP/1.
    uint32_t stream;
    /// 1 = complete.
    uint32_t reason;
    /// Empty if it could not be parsed.
    struct bartizan_str method;
    /// Empty if it could not be parsed.
    struct bartizan_str target;
    /// Content octets received.
    uint64_t bytes_in;
    /// Content octets sent.
    uint64_t bytes_out;
    /// Time spent per phase; index = phase id.
    const uint64_t *phase_micros;
    /// Elements of phase_micros.
    size_t phase_count;
} bartizan_request_record;

/// Told of each request when it ended, on the reactor that owns its connection. Must not block, throw, longjmp or fork.
typedef void (*bartizan_request_end_fn)(void *user_data, const struct bartizan_request_record *record);

/// One log record. What it points to lives until the callback returns or the event is released.
typedef struct bartizan_log_record {
    /// Octets of this structure; it only grows at the end.
    uint32_t struct_size;
    /// BARTIZAN_LOG_ERROR to BARTIZAN_LOG_DEBUG.
    uint32_t level;
    /// 0 = none.
    bartizan_connection connection;
    /// The part of the library that speaks.
    struct bartizan_str target;
    /// One line of UTF-8; control bytes escaped, no secrets.
    struct bartizan_str text;
} bartizan_log_record;

/// Told of each log record, on any thread, concurrently. Must not block, throw, longjmp or fork.
typedef void (*bartizan_log_fn)(void *user_data, const struct bartizan_log_record *record);

/// What an event carries: which member is valid depends on its kind.
typedef union bartizan_event_data {
    /// A view, a record, or user data.
    const void *ptr;
    /// Unused so far.
    uint64_t u64;
} bartizan_event_data;

/// One event: 64 bytes for ever. Order per request: REQUEST, (BODY | WRITABLE | CANCELLED at most once)*, DONE. DONE does not
/// release the program's reference and may carry an id that is released already. It is the order of handing out: two
/// consumers may hold events of one request.
typedef struct bartizan_event {
    /// BARTIZAN_EV_*.
    uint32_t kind;
    /// E_CANCELLED with CANCELLED, else 0.
    bartizan_status status;
    /// 0 = about none.
    bartizan_request request;
    /// 0 = about none.
    bartizan_connection connection;
    /// As set by bartizan_request_tag, else 0.
    uint64_t tag;
    /// By kind.
    union bartizan_event_data data;
    /// By kind.
    uint64_t arg[3];
} bartizan_event;

/// The numbers of a server at one moment: accepted - closed = open = the sum over phases; started - ended = live. The caller
/// fills struct_size in; fields are only ever added at the end.
typedef struct bartizan_metrics {
    /// Set by the caller to the octets of the structure that it was compiled with.
    uint64_t struct_size;
    /// So far.
    uint64_t connections_accepted;
    /// Now.
    uint64_t connections_open;
    /// So far.
    uint64_t connections_closed;
    /// Reached Finished.
    uint64_t handshakes_completed;
    /// Ended otherwise.
    uint64_t handshakes_failed;
    /// Of the completed: by ticket.
    uint64_t handshakes_resumed;
    /// Now.
    uint64_t handshakes_pending;
    /// Header section complete, so far.
    uint64_t requests_started;
    /// So far.
    uint64_t requests_ended;
    /// Now.
    uint64_t requests_live;
    /// Delivered to the program and not released, now.
    uint64_t handlers_running;
    /// Waiting for a worker or in a queue, now.
    uint64_t requests_queued;
    /// Released without an answer, so far.
    uint64_t requests_unanswered;
    /// Octets read from sockets.
    uint64_t bytes_received;
    /// Octets written to sockets.
    uint64_t bytes_sent;
    /// Held for connections, as far as it is accounted.
    uint64_t memory_bytes;
    /// In use by the process.
    uint64_t descriptors_open;
    /// That the process may use.
    uint64_t descriptors_limit;
} bartizan_metrics;

/// Told once why the exchange was cancelled. Must not block, throw, longjmp or fork.
typedef void (*bartizan_cancel_fn)(void *user_data, bartizan_request request, uint32_t reason);

/// Told of armed readiness: what = BARTIZAN_EV_BODY or BARTIZAN_EV_WRITABLE. Inline on the reactor, where it must not block;
/// in workers mode on a worker. Must not throw, longjmp or fork.
typedef void (*bartizan_ready_fn)(void *user_data, bartizan_request request, uint32_t what);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/// The library's version: major << 16 | minor << 8 | patch.
///
/// @own nothing.
/// @null takes no pointer.
/// @thread any, also after fork.
/// @life nothing outlives the call.
/// @err none.
BARTIZAN_API uint32_t bartizan_version(void);

/// The library's version as text, such as "0.1.0".
///
/// @own the text is the library's.
/// @null takes no pointer.
/// @thread any, also after fork.
/// @life for ever.
/// @err none.
BARTIZAN_API const char *bartizan_version_text(void);

/// Whether the loaded library serves programs compiled against this header: pass BARTIZAN_ABI.
///
/// @own nothing.
/// @null takes no pointer.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_UNSUPPORTED if it does not; then call nothing else.
BARTIZAN_API bartizan_status bartizan_abi_check(uint32_t header_abi);

/// The name of a status, such as "E_VALUE"; "unknown" for any other number. Never NULL.
///
/// @own the text is the library's.
/// @null takes no pointer.
/// @thread any; never blocks.
/// @life for ever.
/// @err none.
BARTIZAN_API const char *bartizan_status_name(bartizan_status status);

/// The name of a phase, such as "header"; ids count from 0, NULL past the end.
///
/// @own the text is the library's.
/// @null takes no pointer.
/// @thread any; never blocks.
/// @life for ever.
/// @err none.
BARTIZAN_API const char *bartizan_phase_name(uint32_t phase);

/// The name of a reason, such as "header.timeout"; ids count from 1, 0 is "none", NULL past the end.
///
/// @own the text is the library's.
/// @null takes no pointer.
/// @thread any; never blocks.
/// @life for ever.
/// @err none.
BARTIZAN_API const char *bartizan_reason_name(uint32_t reason);

/// The status that the failed call returned.
///
/// @own the error stays the program's.
/// @null E_NULL.
/// @thread one at a time.
/// @life nothing outlives the call.
/// @err E_NULL for NULL; E_FORKED in a child of the process that got the error.
BARTIZAN_API bartizan_status bartizan_error_code(const struct bartizan_error *error);

/// What went wrong, in English and UTF-8, with key, value and range, or address. The text is the error's: it lives until
/// bartizan_error_free. Never NULL; for NULL, or after `fork`, a static text that says so.
///
/// @own the text is the error's.
/// @null gives a static text.
/// @thread one at a time.
/// @life until bartizan_error_free.
/// @err none: never NULL.
BARTIZAN_API
const char *bartizan_error_message(const struct bartizan_error *error);

/// Frees an error that a call has set.
///
/// @own takes the error.
/// @null ignored.
/// @thread any; no other call on it may be running.
/// @life its text ends with it.
/// @err none.
BARTIZAN_API void bartizan_error_free(struct bartizan_error *error);

/// Describes the setting at `index`, counted from 0 in the order in which a connection meets them: read on until E_VALUE.
/// The caller sets out->struct_size first; a larger one than this library's is fine if the tail is zero, else E_STRUCT. The
/// texts are static.
///
/// @own the structure is the program's, its texts are the library's.
/// @null E_NULL.
/// @thread any; never blocks.
/// @life the texts: for ever.
/// @err E_NULL, E_STRUCT, E_VALUE past the end.
BARTIZAN_API
bartizan_status bartizan_setting_at(size_t index,
                                    struct bartizan_setting *out);

/// Makes a configuration with the default settings, without listeners and without anybody who answers.
///
/// @own the program's.
/// @null takes no pointer.
/// @thread any.
/// @life until bartizan_config_free.
/// @err NULL after a bug of ours.
BARTIZAN_API struct bartizan_config *bartizan_config_new(void);

/// Frees a configuration; servers that it has started go on. User data that no server uses is dropped.
///
/// @own takes the configuration.
/// @null ignored.
/// @thread any; no other call on it may be running.
/// @life servers that it started go on.
/// @err none.
BARTIZAN_API void bartizan_config_free(struct bartizan_config *config);

/// Sets a setting (BARTIZAN_..., see bartizan_settings.h) to a value in its unit, BARTIZAN_OFF or BARTIZAN_AUTO. Nothing is
/// clamped.
///
/// @own what is passed in is copied.
/// @null allowed for err.
/// @thread one at a time per configuration.
/// @life nothing outlives the call.
/// @err E_NULL, E_OPTION for an unknown key (the message names the nearest), E_VALUE out of range.
BARTIZAN_API
bartizan_status bartizan_config_set(struct bartizan_config *config,
                                    const char *key,
                                    int64_t value,
                                    struct bartizan_error **err);

/// As bartizan_config_set, from the form for people and files: "10s", "16KiB", "off", "auto".
///
/// @own what is passed in is copied.
/// @null allowed for err.
/// @thread one at a time per configuration.
/// @life nothing outlives the call.
/// @err E_NULL, E_OPTION for an unknown key (the message names the nearest), E_VALUE malformed or out of range.
BARTIZAN_API
bartizan_status bartizan_config_set_text(struct bartizan_config *config,
                                         const char *key,
                                         const char *text,
                                         size_t len,
                                         struct bartizan_error **err);

/// The value that a setting has now.
///
/// @own nothing moves.
/// @null allowed for err.
/// @thread one at a time per configuration.
/// @life nothing outlives the call.
/// @err E_NULL, E_OPTION for an unknown key.
BARTIZAN_API
bartizan_status bartizan_config_get(const struct bartizan_config *config,
                                    const char *key,
                                    int64_t *value,
                                    struct bartizan_error **err);

/// Adds a listener: "127.0.0.1:0", "[::]:8443", "unix:/path". `tls` is copied, NULL = cleartext. *listener, if not NULL,
/// receives its number, counted from 0. Nothing is bound before the start.
///
/// @own address and tls are copied.
/// @null allowed for tls, listener, err.
/// @thread one at a time per configuration.
/// @life nothing outlives the call.
/// @err E_NULL, E_VALUE for a malformed address.
BARTIZAN_API
bartizan_status bartizan_config_listen(struct bartizan_config *config,
                                       const char *address,
                                       const struct bartizan_tls *tls,
                                       uint32_t *listener,
                                       struct bartizan_error **err);

/// Adds a listener on a listening socket that the program made. The library's from a successful start on, which closes it
/// for the program; until then the program's.
///
/// @own the socket moves to the library at a successful start; tls is copied.
/// @null allowed for tls, listener, err.
/// @thread one at a time per configuration.
/// @life nothing outlives the call.
/// @err E_NULL, E_VALUE for a negative one, E_IO if it is no open descriptor.
BARTIZAN_API
bartizan_status bartizan_config_listen_fd(struct bartizan_config *config,
                                          int64_t socket,
                                          const struct bartizan_tls *tls,
                                          uint32_t *listener,
                                          struct bartizan_error **err);

/// Overrides a setting of level L for one listener, from its text form.
///
/// @own what is passed in is copied.
/// @null allowed for err.
/// @thread one at a time per configuration.
/// @life nothing outlives the call.
/// @err E_NULL; E_OPTION for an unknown key or one that a listener does not have; E_VALUE for an unknown listener or a
///   value out of range.
BARTIZAN_API
bartizan_status bartizan_config_listener_set_text(struct bartizan_config *config,
                                                  uint32_t listener,
                                                  const char *key,
                                                  const char *text,
                                                  size_t len,
                                                  struct bartizan_error **err);

/// Overrides a setting of level N for one server name of a listener; "*.example" stands for one label.
///
/// @own what is passed in is copied.
/// @null allowed for err.
/// @thread one at a time per configuration.
/// @life nothing outlives the call.
/// @err E_NULL, E_OPTION, E_VALUE as for bartizan_config_listener_set_text; E_VALUE for a malformed name.
BARTIZAN_API
bartizan_status bartizan_config_server_name_set_text(struct bartizan_config *config,
                                                     uint32_t listener,
                                                     const char *server_name,
                                                     const char *key,
                                                     const char *text,
                                                     size_t len,
                                                     struct bartizan_error **err);

/// Adds a network ("10.0.0.0/8", "2001:db8::/32", one address) whose PROXY headers a listener believes; repeatable. With
/// proxy_protocol on and none given the start is refused.
///
/// @own what is passed in is copied.
/// @null allowed for err.
/// @thread one at a time per configuration.
/// @life nothing outlives the call.
/// @err E_NULL, E_VALUE.
BARTIZAN_API
bartizan_status bartizan_config_trust_proxy(struct bartizan_config *config,
                                            uint32_t listener,
                                            const char *cidr,
                                            struct bartizan_error **err);

/// Says who answers: `fn`, called on the reactor (BARTIZAN_MODE_INLINE: must not block) or on a worker thread
/// (BARTIZAN_MODE_WORKERS), concurrently. A handler that was set before is replaced.
///
/// @own user_data and drop move at the call, also when it fails.
/// @null allowed for user_data, drop, err.
/// @thread one at a time per configuration.
/// @life user_data until drop, after the last call of the last server.
/// @err E_NULL, E_VALUE for an unknown mode, E_STATE with queues: a handler or queues, not both.
BARTIZAN_API
bartizan_status bartizan_config_handler(struct bartizan_config *config,
                                        uint32_t mode,
                                        bartizan_request_fn fn,
                                        void *user_data,
                                        bartizan_drop_fn drop,
                                        struct bartizan_error **err);

/// Adds a completion queue that requests go to, in turn with the others; repeatable. `event_mask` adds 1 <<
/// BARTIZAN_EV_CONNECTION, 1 << BARTIZAN_EV_LOG, 1 << BARTIZAN_EV_REQUEST_END: each queue that asks for them gets them all.
/// A queue serves one server, and stays the program's.
///
/// @own the queue stays the program's.
/// @null allowed for err.
/// @thread one at a time per configuration.
/// @life the queue outlives the configuration.
/// @err E_NULL, E_VALUE for an unknown bit, E_STATE with a handler or a queue that was added already.
BARTIZAN_API
bartizan_status bartizan_config_queue(struct bartizan_config *config,
                                      struct bartizan_queue *queue,
                                      uint64_t event_mask,
                                      struct bartizan_error **err);

/// Calls `start` on each thread of the library as it starts and `stop` as it ends; either may be NULL, not both. For
/// virtual machines that a thread attaches to.
///
/// @own user_data and drop move at the call, also when it fails.
/// @null allowed for one of start and stop, user_data, drop, err.
/// @thread one at a time per configuration.
/// @life user_data until drop, after the last call of the last server.
/// @err E_NULL.
BARTIZAN_API
bartizan_status bartizan_config_thread_hooks(struct bartizan_config *config,
                                             bartizan_thread_fn start,
                                             bartizan_thread_fn stop,
                                             void *user_data,
                                             bartizan_drop_fn drop,
                                             struct bartizan_error **err);

/// Calls `fn` for each phase that a connection enters, and for its close: per connection in order, never concurrently.
///
/// @own user_data and drop move at the call, also when it fails.
/// @null allowed for user_data, drop, err.
/// @thread one at a time per configuration.
/// @life user_data until drop, after the last call of the last server.
/// @err E_NULL.
BARTIZAN_API
bartizan_status bartizan_config_on_connection(struct bartizan_config *config,
                                              bartizan_connection_fn fn,
                                              void *user_data,
                                              bartizan_drop_fn drop,
                                              struct bartizan_error **err);

/// Calls `fn` once per request, when it ended.
///
/// @own user_data and drop move at the call, also when it fails.
/// @null allowed for user_data, drop, err.
/// @thread one at a time per configuration.
/// @life user_data until drop, after the last call of the last server.
/// @err E_NULL.
BARTIZAN_API
bartizan_status bartizan_config_on_request_end(struct bartizan_config *config,
                                               bartizan_request_end_fn fn,
                                               void *user_data,
                                               bartizan_drop_fn drop,
                                               struct bartizan_error **err);

/// Calls `fn` for log records up to `max_level` (BARTIZAN_LOG_*), from any thread, concurrently.
///
/// @own user_data and drop move at the call, also when it fails.
/// @null allowed for user_data, drop, err.
/// @thread one at a time per configuration.
/// @life user_data until drop, after the last call of the last server.
/// @err E_NULL, E_VALUE for an unknown level.
BARTIZAN_API
bartizan_status bartizan_config_on_log(struct bartizan_config *config,
                                       uint32_t max_level,
                                       bartizan_log_fn fn,
                                       void *user_data,
                                       bartizan_drop_fn drop,
                                       struct bartizan_error **err);

/// Makes an identity from a certificate chain, its own certificate first, and its private key, both PEM in memory. Both are
/// copied, and checked to belong together.
///
/// @own both are copied; on success *out is the program's.
/// @null allowed for err.
/// @thread any.
/// @life until bartizan_identity_free.
/// @err E_NULL, E_TLS (PEM, key, chain, mismatch).
BARTIZAN_API
bartizan_status bartizan_identity_from_pem(const void *chain,
                                           size_t chain_len,
                                           const void *key,
                                           size_t key_len,
                                           struct bartizan_identity **out,
                                           struct bartizan_error **err);

/// Makes an identity for development: a fresh key and a certificate that it signs itself, for a comma-separated list of DNS
/// names and IP addresses; the empty text stands for localhost,127.0.0.1,::1. A server that uses one says so in its log.
///
/// @own names are copied; on success *out is the program's.
/// @null allowed for err.
/// @thread any.
/// @life until bartizan_identity_free.
/// @err E_NULL, E_VALUE for what is neither a name nor an address.
BARTIZAN_API
bartizan_status bartizan_identity_self_signed(const char *names,
                                              size_t len,
                                              struct bartizan_identity **out,
                                              struct bartizan_error **err);

/// Frees an identity; descriptions that it was given to keep their copy.
///
/// @own takes the identity.
/// @null ignored.
/// @thread any; no other call on it may be running.
/// @life descriptions keep their copy.
/// @err none.
BARTIZAN_API void bartizan_identity_free(struct bartizan_identity *identity);

/// Makes a description with policy "intermediate", ALPN "h2,http/1.1" and no identity yet.
///
/// @own the program's.
/// @null takes no pointer.
/// @thread any.
/// @life until bartizan_tls_free.
/// @err NULL after a bug of ours.
BARTIZAN_API struct bartizan_tls *bartizan_tls_new(void);

/// Frees a description; listeners and servers keep their copy.
///
/// @own takes the description.
/// @null ignored.
/// @thread any; no other call on it may be running.
/// @life listeners and servers keep their copy.
/// @err none.
BARTIZAN_API void bartizan_tls_free(struct bartizan_tls *tls);

/// Chooses groups, suites and versions by a named policy, in place of what was set of the three: "intermediate" (TLS 1.2
/// and 1.3), "modern" (1.3 only), "pq-required" (1.3 with a post-quantum group only).
///
/// @own what is passed in is copied.
/// @null allowed for err.
/// @thread one at a time per description.
/// @life nothing outlives the call.
/// @err E_NULL, E_OPTION for an unknown name.
BARTIZAN_API
bartizan_status bartizan_tls_policy(struct bartizan_tls *tls,
                                    const char *name,
                                    struct bartizan_error **err);

/// Sets the key-exchange groups ("curves"), comma separated, in our order of preference: "X25519MLKEM768,X25519".
///
/// @own what is passed in is copied.
/// @null allowed for err.
/// @thread one at a time per description.
/// @life nothing outlives the call.
/// @err E_NULL, E_OPTION for an unknown name (the message lists the known ones), E_VALUE for an empty item or a double.
BARTIZAN_API
bartizan_status bartizan_tls_groups(struct bartizan_tls *tls,
                                    const char *list,
                                    size_t len,
                                    struct bartizan_error **err);

/// Sets the cipher suites of TLS 1.2 and 1.3 in one list, by IANA name, in our order of preference.
///
/// @own what is passed in is copied.
/// @null allowed for err.
/// @thread one at a time per description.
/// @life nothing outlives the call.
/// @err E_NULL, E_OPTION, E_VALUE.
BARTIZAN_API
bartizan_status bartizan_tls_suites(struct bartizan_tls *tls,
                                    const char *list,
                                    size_t len,
                                    struct bartizan_error **err);

/// Sets the versions: "TLSv1.2,TLSv1.3". One that no suite or group is left for is an error at start.
///
/// @own what is passed in is copied.
/// @null allowed for err.
/// @thread one at a time per description.
/// @life nothing outlives the call.
/// @err E_NULL, E_OPTION, E_VALUE.
BARTIZAN_API
bartizan_status bartizan_tls_versions(struct bartizan_tls *tls,
                                      const char *list,
                                      size_t len,
                                      struct bartizan_error **err);

/// Sets the ALPN protocols: "h2,http/1.1". A client that offers only others is turned away.
///
/// @own what is passed in is copied.
/// @null allowed for err.
/// @thread one at a time per description.
/// @life nothing outlives the call.
/// @err E_NULL, E_OPTION, E_VALUE.
BARTIZAN_API
bartizan_status bartizan_tls_alpn(struct bartizan_tls *tls,
                                  const char *list,
                                  size_t len,
                                  struct bartizan_error **err);

/// Sets the identity for a server name (SNI; "*.example" stands for one label), or with NULL the default for clients that
/// send no name or one that nothing matches. Without a default those are turned away with unrecognized_name. The identity
/// is shared, not consumed.
///
/// @own the identity is shared, not consumed.
/// @null allowed for server_name, err.
/// @thread one at a time per description.
/// @life nothing outlives the call.
/// @err E_NULL, E_VALUE for a malformed name.
BARTIZAN_API
bartizan_status bartizan_tls_identity(struct bartizan_tls *tls,
                                      const char *server_name,
                                      const struct bartizan_identity *identity,
                                      struct bartizan_error **err);

/// Takes identity, policy and client rules for one server name from another description, which is copied. It may be `tls`
/// itself.
///
/// @own other is copied.
/// @null allowed for err.
/// @thread one at a time per description.
/// @life nothing outlives the call.
/// @err E_NULL, E_VALUE for a malformed name or a description without an identity.
BARTIZAN_API
bartizan_status bartizan_tls_server_name(struct bartizan_tls *tls,
                                         const char *server_name,
                                         const struct bartizan_tls *other,
                                         struct bartizan_error **err);

/// Asks clients for a certificate (BARTIZAN_CLIENT_AUTH_*) that must come from these CA certificates, PEM in memory; X509
/// CRL blocks among them revoke. Copied.
///
/// @own what is passed in is copied.
/// @null allowed for err.
/// @thread one at a time per description.
/// @life nothing outlives the call.
/// @err E_NULL; E_VALUE for an unknown mode, or without a CA where one is needed; E_TLS.
BARTIZAN_API
bartizan_status bartizan_tls_client_auth(struct bartizan_tls *tls,
                                         uint32_t mode,
                                         const void *ca_pem,
                                         size_t len,
                                         struct bartizan_error **err);

/// Sets the keys of session tickets, to be shared by the hosts that resume each other's sessions: `count` times
/// BARTIZAN_TICKET_KEY_LEN octets, copied; the first seals, all open. 0 = keys are made and rotated inside.
///
/// @own what is passed in is copied.
/// @null allowed for err.
/// @thread one at a time per description.
/// @life nothing outlives the call.
/// @err E_NULL, E_VALUE.
BARTIZAN_API
bartizan_status bartizan_tls_ticket_keys(struct bartizan_tls *tls,
                                         const void *keys,
                                         size_t count,
                                         struct bartizan_error **err);

/// Makes a queue without a server.
///
/// @own on success *out is the program's.
/// @null allowed for err.
/// @thread any.
/// @life until bartizan_queue_free.
/// @err E_NULL, E_IO when descriptors ran out.
BARTIZAN_API bartizan_status bartizan_queue_new(struct bartizan_queue **out, struct bartizan_error **err);

/// The descriptor to wait on: readable while events wait, level-triggered, for poll, epoll or an event loop. The queue's:
/// never read or close it; it ends with bartizan_queue_free. -1 for NULL, and after `fork`.
///
/// @own the descriptor is the queue's.
/// @null gives -1.
/// @thread any; never blocks.
/// @life until bartizan_queue_free.
/// @err -1, also after fork.
BARTIZAN_API
int64_t bartizan_queue_fd(const struct bartizan_queue *queue);

/// Takes up to `max` events, waiting at most `timeout_ms` for the first (0 = not at all, -1 = for ever). OK: *n > 0 events.
/// AGAIN: none, the time is over or bartizan_queue_wake was called.
///
/// @own a REQUEST carries one reference, a record is the program's until released; the array is the program's.
/// @null E_NULL.
/// @thread any, several at once; blocks with a timeout.
/// @life events may be copied; what they point to lives until released.
/// @err E_CLOSED once SHUTDOWN was handed out, E_NULL, E_VALUE (max 0, timeout below -1), E_DEADLOCK on a reactor thread
///   with a timeout.
BARTIZAN_API
bartizan_status bartizan_queue_next(struct bartizan_queue *queue,
                                    struct bartizan_event *events,
                                    size_t max,
                                    int64_t timeout_ms,
                                    size_t *n);

/// Ends the records of a batch (CONNECTION, LOG, REQUEST_END), which are not read any more; events of other kinds are
/// skipped.
///
/// @own takes the records of the events.
/// @null allowed for events when n is 0.
/// @thread any; never blocks.
/// @life what the events point to ends.
/// @err E_NULL; E_HANDLE if one of them is no event of this queue or was released, and then none is.
BARTIZAN_API
bartizan_status bartizan_queue_release(struct bartizan_queue *queue,
                                       const struct bartizan_event *events,
                                       size_t n);

/// Lets one bartizan_queue_next return AGAIN; remembered until then, and async-signal-safe.
///
/// @own nothing moves.
/// @null E_NULL.
/// @thread any, also in a signal handler.
/// @life nothing outlives the call.
/// @err E_NULL.
BARTIZAN_API bartizan_status bartizan_queue_wake(struct bartizan_queue *queue);

/// Frees a queue and the records that it handed out. Its requests that are not answered get 503, whether they wait in it, were
/// handed out, or are sent there later; ids that were handed out stay valid.
///
/// @own takes the queue and the records that it handed out.
/// @null ignored.
/// @thread any; no other call on it may be running.
/// @life ids that were handed out stay valid.
/// @err none.
BARTIZAN_API
void bartizan_queue_free(struct bartizan_queue *queue);

/// Checks a configuration, tells everything that is wrong with it at once, and starts a server; returns when every listener
/// accepts. The configuration is copied and may be freed or reused.
///
/// @own config is copied; on success *out is the program's.
/// @null allowed for err.
/// @thread any; one at a time per configuration; blocks until every listener accepts.
/// @life the server until bartizan_server_free.
/// @err E_NULL, E_VALUE, E_STATE (nobody answers; a queue that has a server), E_TLS, E_IO (bind, listen, descriptor).
BARTIZAN_API
bartizan_status bartizan_server_start(const struct bartizan_config *config,
                                      struct bartizan_server **out,
                                      struct bartizan_error **err);

/// The address of a listener, with the port that the system chose: "127.0.0.1:45123", "unix:/path". *len is its length
/// without the NUL.
///
/// @own buf is the program's.
/// @null allowed for buf when cap is 0.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_LIMIT if cap is not more than *len: nothing is written; E_NULL, E_VALUE: no such listener.
BARTIZAN_API
bartizan_status bartizan_server_address(const struct bartizan_server *server,
                                        uint32_t listener,
                                        char *buf,
                                        size_t cap,
                                        size_t *len);

/// Replaces identities, policy and keys of a listener: at once and as a whole, for new handshakes only. Copied. On failure
/// the old ones stay.
///
/// @own tls is copied.
/// @null allowed for err.
/// @thread any; one at a time per description.
/// @life nothing outlives the call.
/// @err E_NULL, E_VALUE, E_TLS, E_STATE for a cleartext listener.
BARTIZAN_API
bartizan_status bartizan_server_update_tls(struct bartizan_server *server,
                                           uint32_t listener,
                                           const struct bartizan_tls *tls,
                                           struct bartizan_error **err);

/// Ends the server: no new connections, idle ones close, requests in flight complete within `grace_ms`, then the rest is
/// cut. -1 = the setting drain_timeout, 0 = at once; again with less = sooner. Returns at once.
///
/// @own nothing moves.
/// @null E_NULL.
/// @thread any, also in a callback; never blocks.
/// @life nothing outlives the call.
/// @err E_NULL, E_VALUE.
BARTIZAN_API
bartizan_status bartizan_server_shutdown(struct bartizan_server *server,
                                         int64_t grace_ms);

/// Waits until a server that was shut down has ended: connections closed, callbacks returned, drops ran. At most
/// `timeout_ms` (0 = not at all, -1 = for ever).
///
/// @own nothing moves.
/// @null E_NULL.
/// @thread any but those of the library; blocks.
/// @life nothing outlives the call.
/// @err E_NULL, E_VALUE, E_TIMEOUT; E_DEADLOCK on a thread of the library.
BARTIZAN_API
bartizan_status bartizan_server_wait(struct bartizan_server *server,
                                     int64_t timeout_ms);

/// Gives freed memory pages back to the system, after a peak.
///
/// @own nothing moves.
/// @null E_NULL.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_NULL.
BARTIZAN_API bartizan_status bartizan_server_trim(struct bartizan_server *server);

/// Frees a server: as bartizan_server_shutdown(server, 0), and the rest ends by itself. Ids and views live on until they
/// are released.
///
/// @own takes the server.
/// @null ignored.
/// @thread any, also in a callback; no other call on it may be running.
/// @life ids and views live on until released; the rest ends by itself.
/// @err none.
BARTIZAN_API
void bartizan_server_free(struct bartizan_server *server);

/// Fills one consistent snapshot in; the caller has set struct_size.
///
/// @own the structure is the program's.
/// @null E_NULL.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_NULL, E_STRUCT.
BARTIZAN_API
bartizan_status bartizan_server_metrics(const struct bartizan_server *server,
                                        struct bartizan_metrics *inout);

/// Open connections by phase (index = phase id) and closed ones by reason (index = reason id, so that [0] is 0), both from
/// one snapshot. Fills what exists and zeroes the rest of each array; an array of 0 elements may be NULL.
///
/// @own the arrays are the program's.
/// @null allowed for an array of 0 elements.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_NULL.
BARTIZAN_API
bartizan_status bartizan_server_counts(const struct bartizan_server *server,
                                       uint64_t *open_by_phase,
                                       size_t phases,
                                       uint64_t *closed_by_reason,
                                       size_t reasons);

/// All metrics as OpenMetrics 1.0 text. *len is its length without the NUL; numbers grow, so ask again with some room to
/// spare.
///
/// @own buf is the program's.
/// @null allowed for buf when cap is 0.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_LIMIT if cap is not more than *len: nothing is written; E_NULL.
BARTIZAN_API
bartizan_status bartizan_server_metrics_text(const struct bartizan_server *server,
                                             char *buf,
                                             size_t cap,
                                             size_t *len);

/// The view of a request: everything about it in one structure, the request's until it is released, also after an answer, a
/// cancel and bartizan_server_free.
///
/// @own the view is the request's.
/// @null E_NULL.
/// @thread any; never blocks.
/// @life until the last release, also after an answer, a cancel and bartizan_server_free.
/// @err E_NULL, E_HANDLE.
BARTIZAN_API
bartizan_status bartizan_request_get(bartizan_request request,
                                     const struct bartizan_request_view **out);

/// The value of the `nth` field of this name, counted from 0; the name in any case. *value points into the request.
///
/// @own *value points into the request.
/// @null allowed for name of no octets.
/// @thread any; never blocks.
/// @life until the last release.
/// @err E_NULL, E_HANDLE, E_VALUE: no such field.
BARTIZAN_API
bartizan_status bartizan_request_header(bartizan_request request,
                                        const char *name,
                                        size_t len,
                                        size_t nth,
                                        struct bartizan_str *value);

/// A certificate of the client's chain in DER, its own at index 0. *der points into the request.
///
/// @own *der points into the request.
/// @null E_NULL.
/// @thread any; never blocks.
/// @life until the last release.
/// @err E_NULL, E_HANDLE, E_VALUE past the end.
BARTIZAN_API
bartizan_status bartizan_request_peer_certificate(bartizan_request request,
                                                  size_t index,
                                                  const void **der,
                                                  size_t *len);

/// Whether cancel was raised: OK while the exchange lives. Lock-free. After peer.closed an answer may still go out.
///
/// @own nothing moves.
/// @null allowed for reason.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_CANCELLED with the reason in *reason, E_HANDLE.
BARTIZAN_API
bartizan_status bartizan_request_cancelled(bartizan_request request,
                                           uint32_t *reason);

/// Calls `fn` when the exchange is cancelled, on the reactor, perhaps while bartizan_request_release returns: free in
/// `drop`. If it is cancelled already, `fn` is called before return. Once per request.
///
/// @own user_data and drop move at the call, also when it fails.
/// @null allowed for user_data, drop.
/// @thread any; never blocks.
/// @life user_data until drop, after the last call.
/// @err E_NULL, E_HANDLE, E_STATE the second time or with a queue, which carries the event instead.
BARTIZAN_API
bartizan_status bartizan_request_on_cancel(bartizan_request request,
                                           bartizan_cancel_fn fn,
                                           void *user_data,
                                           bartizan_drop_fn drop);

/// Calls `fn` for armed readiness (bartizan_body_arm, bartizan_response_arm): never inside arm nor concurrently with
/// itself, but maybe before the request callback returned. Once per request.
///
/// @own user_data and drop move at the call, also when it fails.
/// @null allowed for user_data, drop.
/// @thread any; never blocks.
/// @life user_data until drop, after the last call.
/// @err E_NULL, E_HANDLE, E_STATE the second time or with a queue, which carries events instead.
BARTIZAN_API
bartizan_status bartizan_request_on_ready(bartizan_request request,
                                          bartizan_ready_fn fn,
                                          void *user_data,
                                          bartizan_drop_fn drop);

/// Moves a limit of level Q of this request, tighter or wider, at any time before it strikes; counted on the phase's own
/// clock, from its start.
///
/// @own what is passed in is copied.
/// @null E_NULL.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_NULL, E_HANDLE, E_OPTION, E_VALUE, E_CANCELLED.
BARTIZAN_API
bartizan_status bartizan_request_set(bartizan_request request,
                                     const char *key,
                                     int64_t value);

/// As bartizan_request_set, from the text form: "10s", "16KiB", "off".
///
/// @own what is passed in is copied.
/// @null E_NULL.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_NULL, E_HANDLE, E_OPTION, E_VALUE, E_CANCELLED.
BARTIZAN_API
bartizan_status bartizan_request_set_text(bartizan_request request,
                                          const char *key,
                                          const char *text,
                                          size_t len);

/// The time left on the clock that a timeout of level Q bounds; BARTIZAN_OFF = none.
///
/// @own nothing moves.
/// @null E_NULL.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_NULL, E_HANDLE, E_OPTION.
BARTIZAN_API
bartizan_status bartizan_request_remaining(bartizan_request request,
                                           const char *key,
                                           int64_t *ms);

/// Marks a request; its events carry the mark from now on.
///
/// @own nothing moves.
/// @null takes no pointer.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_HANDLE.
BARTIZAN_API bartizan_status bartizan_request_tag(bartizan_request request, uint64_t tag);

/// Adds a reference, for another owner to release.
///
/// @own one reference more.
/// @null takes no pointer.
/// @thread any; never blocks.
/// @life the id lives until as many releases.
/// @err E_HANDLE.
BARTIZAN_API bartizan_status bartizan_request_retain(bartizan_request request);

/// Gives one reference back. With the last one the id and the view end; a request without an answer gets 500, an unfinished
/// answer is aborted.
///
/// @own takes one reference.
/// @null takes no pointer.
/// @thread any; never blocks.
/// @life with the last reference id and view end.
/// @err E_HANDLE.
BARTIZAN_API
bartizan_status bartizan_request_release(bartizan_request request);

/// Copies content into `buf`, waiting at most `timeout_ms` (0 = not at all, -1 = for ever). OK: *n > 0 octets. EOF: the
/// content is complete. AGAIN: nothing now (timeout 0).
///
/// @own buf is the program's, and not written to after the call.
/// @null E_NULL.
/// @thread any; blocks with a timeout.
/// @life nothing outlives the call.
/// @err E_TIMEOUT; E_LIMIT when it meets max_body_bytes, and E_CANCELLED afterwards: the library sends 413; E_STATE while
///   another thread reads; E_NULL, E_VALUE (cap 0, timeout below -1), E_HANDLE, E_CANCELLED, E_DEADLOCK on a reactor thread
///   with a timeout.
BARTIZAN_API
bartizan_status bartizan_body_read(bartizan_request request,
                                   void *buf,
                                   size_t cap,
                                   int64_t timeout_ms,
                                   size_t *n);

/// Shows the content that is here without taking it: *ptr is valid until the next consume, read or release; the program
/// orders its own peek and consume. OK: *len > 0. EOF: complete. AGAIN: nothing now.
///
/// @own *ptr points into the request.
/// @null E_NULL.
/// @thread any; never blocks.
/// @life until the next consume, read or release.
/// @err E_LIMIT, E_CANCELLED as for bartizan_body_read; E_NULL, E_HANDLE.
BARTIZAN_API
bartizan_status bartizan_body_peek(bartizan_request request,
                                   const void **ptr,
                                   size_t *len);

/// Takes the first `n` octets of the content that is here, so that the peer may send more.
///
/// @own nothing moves.
/// @null takes no pointer.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_HANDLE, E_VALUE if there are fewer.
BARTIZAN_API bartizan_status bartizan_body_consume(bartizan_request request, size_t n);

/// Asks for one BARTIZAN_EV_BODY, or one call of on_ready, when content is readable, complete, or will not come.
///
/// @own nothing moves.
/// @null takes no pointer.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_HANDLE, E_STATE with neither a queue nor on_ready, E_CANCELLED.
BARTIZAN_API
bartizan_status bartizan_body_arm(bartizan_request request);

/// The trailer fields, which live until the request is released.
///
/// @own *trailers points into the request.
/// @null E_NULL.
/// @thread any; never blocks.
/// @life until the last release.
/// @err E_NULL, E_HANDLE, E_STATE before EOF.
BARTIZAN_API
bartizan_status bartizan_body_trailers(bartizan_request request,
                                       const struct bartizan_header **trailers,
                                       size_t *n);

/// Answers in one piece; headers and body are copied.
///
/// @own headers and body are copied.
/// @null allowed for headers and body of no elements.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_NULL, E_VALUE (code, forbidden field or octet), E_HANDLE, E_STATE if answered already, E_CANCELLED.
BARTIZAN_API
bartizan_status bartizan_respond(bartizan_request request,
                                 uint32_t code,
                                 const struct bartizan_header *headers,
                                 size_t count,
                                 const void *body,
                                 size_t len);

/// Answers in one piece without a copy. With a queue `body` comes back as BARTIZAN_EV_DROP after a success.
///
/// @own headers are copied; body stays the program's and is lent until drop.
/// @null allowed for drop, drop_arg, headers and body of no elements.
/// @thread any; never blocks.
/// @life body until drop(drop_arg), which runs once, also on failure.
/// @err as for bartizan_respond.
BARTIZAN_API
bartizan_status bartizan_respond_owned(bartizan_request request,
                                       uint32_t code,
                                       const struct bartizan_header *headers,
                                       size_t count,
                                       const void *body,
                                       size_t len,
                                       bartizan_drop_fn drop,
                                       void *drop_arg);

/// Sends an informational response, such as 103 early hints, before the answer.
///
/// @own headers are copied.
/// @null allowed for headers of no elements.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_NULL, E_VALUE (code not 102 to 199), E_HANDLE, E_STATE, E_CANCELLED.
BARTIZAN_API
bartizan_status bartizan_response_informational(bartizan_request request,
                                                uint32_t code,
                                                const struct bartizan_header *headers,
                                                size_t count);

/// Begins an answer that is written piece by piece; `content_length` is announced and then enforced, -1 = unknown.
///
/// @own headers are copied.
/// @null allowed for headers of no elements.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_NULL, E_VALUE, E_HANDLE, E_STATE, E_CANCELLED.
BARTIZAN_API
bartizan_status bartizan_response_begin(bartizan_request request,
                                        uint32_t code,
                                        const struct bartizan_header *headers,
                                        size_t count,
                                        int64_t content_length);

/// Writes content, waiting for room at most `timeout_ms` (0 = not at all, -1 = for ever). OK: *accepted octets were copied,
/// perhaps fewer than `len`. AGAIN: none now.
///
/// @own what was accepted is copied.
/// @null allowed for buf of no octets.
/// @thread any; blocks with a timeout.
/// @life nothing outlives the call.
/// @err E_TIMEOUT, E_VALUE over the announced length, E_NULL, E_HANDLE, E_STATE before begin or after finish, E_CANCELLED,
///   E_DEADLOCK on a reactor thread with a timeout.
BARTIZAN_API
bartizan_status bartizan_response_write(bartizan_request request,
                                        const void *buf,
                                        size_t len,
                                        int64_t timeout_ms,
                                        size_t *accepted);

/// Asks for one BARTIZAN_EV_WRITABLE, or one call of on_ready, when the answer has room, or can no longer be sent.
///
/// @own nothing moves.
/// @null takes no pointer.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_HANDLE, E_STATE before begin or with neither a queue nor on_ready, E_CANCELLED.
BARTIZAN_API
bartizan_status bartizan_response_arm(bartizan_request request);

/// Ends an answer that was begun, with trailer fields if there are any. Short of the announced length it is aborted.
///
/// @own trailers are copied.
/// @null allowed for trailers of no elements.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_STATE before begin, after finish, or short of the announced length, E_NULL, E_VALUE, E_HANDLE, E_CANCELLED.
BARTIZAN_API
bartizan_status bartizan_response_finish(bartizan_request request,
                                         const struct bartizan_header *trailers,
                                         size_t count);

/// Ends the exchange without a (complete) answer: TCP reset, or on HTTP/2 RST_STREAM INTERNAL_ERROR. Nothing is logged.
///
/// @own nothing moves.
/// @null takes no pointer.
/// @thread any; never blocks.
/// @life nothing outlives the call.
/// @err E_HANDLE, E_STATE after a complete answer, E_CANCELLED.
BARTIZAN_API
bartizan_status bartizan_response_abort(bartizan_request request);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* BARTIZAN_H */
