/* One program that compiles unmodified against the binding header and against the generated one: layouts that outside programs
 * rely on, and a pointer of the declared type to every function. */
#include <bartizan.h>
#include <stddef.h>

#define HOLDS(name, condition) typedef char name[(condition) ? 1 : -1]

HOLDS(an_event_is_64_octets_for_ever, sizeof(bartizan_event) == 64);
HOLDS(a_status_is_32_bits, sizeof(bartizan_status) == 4);
HOLDS(ids_are_64_bits, sizeof(bartizan_request) == 8 && sizeof(bartizan_connection) == 8);
HOLDS(event_tag, offsetof(bartizan_event, tag) == 24);
HOLDS(event_data, offsetof(bartizan_event, data) == 32);
HOLDS(view_request, offsetof(bartizan_request_view, request) == 8);
HOLDS(view_method, offsetof(bartizan_request_view, method) == 32);
HOLDS(setting_key, offsetof(bartizan_setting, key) == 8);
HOLDS(metrics_first, offsetof(bartizan_metrics, connections_accepted) == 8);

/* Every function of the binding header, with its type. */
static uint32_t (*const p_version)(void) = bartizan_version;
static const char *(*const p_version_text)(void) = bartizan_version_text;
static bartizan_status (*const p_abi_check)(uint32_t header_abi) = bartizan_abi_check;
static const char *(*const p_status_name)(bartizan_status status) = bartizan_status_name;
static const char *(*const p_phase_name)(uint32_t phase) = bartizan_phase_name;
static const char *(*const p_reason_name)(uint32_t reason) = bartizan_reason_name;
static bartizan_status (*const p_error_code)(const bartizan_error *error) = bartizan_error_code;
static const char *(*const p_error_message)(const bartizan_error *error) = bartizan_error_message;
static void (*const p_error_free)(bartizan_error *error) = bartizan_error_free;
static bartizan_config *(*const p_config_new)(void) = bartizan_config_new;
static void (*const p_config_free)(bartizan_config *config) = bartizan_config_free;
static bartizan_status (*const p_config_set)( bartizan_config *config, const char *key, int64_t value, bartizan_error
        **err) = bartizan_config_set;
static bartizan_status (*const p_config_set_text)( bartizan_config *config, const char *key, const char *text, size_t
        len, bartizan_error **err) = bartizan_config_set_text;
static bartizan_status (*const p_config_get)( const bartizan_config *config, const char *key, int64_t *value,
        bartizan_error **err) = bartizan_config_get;
static bartizan_status (*const p_setting_at)(size_t index, bartizan_setting *out) = bartizan_setting_at;
static bartizan_status (*const p_config_listen)( bartizan_config *config, const char *address, const bartizan_tls *tls,
        uint32_t *listener, bartizan_error **err) = bartizan_config_listen;
static bartizan_status (*const p_config_listen_fd)( bartizan_config *config, int64_t socket, const bartizan_tls *tls,
        uint32_t *listener, bartizan_error **err) = bartizan_config_listen_fd;
static bartizan_status (*const p_config_listener_set_text)( bartizan_config *config, uint32_t listener, const char *key,
        const char *text, size_t len, bartizan_error **err) = bartizan_config_listener_set_text;
static bartizan_status (*const p_config_server_name_set_text)( bartizan_config *config, uint32_t listener, const char
        *server_name, const char *key, const char *text, size_t len, bartizan_error **err) =
        bartizan_config_server_name_set_text;
static bartizan_status (*const p_config_trust_proxy)( bartizan_config *config, uint32_t listener, const char *cidr,
        bartizan_error **err) = bartizan_config_trust_proxy;
static bartizan_status (*const p_config_handler)( bartizan_config *config, uint32_t mode, bartizan_request_fn fn, void
        *user_data, bartizan_drop_fn drop, bartizan_error **err) = bartizan_config_handler;
static bartizan_status (*const p_config_queue)( bartizan_config *config, bartizan_queue *queue, uint64_t event_mask,
        bartizan_error **err) = bartizan_config_queue;
static bartizan_status (*const p_config_thread_hooks)( bartizan_config *config, bartizan_thread_fn start,
        bartizan_thread_fn stop, void *user_data, bartizan_drop_fn drop, bartizan_error **err) =
        bartizan_config_thread_hooks;
static bartizan_status (*const p_config_on_connection)( bartizan_config *config, bartizan_connection_fn fn, void
        *user_data, bartizan_drop_fn drop, bartizan_error **err) = bartizan_config_on_connection;
static bartizan_status (*const p_config_on_request_end)( bartizan_config *config, bartizan_request_end_fn fn, void
        *user_data, bartizan_drop_fn drop, bartizan_error **err) = bartizan_config_on_request_end;
static bartizan_status (*const p_config_on_log)( bartizan_config *config, uint32_t max_level, bartizan_log_fn fn, void
        *user_data, bartizan_drop_fn drop, bartizan_error **err) = bartizan_config_on_log;
static bartizan_status (*const p_identity_from_pem)( const void *chain, size_t chain_len, const void *key, size_t
        key_len, bartizan_identity **out, bartizan_error **err) = bartizan_identity_from_pem;
static bartizan_status (*const p_identity_self_signed)( const char *names, size_t len, bartizan_identity **out,
        bartizan_error **err) = bartizan_identity_self_signed;
static void (*const p_identity_free)(bartizan_identity *identity) = bartizan_identity_free;
static bartizan_tls *(*const p_tls_new)(void) = bartizan_tls_new;
static void (*const p_tls_free)(bartizan_tls *tls) = bartizan_tls_free;
static bartizan_status (*const p_tls_policy)(bartizan_tls *tls, const char *name, bartizan_error **err) =
        bartizan_tls_policy;
static bartizan_status (*const p_tls_groups)( bartizan_tls *tls, const char *list, size_t len, bartizan_error **err) =
        bartizan_tls_groups;
static bartizan_status (*const p_tls_suites)( bartizan_tls *tls, const char *list, size_t len, bartizan_error **err) =
        bartizan_tls_suites;
static bartizan_status (*const p_tls_versions)( bartizan_tls *tls, const char *list, size_t len, bartizan_error **err) =
        bartizan_tls_versions;
static bartizan_status (*const p_tls_alpn)(bartizan_tls *tls, const char *list, size_t len, bartizan_error **err) =
        bartizan_tls_alpn;
static bartizan_status (*const p_tls_identity)( bartizan_tls *tls, const char *server_name, const bartizan_identity
        *identity, bartizan_error **err) = bartizan_tls_identity;
static bartizan_status (*const p_tls_server_name)( bartizan_tls *tls, const char *server_name, const bartizan_tls
        *other, bartizan_error **err) = bartizan_tls_server_name;
static bartizan_status (*const p_tls_client_auth)( bartizan_tls *tls, uint32_t mode, const void *ca_pem, size_t len,
        bartizan_error **err) = bartizan_tls_client_auth;
static bartizan_status (*const p_tls_ticket_keys)( bartizan_tls *tls, const void *keys, size_t count, bartizan_error
        **err) = bartizan_tls_ticket_keys;
static bartizan_status (*const p_queue_new)(bartizan_queue **out, bartizan_error **err) = bartizan_queue_new;
static int64_t (*const p_queue_fd)(const bartizan_queue *queue) = bartizan_queue_fd;
static bartizan_status (*const p_queue_next)( bartizan_queue *queue, bartizan_event *events, size_t max, int64_t
        timeout_ms, size_t *n) = bartizan_queue_next;
static bartizan_status (*const p_queue_release)(bartizan_queue *queue, const bartizan_event *events, size_t n) =
        bartizan_queue_release;
static bartizan_status (*const p_queue_wake)(bartizan_queue *queue) = bartizan_queue_wake;
static void (*const p_queue_free)(bartizan_queue *queue) = bartizan_queue_free;
static bartizan_status (*const p_server_start)( const bartizan_config *config, bartizan_server **out, bartizan_error
        **err) = bartizan_server_start;
static bartizan_status (*const p_server_address)( const bartizan_server *server, uint32_t listener, char *buf, size_t
        cap, size_t *len) = bartizan_server_address;
static bartizan_status (*const p_server_update_tls)( bartizan_server *server, uint32_t listener, const bartizan_tls
        *tls, bartizan_error **err) = bartizan_server_update_tls;
static bartizan_status (*const p_server_shutdown)(bartizan_server *server, int64_t grace_ms) = bartizan_server_shutdown;
static bartizan_status (*const p_server_wait)(bartizan_server *server, int64_t timeout_ms) = bartizan_server_wait;
static bartizan_status (*const p_server_metrics)(const bartizan_server *server, bartizan_metrics *inout) =
        bartizan_server_metrics;
static bartizan_status (*const p_server_counts)( const bartizan_server *server, uint64_t *open_by_phase, size_t phases,
        uint64_t *closed_by_reason, size_t reasons) = bartizan_server_counts;
static bartizan_status (*const p_server_metrics_text)( const bartizan_server *server, char *buf, size_t cap, size_t
        *len) = bartizan_server_metrics_text;
static bartizan_status (*const p_server_trim)(bartizan_server *server) = bartizan_server_trim;
static void (*const p_server_free)(bartizan_server *server) = bartizan_server_free;
static bartizan_status (*const p_request_get)(bartizan_request request, const bartizan_request_view **out) =
        bartizan_request_get;
static bartizan_status (*const p_request_header)( bartizan_request request, const char *name, size_t len, size_t nth,
        bartizan_str *value) = bartizan_request_header;
static bartizan_status (*const p_request_peer_certificate)( bartizan_request request, size_t index, const void **der,
        size_t *len) = bartizan_request_peer_certificate;
static bartizan_status (*const p_request_cancelled)(bartizan_request request, uint32_t *reason) =
        bartizan_request_cancelled;
static bartizan_status (*const p_request_on_cancel)( bartizan_request request, bartizan_cancel_fn fn, void *user_data,
        bartizan_drop_fn drop) = bartizan_request_on_cancel;
static bartizan_status (*const p_request_on_ready)( bartizan_request request, bartizan_ready_fn fn, void *user_data,
        bartizan_drop_fn drop) = bartizan_request_on_ready;
static bartizan_status (*const p_request_set)(bartizan_request request, const char *key, int64_t value) =
        bartizan_request_set;
static bartizan_status (*const p_request_set_text)( bartizan_request request, const char *key, const char *text, size_t
        len) = bartizan_request_set_text;
static bartizan_status (*const p_request_remaining)(bartizan_request request, const char *key, int64_t *ms) =
        bartizan_request_remaining;
static bartizan_status (*const p_request_tag)(bartizan_request request, uint64_t tag) = bartizan_request_tag;
static bartizan_status (*const p_request_retain)(bartizan_request request) = bartizan_request_retain;
static bartizan_status (*const p_request_release)(bartizan_request request) = bartizan_request_release;
static bartizan_status (*const p_body_read)( bartizan_request request, void *buf, size_t cap, int64_t timeout_ms, size_t
        *n) = bartizan_body_read;
static bartizan_status (*const p_body_peek)(bartizan_request request, const void **ptr, size_t *len) =
        bartizan_body_peek;
static bartizan_status (*const p_body_consume)(bartizan_request request, size_t n) = bartizan_body_consume;
static bartizan_status (*const p_body_arm)(bartizan_request request) = bartizan_body_arm;
static bartizan_status (*const p_body_trailers)( bartizan_request request, const bartizan_header **trailers, size_t *n)
        = bartizan_body_trailers;
static bartizan_status (*const p_respond)( bartizan_request request, uint32_t code, const bartizan_header *headers,
        size_t count, const void *body, size_t len) = bartizan_respond;
static bartizan_status (*const p_respond_owned)( bartizan_request request, uint32_t code, const bartizan_header
        *headers, size_t count, const void *body, size_t len, bartizan_drop_fn drop, void *drop_arg) =
        bartizan_respond_owned;
static bartizan_status (*const p_response_informational)( bartizan_request request, uint32_t code, const bartizan_header
        *headers, size_t count) = bartizan_response_informational;
static bartizan_status (*const p_response_begin)( bartizan_request request, uint32_t code, const bartizan_header
        *headers, size_t count, int64_t content_length) = bartizan_response_begin;
static bartizan_status (*const p_response_write)( bartizan_request request, const void *buf, size_t len, int64_t
        timeout_ms, size_t *accepted) = bartizan_response_write;
static bartizan_status (*const p_response_arm)(bartizan_request request) = bartizan_response_arm;
static bartizan_status (*const p_response_finish)( bartizan_request request, const bartizan_header *trailers, size_t
        count) = bartizan_response_finish;
static bartizan_status (*const p_response_abort)(bartizan_request request) = bartizan_response_abort;

/* Used, so that the linker has to find them. */
int main(void) {
    return !(p_version && p_version_text && p_abi_check && p_status_name && p_phase_name && p_reason_name &&
             p_error_code && p_error_message && p_error_free && p_config_new && p_config_free && p_config_set &&
             p_config_set_text && p_config_get && p_setting_at && p_config_listen && p_config_listen_fd &&
             p_config_listener_set_text && p_config_server_name_set_text && p_config_trust_proxy && p_config_handler
             && p_config_queue && p_config_thread_hooks && p_config_on_connection && p_config_on_request_end &&
             p_config_on_log && p_identity_from_pem && p_identity_self_signed && p_identity_free && p_tls_new &&
             p_tls_free && p_tls_policy && p_tls_groups && p_tls_suites && p_tls_versions && p_tls_alpn &&
             p_tls_identity && p_tls_server_name && p_tls_client_auth && p_tls_ticket_keys && p_queue_new &&
             p_queue_fd && p_queue_next && p_queue_release && p_queue_wake && p_queue_free && p_server_start &&
             p_server_address && p_server_update_tls && p_server_shutdown && p_server_wait && p_server_metrics &&
             p_server_counts && p_server_metrics_text && p_server_trim && p_server_free && p_request_get &&
             p_request_header && p_request_peer_certificate && p_request_cancelled && p_request_on_cancel &&
             p_request_on_ready && p_request_set && p_request_set_text && p_request_remaining && p_request_tag &&
             p_request_retain && p_request_release && p_body_read && p_body_peek && p_body_consume && p_body_arm &&
             p_body_trailers && p_respond && p_respond_owned && p_response_informational && p_response_begin &&
             p_response_write && p_response_arm && p_response_finish && p_response_abort);
}
