/* Octets become calls of the C ABI, on two servers of the loopback that live as long as the process: one with an inline handler
 * that keeps its requests, one with a queue. Ids are live, released, of the other kind or made up; pointers are good or NULL, since
 * no library can check others. At the end of an input everything is given back, and both servers have to notice.
 *
 * A fault is an abort: a status that the header does not name, a released id that is still taken, a slot that never comes back. */
#define _POSIX_C_SOURCE 200809L
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bartizan.h"

#define MUST(what) ((what) ? (void)0 : fault(#what, __LINE__))

enum { SERVERS = 2, HELD = 64, CLIENTS = 6, STEPS = 80 };

static void fault(const char *what, int line) {
    fprintf(stderr, "calls.c:%d: not so: %s\n", line, what);
    abort();
}

/* ---- what chooses ---- */

struct script {
    const uint8_t *next, *end;
};

static unsigned below(struct script *script, unsigned faces) {
    return script->next == script->end ? 0 : *script->next++ % faces;
}

/* ---- the servers ---- */

struct keep {
    bartizan_request ids[HELD];
    size_t count;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct keep delivered;
static long user_data_out, user_data_back;
static bartizan_server *servers[SERVERS];
static bartizan_queue *queue;
static struct sockaddr_in addresses[SERVERS];

static bartizan_status handler(void *user_data, const bartizan_request_view *view) {
    bartizan_status status = BARTIZAN_OK;
    (void)user_data;
    pthread_mutex_lock(&lock);
    if (delivered.count < HELD) {
        delivered.ids[delivered.count++] = view->request;
    } else {
        status = BARTIZAN_E_REFUSED;
    }
    pthread_mutex_unlock(&lock);
    if (status != BARTIZAN_OK) MUST(bartizan_request_release(view->request) == BARTIZAN_OK);
    return status;
}

static void back(void *user_data) {
    (void)user_data;
    __atomic_add_fetch(&user_data_back, 1, __ATOMIC_SEQ_CST);
}

static void on_cancel(void *user_data, bartizan_request request, uint32_t reason) {
    (void)user_data;
    MUST(request != 0 && reason != 0 && bartizan_reason_name(reason) != NULL);
}

static void on_ready(void *user_data, bartizan_request request, uint32_t what) {
    (void)user_data;
    MUST(request != 0 && (what == BARTIZAN_EV_BODY || what == BARTIZAN_EV_WRITABLE));
}

static void on_connection(void *user_data, const bartizan_connection_record *record) {
    (void)user_data;
    MUST(record->struct_size == sizeof *record && record->connection != 0);
}

static void start(int with_queue) {
    bartizan_config *config = bartizan_config_new();
    char address[64];
    size_t len = 0;
    MUST(config != NULL);
    MUST(bartizan_config_set(config, BARTIZAN_IO_THREADS, 1, NULL) == BARTIZAN_OK);
    MUST(bartizan_config_set_text(config, BARTIZAN_HANDLER_TIMEOUT_MS, "1s", BARTIZAN_NTS, NULL) == BARTIZAN_OK);
    MUST(bartizan_config_set(config, BARTIZAN_BODY_IDLE_TIMEOUT_MS, 300, NULL) == BARTIZAN_OK);
    MUST(bartizan_config_set(config, BARTIZAN_MAX_BODY_BYTES, 100000, NULL) == BARTIZAN_OK);
    MUST(bartizan_config_set(config, BARTIZAN_BUFFER_BODY_BYTES, 16, NULL) == BARTIZAN_OK);
    MUST(bartizan_config_listen(config, "127.0.0.1:0", NULL, NULL, NULL) == BARTIZAN_OK);
    MUST(bartizan_config_on_connection(config, with_queue ? NULL : on_connection, NULL, NULL, NULL)
         == (with_queue ? BARTIZAN_E_NULL : BARTIZAN_OK));
    if (with_queue) {
        MUST(bartizan_queue_new(&queue, NULL) == BARTIZAN_OK);
        MUST(bartizan_config_queue(config, queue, 0, NULL) == BARTIZAN_OK);
    } else {
        MUST(bartizan_config_handler(config, BARTIZAN_MODE_INLINE, handler, NULL, NULL, NULL) == BARTIZAN_OK);
    }
    MUST(bartizan_server_start(config, &servers[with_queue], NULL) == BARTIZAN_OK);
    MUST(bartizan_server_address(servers[with_queue], 0, address, sizeof address, &len) == BARTIZAN_OK);
    addresses[with_queue].sin_family = AF_INET;
    addresses[with_queue].sin_port = htons((uint16_t)atoi(strchr(address, ':') + 1));
    addresses[with_queue].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bartizan_config_free(config);
}

static void pause_ms(long ms) {
    struct timespec time = {0, ms * 1000000};
    nanosleep(&time, NULL);
}

/* ---- the peers ---- */

static int dial(unsigned server) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    MUST(fd >= 0);
    if (connect(fd, (struct sockaddr *)&addresses[server], sizeof addresses[server]) != 0) {
        close(fd);
        return -1;
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

#define TEXT(octets) {octets, sizeof octets - 1}

static void say(int fd, struct script *script) {
    static const struct {
        const char *octets;
        size_t count;
    } texts[] = {
        TEXT("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nX: z\r\n\r\n"),
        TEXT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"),
        TEXT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhello"),
        TEXT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
        TEXT("0\r\nX-Sum: 1\r\n\r\n"),
        TEXT("5\r\nhello\r\n"),
        /* The preface of HTTP/2, SETTINGS, and HEADERS of GET http a / on stream 1, with END_STREAM. */
        TEXT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0\0\0\6\1\5\0\0\0\1\x82\x86\x84\x41\1a"),
        TEXT("\0"),
    };
    unsigned which = below(script, sizeof texts / sizeof *texts);
    ssize_t sent = send(fd, texts[which].octets, texts[which].count, MSG_NOSIGNAL);
    (void)sent;
}

static void hear(int fd) {
    char octets[4096];
    while (recv(fd, octets, sizeof octets, 0) > 0) continue;
}

/* ---- what was made up, and what was given ---- */

struct run {
    struct script script;
    struct keep held, gone;
    int clients[CLIENTS];
};

static void hold(struct run *run, bartizan_request id) {
    if (run->held.count < HELD) {
        run->held.ids[run->held.count++] = id;
    } else {
        MUST(bartizan_request_release(id) == BARTIZAN_OK);
    }
}

/* What was delivered meanwhile. */
static void collect(struct run *run, int64_t patience) {
    bartizan_event events[8];
    size_t n = 0, i;
    struct keep fresh;
    bartizan_status status = bartizan_queue_next(queue, events, 1 + below(&run->script, 8), patience, &n);
    MUST(status == BARTIZAN_AGAIN ? n == 0 : status == BARTIZAN_OK && n > 0);
    for (i = 0; i < n; i++) {
        if (events[i].kind == BARTIZAN_EV_REQUEST) {
            const bartizan_request_view *view = events[i].data.ptr;
            MUST(view->request == events[i].request && view->method.len > 0);
            hold(run, events[i].request);
        } else if (events[i].kind == BARTIZAN_EV_DROP) {
            __atomic_add_fetch(&user_data_back, 1, __ATOMIC_SEQ_CST);
        }
    }
    MUST(bartizan_queue_release(queue, events, n) == BARTIZAN_OK);
    pthread_mutex_lock(&lock);
    fresh = delivered;
    delivered.count = 0;
    pthread_mutex_unlock(&lock);
    for (i = 0; i < fresh.count; i++) hold(run, fresh.ids[i]);
}

static int is_held(const struct run *run, bartizan_request id) {
    size_t i;
    for (i = 0; i < run->held.count; i++) {
        if (run->held.ids[i] == id) return 1;
    }
    return 0;
}

/* Mostly one that is held. */
static bartizan_request any_id(struct run *run) {
    unsigned choice = below(&run->script, 16);
    if (choice == 0 && run->gone.count > 0) return run->gone.ids[below(&run->script, (unsigned)run->gone.count)];
    if (choice == 1) return (bartizan_request)below(&run->script, 255) << below(&run->script, 64);
    if (run->held.count == 0) return 0;
    return run->held.ids[below(&run->script, (unsigned)run->held.count)];
}

static void release(struct run *run) {
    unsigned at;
    bartizan_request id;
    if (run->held.count == 0) return;
    at = below(&run->script, (unsigned)run->held.count);
    id = run->held.ids[at];
    run->held.ids[at] = run->held.ids[--run->held.count];
    MUST(bartizan_request_release(id) == BARTIZAN_OK);
    if (is_held(run, id)) return;
    run->gone.ids[run->gone.count++ % HELD] = id;
    if (run->gone.count > HELD) run->gone.count = HELD;
    MUST(bartizan_request_release(id) == BARTIZAN_E_HANDLE);
}

static const char *any_text(struct script *script, size_t *len) {
    static const char *const texts[] = {"", "off", "10s", "1ms", "16KiB", "handler_timeout", "body_idle_timeout", "x",
                                        "max_body_bytes", "content-length", "X-A", "\x80", "a b", "a\r\nb", "min_body_rate"};
    const char *text = below(script, 16) == 0 ? NULL : texts[below(script, sizeof texts / sizeof *texts)];
    *len = below(script, 2) || text == NULL ? (below(script, 2) ? BARTIZAN_NTS : 0) : strlen(text);
    return text;
}

static const bartizan_header *any_headers(struct script *script, bartizan_header room[3], size_t *count) {
    size_t i;
    *count = below(script, 4);
    for (i = 0; i < *count; i++) {
        room[i].name.ptr = any_text(script, &room[i].name.len);
        room[i].value.ptr = any_text(script, &room[i].value.len);
    }
    return below(script, 16) == 0 ? NULL : room;
}

/* ---- one call ---- */

static char content[70000];

static bartizan_status call(struct run *run) {
    struct script *script = &run->script;
    bartizan_header room[3];
    bartizan_status status;
    const bartizan_request_view *view;
    const bartizan_header *headers;
    const void *octets;
    const char *key, *text;
    bartizan_str value;
    size_t count, len, key_len;
    uint32_t reason;
    int64_t number;
    char buffer[600];
    bartizan_request id = any_id(run);
    const int64_t patience[] = {0, 0, 0, 1, 3, -2};
    switch (below(script, 26)) {
    case 0:
        status = bartizan_request_get(id, below(script, 8) ? &view : NULL);
        if (status == BARTIZAN_OK) MUST(view->request == id && is_held(run, id));
        return status;
    case 1:
        text = any_text(script, &len);
        status = bartizan_request_header(id, text, len, below(script, 3), &value);
        if (status == BARTIZAN_OK) MUST(value.ptr != NULL || value.len == 0);
        return status;
    case 2:
        return bartizan_request_peer_certificate(id, below(script, 3), &octets, &len);
    case 3:
        return bartizan_request_cancelled(id, below(script, 2) ? &reason : NULL);
    case 4:
        user_data_out++;
        return bartizan_request_on_cancel(id, below(script, 8) ? on_cancel : NULL, run, back);
    case 5:
        user_data_out++;
        return bartizan_request_on_ready(id, below(script, 8) ? on_ready : NULL, run, back);
    case 6:
        key = any_text(script, &key_len);
        return bartizan_request_set(id, key, (int64_t)below(script, 255) - 2);
    case 7:
        key = any_text(script, &key_len);
        text = any_text(script, &len);
        return bartizan_request_set_text(id, key, text, len);
    case 8:
        key = any_text(script, &key_len);
        return bartizan_request_remaining(id, key, &number);
    case 9:
        return bartizan_request_tag(id, below(script, 255));
    case 10:
        status = bartizan_request_retain(id);
        if (status == BARTIZAN_OK) hold(run, id);
        return status;
    case 11:
        release(run);
        return BARTIZAN_OK;
    case 12:
        status = bartizan_body_read(id, below(script, 8) ? buffer : NULL, below(script, 250), patience[below(script, 6)], &len);
        if (status == BARTIZAN_OK) MUST(len > 0 && len <= sizeof buffer);
        return status;
    case 13:
        status = bartizan_body_peek(id, &octets, &len);
        if (status == BARTIZAN_OK) {
            MUST(len > 0);
            memcpy(buffer, octets, len < sizeof buffer ? len : sizeof buffer);
        }
        return status;
    case 14:
        return bartizan_body_consume(id, below(script, 8));
    case 15:
        return bartizan_body_arm(id);
    case 16:
        return bartizan_body_trailers(id, &headers, &count);
    case 17:
        headers = any_headers(script, room, &count);
        return bartizan_respond(id, 100 + 4 * below(script, 130), headers, count, content, below(script, 200));
    case 18:
        headers = any_headers(script, room, &count);
        user_data_out++;
        return bartizan_respond_owned(id, 200, headers, count, content, below(script, 2) ? sizeof content : 5, back, run);
    case 19:
        headers = any_headers(script, room, &count);
        return bartizan_response_informational(id, 100 + below(script, 104), headers, count);
    case 20:
        headers = any_headers(script, room, &count);
        return bartizan_response_begin(id, 200 + below(script, 6), headers, count, (int64_t)below(script, 60) - 2);
    case 21:
        status = bartizan_response_write(id, content, below(script, 3) ? below(script, 60) : sizeof content,
                                         patience[below(script, 6)], &len);
        if (status == BARTIZAN_OK) MUST(len <= sizeof content);
        return status;
    case 22:
        return bartizan_response_arm(id);
    case 23:
        headers = any_headers(script, room, &count);
        return bartizan_response_finish(id, headers, count);
    case 24:
        return bartizan_response_abort(id);
    default:
        text = any_text(script, &len);
        MUST(bartizan_queue_wake(queue) == BARTIZAN_OK);
        return bartizan_server_metrics_text(servers[0], NULL, 0, &len) == BARTIZAN_E_LIMIT ? BARTIZAN_OK : BARTIZAN_E_PANIC;
    }
}

/* A configuration that is set up at random, and now and then serves for a moment. */
static void set_up(struct script *script) {
    bartizan_config *config = bartizan_config_new();
    bartizan_tls *tls = below(script, 2) ? bartizan_tls_new() : NULL;
    bartizan_server *server = NULL;
    unsigned steps = below(script, 12);
    while (steps-- > 0) {
        bartizan_error *error = NULL;
        bartizan_setting setting;
        bartizan_status status;
        int64_t number;
        size_t len;
        const char *text = any_text(script, &len);
        setting.struct_size = sizeof setting;
        if (bartizan_setting_at(below(script, 70), &setting) != BARTIZAN_OK) setting.key = text;
        switch (below(script, 9)) {
        case 0: status = bartizan_config_set(config, setting.key, (int64_t)below(script, 255) - 2, &error); break;
        case 1: status = bartizan_config_set_text(config, setting.key, text, len, &error); break;
        case 2: status = bartizan_config_get(config, setting.key, &number, &error); break;
        case 3: status = bartizan_config_listen(config, "127.0.0.1:0", tls, NULL, &error); break;
        case 4: status = bartizan_config_listener_set_text(config, below(script, 3), setting.key, text, len, &error); break;
        case 5: status = bartizan_config_trust_proxy(config, below(script, 3), text, &error); break;
        case 6:
            user_data_out++;
            status = bartizan_config_handler(config, below(script, 4), handler, config, back, &error);
            break;
        case 7: status = bartizan_tls_groups(tls, text, len, &error); break;
        default: status = bartizan_server_start(config, server == NULL ? &server : NULL, &error); break;
        }
        MUST(status <= BARTIZAN_AGAIN && status >= BARTIZAN_E_REFUSED && status != BARTIZAN_E_PANIC);
        if (error != NULL) {
            MUST(status < 0 && bartizan_error_code(error) == status && bartizan_error_message(error)[0] != 0);
            bartizan_error_free(error);
        }
    }
    bartizan_tls_free(tls);
    bartizan_config_free(config);
    if (server != NULL) {
        MUST(bartizan_server_shutdown(server, 0) == BARTIZAN_OK);
        MUST(bartizan_server_wait(server, 20000) == BARTIZAN_OK);
        bartizan_server_free(server);
    }
}

static void deed(struct run *run) {
    unsigned client = below(&run->script, CLIENTS);
    bartizan_status status;
    switch (below(&run->script, 16)) {
    case 0:
    case 1:
    case 2:
        if (run->clients[client] < 0) run->clients[client] = dial(client % SERVERS);
        if (run->clients[client] < 0) return;
        say(run->clients[client], &run->script);
        collect(run, 2);
        return;
    case 3:
        if (run->clients[client] < 0) return;
        hear(run->clients[client]);
        if (below(&run->script, 2)) {
            shutdown(run->clients[client], SHUT_WR);
        } else {
            close(run->clients[client]);
            run->clients[client] = -1;
        }
        return;
    case 4:
        if (below(&run->script, 4) == 0) set_up(&run->script);
        return;
    default:
        status = call(run);
        MUST(status <= BARTIZAN_AGAIN && status >= BARTIZAN_E_REFUSED && status != BARTIZAN_E_PANIC);
    }
}

static uint64_t running(void) {
    uint64_t sum = 0;
    size_t i;
    for (i = 0; i < SERVERS; i++) {
        bartizan_metrics metrics;
        memset(&metrics, 0, sizeof metrics);
        metrics.struct_size = sizeof metrics;
        MUST(bartizan_server_metrics(servers[i], &metrics) == BARTIZAN_OK);
        MUST(metrics.connections_accepted - metrics.connections_closed == metrics.connections_open);
        MUST(metrics.requests_started - metrics.requests_ended == metrics.requests_live);
        sum += metrics.handlers_running + metrics.connections_open;
    }
    return sum;
}

void calls(const uint8_t *octets, size_t count) {
    static int started;
    struct run run;
    unsigned i;
    if (!started) {
        signal(SIGPIPE, SIG_IGN);
        start(0);
        start(1);
        started = 1;
    }
    memset(&run, 0, sizeof run);
    run.script.next = octets;
    run.script.end = octets + count;
    for (i = 0; i < CLIENTS; i++) run.clients[i] = -1;
    for (i = 0; i < STEPS && run.script.next != run.script.end; i++) deed(&run);
    run.script.next = run.script.end;
    for (i = 0; i < CLIENTS; i++) {
        if (run.clients[i] >= 0) close(run.clients[i]);
    }
    /* What is still on its way, for at most twenty seconds: connections end, slots and user data come back. */
    for (i = 0;; i++) {
        collect(&run, 0);
        while (run.held.count > 0) release(&run);
        if (running() == 0 && user_data_out == __atomic_load_n(&user_data_back, __ATOMIC_SEQ_CST)) break;
        MUST(i < 20000);
        pause_ms(1);
    }
}
