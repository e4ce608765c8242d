/* Callbacks, inline and on workers: answers at once, later and from another thread; what an unanswered, refused or doubled
 * request gets; that what was given with a callback comes back exactly once, after the last call. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>


static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

typedef struct scene {
    uint32_t mode;
    bartizan_request kept;                      /* under the lock */
    uint32_t cancel_reason;
    int calls, drops, hook_drops, started, stopped, closed, ended;
    bartizan_status second;
    pthread_t creator;
} scene;

static void drop(void *user_data) {
    scene *s = user_data;
    pthread_mutex_lock(&lock);
    s->drops++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void hook_drop(void *user_data) {
    scene *s = user_data;
    pthread_mutex_lock(&lock);
    s->hook_drops++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void on_cancel(void *user_data, bartizan_request request, uint32_t reason) {
    scene *s = user_data;
    (void)request;
    pthread_mutex_lock(&lock);
    s->cancel_reason = reason;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static int is(bartizan_str s, const char *words) { return s.len == strlen(words) && !memcmp(s.ptr, words, s.len); }

static bartizan_status handle(void *user_data, const bartizan_request_view *view) {
    static const bartizan_header SPLIT[1] = {{{"x", 1}, {"a\r\nb", 4}}}, FRAMING[1] = {{{"Content-Length", 14}, {"1", 1}}};
    scene *s = user_data;
    bartizan_request request = view->request;
    bartizan_status second;
    bartizan_str value;
    CHECK(!pthread_equal(pthread_self(), s->creator));
    CHECK(view->struct_size >= sizeof *view && is(view->method, "GET") && is(view->authority, "a.example"));
    CHECK(is(view->scheme, "http") && is(view->peer_ip, "127.0.0.1") && view->http_version == 11 && !view->tls);
    pthread_mutex_lock(&lock);
    s->calls++;
    pthread_mutex_unlock(&lock);
    if (is(view->path, "/")) {
        EXPECT(BARTIZAN_E_VALUE, bartizan_respond(request, 200, SPLIT, 1, "x", 1));
        EXPECT(BARTIZAN_E_VALUE, bartizan_respond(request, 200, FRAMING, 1, "x", 1));
        EXPECT(BARTIZAN_E_VALUE, bartizan_respond(request, 99, NULL, 0, "x", 1));
        EXPECT(BARTIZAN_OK, bartizan_request_header(request, "HOST", BARTIZAN_NTS, 0, &value));
        CHECK(is(value, "a.example"));
        EXPECT(BARTIZAN_E_VALUE, bartizan_request_header(request, "host", BARTIZAN_NTS, 1, &value));
        EXPECT(BARTIZAN_E_OPTION, bartizan_request_set(request, BARTIZAN_BACKLOG, 1));
        EXPECT(BARTIZAN_E_OPTION, bartizan_request_set(request, "no_such_key", 1));
        EXPECT(BARTIZAN_E_VALUE, bartizan_request_set(request, BARTIZAN_HANDLER_TIMEOUT_MS, -7));
        EXPECT(BARTIZAN_OK, bartizan_respond(request, 200, NULL, 0, "now", 3));
        second = bartizan_respond(request, 404, NULL, 0, "again", 5);
        pthread_mutex_lock(&lock);
        s->second = second;
        pthread_mutex_unlock(&lock);
    } else if (is(view->path, "/keep")) {
        EXPECT(BARTIZAN_OK, bartizan_request_on_cancel(request, on_cancel, s, hook_drop));
        EXPECT(BARTIZAN_E_STATE, bartizan_request_on_cancel(request, on_cancel, s, hook_drop));
        pthread_mutex_lock(&lock);
        s->kept = request;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
        return BARTIZAN_OK;
    } else if (is(view->path, "/fail") || is(view->path, "/refuse")) {
        EXPECT(BARTIZAN_OK, bartizan_request_release(request));
        return is(view->path, "/fail") ? BARTIZAN_E_VALUE : BARTIZAN_E_REFUSED;
    } else if (is(view->path, "/retained")) {
        EXPECT(BARTIZAN_OK, bartizan_request_retain(request));
        EXPECT(BARTIZAN_OK, bartizan_request_release(request));
        EXPECT(BARTIZAN_OK, bartizan_respond(request, 200, NULL, 0, "held", 4));
    } else if (is(view->path, "/blocking") && s->mode == BARTIZAN_MODE_INLINE) {
        char room[8];
        size_t n;
        EXPECT(BARTIZAN_E_DEADLOCK, bartizan_body_read(request, room, sizeof room, -1, &n));
        EXPECT(BARTIZAN_OK, bartizan_respond(request, 200, NULL, 0, "refused", 7));
    }
    return bartizan_request_release(request);
}

static void thread_start(void *user_data, uint32_t role) {
    scene *s = user_data;
    CHECK(role == BARTIZAN_ROLE_WORKER || role == BARTIZAN_ROLE_REACTOR);
    pthread_mutex_lock(&lock);
    s->started++;
    pthread_mutex_unlock(&lock);
}

static void thread_stop(void *user_data, uint32_t role) {
    scene *s = user_data;
    (void)role;
    pthread_mutex_lock(&lock);
    s->stopped++;
    pthread_mutex_unlock(&lock);
}

static void on_connection(void *user_data, const bartizan_connection_record *record) {
    scene *s = user_data;
    CHECK(record->struct_size >= sizeof *record && bartizan_phase_name(record->phase));
    CHECK((record->what == BARTIZAN_CONNECTION_CLOSED) == (record->reason != 0));
    pthread_mutex_lock(&lock);
    s->closed += record->what == BARTIZAN_CONNECTION_CLOSED;
    pthread_mutex_unlock(&lock);
}

static void on_request_end(void *user_data, const bartizan_request_record *record) {
    scene *s = user_data;
    CHECK(record->struct_size >= sizeof *record && bartizan_reason_name(record->reason));
    pthread_mutex_lock(&lock);
    s->ended++;
    pthread_mutex_unlock(&lock);
}

static bartizan_request await_kept(scene *s) {
    bartizan_request kept;
    pthread_mutex_lock(&lock);
    while (!s->kept) pthread_cond_wait(&changed, &lock);
    kept = s->kept;
    s->kept = 0;
    pthread_mutex_unlock(&lock);
    return kept;
}

static void await_cancel(scene *s) {
    pthread_mutex_lock(&lock);
    while (!s->cancel_reason) pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void callbacks(uint32_t mode) {
    scene s = {0};
    bartizan_config *config = bartizan_config_new();
    bartizan_server *server;
    bartizan_request kept;
    bartizan_metrics metrics = {0};
    uint64_t phases[64], reasons[128], sum = 0;
    const bartizan_request_view *view;
    uint32_t reason = 0;
    char reply[1024];
    size_t i;
    int peer;
    s.mode = mode;
    s.creator = pthread_self();
    EXPECT(BARTIZAN_OK, bartizan_config_set(config, BARTIZAN_WORKER_THREADS, 2, NULL));
    EXPECT(BARTIZAN_OK, bartizan_config_handler(config, mode, handle, &s, drop, NULL));
    EXPECT(BARTIZAN_OK, bartizan_config_thread_hooks(config, thread_start, thread_stop, &s, drop, NULL));
    EXPECT(BARTIZAN_OK, bartizan_config_on_connection(config, on_connection, &s, drop, NULL));
    EXPECT(BARTIZAN_OK, bartizan_config_on_request_end(config, on_request_end, &s, drop, NULL));
    server = serve(config);

    talk(server, GET("/"), reply, sizeof reply);
    CHECK(strstr(reply, "HTTP/1.1 200") == reply && strstr(reply, "\r\n\r\nnow"));
    talk(server, GET("/none"), reply, sizeof reply);
    CHECK(strstr(reply, "HTTP/1.1 500") == reply);
    talk(server, GET("/fail"), reply, sizeof reply);
    CHECK(strstr(reply, "HTTP/1.1 500") == reply);
    talk(server, GET("/refuse"), reply, sizeof reply);
    CHECK(strstr(reply, "HTTP/1.1 503") == reply && strstr(reply, "\r\nretry-after: "));
    talk(server, GET("/retained"), reply, sizeof reply);
    CHECK(strstr(reply, "\r\n\r\nheld"));
    if (mode == BARTIZAN_MODE_INLINE) {
        talk(server, GET("/blocking"), reply, sizeof reply);
        CHECK(strstr(reply, "\r\n\r\nrefused"));
    }

    /* Later, from this thread, and with the view still standing. */
    peer = dial(server);
    say(peer, GET("/keep"));
    kept = await_kept(&s);
    EXPECT(BARTIZAN_OK, bartizan_request_cancelled(kept, &reason));
    EXPECT(BARTIZAN_OK, bartizan_request_get(kept, &view));
    CHECK(is(view->path, "/keep"));
    EXPECT(BARTIZAN_OK, bartizan_respond(kept, 201, NULL, 0, "later", 5));
    EXPECT(BARTIZAN_OK, bartizan_request_release(kept));
    CHECK(hear(peer, reply, sizeof reply, NULL) > 0 && strstr(reply, "HTTP/1.1 201") == reply);
    close(peer);

    /* The peer leaves: one cancellation, and everything afterwards is refused without harm. */
    peer = dial(server);
    say(peer, GET("/keep"));
    kept = await_kept(&s);
    close(peer);
    await_cancel(&s);
    CHECK(!strncmp(bartizan_reason_name(s.cancel_reason), "peer.", 5));
    EXPECT(BARTIZAN_E_CANCELLED, bartizan_request_cancelled(kept, &reason));
    CHECK(reason == s.cancel_reason);
    EXPECT(BARTIZAN_OK, bartizan_request_get(kept, &view));
    CHECK(is(view->path, "/keep"));
    bartizan_respond(kept, 200, NULL, 0, "nobody", 6);
    EXPECT(BARTIZAN_OK, bartizan_request_release(kept));
    EXPECT(BARTIZAN_E_HANDLE, bartizan_request_get(kept, &view));

    metrics.struct_size = sizeof metrics;
    EXPECT(BARTIZAN_OK, bartizan_server_metrics(server, &metrics));
    CHECK(metrics.connections_accepted - metrics.connections_closed == metrics.connections_open);
    CHECK(metrics.requests_started - metrics.requests_ended == metrics.requests_live);
    EXPECT(BARTIZAN_OK, bartizan_server_counts(server, phases, 64, reasons, 128));
    for (i = 0; i < 64; i++) sum += phases[i];
    for (i = 0; i < 128; i++) sum += reasons[i];
    CHECK(sum == metrics.connections_accepted);

    stop(server);
    /* On a worker it is written while the first answer travels. */
    CHECK(s.second == BARTIZAN_E_STATE);
    CHECK(s.drops == 4 && s.hook_drops == 4);
    CHECK(s.started >= 2 && s.started == s.stopped);
    CHECK((uint64_t)s.closed == metrics.connections_accepted && s.ended == s.calls);
}

static void inline_callbacks_answer_now_and_later(void) { callbacks(BARTIZAN_MODE_INLINE); }
static void workers_answer_now_and_later(void) { callbacks(BARTIZAN_MODE_WORKERS); }

/* The program still holds a request when its server is gone: the id stays valid until released. */
static void an_id_outlives_its_server(void) {
    scene s = {0};
    bartizan_config *config = bartizan_config_new();
    bartizan_server *server;
    bartizan_request kept;
    const bartizan_request_view *view;
    int peer;
    s.mode = BARTIZAN_MODE_INLINE;
    s.creator = pthread_self();
    EXPECT(BARTIZAN_OK, bartizan_config_handler(config, BARTIZAN_MODE_INLINE, handle, &s, drop, NULL));
    server = serve(config);
    peer = dial(server);
    say(peer, GET("/keep"));
    kept = await_kept(&s);
    EXPECT(BARTIZAN_OK, bartizan_server_shutdown(server, 0));
    bartizan_server_free(server);
    await_cancel(&s);
    EXPECT(BARTIZAN_OK, bartizan_request_get(kept, &view));
    CHECK(is(view->path, "/keep"));
    EXPECT(BARTIZAN_E_CANCELLED, bartizan_respond(kept, 200, NULL, 0, "x", 1));
    EXPECT(BARTIZAN_OK, bartizan_request_release(kept));
    EXPECT(BARTIZAN_E_HANDLE, bartizan_request_release(kept));
    close(peer);
    pthread_mutex_lock(&lock);
    while (s.drops < 1 || s.hook_drops < 2) pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void one_config_starts_two_servers_and_drops_once(void) {
    scene s = {0};
    bartizan_config *config = bartizan_config_new();
    bartizan_server *first = NULL, *second = NULL;
    char reply[512];
    s.creator = pthread_self();
    s.mode = BARTIZAN_MODE_WORKERS;
    EXPECT(BARTIZAN_OK, bartizan_config_listen(config, "127.0.0.1:0", NULL, NULL, NULL));
    EXPECT(BARTIZAN_OK, bartizan_config_handler(config, BARTIZAN_MODE_WORKERS, handle, &s, drop, NULL));
    EXPECT(BARTIZAN_OK, bartizan_server_start(config, &first, NULL));
    EXPECT(BARTIZAN_OK, bartizan_server_start(config, &second, NULL));
    bartizan_config_free(config);
    talk(first, GET("/"), reply, sizeof reply);
    CHECK(strstr(reply, "now"));
    stop(first);
    CHECK(!s.drops);
    talk(second, GET("/"), reply, sizeof reply);
    CHECK(strstr(reply, "now"));
    stop(second);
    CHECK(s.drops == 1);
}

int main(void) {
    RUN(inline_callbacks_answer_now_and_later);
    RUN(workers_answer_now_and_later);
    RUN(an_id_outlives_its_server);
    RUN(one_config_starts_two_servers_and_drops_once);
    return 0;
}
