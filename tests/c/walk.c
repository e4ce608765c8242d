/* Every function of the header, held wrong in every generic way: NULL in each pointer, ids that are stale, random or of another
 * type, objects and ids that were inherited through fork. The calls are written by walk.py out of the header. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a call takes. */
static struct world {
    bartizan_config *config;
    bartizan_tls *tls;
    bartizan_identity *identity;
    bartizan_queue *queue;                      /* has no server */
    bartizan_server *server;                    /* listener 0 in the clear, 1 with TLS */
    bartizan_error *old_error, *error;
    bartizan_request request;                   /* of `host`, with content that has not come */
    bartizan_header header;
    bartizan_event event;                       /* has a record that no queue knows */
    unsigned char keys[BARTIZAN_TICKET_KEY_LEN];
    char pem[1];
    int socket, forked;
} W;

/* Where a call writes to: checked to be as before when it fails. */
static struct outs {
    uint32_t number;
    int64_t wide;
    size_t size;
    bartizan_str str;
    const void *pointer;
    const bartizan_request_view *view;
    const bartizan_header *headers;
    uint64_t counts[2];
    char room[65536 * 2];
    bartizan_identity *new_identity;
    bartizan_queue *new_queue;
    bartizan_server *new_server;
    bartizan_event events[2];
    bartizan_metrics metrics;
    bartizan_setting setting;
} OUT, BEFORE;

static int dropped;

static void count_drop(void *user_data) {
    (void)user_data;
    dropped++;
}

static bartizan_status on_request(void *user_data, const bartizan_request_view *view) {
    (void)user_data;
    return bartizan_request_release(view->request);
}

static void on_connection(void *user_data, const bartizan_connection_record *record) { (void)user_data, (void)record; }
static void on_request_end(void *user_data, const bartizan_request_record *record) { (void)user_data, (void)record; }
static void on_log(void *user_data, const bartizan_log_record *record) { (void)user_data, (void)record; }
static void on_thread(void *user_data, uint32_t role) { (void)user_data, (void)role; }

static void on_cancel(void *user_data, bartizan_request request, uint32_t why) {
    (void)user_data, (void)request, (void)why;
    CHECK(!"a hook that was refused runs");
}

static void on_ready(void *user_data, bartizan_request request, uint32_t what) { on_cancel(user_data, request, what); }

/* `gives` is what the call gives in this world when nothing is NULL. One bit per parameter: pointers, those that may not be
 * NULL, lengths that are zeroed first, places for an error, drop functions. */
struct call {
    const char *name;
    bartizan_status (*call)(unsigned nulls);
    bartizan_status gives;
    unsigned pointers, required, zeroed, told;
    int takes_id, inherits;
    unsigned drops;
};

#include "walk_calls.h"

enum { COUNT = sizeof CALLS / sizeof *CALLS };

static bartizan_server *host;
static bartizan_queue *host_queue;
static int host_peer = -1;
static bartizan_request released;

static bartizan_request fresh_request(bartizan_connection *connection) {
    bartizan_event event;
    size_t n;
    if (host_peer >= 0) close(host_peer);
    host_peer = dial(host);
    say(host_peer, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    do {
        EXPECT(BARTIZAN_OK, bartizan_queue_next(host_queue, &event, 1, 10000, &n));
    } while (event.kind != BARTIZAN_EV_REQUEST);
    if (connection) *connection = event.connection;
    return event.request;
}

static bartizan_server *both_listeners(void) {
    bartizan_config *config = bartizan_config_new();
    bartizan_server *server = NULL;
    EXPECT(BARTIZAN_OK, bartizan_config_listen(config, "127.0.0.1:0", NULL, NULL, NULL));
    EXPECT(BARTIZAN_OK, bartizan_config_listen(config, "127.0.0.1:0", W.tls, NULL, NULL));
    EXPECT(BARTIZAN_OK, bartizan_config_set(config, BARTIZAN_IO_THREADS, 1, NULL));
    EXPECT(BARTIZAN_OK, bartizan_config_handler(config, BARTIZAN_MODE_INLINE, on_request, NULL, NULL, NULL));
    EXPECT(BARTIZAN_OK, bartizan_server_start(config, &server, NULL));
    bartizan_config_free(config);
    return server;
}

/* What `name` needs of a world; everything for NULL. */
static void make_world(const char *name) {
    static const bartizan_header FIELD = {{"x-a", 3}, {"b", 1}};
    memset(&W, 0, sizeof W);
    memset(&OUT, 0x5a, sizeof OUT);
    OUT.metrics.struct_size = sizeof OUT.metrics;
    OUT.setting.struct_size = sizeof OUT.setting;
    W.header = FIELD;
    W.event.kind = BARTIZAN_EV_LOG;
    W.pem[0] = '?';
    CHECK((W.config = bartizan_config_new()) != NULL);
    CHECK((W.tls = bartizan_tls_new()) != NULL);
    EXPECT(BARTIZAN_OK, bartizan_identity_self_signed("a.example", BARTIZAN_NTS, &W.identity, NULL));
    EXPECT(BARTIZAN_OK, bartizan_tls_identity(W.tls, NULL, W.identity, NULL));
    EXPECT(BARTIZAN_OK, bartizan_queue_new(&W.queue, NULL));
    EXPECT(BARTIZAN_OK, bartizan_config_listen(W.config, "127.0.0.1:0", NULL, NULL, NULL));
    if (!name || !strcmp(name, "bartizan_server_start"))
        EXPECT(BARTIZAN_OK, bartizan_config_handler(W.config, BARTIZAN_MODE_INLINE, on_request, NULL, NULL, NULL));
    EXPECT(BARTIZAN_E_OPTION, bartizan_config_set(W.config, "nonsense", 1, &W.old_error));
    if (!name || !strncmp(name, "bartizan_server_", 16)) W.server = both_listeners();
    if (!name || !strcmp(name, "bartizan_config_listen_fd")) {
        CHECK((W.socket = socket(AF_INET, SOCK_STREAM, 0)) >= 0);
        CHECK(!listen(W.socket, 1));
    }
    memcpy(&BEFORE, &OUT, sizeof OUT);
    dropped = 0;
}

static void end_world(void) {
    if (OUT.new_identity != BEFORE.new_identity) bartizan_identity_free(OUT.new_identity);
    if (OUT.new_queue != BEFORE.new_queue) bartizan_queue_free(OUT.new_queue);
    if (OUT.new_server != BEFORE.new_server) stop(OUT.new_server);
    if (W.server) stop(W.server);
    if (W.socket) close(W.socket);
    bartizan_error_free(W.error);
    bartizan_error_free(W.old_error);
    bartizan_config_free(W.config);
    bartizan_tls_free(W.tls);
    bartizan_identity_free(W.identity);
    bartizan_queue_free(W.queue);
}

/* Calls, and looks at what must not have changed. */
static void expect_of(const struct call *call, bartizan_status wanted, unsigned nulls) {
    bartizan_status got = call->call(nulls);
    if (got != wanted) {
        fprintf(stderr, "%s with NULLs %#x: ", call->name, nulls);
        expect(wanted, got, call->name, __FILE__, __LINE__);
    }
    if (got >= 0) return;
    if (call->zeroed & ~nulls) {
        CHECK(!OUT.size || got == BARTIZAN_E_STATE || got == BARTIZAN_E_VALUE);
        OUT.size = BEFORE.size;
    }
    if (memcmp(&OUT, &BEFORE, sizeof OUT)) fprintf(stderr, "%s wrote although it failed\n", call->name);
    CHECK(!memcmp(&OUT, &BEFORE, sizeof OUT));
    if (call->told & ~nulls && call->told) {
        CHECK(W.error && bartizan_error_code(W.error) == got && *bartizan_error_message(W.error));
        bartizan_error_free(W.error);
        W.error = NULL;
    }
}

static void walk(const struct call *call, bartizan_status wanted, unsigned nulls) {
    /* What was given comes back once: before a failed call returns, else with its config; content after the answer. */
    int drops = call->drops & ~nulls ? 1 : 0;
    make_world(call->name);
    if (call->takes_id) W.request = fresh_request(NULL);
    expect_of(call, wanted, nulls);
    CHECK(dropped == (wanted < 0 ? drops : 0));
    if (W.request && strcmp(call->name, "bartizan_request_release")) bartizan_request_release(W.request);
    end_world();
    if (strcmp(call->name, "bartizan_respond_owned")) CHECK(dropped == drops);
}

static void good_arguments_give_what_they_should(void) {
    size_t i;
    for (i = 0; i < COUNT; i++) walk(&CALLS[i], CALLS[i].gives, 0);
}

/* Before anything else is looked at, so that nothing has changed; what may be NULL is no error. */
static void null_in_any_pointer_is_told(void) {
    size_t i;
    unsigned bit;
    for (i = 0; i < COUNT; i++) {
        const struct call *call = &CALLS[i];
        for (bit = 0; bit < 10; bit++)
            if (call->pointers >> bit & 1)
                walk(call, call->required >> bit & 1 ? BARTIZAN_E_NULL : call->gives, 1u << bit);
        if (call->pointers) walk(call, call->required ? BARTIZAN_E_NULL : call->gives, call->pointers);
    }
}

static void every_call_refuses(bartizan_request id) {
    size_t i;
    W.request = id;
    for (i = 0; i < COUNT; i++) {
        if (!CALLS[i].takes_id) continue;
        dropped = 0;
        expect_of(&CALLS[i], BARTIZAN_E_HANDLE, 0);
        CHECK(dropped == !!CALLS[i].drops);
    }
}

static void ids_that_are_not_live_requests_are_refused(void) {
    bartizan_connection connection = 0;
    bartizan_request live;
    uint64_t id = 0, n;
    make_world("");
    every_call_refuses(0);
    every_call_refuses(UINT64_MAX);
    for (n = 0; n < 1000; n++) {
        id = id * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        every_call_refuses(id >> n % 64);
    }
    live = fresh_request(&connection);
    CHECK(live && live < UINT64_C(1) << 53 && connection && connection < UINT64_C(1) << 53);
    every_call_refuses(connection);
    for (n = 0; n < 64; n++) every_call_refuses(live ^ UINT64_C(1) << n);
    EXPECT(BARTIZAN_OK, bartizan_request_release(live));
    released = live;
    every_call_refuses(released);
    /* Its slot is another's now and then: the number is not. */
    for (n = 0; n < 200; n++) {
        live = fresh_request(NULL);
        CHECK(live != released);
        EXPECT(BARTIZAN_E_HANDLE, bartizan_request_get(released, &OUT.view));
        EXPECT(BARTIZAN_OK, bartizan_request_release(live));
    }
    end_world();
}

static void inherited_objects_are_refused_after_fork(void) {
    int status = -1, turns;
    pid_t pid;
    make_world(NULL);
    W.request = fresh_request(NULL);
    fflush(stdout);
    pid = fork_at_rest();
    CHECK(pid >= 0);
    if (!pid) {
        size_t i;
        alarm(60);
        W.forked = 1;
        for (i = 0; i < COUNT; i++) {
            memcpy(&BEFORE, &OUT, sizeof OUT);
            expect_of(&CALLS[i], CALLS[i].inherits ? BARTIZAN_E_FORKED : CALLS[i].gives, 0);
        }
        /* What it inherited is leaked, as documented: left by exec, since a leak checker would count it at exit. */
        execlp("true", "true", (char *)NULL);
        _exit(2);
    }
    for (turns = 0; turns < 600 && !waitpid(pid, &status, WNOHANG); turns++) nap(100);
    CHECK(WIFEXITED(status) && !WEXITSTATUS(status));
    EXPECT(BARTIZAN_OK, bartizan_request_release(W.request));
    end_world();
}

int main(void) {
    bartizan_config *config = bartizan_config_new();
    EXPECT(BARTIZAN_OK, bartizan_queue_new(&host_queue, NULL));
    EXPECT(BARTIZAN_OK, bartizan_config_queue(config, host_queue, 0, NULL));
    host = serve(config);
    RUN(good_arguments_give_what_they_should);
    RUN(null_in_any_pointer_is_told);
    RUN(ids_that_are_not_live_requests_are_refused);
    RUN(inherited_objects_are_refused_after_fork);
    close(host_peer);
    stop(host);
    /* Also when its server is long over. */
    EXPECT(BARTIZAN_E_HANDLE, bartizan_request_get(released, &OUT.view));
    bartizan_queue_free(host_queue);
    return 0;
}
