/* What misuse of set-up calls gets: a code, and words that a person can use; never a crash. Generic misuse of every function is
 * walk.c, of a live server held_wrong.c. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bartizan_status answer(void *user_data, const bartizan_request_view *request) {
    (void)user_data;
    bartizan_respond(request->request, 200, NULL, 0, "x", 1);
    return bartizan_request_release(request->request);
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
    EXPECT(BARTIZAN_OK, bartizan_config_listen(config, "127.0.0.1:0", NULL, NULL, &error));
    REFUSES(BARTIZAN_E_OPTION, "io_threads",
            bartizan_config_listener_set_text(config, 0, "io_threads", "1", BARTIZAN_NTS, &error));
    REFUSES(BARTIZAN_E_VALUE, "9", bartizan_config_listener_set_text(config, 9, "backlog", "1", BARTIZAN_NTS, &error));
    REFUSES(BARTIZAN_E_VALUE, "not a name", bartizan_config_server_name_set_text(config, 0, "not a name", "max_header_fields",
                                                                                 "9", BARTIZAN_NTS, &error));
    REFUSES(BARTIZAN_E_OPTION, "backlog",
            bartizan_config_server_name_set_text(config, 0, "a.example", "backlog", "9", BARTIZAN_NTS, &error));
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
    REFUSES(BARTIZAN_E_VALUE, "not a name", bartizan_identity_self_signed("not a name", BARTIZAN_NTS, &identity, &error));
    REFUSES(BARTIZAN_E_VALUE, "empty", bartizan_identity_self_signed("a,,b", BARTIZAN_NTS, &identity, &error));
    REFUSES(BARTIZAN_E_VALUE, "name", bartizan_identity_self_signed("a\0b", 3, &identity, &error));
    CHECK(!identity);
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
    RUN(settings_name_key_value_and_range);
    RUN(struct_sizes_are_checked);
    RUN(identities_and_tls_lists_are_checked);
    RUN(a_server_needs_a_listener_and_one_way_to_answer);
    RUN(addresses_and_descriptors_are_checked);
    return 0;
}
