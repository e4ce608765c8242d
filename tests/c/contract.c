/* Promises of the header that no other file here keeps an eye on: views, hooks and their threads, listeners of every kind, answers
 * out of the ordinary, the numbers, the log, the end of a server. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>


static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int workers, reactors, stopped, drops, cancels, logged, escaped, too_fine;
static bartizan_request kept;
static int seen_listener, cancel_reason;
static char reply[8192];

static int is(bartizan_str s, const char *words) { return s.len == strlen(words) && !memcmp(s.ptr, words, s.len); }

static int locked(const int *number) {
    int value;
    pthread_mutex_lock(&lock);
    value = *number;
    pthread_mutex_unlock(&lock);
    return value;
}

static void count(int *number) {
    pthread_mutex_lock(&lock);
    ++*number;
    pthread_mutex_unlock(&lock);
}

static void drop(void *user_data) {
    (void)user_data;
    count(&drops);
}

static bartizan_request await_kept(void) {
    bartizan_request request = 0;
    int turns;
    for (turns = 0; turns < 500 && !request; turns++) {
        nap(20);
        pthread_mutex_lock(&lock);
        request = kept;
        kept = 0;
        pthread_mutex_unlock(&lock);
    }
    CHECK(request);
    return request;
}

static void view_is_whole(const bartizan_request_view *view) {
    static const char BLOCK[] = "host\0a\0x-twice\0one\0connection\0close\0x-twice\0two";
    const bartizan_request_view *again;
    bartizan_str value;
    size_t i;
    CHECK(view->struct_size >= sizeof *view && view->http_version == 11 && !view->stream && !view->tls && view->request);
    CHECK(is(view->method, "PUT") && is(view->scheme, "http") && is(view->authority, "a"));
    CHECK(is(view->target, "/view?a=%20b") && is(view->path, "/view") && is(view->query, "a=%20b"));
    CHECK(is(view->peer_ip, "127.0.0.1") && is(view->local_ip, "127.0.0.1") && view->peer_port && view->local_port);
    CHECK(view->content_length == -1 && !(view->flags & BARTIZAN_VIEW_HAS_BODY) && view->flags & BARTIZAN_VIEW_TARGET_UTF8);
    CHECK(view->header_count == 4 && is(view->headers[0].name, "host") && is(view->headers[3].value, "two"));
    CHECK(view->header_block.len >= sizeof BLOCK - 1 && !memcmp(view->header_block.ptr, BLOCK, sizeof BLOCK - 1));
    for (i = 0; i < 2; i++) {
        EXPECT(BARTIZAN_OK, bartizan_request_header(view->request, "X-TWICE trailing", 7, i, &value));
        CHECK(is(value, i ? "two" : "one"));
    }
    EXPECT(BARTIZAN_E_VALUE, bartizan_request_header(view->request, "x-twice", BARTIZAN_NTS, 2, &value));
    EXPECT(BARTIZAN_OK, bartizan_request_get(view->request, &again));
    CHECK(again == view);
}

static void inform(bartizan_request request) {
    static const bartizan_header LINK[1] = {{{"link", 4}, {"</a>", 4}}};
    EXPECT(BARTIZAN_E_VALUE, bartizan_response_informational(request, 100, NULL, 0));
    EXPECT(BARTIZAN_E_VALUE, bartizan_response_informational(request, 101, NULL, 0));
    EXPECT(BARTIZAN_E_VALUE, bartizan_response_informational(request, 200, NULL, 0));
    EXPECT(BARTIZAN_OK, bartizan_response_informational(request, 102, NULL, 0));
    EXPECT(BARTIZAN_OK, bartizan_response_informational(request, 103, LINK, 1));
    EXPECT(BARTIZAN_OK, bartizan_respond(request, 200, NULL, 0, "hinted", 6));
}

/* What is the library's in an answer is refused, and changes nothing. */
static void forbidden_fields(bartizan_request request) {
    static const char *const NAMES[] = {"Connection", "transfer-encoding", "Content-Length", "keep-alive", "upgrade"};
    bartizan_header field = {{"x", 1}, {"1", 1}};
    size_t i;
    for (i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        field.name.ptr = NAMES[i];
        field.name.len = BARTIZAN_NTS;
        EXPECT(BARTIZAN_E_VALUE, bartizan_respond(request, 200, &field, 1, "x", 1));
        EXPECT(BARTIZAN_E_VALUE, bartizan_response_begin(request, 200, &field, 1, -1));
        EXPECT(BARTIZAN_E_VALUE, bartizan_response_informational(request, 103, &field, 1));
    }
    field.name.ptr = "na me";
    EXPECT(BARTIZAN_E_VALUE, bartizan_respond(request, 200, &field, 1, "x", 1));
    field.name.ptr = "";
    EXPECT(BARTIZAN_E_VALUE, bartizan_respond(request, 200, &field, 1, "x", 1));
    field.name.ptr = "x";
    for (i = 0; i < 3; i++) {
        char value[] = "a?b";
        value[1] = "\r\n\0"[i];
        field.value.ptr = value;
        field.value.len = 3;
        EXPECT(BARTIZAN_E_VALUE, bartizan_respond(request, 200, &field, 1, "x", 1));
    }
    EXPECT(BARTIZAN_E_VALUE, bartizan_response_begin(request, 200, NULL, 0, -2));
    EXPECT(BARTIZAN_E_VALUE, bartizan_response_begin(request, 600000, NULL, 0, -1));
    EXPECT(BARTIZAN_OK, bartizan_respond(request, 200, NULL, 0, "clean", 5));
}

static void on_cancel(void *user_data, bartizan_request request, uint32_t reason) {
    CHECK(request && user_data == &cancels);
    pthread_mutex_lock(&lock);
    cancels++;
    cancel_reason = (int)reason;
    pthread_mutex_unlock(&lock);
}

static bartizan_status handle(void *user_data, const bartizan_request_view *view) {
    bartizan_request request = view->request;
    (void)user_data;
    pthread_mutex_lock(&lock);
    seen_listener = (int)view->listener;
    pthread_mutex_unlock(&lock);
    if (is(view->path, "/keep")) {
        pthread_mutex_lock(&lock);
        kept = request;
        pthread_mutex_unlock(&lock);
        return BARTIZAN_OK;
    }
    if (is(view->path, "/view")) view_is_whole(view);
    if (is(view->path, "/hints")) inform(request);
    else if (is(view->path, "/forbidden")) forbidden_fields(request);
    else EXPECT(BARTIZAN_OK, bartizan_respond(request, 200, NULL, 0, "plain", 5));
    return bartizan_request_release(request);
}

static void thread_start(void *user_data, uint32_t role) {
    CHECK(user_data == &workers);
    count(role == BARTIZAN_ROLE_WORKER ? &workers : &reactors);
}

static void thread_stop(void *user_data, uint32_t role) {
    CHECK(user_data == &workers && role);
    count(&stopped);
}

static void on_log(void *user_data, const bartizan_log_record *record) {
    size_t i;
    (void)user_data;
    CHECK(record->struct_size >= sizeof *record && record->level && record->target.len && record->text.len);
    pthread_mutex_lock(&lock);
    logged++;
    too_fine += record->level > BARTIZAN_LOG_WARN;
    for (i = 0; i < record->text.len; i++) escaped += (unsigned char)record->text.ptr[i] < 0x20;
    pthread_mutex_unlock(&lock);
}

static bartizan_server *server;

static void a_view_holds_everything(void) {
    talk(server, "PUT /view?a=%20b HTTP/1.1\r\nHost: a\r\nX-Twice: one\r\nConnection: close\r\nx-twice:   two \r\n\r\n", reply,
         sizeof reply);
    CHECK(strstr(reply, "\r\n\r\nplain"));
}

static void informational_answers_come_first(void) {
    const char *progress = NULL, *hints = NULL;
    talk(server, GET("/hints"), reply, sizeof reply);
    CHECK((progress = strstr(reply, "HTTP/1.1 102")) == reply && (hints = strstr(reply, "HTTP/1.1 103")) > progress);
    CHECK(strstr(hints, "link: </a>\r\n") && strstr(hints, "\r\n\r\nhinted"));
}

static void framing_and_control_octets_are_the_librarys(void) {
    talk(server, GET("/forbidden"), reply, sizeof reply);
    CHECK(strstr(reply, "HTTP/1.1 200") == reply && strstr(reply, "\r\n\r\nclean"));
}

static void thread_hooks_ran_on_every_thread(void) {
    int turns;
    /* A server serves as soon as it can: not all of its workers need have begun. */
    for (turns = 0; turns < 500 && locked(&workers) < 3; turns++) nap(20);
    CHECK(locked(&workers) == 3 && locked(&reactors) == 2);
}

static void cancel_hooks_that_come_too_late_are_called_at_once(void) {
    bartizan_request request;
    struct linger reset = {1, 0};
    int turns, before = locked(&drops), peer = dial(server);
    uint32_t reason = 0;
    say(peer, GET("/keep"));
    request = await_kept();
    EXPECT(BARTIZAN_OK, bartizan_request_cancelled(request, &reason));
    CHECK(!reason);
    CHECK(!setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof reset));
    close(peer);
    for (turns = 0; turns < 500 && !bartizan_request_cancelled(request, NULL); turns++) nap(20);
    EXPECT(BARTIZAN_E_CANCELLED, bartizan_request_cancelled(request, &reason));
    EXPECT(BARTIZAN_OK, bartizan_request_on_cancel(request, on_cancel, &cancels, drop));
    CHECK(locked(&cancels) == 1 && locked(&cancel_reason) == (int)reason && locked(&drops) == before + 1);
    EXPECT(BARTIZAN_E_STATE, bartizan_request_on_cancel(request, on_cancel, &cancels, drop));
    CHECK(locked(&cancels) == 1 && locked(&drops) == before + 2);
    EXPECT(BARTIZAN_OK, bartizan_request_release(request));
}

static void limits_of_a_request_move_while_it_lives(void) {
    static const char *const KEYS[] = {BARTIZAN_BODY_IDLE_TIMEOUT_MS, BARTIZAN_BODY_TIMEOUT_MS, BARTIZAN_HANDLER_TIMEOUT_MS,
                                       BARTIZAN_WRITE_IDLE_TIMEOUT_MS, BARTIZAN_RESPONSE_TIMEOUT_MS};
    bartizan_request request;
    int64_t left = 0;
    size_t i;
    int peer = dial(server);
    say(peer, GET("/keep"));
    request = await_kept();
    for (i = 0; i < sizeof KEYS / sizeof *KEYS; i++) {
        EXPECT(BARTIZAN_OK, bartizan_request_set_text(request, KEYS[i], "off", BARTIZAN_NTS));
        EXPECT(BARTIZAN_OK, bartizan_request_remaining(request, KEYS[i], &left));
        CHECK(left == BARTIZAN_OFF);
        EXPECT(BARTIZAN_OK, bartizan_request_set(request, KEYS[i], 60000));
        EXPECT(BARTIZAN_OK, bartizan_request_remaining(request, KEYS[i], &left));
        CHECK(left > 30000 && left <= 60000);
    }
    EXPECT(BARTIZAN_OK, bartizan_request_set_text(request, BARTIZAN_MAX_BODY_BYTES, "1KiB more", 4));
    EXPECT(BARTIZAN_OK, bartizan_request_set_text(request, BARTIZAN_MIN_BODY_RATE, "off", 3));
    EXPECT(BARTIZAN_OK, bartizan_request_set_text(request, BARTIZAN_MIN_WRITE_RATE, "off", 3));
    EXPECT(BARTIZAN_E_OPTION, bartizan_request_remaining(request, BARTIZAN_MAX_BODY_BYTES, &left));
    EXPECT(BARTIZAN_E_OPTION, bartizan_request_remaining(request, BARTIZAN_IDLE_TIMEOUT_MS, &left));
    EXPECT(BARTIZAN_E_VALUE, bartizan_request_set_text(request, BARTIZAN_MIN_RATE_GRACE_MS, "off", 3));
    EXPECT(BARTIZAN_OK, bartizan_respond(request, 200, NULL, 0, "moved", 5));
    EXPECT(BARTIZAN_OK, bartizan_request_release(request));
    CHECK(hear(peer, reply, sizeof reply, NULL) > 0 && strstr(reply, "\r\n\r\nmoved"));
    close(peer);
}

static void the_numbers_have_room_to_grow(void) {
    uint64_t open[40], closed[100], few[2];
    bartizan_metrics metrics;
    size_t i, len = 0, again = 0;
    char *text = NULL;
    memset(open, 0x5a, sizeof open);
    memset(closed, 0x5a, sizeof closed);
    EXPECT(BARTIZAN_OK, bartizan_server_counts(server, open, 40, closed, 100));
    for (i = 0; i < 40; i++) CHECK(open[i] < 1000 && (bartizan_phase_name((uint32_t)i) || !open[i]));
    for (i = 0; i < 100; i++) CHECK(closed[i] < 1000 && (bartizan_reason_name((uint32_t)i) || !closed[i]));
    CHECK(!closed[0] && closed[1]);
    EXPECT(BARTIZAN_OK, bartizan_server_counts(server, few, 2, NULL, 0));
    EXPECT(BARTIZAN_OK, bartizan_server_counts(server, NULL, 0, NULL, 0));
    memset(&metrics, 0, sizeof metrics);
    metrics.struct_size = sizeof metrics;
    EXPECT(BARTIZAN_OK, bartizan_server_metrics(server, &metrics));
    CHECK(metrics.bytes_received && metrics.bytes_sent && metrics.descriptors_open && metrics.descriptors_limit);
    CHECK(metrics.struct_size == sizeof metrics && metrics.requests_started > 3);
    EXPECT(BARTIZAN_E_LIMIT, bartizan_server_metrics_text(server, NULL, 0, &len));
    CHECK(len > 1000 && (text = malloc(len + 1000)) != NULL);
    memset(text, '?', len + 1000);
    EXPECT(BARTIZAN_E_LIMIT, bartizan_server_metrics_text(server, text, 10, &again));
    CHECK(text[0] == '?' && again > 1000);
    EXPECT(BARTIZAN_OK, bartizan_server_metrics_text(server, text, len + 1000, &again));
    CHECK(strlen(text) == again && !strcmp(text + again - 6, "# EOF\n"));
    free(text);
    EXPECT(BARTIZAN_OK, bartizan_server_trim(server));
}

/* A shutdown without end is made shorter, and what waits for it gives up after its own time. */
static void a_drain_can_be_hurried(void) {
    bartizan_request request;
    int peer = dial(server);
    say(peer, GET("/keep"));
    request = await_kept();
    EXPECT(BARTIZAN_E_TIMEOUT, bartizan_server_wait(server, 0));
    EXPECT(BARTIZAN_E_VALUE, bartizan_server_shutdown(server, -2));
    EXPECT(BARTIZAN_OK, bartizan_server_shutdown(server, -1));
    EXPECT(BARTIZAN_E_TIMEOUT, bartizan_server_wait(server, 100));
    EXPECT(BARTIZAN_OK, bartizan_server_shutdown(server, 100));
    EXPECT(BARTIZAN_OK, bartizan_server_shutdown(server, 60000));
    CHECK(hear(peer, reply, sizeof reply, NULL) <= 0);
    EXPECT(BARTIZAN_E_CANCELLED, bartizan_respond(request, 200, NULL, 0, "x", 1));
    EXPECT(BARTIZAN_OK, bartizan_request_release(request));
    EXPECT(BARTIZAN_OK, bartizan_server_wait(server, 10000));
    EXPECT(BARTIZAN_OK, bartizan_server_wait(server, -1));
    EXPECT(BARTIZAN_OK, bartizan_server_shutdown(server, 0));
    bartizan_server_free(server);
    close(peer);
}

static void one_server_with_hooks(void) {
    bartizan_config *config = bartizan_config_new();
    EXPECT(BARTIZAN_OK, bartizan_config_set(config, BARTIZAN_WORKER_THREADS, 3, NULL));
    EXPECT(BARTIZAN_OK, bartizan_config_handler(config, BARTIZAN_MODE_WORKERS, handle, NULL, drop, NULL));
    EXPECT(BARTIZAN_OK, bartizan_config_thread_hooks(config, thread_start, thread_stop, &workers, drop, NULL));
    EXPECT(BARTIZAN_OK, bartizan_config_on_log(config, BARTIZAN_LOG_WARN, on_log, NULL, drop, NULL));
    server = serve(config);
    RUN(a_view_holds_everything);
    RUN(informational_answers_come_first);
    RUN(framing_and_control_octets_are_the_librarys);
    RUN(thread_hooks_ran_on_every_thread);
    RUN(cancel_hooks_that_come_too_late_are_called_at_once);
    RUN(limits_of_a_request_move_while_it_lives);
    RUN(the_numbers_have_room_to_grow);
    RUN(a_drain_can_be_hurried);
    CHECK(locked(&stopped) == 5 && locked(&drops) == 5);
}

static int dial_unix(const char *path) {
    struct sockaddr_un to;
    struct timeval patience = {10, 0};
    int peer = socket(AF_UNIX, SOCK_STREAM, 0);
    memset(&to, 0, sizeof to);
    to.sun_family = AF_UNIX;
    strcpy(to.sun_path, path);
    CHECK(peer >= 0 && !setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience));
    CHECK(!connect(peer, (struct sockaddr *)&to, sizeof to));
    return peer;
}

/* Of every kind at once, each with its number; a self-signed identity is mentioned in the log. */
static void listeners_of_every_kind_have_their_number(void) {
    bartizan_config *config = bartizan_config_new();
    bartizan_tls *tls = bartizan_tls_new();
    bartizan_identity *identity = NULL;
    bartizan_error *error = NULL;
    struct sockaddr_in bound;
    socklen_t len = sizeof bound;
    char path[64], address[128], expected[128];
    uint32_t number = 7;
    size_t size;
    int peer, given = socket(AF_INET, SOCK_STREAM, 0), before = locked(&logged);
    snprintf(path, sizeof path, "unix:/tmp/bartizan-%ld.sock", (long)getpid());
    memset(&bound, 0, sizeof bound);
    bound.sin_family = AF_INET;
    bound.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(given >= 0 && !bind(given, (struct sockaddr *)&bound, sizeof bound) && !listen(given, 8));
    CHECK(!getsockname(given, (struct sockaddr *)&bound, &len));
    EXPECT(BARTIZAN_OK, bartizan_identity_self_signed("localhost,127.0.0.1", BARTIZAN_NTS, &identity, NULL));
    EXPECT(BARTIZAN_OK, bartizan_tls_identity(tls, NULL, identity, NULL));
    EXPECT(BARTIZAN_OK, bartizan_config_listen(config, "127.0.0.1:0", NULL, &number, NULL));
    CHECK(number == 0);
    EXPECT(BARTIZAN_OK, bartizan_config_listen(config, "[::1]:0", tls, &number, NULL));
    CHECK(number == 1);
    EXPECT(BARTIZAN_OK, bartizan_config_listen(config, path, NULL, &number, NULL));
    CHECK(number == 2);
    REFUSES(BARTIZAN_E_VALUE, "-3", bartizan_config_listen_fd(config, -3, NULL, NULL, &error));
    REFUSES(BARTIZAN_E_IO, "9999", bartizan_config_listen_fd(config, 9999, NULL, NULL, &error));
    EXPECT(BARTIZAN_OK, bartizan_config_listen_fd(config, given, NULL, &number, NULL));
    CHECK(number == 3);
    bartizan_identity_free(identity);
    bartizan_tls_free(tls);
    EXPECT(BARTIZAN_OK, bartizan_config_listener_set_text(config, 2, BARTIZAN_MAX_TARGET_BYTES, "20", 2, NULL));
    REFUSES(BARTIZAN_E_VALUE, "4", bartizan_config_listener_set_text(config, 4, BARTIZAN_BACKLOG, "20", 2, &error));
    REFUSES(BARTIZAN_E_OPTION, "io_threads",
            bartizan_config_listener_set_text(config, 0, BARTIZAN_IO_THREADS, "1", 1, &error));
    REFUSES(BARTIZAN_E_OPTION, "idle_timeout",
            bartizan_config_server_name_set_text(config, 1, "a.example", BARTIZAN_IDLE_TIMEOUT_MS, "1s", 2, &error));
    EXPECT(BARTIZAN_OK, bartizan_config_handler(config, BARTIZAN_MODE_INLINE, handle, NULL, NULL, NULL));
    EXPECT(BARTIZAN_OK, bartizan_config_on_log(config, BARTIZAN_LOG_WARN, on_log, NULL, NULL, NULL));
    EXPECT(BARTIZAN_OK, bartizan_server_start(config, &server, NULL));
    bartizan_config_free(config);
    CHECK(locked(&logged) > before && !locked(&escaped) && !locked(&too_fine));

    talk(server, GET("/0"), reply, sizeof reply);
    CHECK(strstr(reply, "plain") && locked(&seen_listener) == 0);
    EXPECT(BARTIZAN_OK, bartizan_server_address(server, 1, address, sizeof address, &size));
    CHECK(!strncmp(address, "[::1]:", 6) && atoi(address + 6) > 0);
    EXPECT(BARTIZAN_OK, bartizan_server_address(server, 2, address, sizeof address, &size));
    CHECK(!strcmp(address, path));
    peer = dial_unix(path + 5);
    say(peer, GET("/2"));
    CHECK(hear(peer, reply, sizeof reply, NULL) > 0 && strstr(reply, "plain") && locked(&seen_listener) == 2);
    close(peer);
    peer = dial_unix(path + 5);
    say(peer, GET("/a-target-of-more-than-twenty-octets"));
    CHECK(hear(peer, reply, sizeof reply, NULL) > 0 && strstr(reply, "HTTP/1.1 414") == reply);
    close(peer);
    EXPECT(BARTIZAN_OK, bartizan_server_address(server, 3, address, sizeof address, &size));
    snprintf(expected, sizeof expected, "127.0.0.1:%d", ntohs(bound.sin_port));
    CHECK(!strcmp(address, expected));
    /* Cleartext cannot be given an identity afterwards. */
    tls = bartizan_tls_new();
    REFUSES(BARTIZAN_E_STATE, "listener", bartizan_server_update_tls(server, 0, tls, &error));
    REFUSES(BARTIZAN_E_VALUE, "9", bartizan_server_update_tls(server, 9, tls, &error));
    CHECK(bartizan_server_update_tls(server, 1, tls, &error) < 0 && error);
    bartizan_error_free(error);
    bartizan_tls_free(tls);
    stop(server);
    CHECK(access(path + 5, F_OK));
}

static void proxy_headers_need_somebody_to_trust(void) {
    bartizan_config *config = bartizan_config_new();
    bartizan_error *error = NULL;
    EXPECT(BARTIZAN_OK, bartizan_config_listen(config, "127.0.0.1:0", NULL, NULL, NULL));
    EXPECT(BARTIZAN_OK, bartizan_config_handler(config, BARTIZAN_MODE_INLINE, handle, NULL, NULL, NULL));
    EXPECT(BARTIZAN_OK, bartizan_config_listener_set_text(config, 0, BARTIZAN_PROXY_PROTOCOL, "any", 3, NULL));
    server = NULL;
    REFUSES(BARTIZAN_E_VALUE, "proxy_protocol", bartizan_server_start(config, &server, &error));
    CHECK(!server);
    REFUSES(BARTIZAN_E_VALUE, "127.0.0.1/33", bartizan_config_trust_proxy(config, 0, "127.0.0.1/33", &error));
    EXPECT(BARTIZAN_OK, bartizan_config_trust_proxy(config, 0, "10.0.0.0/8", NULL));
    EXPECT(BARTIZAN_OK, bartizan_config_trust_proxy(config, 0, "127.0.0.1", NULL));
    EXPECT(BARTIZAN_OK, bartizan_server_start(config, &server, NULL));
    bartizan_config_free(config);
    talk(server, "PROXY TCP4 192.0.2.7 192.0.2.8 1234 443\r\n" GET("/"), reply, sizeof reply);
    CHECK(strstr(reply, "\r\n\r\nplain"));
    stop(server);
}

/* Everything that is wrong is told at once. */
static void settings_that_disagree_are_refused_together(void) {
    bartizan_config *config = bartizan_config_new();
    bartizan_error *error = NULL;
    EXPECT(BARTIZAN_OK, bartizan_config_listen(config, "127.0.0.1:0", NULL, NULL, NULL));
    EXPECT(BARTIZAN_OK, bartizan_config_handler(config, BARTIZAN_MODE_INLINE, handle, NULL, NULL, NULL));
    EXPECT(BARTIZAN_OK, bartizan_config_set(config, BARTIZAN_HANDSHAKE_TIMEOUT_MS, 2000, NULL));
    EXPECT(BARTIZAN_OK, bartizan_server_start(config, &server, NULL));
    stop(server);
    EXPECT(BARTIZAN_OK, bartizan_config_set(config, BARTIZAN_CLIENT_HELLO_TIMEOUT_MS, 5000, NULL));
    EXPECT(BARTIZAN_OK, bartizan_config_listener_set_text(config, 0, BARTIZAN_PROXY_PROTOCOL, "v1", 2, NULL));
    EXPECT(BARTIZAN_E_VALUE, bartizan_server_start(config, &server, &error));
    CHECK(error && strstr(bartizan_error_message(error), "client_hello_timeout"));
    CHECK(strstr(bartizan_error_message(error), "proxy_protocol"));
    bartizan_error_free(error);
    bartizan_config_free(config);
}

int main(void) {
    one_server_with_hooks();
    RUN(listeners_of_every_kind_have_their_number);
    RUN(proxy_headers_need_somebody_to_trust);
    RUN(settings_that_disagree_are_refused_together);
    return 0;
}
