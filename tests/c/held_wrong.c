/* What misuse of a live server gets: an answer too many or too late, blocking where nobody may block, content that is not text,
 * work that is never done or more than is taken. Generic misuse of every function is walk.c, of set-up misuse.c. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST(target) "GET " target " HTTP/1.1\r\nHost: a\r\n\r\n"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static bartizan_server *server;
static bartizan_queue *other_queue;
static bartizan_request kept;                   /* under the lock */
static int deadlocks, hooks, told_of_second_answers;
static uint32_t mode;

static int is(bartizan_str s, const char *words) { return s.len == strlen(words) && !memcmp(s.ptr, words, s.len); }

static void keep(bartizan_request request) {
    pthread_mutex_lock(&lock);
    kept = request;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static bartizan_request await_kept(void) {
    bartizan_request request;
    pthread_mutex_lock(&lock);
    while (!kept) pthread_cond_wait(&changed, &lock);
    request = kept;
    kept = 0;
    pthread_mutex_unlock(&lock);
    return request;
}

static void answer_twice(bartizan_request request) {
    size_t n;
    EXPECT(BARTIZAN_OK, bartizan_request_retain(request));
    EXPECT(BARTIZAN_OK, bartizan_respond(request, 200, NULL, 0, "first", 5));
    EXPECT(BARTIZAN_E_STATE, bartizan_respond(request, 404, NULL, 0, "second", 6));
    EXPECT(BARTIZAN_E_STATE, bartizan_respond_owned(request, 404, NULL, 0, "second", 6, NULL, NULL));
    EXPECT(BARTIZAN_E_STATE, bartizan_response_begin(request, 404, NULL, 0, -1));
    EXPECT(BARTIZAN_E_STATE, bartizan_response_informational(request, 103, NULL, 0));
    EXPECT(BARTIZAN_E_STATE, bartizan_response_write(request, "x", 1, 0, &n));
    EXPECT(BARTIZAN_E_STATE, bartizan_response_finish(request, NULL, 0));
    EXPECT(BARTIZAN_OK, bartizan_request_release(request));
}

/* Every call that waits, on a thread that must not. */
static void block_everything(bartizan_request request) {
    bartizan_server *own;
    bartizan_event event;
    char room[4];
    size_t n;
    int reactor = mode == BARTIZAN_MODE_INLINE || !request;
    pthread_mutex_lock(&lock);
    own = server;
    pthread_mutex_unlock(&lock);
    EXPECT(BARTIZAN_E_DEADLOCK, bartizan_server_wait(own, -1));
    EXPECT(BARTIZAN_E_DEADLOCK, bartizan_server_wait(own, 0));
    if (reactor) EXPECT(BARTIZAN_E_DEADLOCK, bartizan_queue_next(other_queue, &event, 1, -1, &n));
    EXPECT(BARTIZAN_AGAIN, bartizan_queue_next(other_queue, &event, 1, 0, &n));
    if (request && reactor) {
        EXPECT(BARTIZAN_E_DEADLOCK, bartizan_body_read(request, room, sizeof room, -1, &n));
        EXPECT(BARTIZAN_OK, bartizan_response_begin(request, 200, NULL, 0, 2));
        EXPECT(BARTIZAN_E_DEADLOCK, bartizan_response_write(request, "ok", 2, -1, &n));
        EXPECT(BARTIZAN_E_DEADLOCK, bartizan_response_write(request, "ok", 2, 1, &n));
    } else if (request) {
        EXPECT(BARTIZAN_OK, bartizan_response_begin(request, 200, NULL, 0, 2));
    }
    if (!request) return;
    EXPECT(BARTIZAN_OK, bartizan_response_write(request, "ok", 2, 0, &n));
    EXPECT(BARTIZAN_OK, bartizan_response_finish(request, NULL, 0));
    pthread_mutex_lock(&lock);
    deadlocks++;
    pthread_mutex_unlock(&lock);
}

static bartizan_status handle(void *user_data, const bartizan_request_view *view) {
    bartizan_request request = view->request;
    size_t n;
    (void)user_data;
    if (is(view->path, "/keep")) {
        keep(request);
        return BARTIZAN_OK;
    }
    if (is(view->path, "/twice")) {
        answer_twice(request);
    } else if (is(view->path, "/after")) {
        EXPECT(BARTIZAN_OK, bartizan_response_begin(request, 200, NULL, 0, -1));
        EXPECT(BARTIZAN_E_STATE, bartizan_response_begin(request, 200, NULL, 0, -1));
        EXPECT(BARTIZAN_E_STATE, bartizan_respond(request, 200, NULL, 0, "x", 1));
        EXPECT(BARTIZAN_OK, bartizan_response_write(request, "whole", 5, 0, &n));
        EXPECT(BARTIZAN_OK, bartizan_response_finish(request, NULL, 0));
        EXPECT(BARTIZAN_E_STATE, bartizan_response_write(request, "more", 4, 0, &n));
        EXPECT(BARTIZAN_E_STATE, bartizan_response_arm(request));
    } else if (is(view->path, "/abort")) {
        EXPECT(BARTIZAN_OK, bartizan_response_begin(request, 200, NULL, 0, -1));
        EXPECT(BARTIZAN_OK, bartizan_response_abort(request));
        n = 7;
        CHECK(bartizan_response_write(request, "more", 4, 0, &n) < 0 && !n);
        CHECK(bartizan_response_finish(request, NULL, 0) < 0);
        CHECK(bartizan_respond(request, 200, NULL, 0, "x", 1) < 0);
    } else if (is(view->path, "/block")) {
        block_everything(request);
    } else {
        CHECK(is(view->path, "/\xc3\xbc") && view->flags & BARTIZAN_VIEW_TARGET_UTF8);
        EXPECT(BARTIZAN_E_VALUE, bartizan_request_set_text(request, BARTIZAN_BODY_TIMEOUT_MS, "\xff", 1));
        EXPECT(BARTIZAN_E_OPTION, bartizan_request_set_text(request, "\xff", "1s", 2));
        EXPECT(BARTIZAN_OK, bartizan_respond(request, 200, NULL, 0, "octets", 6));
    }
    return bartizan_request_release(request);
}

static void on_connection(void *user_data, const bartizan_connection_record *record) {
    (void)user_data;
    if (record->what != BARTIZAN_CONNECTION_CLOSED) return;
    block_everything(0);
    pthread_mutex_lock(&lock);
    hooks++;
    pthread_mutex_unlock(&lock);
}

static void on_log(void *user_data, const bartizan_log_record *record) {
    static const char WORDS[] = "a request was answered twice";
    (void)user_data;
    if (record->text.len < sizeof WORDS || memcmp(record->text.ptr, WORDS, sizeof WORDS - 1)) return;
    CHECK(record->level == BARTIZAN_LOG_WARN && record->connection);
    pthread_mutex_lock(&lock);
    told_of_second_answers++;
    pthread_mutex_unlock(&lock);
}

static char reply[4096];

static void a_second_answer_changes_nothing(void) {
    int turns, told = 0;
    pthread_mutex_lock(&lock);
    told_of_second_answers = 0;
    pthread_mutex_unlock(&lock);
    talk(server, GET("/twice"), reply, sizeof reply);
    CHECK(strstr(reply, "HTTP/1.1 200") == reply && strstr(reply, "\r\n\r\nfirst") && !strstr(reply, "second"));
    for (turns = 0; turns < 100 && !told; turns++) {
        nap(50);
        pthread_mutex_lock(&lock);
        told = told_of_second_answers;
        pthread_mutex_unlock(&lock);
    }
    CHECK(told);
}

static void nothing_is_written_after_the_end(void) {
    int peer;
    talk(server, GET("/after"), reply, sizeof reply);
    CHECK(strstr(reply, "5\r\nwhole\r\n0\r\n\r\n"));
    peer = dial(server);
    say(peer, REQUEST("/abort"));
    CHECK(hear(peer, reply, sizeof reply, NULL) <= 0 || !strstr(reply, "0\r\n\r\n"));
    close(peer);
}

static void an_answer_after_the_disconnect_is_refused(void) {
    struct linger reset = {1, 0};
    bartizan_request request;
    uint32_t reason = 0;
    size_t n;
    int turns, peer = dial(server);
    say(peer, REQUEST("/keep"));
    request = await_kept();
    CHECK(!setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof reset));
    close(peer);
    for (turns = 0; turns < 100 && !bartizan_request_cancelled(request, NULL); turns++) nap(50);
    EXPECT(BARTIZAN_E_CANCELLED, bartizan_request_cancelled(request, &reason));
    CHECK(!strcmp(bartizan_reason_name(reason), "peer.reset"));
    EXPECT(BARTIZAN_E_CANCELLED, bartizan_respond(request, 200, NULL, 0, "x", 1));
    EXPECT(BARTIZAN_E_CANCELLED, bartizan_response_begin(request, 200, NULL, 0, -1));
    EXPECT(BARTIZAN_E_CANCELLED, bartizan_response_informational(request, 103, NULL, 0));
    EXPECT(BARTIZAN_E_CANCELLED, bartizan_response_abort(request));
    EXPECT(BARTIZAN_E_CANCELLED, bartizan_request_set(request, BARTIZAN_BODY_TIMEOUT_MS, 5000));
    CHECK(bartizan_response_write(request, "x", 1, 0, &n) < 0 && bartizan_response_finish(request, NULL, 0) < 0);
    EXPECT(BARTIZAN_OK, bartizan_request_release(request));
}

static void octets_that_are_no_text_are_told_by_a_flag(void) {
    bartizan_config *config = bartizan_config_new();
    bartizan_error *error = NULL;
    REFUSES(BARTIZAN_E_VALUE, "1", bartizan_config_set_text(config, BARTIZAN_BACKLOG, "1\xff", 2, &error));
    REFUSES(BARTIZAN_E_VALUE, "UTF-8", bartizan_config_listen(config, "\xff:1", NULL, NULL, &error));
    bartizan_config_free(config);
    talk(server, GET("/\xc3\xbc"), reply, sizeof reply);
    CHECK(strstr(reply, "\r\n\r\noctets"));
    /* The parser of targets takes text alone. */
    talk(server, GET("/\xff"), reply, sizeof reply);
    CHECK(strstr(reply, "HTTP/1.1 400") == reply);
}

static void blocking_on_a_thread_of_the_library_is_refused(void) {
    int before, turns, told = 0;
    pthread_mutex_lock(&lock);
    before = deadlocks;
    pthread_mutex_unlock(&lock);
    talk(server, GET("/block"), reply, sizeof reply);
    CHECK(strstr(reply, "HTTP/1.1 200") == reply && strstr(reply, "\r\n\r\nok"));
    for (turns = 0; turns < 100 && !told; turns++) {
        nap(50);
        pthread_mutex_lock(&lock);
        told = deadlocks == before + 1 && hooks;
        pthread_mutex_unlock(&lock);
    }
    CHECK(told);
}

/* The leak is seen in the numbers, and its peer is not kept waiting for ever. */
static void a_request_that_is_never_answered_is_504(void) {
    bartizan_metrics metrics = {0};
    bartizan_request request;
    int64_t left = 0;
    int peer = dial(server);
    metrics.struct_size = sizeof metrics;
    say(peer, GET("/keep"));
    request = await_kept();
    EXPECT(BARTIZAN_OK, bartizan_request_remaining(request, BARTIZAN_HANDLER_TIMEOUT_MS, &left));
    CHECK(left > 0 && left <= 30000);
    EXPECT(BARTIZAN_OK, bartizan_request_set(request, BARTIZAN_HANDLER_TIMEOUT_MS, 300));
    CHECK(hear(peer, reply, sizeof reply, NULL) > 0 && strstr(reply, "HTTP/1.1 504") == reply);
    close(peer);
    EXPECT(BARTIZAN_OK, bartizan_server_metrics(server, &metrics));
    CHECK(metrics.handlers_running == 1 && !metrics.requests_live);
    EXPECT(BARTIZAN_E_CANCELLED, bartizan_respond(request, 200, NULL, 0, "late", 4));
    EXPECT(BARTIZAN_OK, bartizan_request_release(request));
    EXPECT(BARTIZAN_OK, bartizan_server_metrics(server, &metrics));
    CHECK(!metrics.handlers_running);
}

static void live_misuse(uint32_t handler_mode) {
    bartizan_config *config = bartizan_config_new();
    pthread_mutex_lock(&lock);
    mode = handler_mode;
    hooks = 0;
    pthread_mutex_unlock(&lock);
    EXPECT(BARTIZAN_OK, bartizan_queue_new(&other_queue, NULL));
    EXPECT(BARTIZAN_OK, bartizan_config_handler(config, mode, handle, NULL, NULL, NULL));
    EXPECT(BARTIZAN_OK, bartizan_config_on_connection(config, on_connection, NULL, NULL, NULL));
    EXPECT(BARTIZAN_OK, bartizan_config_on_log(config, BARTIZAN_LOG_WARN, on_log, NULL, NULL, NULL));
    pthread_mutex_lock(&lock);
    server = serve(config);
    pthread_mutex_unlock(&lock);
    RUN(a_second_answer_changes_nothing);
    RUN(nothing_is_written_after_the_end);
    RUN(an_answer_after_the_disconnect_is_refused);
    RUN(octets_that_are_no_text_are_told_by_a_flag);
    RUN(blocking_on_a_thread_of_the_library_is_refused);
    RUN(a_request_that_is_never_answered_is_504);
    stop(server);
    bartizan_queue_free(other_queue);
}

/* Nobody takes requests: so many wait, the rest is told to come again, and memory is bounded by it. */
static void a_consumer_that_is_too_slow_gets_no_more_than_the_cap(void) {
    enum { CAP = 8, PEERS = 20 };
    bartizan_config *config = bartizan_config_new();
    bartizan_metrics metrics = {0};
    bartizan_queue *queue = NULL;
    int peers[PEERS], i;
    EXPECT(BARTIZAN_OK, bartizan_queue_new(&queue, NULL));
    EXPECT(BARTIZAN_OK, bartizan_config_queue(config, queue, 0, NULL));
    EXPECT(BARTIZAN_OK, bartizan_config_set(config, BARTIZAN_MAX_QUEUED_REQUESTS, CAP, NULL));
    server = serve(config);
    for (i = 0; i < PEERS; i++) {
        peers[i] = dial(server);
        say(peers[i], GET("/"));
    }
    metrics.struct_size = sizeof metrics;
    for (i = 0; i < 200 && metrics.requests_ended < PEERS - CAP; i++) {
        nap(50);
        EXPECT(BARTIZAN_OK, bartizan_server_metrics(server, &metrics));
    }
    CHECK(metrics.requests_queued == CAP && metrics.requests_ended == PEERS - CAP);
    bartizan_queue_free(queue);
    for (i = 0; i < PEERS; i++) {
        CHECK(hear(peers[i], reply, sizeof reply, NULL) > 0 && strstr(reply, "HTTP/1.1 503") == reply);
        CHECK(strstr(reply, "\r\nretry-after: "));
        close(peers[i]);
    }
    stop(server);
}

/* Freed at once, with peers connected, a request kept and an answer half written. */
static void freeing_with_work_in_flight_is_legal(void) {
    bartizan_config *config = bartizan_config_new();
    bartizan_request first, second;
    size_t n;
    int one, two, idle;
    EXPECT(BARTIZAN_OK, bartizan_config_handler(config, BARTIZAN_MODE_WORKERS, handle, NULL, NULL, NULL));
    server = serve(config);
    one = dial(server);
    two = dial(server);
    idle = dial(server);
    say(one, REQUEST("/keep"));
    first = await_kept();
    say(two, REQUEST("/keep"));
    second = await_kept();
    EXPECT(BARTIZAN_OK, bartizan_response_begin(second, 200, NULL, 0, -1));
    EXPECT(BARTIZAN_OK, bartizan_response_write(second, "half", 4, 0, &n));
    bartizan_server_free(server);
    CHECK(hear(one, reply, sizeof reply, NULL) <= 0);
    CHECK(hear(two, reply, sizeof reply, NULL) <= 0 || !strstr(reply, "0\r\n\r\n"));
    CHECK(hear(idle, reply, sizeof reply, NULL) <= 0);
    EXPECT(BARTIZAN_E_CANCELLED, bartizan_respond(first, 200, NULL, 0, "x", 1));
    EXPECT(BARTIZAN_OK, bartizan_request_release(first));
    EXPECT(BARTIZAN_OK, bartizan_request_release(second));
    close(one);
    close(two);
    close(idle);
}

int main(void) {
    live_misuse(BARTIZAN_MODE_INLINE);
    live_misuse(BARTIZAN_MODE_WORKERS);
    RUN(a_consumer_that_is_too_slow_gets_no_more_than_the_cap);
    RUN(freeing_with_work_in_flight_is_legal);
    return 0;
}
