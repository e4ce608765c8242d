/* What misuse gets: a code and, where a person set something up, words; never a crash. No server runs here, but for ids that
 * have to be stale. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Every call that takes a request id, with arguments that are otherwise good. */
static char room[16];
static size_t size;
static uint32_t reason;
static int64_t left;
static const void *octets;
static const bartizan_request_view *view;
static const bartizan_header *fields;
static bartizan_str value;

static void on_cancel(void *user_data, bartizan_request request, uint32_t why) {
    (void)user_data;
    (void)request;
    (void)why;
    CHECK(!"a hook of a stale request runs");
}

static void on_ready(void *user_data, bartizan_request request, uint32_t what) { on_cancel(user_data, request, what); }

static int dropped;

static void drop(void *user_data) {
    CHECK(user_data == &dropped);
    dropped++;
}

typedef bartizan_status (*with_id)(bartizan_request id);

static bartizan_status get(bartizan_request id) { return bartizan_request_get(id, &view); }
static bartizan_status header(bartizan_request id) { return bartizan_request_header(id, "host", BARTIZAN_NTS, 0, &value); }
static bartizan_status peer_certificate(bartizan_request id) {
    return bartizan_request_peer_certificate(id, 0, &octets, &size);
}
static bartizan_status cancelled(bartizan_request id) { return bartizan_request_cancelled(id, &reason); }
static bartizan_status set_on_cancel(bartizan_request id) {
    return bartizan_request_on_cancel(id, on_cancel, &dropped, drop);
}
static bartizan_status set_on_ready(bartizan_request id) {
    return bartizan_request_on_ready(id, on_ready, &dropped, drop);
}
static bartizan_status set(bartizan_request id) { return bartizan_request_set(id, BARTIZAN_BODY_TIMEOUT_MS, 1000); }
static bartizan_status set_text(bartizan_request id) {
    return bartizan_request_set_text(id, BARTIZAN_BODY_TIMEOUT_MS, "1s", BARTIZAN_NTS);
}
static bartizan_status remaining(bartizan_request id) {
    return bartizan_request_remaining(id, BARTIZAN_HANDLER_TIMEOUT_MS, &left);
}
static bartizan_status tag(bartizan_request id) { return bartizan_request_tag(id, 7); }
static bartizan_status body_read(bartizan_request id) { return bartizan_body_read(id, room, sizeof room, 0, &size); }
static bartizan_status body_peek(bartizan_request id) { return bartizan_body_peek(id, &octets, &size); }
static bartizan_status body_consume(bartizan_request id) { return bartizan_body_consume(id, 0); }
static bartizan_status body_trailers(bartizan_request id) { return bartizan_body_trailers(id, &fields, &size); }
static bartizan_status respond(bartizan_request id) { return bartizan_respond(id, 200, NULL, 0, "x", 1); }
static bartizan_status respond_owned(bartizan_request id) {
    return bartizan_respond_owned(id, 200, NULL, 0, "x", 1, drop, &dropped);
}
static bartizan_status informational(bartizan_request id) { return bartizan_response_informational(id, 103, NULL, 0); }
static bartizan_status begin(bartizan_request id) { return bartizan_response_begin(id, 200, NULL, 0, -1); }
static bartizan_status write_some(bartizan_request id) { return bartizan_response_write(id, "x", 1, 0, &size); }
static bartizan_status finish(bartizan_request id) { return bartizan_response_finish(id, NULL, 0); }

static const struct {
    const char *name;
    with_id call;
    int drops;
} WITH_ID[] = {
    {"bartizan_request_get", get, 0},
    {"bartizan_request_header", header, 0},
    {"bartizan_request_peer_certificate", peer_certificate, 0},
    {"bartizan_request_cancelled", cancelled, 0},
    {"bartizan_request_on_cancel", set_on_cancel, 1},
    {"bartizan_request_on_ready", set_on_ready, 1},
    {"bartizan_request_set", set, 0},
    {"bartizan_request_set_text", set_text, 0},
    {"bartizan_request_remaining", remaining, 0},
    {"bartizan_request_tag", tag, 0},
    {"bartizan_request_retain", bartizan_request_retain, 0},
    {"bartizan_request_release", bartizan_request_release, 0},
    {"bartizan_body_read", body_read, 0},
    {"bartizan_body_peek", body_peek, 0},
    {"bartizan_body_consume", body_consume, 0},
    {"bartizan_body_arm", bartizan_body_arm, 0},
    {"bartizan_body_trailers", body_trailers, 0},
    {"bartizan_respond", respond, 0},
    {"bartizan_respond_owned", respond_owned, 1},
    {"bartizan_response_informational", informational, 0},
    {"bartizan_response_begin", begin, 0},
    {"bartizan_response_write", write_some, 0},
    {"bartizan_response_arm", bartizan_response_arm, 0},
    {"bartizan_response_finish", finish, 0},
    {"bartizan_response_abort", bartizan_response_abort, 0},
};

static void every_call_refuses(bartizan_request id) {
    size_t i;
    for (i = 0; i < sizeof WITH_ID / sizeof *WITH_ID; i++) {
        dropped = 0;
        expect(BARTIZAN_E_HANDLE, WITH_ID[i].call(id), WITH_ID[i].name, __FILE__, __LINE__);
        CHECK(dropped == WITH_ID[i].drops);
    }
}

static void random_ids_are_refused(void) {
    uint64_t id = 0, n;
    every_call_refuses(0);
    every_call_refuses(UINT64_MAX);
    for (n = 0; n < 2000; n++) {
        id = id * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        every_call_refuses(id >> n % 64);
    }
}

static bartizan_request released;

static bartizan_status answer(void *user_data, const bartizan_request_view *request) {
    (void)user_data;
    bartizan_respond(request->request, 200, NULL, 0, "x", 1);
    released = request->request;
    return bartizan_request_release(request->request);
}

/* While its callback runs and when it is long over, also after the server. */
static void released_ids_are_refused(void) {
    static const char GET[] = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    char reply[512];
    bartizan_config *config = bartizan_config_new();
    bartizan_server *server;
    EXPECT(BARTIZAN_OK, bartizan_config_handler(config, BARTIZAN_MODE_INLINE, answer, NULL, NULL, NULL));
    server = serve(config);
    talk(server, GET, reply, sizeof reply);
    CHECK(strstr(reply, "200"));
    CHECK(released < UINT64_C(1) << 53);
    every_call_refuses(released);
    every_call_refuses(released ^ 1);
    stop(server);
    every_call_refuses(released);
}

static void null_is_refused_and_frees_nothing(void) {
    bartizan_config *config = bartizan_config_new();
    bartizan_tls *tls = bartizan_tls_new();
    bartizan_identity *identity = NULL;
    bartizan_server *server = NULL;
    bartizan_error *error = NULL;
    size_t n = 7;
    int64_t number = 7;
    bartizan_error_free(NULL);
    bartizan_config_free(NULL);
    bartizan_identity_free(NULL);
    bartizan_tls_free(NULL);
    bartizan_queue_free(NULL);
    bartizan_server_free(NULL);
    CHECK(bartizan_queue_fd(NULL) == -1);
    EXPECT(BARTIZAN_E_NULL, bartizan_config_set(NULL, BARTIZAN_BACKLOG, 1, &error));
    CHECK(error && bartizan_error_code(error) == BARTIZAN_E_NULL);
    bartizan_error_free(error);
    EXPECT(BARTIZAN_E_NULL, bartizan_config_set(config, NULL, 1, NULL));
    EXPECT(BARTIZAN_E_NULL, bartizan_config_set_text(config, BARTIZAN_BACKLOG, NULL, 3, NULL));
    EXPECT(BARTIZAN_E_NULL, bartizan_config_get(config, BARTIZAN_BACKLOG, NULL, NULL));
    EXPECT(BARTIZAN_E_NULL, bartizan_config_get(NULL, BARTIZAN_BACKLOG, &number, NULL));
    CHECK(number == 7);
    EXPECT(BARTIZAN_E_NULL, bartizan_setting_at(0, NULL));
    EXPECT(BARTIZAN_E_NULL, bartizan_config_listen(config, NULL, NULL, NULL, NULL));
    EXPECT(BARTIZAN_E_NULL, bartizan_config_listen(NULL, "127.0.0.1:0", NULL, NULL, NULL));
    EXPECT(BARTIZAN_E_NULL, bartizan_config_queue(config, NULL, 0, NULL));
    EXPECT(BARTIZAN_E_NULL, bartizan_identity_from_pem(NULL, 3, "x", 1, &identity, NULL));
    EXPECT(BARTIZAN_E_NULL, bartizan_identity_self_signed("a", BARTIZAN_NTS, NULL, NULL));
    EXPECT(BARTIZAN_E_NULL, bartizan_tls_policy(NULL, "modern", NULL));
    EXPECT(BARTIZAN_E_NULL, bartizan_tls_policy(tls, NULL, NULL));
    EXPECT(BARTIZAN_E_NULL, bartizan_tls_identity(tls, NULL, NULL, NULL));
    EXPECT(BARTIZAN_E_NULL, bartizan_queue_new(NULL, NULL));
    EXPECT(BARTIZAN_E_NULL, bartizan_queue_next(NULL, NULL, 0, 0, &n));
    CHECK(n == 0);
    EXPECT(BARTIZAN_E_NULL, bartizan_queue_wake(NULL));
    EXPECT(BARTIZAN_E_NULL, bartizan_server_start(NULL, &server, NULL));
    EXPECT(BARTIZAN_E_NULL, bartizan_server_start(config, NULL, NULL));
    EXPECT(BARTIZAN_E_NULL, bartizan_server_shutdown(NULL, 0));
    EXPECT(BARTIZAN_E_NULL, bartizan_server_wait(NULL, 0));
    EXPECT(BARTIZAN_E_NULL, bartizan_server_metrics(NULL, NULL));
    n = 7;
    EXPECT(BARTIZAN_E_NULL, bartizan_server_metrics_text(NULL, NULL, 0, &n));
    CHECK(n == 0);
    /* What was given with the callback is dropped even so. */
    dropped = 0;
    EXPECT(BARTIZAN_E_NULL, bartizan_config_handler(config, BARTIZAN_MODE_INLINE, NULL, &dropped, drop, NULL));
    EXPECT(BARTIZAN_E_NULL, bartizan_config_handler(NULL, BARTIZAN_MODE_INLINE, answer, &dropped, drop, NULL));
    EXPECT(BARTIZAN_E_VALUE, bartizan_config_handler(config, 9, answer, &dropped, drop, NULL));
    CHECK(dropped == 3);
    bartizan_tls_free(tls);
    bartizan_config_free(config);
}

static void settings_name_key_value_and_range(void) {
    bartizan_config *config = bartizan_config_new();
    bartizan_error *error = NULL;
    int64_t number = 0;
    REFUSES(BARTIZAN_E_OPTION, "handshake_timeout",
            bartizan_config_set(config, "handshake_timout", 1, &error));
    REFUSES(BARTIZAN_E_VALUE, "max_header_bytes", bartizan_config_set(config, BARTIZAN_MAX_HEADER_BYTES, -5, &error));
    REFUSES(BARTIZAN_E_VALUE, "header_timeout",
            bartizan_config_set_text(config, BARTIZAN_HEADER_TIMEOUT_MS, "off", BARTIZAN_NTS, &error));
    REFUSES(BARTIZAN_E_VALUE, "header_timeout",
            bartizan_config_set(config, BARTIZAN_HEADER_TIMEOUT_MS, BARTIZAN_OFF, &error));
    REFUSES(BARTIZAN_E_VALUE, "body_timeout",
            bartizan_config_set(config, BARTIZAN_BODY_TIMEOUT_MS, BARTIZAN_AUTO, &error));
    REFUSES(BARTIZAN_E_VALUE, "10 parsecs",
            bartizan_config_set_text(config, BARTIZAN_BODY_TIMEOUT_MS, "10 parsecs", BARTIZAN_NTS, &error));
    EXPECT(BARTIZAN_OK, bartizan_config_set_text(config, BARTIZAN_MAX_HEADER_BYTES, "4KiB and more", 4, &error));
    EXPECT(BARTIZAN_OK, bartizan_config_get(config, BARTIZAN_MAX_HEADER_BYTES, &number, &error));
    CHECK(number == 4096);
    EXPECT(BARTIZAN_OK, bartizan_config_set_text(config, BARTIZAN_BODY_TIMEOUT_MS, "1500ms", BARTIZAN_NTS, &error));
    EXPECT(BARTIZAN_OK, bartizan_config_get(config, BARTIZAN_BODY_TIMEOUT_MS, &number, &error));
    CHECK(number == 1500);
    EXPECT(BARTIZAN_OK, bartizan_config_set_text(config, BARTIZAN_BODY_TIMEOUT_MS, "off", BARTIZAN_NTS, &error));
    EXPECT(BARTIZAN_OK, bartizan_config_get(config, BARTIZAN_BODY_TIMEOUT_MS, &number, &error));
    CHECK(number == BARTIZAN_OFF);
    bartizan_config_free(config);
}

/* The openat2 rule: too small is refused, larger passes if what is unknown is zero. */
static void struct_sizes_are_checked(void) {
    struct { bartizan_setting known; char later[16]; } row;
    bartizan_metrics metrics;
    bartizan_config *config = bartizan_config_new();
    bartizan_server *server;
    size_t rows = 0;
    for (;; rows++) {
        bartizan_status status;
        memset(&row, 0, sizeof row);
        row.known.struct_size = sizeof row.known;
        status = bartizan_setting_at(rows, &row.known);
        if (status) {
            EXPECT(BARTIZAN_E_VALUE, status);
            break;
        }
        CHECK(row.known.key && row.known.unit && row.known.doc);
        CHECK(!row.known.choices == !!strcmp(row.known.unit, "choice"));
        CHECK(row.known.min_value <= row.known.max_value);
    }
    CHECK(rows > 40);
    memset(&row, 0, sizeof row);
    EXPECT(BARTIZAN_E_STRUCT, bartizan_setting_at(0, &row.known));
    row.known.struct_size = 8;
    EXPECT(BARTIZAN_E_STRUCT, bartizan_setting_at(0, &row.known));
    row.known.struct_size = sizeof row;
    EXPECT(BARTIZAN_OK, bartizan_setting_at(0, &row.known));
    memset(&row, 0, sizeof row);
    row.known.struct_size = sizeof row;
    row.later[3] = 1;
    EXPECT(BARTIZAN_E_STRUCT, bartizan_setting_at(0, &row.known));

    EXPECT(BARTIZAN_OK, bartizan_config_handler(config, BARTIZAN_MODE_INLINE, answer, NULL, NULL, NULL));
    server = serve(config);
    memset(&metrics, 0, sizeof metrics);
    EXPECT(BARTIZAN_E_STRUCT, bartizan_server_metrics(server, &metrics));
    metrics.struct_size = sizeof metrics;
    EXPECT(BARTIZAN_OK, bartizan_server_metrics(server, &metrics));
    CHECK(metrics.descriptors_limit > 0);
    stop(server);
}

static void addresses_and_descriptors_are_checked(void) {
    bartizan_config *config = bartizan_config_new(), *taken = bartizan_config_new();
    bartizan_server *server, *second = NULL;
    bartizan_error *error = NULL;
    char address[64];
    size_t len;
    int pipe_ends[2];
    CHECK(!pipe(pipe_ends));
    REFUSES(BARTIZAN_E_VALUE, "nonsense", bartizan_config_listen(config, "nonsense", NULL, NULL, &error));
    REFUSES(BARTIZAN_E_VALUE, "99999", bartizan_config_listen(config, "127.0.0.1:99999", NULL, NULL, &error));
    EXPECT(BARTIZAN_OK, bartizan_config_handler(config, BARTIZAN_MODE_INLINE, answer, NULL, NULL, NULL));
    server = serve(config);
    EXPECT(BARTIZAN_E_LIMIT, bartizan_server_address(server, 0, NULL, 0, &len));
    CHECK(len > 0 && len < sizeof address);
    EXPECT(BARTIZAN_E_LIMIT, bartizan_server_address(server, 0, address, len, &len));
    EXPECT(BARTIZAN_OK, bartizan_server_address(server, 0, address, len + 1, &len));
    EXPECT(BARTIZAN_E_VALUE, bartizan_server_address(server, 9, address, sizeof address, &len));
    EXPECT(BARTIZAN_OK, bartizan_server_address(server, 0, address, sizeof address, &len));

    EXPECT(BARTIZAN_OK, bartizan_config_listen(taken, address, NULL, NULL, NULL));
    EXPECT(BARTIZAN_OK, bartizan_config_handler(taken, BARTIZAN_MODE_INLINE, answer, NULL, NULL, NULL));
    REFUSES(BARTIZAN_E_IO, address, bartizan_server_start(taken, &second, &error));
    CHECK(!second);
    bartizan_config_free(taken);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    stop(server);
}

static void a_server_needs_a_listener_and_one_way_to_answer(void) {
    bartizan_config *config = bartizan_config_new();
    bartizan_queue *queue = NULL;
    bartizan_server *server = NULL;
    bartizan_error *error = NULL;
    EXPECT(BARTIZAN_OK, bartizan_config_listen(config, "127.0.0.1:0", NULL, NULL, NULL));
    REFUSES(BARTIZAN_E_STATE, "handler", bartizan_server_start(config, &server, &error));
    EXPECT(BARTIZAN_OK, bartizan_config_handler(config, BARTIZAN_MODE_INLINE, answer, NULL, NULL, NULL));
    EXPECT(BARTIZAN_OK, bartizan_queue_new(&queue, NULL));
    REFUSES(BARTIZAN_E_STATE, "queue", bartizan_config_queue(config, queue, 0, &error));
    bartizan_queue_free(queue);
    bartizan_config_free(config);
}

static void identities_and_tls_lists_are_checked(void) {
    static const char NO_KEY[] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    bartizan_tls *tls = bartizan_tls_new();
    bartizan_identity *identity = NULL;
    bartizan_error *error = NULL;
    EXPECT(BARTIZAN_E_TLS, bartizan_identity_from_pem("garbage", 7, "garbage", 7, &identity, &error));
    CHECK(error && bartizan_error_code(error) == BARTIZAN_E_TLS && !identity);
    bartizan_error_free(error);
    error = NULL;
    EXPECT(BARTIZAN_E_TLS, bartizan_identity_from_pem(NO_KEY, BARTIZAN_NTS, NO_KEY, BARTIZAN_NTS, &identity, &error));
    bartizan_error_free(error);
    error = NULL;
    REFUSES(BARTIZAN_E_OPTION, "intermediate", bartizan_tls_policy(tls, "moderate", &error));
    REFUSES(BARTIZAN_E_OPTION, "X25519MLKEM768", bartizan_tls_groups(tls, "X25519,curve1", BARTIZAN_NTS, &error));
    REFUSES(BARTIZAN_E_OPTION, "TLS_AES_128_GCM_SHA256", bartizan_tls_suites(tls, "RC4-MD5", BARTIZAN_NTS, &error));
    REFUSES(BARTIZAN_E_OPTION, "TLSv1.3", bartizan_tls_versions(tls, "SSLv3", BARTIZAN_NTS, &error));
    EXPECT(BARTIZAN_E_VALUE, bartizan_tls_client_auth(tls, BARTIZAN_CLIENT_AUTH_REQUIRED, NULL, 0, NULL));
    EXPECT(BARTIZAN_OK, bartizan_tls_groups(tls, "X25519MLKEM768,X25519", BARTIZAN_NTS, NULL));
    EXPECT(BARTIZAN_OK, bartizan_identity_self_signed("localhost", BARTIZAN_NTS, &identity, NULL));
    EXPECT(BARTIZAN_OK, bartizan_tls_identity(tls, NULL, identity, NULL));
    bartizan_identity_free(identity);
    bartizan_tls_free(tls);
}

static void names_are_text_and_end(void) {
    uint32_t phases = 0, reasons = 0;
    EXPECT(BARTIZAN_OK, bartizan_abi_check(BARTIZAN_ABI));
    EXPECT(BARTIZAN_E_UNSUPPORTED, bartizan_abi_check(BARTIZAN_ABI + 1));
    CHECK(bartizan_version() > 0 && strchr(bartizan_version_text(), '.'));
    CHECK(!strcmp(bartizan_status_name(BARTIZAN_E_VALUE), "E_VALUE"));
    CHECK(!strcmp(bartizan_status_name(-9999), "unknown"));
    while (bartizan_phase_name(phases)) phases++;
    while (bartizan_reason_name(reasons)) reasons++;
    CHECK(phases == 12 && reasons == 56);
    CHECK(!strcmp(bartizan_phase_name(0), "proxy") && !strcmp(bartizan_phase_name(11), "streams"));
    CHECK(!strcmp(bartizan_reason_name(0), "none") && !strcmp(bartizan_reason_name(1), "complete"));
    CHECK(!strcmp(bartizan_reason_name(reasons - 1), "internal"));
    CHECK(!bartizan_phase_name(UINT32_MAX) && !bartizan_reason_name(UINT32_MAX));
}

int main(void) {
    RUN(names_are_text_and_end);
    RUN(random_ids_are_refused);
    RUN(null_is_refused_and_frees_nothing);
    RUN(settings_name_key_value_and_range);
    RUN(struct_sizes_are_checked);
    RUN(identities_and_tls_lists_are_checked);
    RUN(a_server_needs_a_listener_and_one_way_to_answer);
    RUN(addresses_and_descriptors_are_checked);
    RUN(released_ids_are_refused);
    return 0;
}
