/* Queues beyond one request: several of them, bursts, batches, a descriptor that stays readable, what comes back as an event. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MASK(kind) (UINT64_C(1) << (kind))

static char reply[512];

/* The next event of `kind`; others on the way are given back. */
static bartizan_event await(bartizan_queue *queue, uint32_t kind) {
    bartizan_event event;
    size_t n;
    do {
        EXPECT(BARTIZAN_OK, bartizan_queue_next(queue, &event, 1, 20000, &n));
        if (event.kind != kind) EXPECT(BARTIZAN_OK, bartizan_queue_release(queue, &event, 1));
    } while (event.kind != kind);
    return event;
}

static void answer(const bartizan_event *event) {
    EXPECT(BARTIZAN_OK, bartizan_respond(event->request, 200, NULL, 0, "q", 1));
    EXPECT(BARTIZAN_OK, bartizan_request_release(event->request));
}

static void hear_answer(int peer) {
    CHECK(hear(peer, reply, sizeof reply, NULL) > 0 && strstr(reply, "HTTP/1.1 200") == reply);
    close(peer);
}

static long waiting_requests(const bartizan_server *server) {
    bartizan_metrics metrics = {0};
    metrics.struct_size = sizeof metrics;
    EXPECT(BARTIZAN_OK, bartizan_server_metrics(server, &metrics));
    return (long)metrics.requests_queued;
}

static void await_waiting(const bartizan_server *server, long count) {
    int turns;
    for (turns = 0; turns < 500 && waiting_requests(server) != count; turns++) nap(20);
    CHECK(waiting_requests(server) == count);
}

static long sample(const bartizan_server *server, const char *line) {
    static char text[1 << 20];
    char *found;
    size_t len;
    EXPECT(BARTIZAN_OK, bartizan_server_metrics_text(server, text, sizeof text, &len));
    CHECK((found = strstr(text, line)) != NULL);
    return atol(found + strlen(line));
}

static void several_queues_take_turns_and_all_hear_the_end(void) {
    enum { PEERS = 8 };
    bartizan_config *config = bartizan_config_new();
    bartizan_queue *queues[2];
    bartizan_server *server;
    bartizan_event event, events[16];
    int peers[PEERS], i, q;
    size_t n;
    for (q = 0; q < 2; q++) {
        EXPECT(BARTIZAN_OK, bartizan_queue_new(&queues[q], NULL));
        EXPECT(BARTIZAN_OK, bartizan_config_queue(config, queues[q], q ? MASK(BARTIZAN_EV_REQUEST_END) : 0, NULL));
    }
    EXPECT(BARTIZAN_E_STATE, bartizan_config_queue(config, queues[0], 0, NULL));
    EXPECT(BARTIZAN_E_VALUE, bartizan_config_queue(config, queues[0], UINT64_C(1) << 40, NULL));
    EXPECT(BARTIZAN_OK, bartizan_config_listen(config, "127.0.0.1:0", NULL, NULL, NULL));
    EXPECT(BARTIZAN_OK, bartizan_config_set(config, BARTIZAN_IO_THREADS, 1, NULL));
    EXPECT(BARTIZAN_OK, bartizan_server_start(config, &server, NULL));
    /* A queue serves one server. */
    {
        bartizan_server *second = NULL;
        EXPECT(BARTIZAN_E_STATE, bartizan_server_start(config, &second, NULL));
        CHECK(!second);
    }
    bartizan_config_free(config);
    for (i = 0; i < PEERS; i++) {
        peers[i] = dial(server);
        say(peers[i], GET("/"));
    }
    await_waiting(server, PEERS);
    /* All of them before any is answered: ends overtake requests that nobody has taken. */
    for (i = 0; i < PEERS; i++) events[i] = await(queues[i % 2], BARTIZAN_EV_REQUEST);
    for (i = 0; i < PEERS; i++) answer(&events[i]);
    for (i = 0; i < PEERS; i++) hear_answer(peers[i]);
    /* Ends of all requests come to the one that asked. */
    for (i = 0; i < PEERS; i++) {
        event = await(queues[1], BARTIZAN_EV_REQUEST_END);
        EXPECT(BARTIZAN_OK, bartizan_queue_release(queues[1], &event, 1));
        EXPECT(BARTIZAN_E_HANDLE, bartizan_queue_release(queues[1], &event, 1));
    }
    EXPECT(BARTIZAN_OK, bartizan_server_shutdown(server, 1000));
    for (q = 0; q < 2; q++) {
        bartizan_status status;
        uint32_t last = 0;
        while (!(status = bartizan_queue_next(queues[q], events, 16, 20000, &n))) {
            for (i = 0; i < (int)n; i++) {
                CHECK(last != BARTIZAN_EV_SHUTDOWN);
                last = events[i].kind;
                CHECK(last == BARTIZAN_EV_DONE || last == BARTIZAN_EV_SHUTDOWN);
            }
        }
        EXPECT(BARTIZAN_E_CLOSED, status);
        CHECK(last == BARTIZAN_EV_SHUTDOWN && readable(queues[q], 0) == 1);
    }
    EXPECT(BARTIZAN_OK, bartizan_server_wait(server, 10000));
    bartizan_server_free(server);
    for (q = 0; q < 2; q++) bartizan_queue_free(queues[q]);
}

static bartizan_server *serve_queue(bartizan_queue **queue, uint64_t mask) {
    bartizan_config *config = bartizan_config_new();
    EXPECT(BARTIZAN_OK, bartizan_queue_new(queue, NULL));
    EXPECT(BARTIZAN_OK, bartizan_config_queue(config, *queue, mask, NULL));
    return serve(config);
}

static void drain(bartizan_server *server, bartizan_queue *queue) {
    EXPECT(BARTIZAN_OK, bartizan_server_shutdown(server, 1000));
    await(queue, BARTIZAN_EV_SHUTDOWN);
    EXPECT(BARTIZAN_OK, bartizan_server_wait(server, 10000));
    bartizan_server_free(server);
    bartizan_queue_free(queue);
}

static void a_burst_costs_one_wakeup_and_comes_in_one_batch(void) {
    enum { BURST = 64 };
    static bartizan_event events[BURST];
    bartizan_queue *queue;
    bartizan_server *server = serve_queue(&queue, 0);
    int peers[BURST], i;
    size_t n;
    long before;
    CHECK(!readable(queue, 0));
    before = sample(server, "\nbartizan_queue_wakeups_total{queue=\"0\"} ");
    for (i = 0; i < BURST; i++) {
        peers[i] = dial(server);
        say(peers[i], GET("/"));
    }
    await_waiting(server, BURST);
    /* Counted when they are dispatched, in the queue at the end of the reactor's turn. */
    for (i = 0; i < 500 && sample(server, "\nbartizan_queue_events{queue=\"0\"} ") != BURST; i++) nap(20);
    CHECK(sample(server, "\nbartizan_queue_events{queue=\"0\"} ") == BURST);
    CHECK(sample(server, "\nbartizan_queue_wakeups_total{queue=\"0\"} ") == before + 1);
    EXPECT(BARTIZAN_OK, bartizan_queue_next(queue, events, 1, 0, &n));
    CHECK(n == 1 && readable(queue, 0) == 1);
    EXPECT(BARTIZAN_OK, bartizan_queue_next(queue, events + 1, BURST, 0, &n));
    CHECK(n == BURST - 1);
    CHECK(!readable(queue, 0));
    for (i = 0; i < BURST; i++) {
        CHECK(events[i].kind == BARTIZAN_EV_REQUEST);
        answer(&events[i]);
    }
    for (i = 0; i < BURST; i++) hear_answer(peers[i]);
    for (i = 0; i < BURST; i++) await(queue, BARTIZAN_EV_DONE);
    drain(server, queue);
}

static void no_drop(void *user_data) {
    (void)user_data;
    CHECK(!"with a queue it is an event");
}

static void on_connection(void *user_data, const bartizan_connection_record *record) { (void)user_data, (void)record; }

static void what_was_given_comes_back_as_an_event(void) {
    static char content[100] = "owned", hook_data;
    bartizan_config *config = bartizan_config_new();
    bartizan_queue *queue;
    bartizan_server *server;
    bartizan_event event;
    int peer, seen = 0;
    EXPECT(BARTIZAN_OK, bartizan_queue_new(&queue, NULL));
    EXPECT(BARTIZAN_OK, bartizan_config_queue(config, queue, 0, NULL));
    EXPECT(BARTIZAN_OK, bartizan_config_on_connection(config, on_connection, &hook_data, NULL, NULL));
    server = serve(config);
    peer = dial(server);
    say(peer, GET("/"));
    event = await(queue, BARTIZAN_EV_REQUEST);
    EXPECT(BARTIZAN_OK, bartizan_request_tag(event.request, 9));
    EXPECT(BARTIZAN_OK, bartizan_respond_owned(event.request, 200, NULL, 0, content, sizeof content, no_drop, content));
    EXPECT(BARTIZAN_OK, bartizan_request_release(event.request));
    hear_answer(peer);
    CHECK(await(queue, BARTIZAN_EV_DROP).data.ptr == content);
    EXPECT(BARTIZAN_OK, bartizan_server_shutdown(server, 1000));
    while (event.kind != BARTIZAN_EV_SHUTDOWN) {
        size_t n;
        EXPECT(BARTIZAN_OK, bartizan_queue_next(queue, &event, 1, 20000, &n));
        if (event.kind == BARTIZAN_EV_DROP) {
            CHECK(event.data.ptr == &hook_data);
            seen++;
        }
    }
    CHECK(seen == 1);
    EXPECT(BARTIZAN_OK, bartizan_server_wait(server, 10000));
    bartizan_server_free(server);
    bartizan_queue_free(queue);
}

static void log_records_come_through_the_queue(void) {
    bartizan_queue *queue;
    bartizan_server *server = serve_queue(&queue, MASK(BARTIZAN_EV_LOG));
    bartizan_event event = await(queue, BARTIZAN_EV_LOG);
    const bartizan_log_record *record = event.data.ptr;
    CHECK(record->level == BARTIZAN_LOG_INFO && record->text.len == 7 && !memcmp(record->text.ptr, "started", 7));
    CHECK(!event.arg[0] && !event.request);
    EXPECT(BARTIZAN_OK, bartizan_queue_release(queue, &event, 1));
    EXPECT(BARTIZAN_OK, bartizan_server_shutdown(server, 1000));
    event = await(queue, BARTIZAN_EV_LOG);
    record = event.data.ptr;
    CHECK(record->text.len == 8 && !memcmp(record->text.ptr, "draining", 8));
    EXPECT(BARTIZAN_OK, bartizan_queue_release(queue, &event, 1));
    drain(server, queue);
}

int main(void) {
    RUN(several_queues_take_turns_and_all_hear_the_end);
    RUN(a_burst_costs_one_wakeup_and_comes_in_one_batch);
    RUN(what_was_given_comes_back_as_an_event);
    RUN(log_records_come_through_the_queue);
    return 0;
}
