/* Queues: a descriptor to poll, events in batches and in order, a wake that is remembered, and an end that everyone hears. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ALL (UINT64_C(1) << BARTIZAN_EV_CONNECTION | UINT64_C(1) << BARTIZAN_EV_LOG | UINT64_C(1) << BARTIZAN_EV_REQUEST_END)

static bartizan_server *serve_queue(bartizan_queue **queue, uint64_t mask) {
    bartizan_config *config = bartizan_config_new();
    EXPECT(BARTIZAN_OK, bartizan_queue_new(queue, NULL));
    EXPECT(BARTIZAN_OK, bartizan_config_queue(config, *queue, mask, NULL));
    return serve(config);
}

static void no_hook(void *user_data, bartizan_request request, uint32_t reason) {
    (void)user_data;
    (void)request;
    (void)reason;
    CHECK(!"a queue carries the events of its requests");
}

/* The next event of `kind`; records of other kinds on the way are given back, requests never passed over. */
static bartizan_event await(bartizan_queue *queue, uint32_t kind) {
    bartizan_event event;
    size_t n;
    int turns;
    for (turns = 0; turns < 200; turns++) {
        bartizan_status status = bartizan_queue_next(queue, &event, 1, 100, &n);
        if (status == BARTIZAN_AGAIN) continue;
        EXPECT(BARTIZAN_OK, status);
        CHECK(n == 1);
        if (event.kind == kind) return event;
        CHECK(event.kind != BARTIZAN_EV_REQUEST);
        EXPECT(BARTIZAN_OK, bartizan_queue_release(queue, &event, 1));
    }
    CHECK(!"the event comes within 20 s");
    return event;
}

static void end(bartizan_server *server, bartizan_queue *queue) {
    bartizan_event event;
    size_t n;
    EXPECT(BARTIZAN_OK, bartizan_server_shutdown(server, 1000));
    await(queue, BARTIZAN_EV_SHUTDOWN);
    EXPECT(BARTIZAN_E_CLOSED, bartizan_queue_next(queue, &event, 1, 0, &n));
    EXPECT(BARTIZAN_E_CLOSED, bartizan_queue_next(queue, &event, 1, -1, &n));
    CHECK(readable(queue, 0) == 1);
    EXPECT(BARTIZAN_OK, bartizan_server_wait(server, 10000));
    bartizan_server_free(server);
    bartizan_queue_free(queue);
}

static void an_empty_queue_times_out_and_a_wake_is_remembered(void) {
    bartizan_queue *queue;
    bartizan_server *server = serve_queue(&queue, 0);
    bartizan_event events[4];
    size_t n = 7;
    EXPECT(BARTIZAN_AGAIN, bartizan_queue_next(queue, events, 4, 0, &n));
    CHECK(n == 0 && !readable(queue, 0));
    EXPECT(BARTIZAN_AGAIN, bartizan_queue_next(queue, events, 4, 30, &n));
    EXPECT(BARTIZAN_OK, bartizan_queue_wake(queue));
    CHECK(readable(queue, 1000) == 1);
    EXPECT(BARTIZAN_AGAIN, bartizan_queue_next(queue, events, 4, -1, &n));
    CHECK(!readable(queue, 0));
    end(server, queue);
}

static void a_request_comes_as_an_event_and_its_end_as_the_last(void) {
    bartizan_queue *queue;
    bartizan_server *server = serve_queue(&queue, 0);
    const bartizan_request_view *view;
    bartizan_event event;
    char reply[512];
    int peer = dial(server);
    CHECK(sizeof event == 64);
    say(peer, GET("/now?a=b"));
    CHECK(readable(queue, 10000) == 1);
    event = await(queue, BARTIZAN_EV_REQUEST);
    view = event.data.ptr;
    CHECK(event.request == view->request && event.connection == view->connection && !event.tag);
    CHECK(view->path.len == 4 && !memcmp(view->path.ptr, "/now", 4) && view->query.len == 3);
    EXPECT(BARTIZAN_OK, bartizan_request_tag(event.request, 42));
    EXPECT(BARTIZAN_E_STATE, bartizan_request_on_cancel(event.request, no_hook, NULL, NULL));
    EXPECT(BARTIZAN_OK, bartizan_respond(event.request, 200, NULL, 0, "queued", 6));
    EXPECT(BARTIZAN_OK, bartizan_request_release(event.request));
    CHECK(hear(peer, reply, sizeof reply, NULL) > 0 && strstr(reply, "\r\n\r\nqueued"));
    close(peer);
    event = await(queue, BARTIZAN_EV_DONE);
    CHECK(event.tag == 42 && event.arg[0] == 200 && event.arg[1] == 6);
    CHECK(!strcmp(bartizan_reason_name((uint32_t)event.arg[2]), "complete"));
    end(server, queue);
}

static void a_body_is_armed_peeked_and_consumed(void) {
    bartizan_queue *queue;
    bartizan_server *server = serve_queue(&queue, 0);
    bartizan_request request;
    const void *octets;
    char reply[512];
    size_t n;
    int peer = dial(server);
    say(peer, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n");
    request = await(queue, BARTIZAN_EV_REQUEST).request;
    EXPECT(BARTIZAN_AGAIN, bartizan_body_peek(request, &octets, &n));
    EXPECT(BARTIZAN_OK, bartizan_body_arm(request));
    say(peer, "5\r\nhello\r\n");
    CHECK(await(queue, BARTIZAN_EV_BODY).request == request);
    EXPECT(BARTIZAN_OK, bartizan_body_peek(request, &octets, &n));
    CHECK(n == 5 && !memcmp(octets, "hello", 5));
    EXPECT(BARTIZAN_OK, bartizan_body_consume(request, 3));
    EXPECT(BARTIZAN_OK, bartizan_body_peek(request, &octets, &n));
    CHECK(n == 2 && !memcmp(octets, "lo", 2));
    EXPECT(BARTIZAN_OK, bartizan_body_consume(request, 2));
    EXPECT(BARTIZAN_OK, bartizan_body_arm(request));
    say(peer, "0\r\n\r\n");
    await(queue, BARTIZAN_EV_BODY);
    EXPECT(BARTIZAN_EOF, bartizan_body_peek(request, &octets, &n));
    EXPECT(BARTIZAN_OK, bartizan_respond(request, 200, NULL, 0, "read", 4));
    EXPECT(BARTIZAN_OK, bartizan_request_release(request));
    CHECK(hear(peer, reply, sizeof reply, NULL) > 0 && strstr(reply, "\r\n\r\nread"));
    close(peer);
    end(server, queue);
}

static void cancellation_is_an_event_and_comes_once(void) {
    bartizan_queue *queue;
    bartizan_server *server = serve_queue(&queue, 0);
    bartizan_event event;
    int peer = dial(server);
    say(peer, GET("/"));
    event = await(queue, BARTIZAN_EV_REQUEST);
    close(peer);
    CHECK(!strncmp(bartizan_reason_name((uint32_t)await(queue, BARTIZAN_EV_CANCELLED).arg[0]), "peer.", 5));
    EXPECT(BARTIZAN_OK, bartizan_request_release(event.request));
    await(queue, BARTIZAN_EV_DONE);
    end(server, queue);
}

static void records_come_through_the_queue_when_asked_for(void) {
    bartizan_queue *queue;
    bartizan_server *server = serve_queue(&queue, ALL);
    const bartizan_connection_record *closed = NULL;
    const bartizan_request_record *ended;
    bartizan_event event;
    bartizan_connection connection;
    char reply[512];
    int peer = dial(server);
    say(peer, GET("/r"));
    event = await(queue, BARTIZAN_EV_REQUEST);
    connection = event.connection;
    EXPECT(BARTIZAN_OK, bartizan_respond(event.request, 204, NULL, 0, NULL, 0));
    EXPECT(BARTIZAN_OK, bartizan_request_release(event.request));
    event = await(queue, BARTIZAN_EV_REQUEST_END);
    ended = event.data.ptr;
    CHECK(ended->code == 204 && ended->connection == connection && ended->target.len == 2);
    EXPECT(BARTIZAN_OK, bartizan_queue_release(queue, &event, 1));
    CHECK(hear(peer, reply, sizeof reply, NULL) > 0);
    close(peer);
    while (!closed) {
        event = await(queue, BARTIZAN_EV_CONNECTION);
        closed = event.data.ptr;
        CHECK(closed->connection == connection);
        if (closed->what == BARTIZAN_CONNECTION_CLOSED) {
            CHECK(closed->requests == 1 && !strcmp(bartizan_reason_name(closed->reason), "complete"));
        } else {
            closed = NULL;
        }
        EXPECT(BARTIZAN_OK, bartizan_queue_release(queue, &event, 1));
    }
    end(server, queue);
}

static void a_freed_queue_answers_503_for_its_requests(void) {
    bartizan_queue *queue;
    bartizan_server *server = serve_queue(&queue, 0);
    bartizan_request taken;
    char reply[512];
    int held = dial(server), waiting = dial(server);
    say(held, GET("/"));
    taken = await(queue, BARTIZAN_EV_REQUEST).request;
    say(waiting, GET("/"));
    CHECK(readable(queue, 10000) == 1);
    bartizan_queue_free(queue);
    CHECK(hear(waiting, reply, sizeof reply, NULL) > 0 && strstr(reply, "HTTP/1.1 503") == reply);
    CHECK(hear(held, reply, sizeof reply, NULL) > 0 && strstr(reply, "HTTP/1.1 503") == reply);
    CHECK(bartizan_respond(taken, 200, NULL, 0, "late", 4) < 0);
    EXPECT(BARTIZAN_OK, bartizan_request_release(taken));
    close(waiting);
    close(held);
    stop(server);
}

enum { REQUESTS = 200, CONSUMERS = 4 };

static void *consume(void *user_data) {
    bartizan_event events[8];
    size_t n, i;
    bartizan_status status;
    while ((status = bartizan_queue_next(user_data, events, 8, -1, &n)) >= 0)
        for (i = 0; i < n; i++)
            if (events[i].kind == BARTIZAN_EV_REQUEST) {
                EXPECT(BARTIZAN_OK, bartizan_respond(events[i].request, 200, NULL, 0, "many", 4));
                EXPECT(BARTIZAN_OK, bartizan_request_release(events[i].request));
            }
    EXPECT(BARTIZAN_E_CLOSED, status);
    return NULL;
}

static void many_consumers_share_a_queue_and_all_hear_its_end(void) {
    bartizan_queue *queue;
    bartizan_server *server = serve_queue(&queue, 0);
    pthread_t threads[CONSUMERS];
    char reply[512];
    int i;
    for (i = 0; i < CONSUMERS; i++) CHECK(!pthread_create(&threads[i], NULL, consume, queue));
    for (i = 0; i < REQUESTS; i++) {
        talk(server, GET("/"), reply, sizeof reply);
        CHECK(strstr(reply, "\r\n\r\nmany"));
    }
    EXPECT(BARTIZAN_OK, bartizan_server_shutdown(server, 1000));
    for (i = 0; i < CONSUMERS; i++) CHECK(!pthread_join(threads[i], NULL));
    EXPECT(BARTIZAN_OK, bartizan_server_wait(server, 10000));
    bartizan_server_free(server);
    bartizan_queue_free(queue);
}

int main(void) {
    RUN(an_empty_queue_times_out_and_a_wake_is_remembered);
    RUN(a_request_comes_as_an_event_and_its_end_as_the_last);
    RUN(a_body_is_armed_peeked_and_consumed);
    RUN(cancellation_is_an_event_and_comes_once);
    RUN(records_come_through_the_queue_when_asked_for);
    RUN(a_freed_queue_answers_503_for_its_requests);
    RUN(many_consumers_share_a_queue_and_all_hear_its_end);
    return 0;
}
