// Queues: events in batches, each thing taken once, whatever is left given back; records, ends, and an order of ends that C
// would not forgive.
#include "check.hpp"

#include <poll.h>
#include <stdexcept>

using namespace std::chrono_literals;

static bartizan::server serve(bartizan::queue &queue, std::initializer_list<std::uint32_t> records = {}) {
    bartizan::config config;
    config.queue(queue, records);
    return serve(config);
}

/// Hands every event of this kind to `visit` until it says that it has seen enough.
static void await(bartizan::queue &queue, std::uint32_t kind, const std::function<bool(bartizan::event)> &visit) {
    bartizan::batch events;
    for (int turns = 0; turns < 200; turns++) {
        CHECK(queue.next(events, 100ms));
        bool seen = false;
        for (bartizan::event event : events) seen = (event.kind() == kind && visit(event)) || seen;
        if (seen) return;
    }
    check(0, "the event comes within 20 s", __FILE__, __LINE__);
}

static bartizan::request await_request(bartizan::queue &queue) {
    bartizan::request request;
    await(queue, BARTIZAN_EV_REQUEST, [&request](bartizan::event event) {
        request = event.take();
        return true;
    });
    return request;
}

static void a_queue_is_polled_woken_and_drained() {
    bartizan::queue queue;
    bartizan::server server = serve(queue);
    bartizan::batch events;
    pollfd waiting{static_cast<int>(queue.fd()), POLLIN, 0};
    CHECK(queue.next(events, 0ms) && events.empty() && events.size() == 0 && events.begin() == events.end());
    CHECK(poll(&waiting, 1, 0) == 0);
    queue.wake();
    CHECK(poll(&waiting, 1, 1000) == 1);
    CHECK(queue.next(events) && events.empty());
    peer client(server, GET("/queued"));
    CHECK(poll(&waiting, 1, 10000) == 1);
    CHECK(queue.next(events) && events.size() == 1 && events.begin() != events.end());
    auto at = events.begin();
    bartizan::event event = *at++;
    CHECK(at == events.end() && event.kind() == BARTIZAN_EV_REQUEST && event.status() == BARTIZAN_OK && event.connection());
    bartizan::request request = event.take();
    CHECK(request == event.exchange() && request.path() == "/queued");
    THROWS(BARTIZAN_E_STATE, "", event.take());
    THROWS(BARTIZAN_E_STATE, "", event.log_record());
    THROWS(BARTIZAN_E_STATE, "", event.request_record());
    THROWS(BARTIZAN_E_STATE, "", event.connection_record());
    THROWS(BARTIZAN_E_STATE, "", request.on_cancel([](bartizan::exchange, std::uint32_t) {}));
    request.tag(42);
    events.clear();
    request.respond(200, "queued");
    request.reset();
    CHECK(ends(client.hear(), "\r\n\r\nqueued"));
    await(queue, BARTIZAN_EV_DONE, [](bartizan::event done) {
        return done.tag() == 42 && done.arg(0) == 200 && done.arg(1) == 6 && done.arg(2) == 1 && done.arg(3) == 0;
    });
    server.shutdown();
    await(queue, BARTIZAN_EV_SHUTDOWN, [](bartizan::event) { return true; });
    CHECK(!queue.next(events) && events.empty() && server.wait(10s));
}

static void a_request_that_nobody_takes_gets_500() {
    bartizan::queue queue;
    bartizan::server server = serve(queue);
    peer client(server, GET("/"));
    await(queue, BARTIZAN_EV_REQUEST, [](bartizan::event) { return true; });
    CHECK(begins(client.hear(), "HTTP/1.1 500 "));
}

static void a_consumer_that_throws_loses_nothing() {
    bartizan::queue queue;
    bartizan::server server = serve(queue);
    peer client(server, GET("/"));
    try {
        await(queue, BARTIZAN_EV_REQUEST, [](bartizan::event event) -> bool {
            bartizan::request request = event.take();
            throw std::runtime_error("a bug");
        });
        check(0, "it throws", __FILE__, __LINE__);
    } catch (const std::runtime_error &) {
    }
    CHECK(begins(client.hear(), "HTTP/1.1 500 "));
    // The server and its queue go on.
    peer next(server, GET("/"));
    await_request(queue).respond(200, "next");
    CHECK(ends(next.hear(), "\r\n\r\nnext"));
}

static void readiness_and_cancellation_are_events() {
    bartizan::queue queue;
    bartizan::server server = serve(queue);
    std::optional<peer> client(std::in_place, server, POST("Transfer-Encoding: chunked\r\n"));
    bartizan::request request = await_request(queue);
    request.arm_body();
    client->say("5\r\nhello\r\n");
    await(queue, BARTIZAN_EV_BODY, [&](bartizan::event event) { return event.exchange() == request; });
    CHECK(request.peek() == "hello");
    request.begin(200);
    request.arm_response();
    await(queue, BARTIZAN_EV_WRITABLE, [&](bartizan::event event) { return event.exchange() == request; });
    client.reset();
    await(queue, BARTIZAN_EV_CANCELLED, [&](bartizan::event event) {
        CHECK(event.status() == BARTIZAN_E_CANCELLED && event.arg(0) == request.cancelled());
        return true;
    });
}

static void records_are_read_and_released_with_their_batch() {
    bartizan::queue queue;
    bartizan::server server =
        serve(queue, {BARTIZAN_EV_CONNECTION, BARTIZAN_EV_LOG, BARTIZAN_EV_REQUEST_END});
    std::thread consumer([&queue] { await_request(queue).respond(204); });
    CHECK(begins(ask(server, GET("/r")), "HTTP/1.1 204 "));
    consumer.join();
    std::string target;
    bool closed = false;
    for (int turns = 0; turns < 200 && (target.empty() || !closed); turns++) {
        bartizan::batch events;
        CHECK(queue.next(events, 100ms));
        for (bartizan::event event : events) {
            if (event.kind() == BARTIZAN_EV_REQUEST_END) target = bartizan::text(event.request_record().target);
            if (event.kind() == BARTIZAN_EV_CONNECTION) closed = event.connection_record().what == BARTIZAN_CONNECTION_CLOSED;
            if (event.kind() == BARTIZAN_EV_LOG) CHECK(event.log_record().level >= BARTIZAN_LOG_ERROR);
        }
    }
    CHECK(target == "/r" && closed);
    bartizan::config config;
    THROWS(BARTIZAN_E_VALUE, "is no event", config.queue(queue, {64}));
}

static void what_was_given_comes_back_through_the_queue() {
    static int destroyed;
    struct octets {
        witness end{destroyed};
        const char *data() const { return "owned"; }
        std::size_t size() const { return 5; }
    };
    destroyed = 0;
    bartizan::queue queue;
    {
        bartizan::config config;
        config.queue(queue);
        config.on_request_end([end = witness(destroyed)](const bartizan_request_record &) {});
        bartizan::server server = serve(config);
        peer client(server, GET("/"));
        await_request(queue).respond_owned(200, {}, octets());
        CHECK(ends(client.hear(), "\r\n\r\nowned"));
        await(queue, BARTIZAN_EV_DROP, [](bartizan::event) { return true; });
        CHECK(destroyed == 1);
    }
    bartizan::batch events;
    while (queue.next(events, 10s)) CHECK(!events.empty());
    CHECK(destroyed == 2);
}

/// In C each of these is a use after free.
static void a_batch_and_its_requests_outlive_queue_and_server() {
    std::optional<bartizan::queue> queue(std::in_place);
    std::optional<bartizan::server> server(serve(*queue, {BARTIZAN_EV_CONNECTION, BARTIZAN_EV_REQUEST_END}));
    bartizan::batch events, requests;
    peer client(*server, GET("/kept"));
    while (events.empty() || (*events.begin()).kind() != BARTIZAN_EV_CONNECTION) CHECK(queue->next(events, 10s));
    bartizan::queue moved = std::move(*queue);
    THROWS(BARTIZAN_E_NULL, "", queue->next(requests, 0ms));
    bartizan::request request;
    for (bartizan::event event : events)
        if (event.kind() == BARTIZAN_EV_REQUEST) request = event.take();
    if (!request) request = await_request(moved);
    moved = bartizan::queue();
    queue.reset();
    server.reset();
    CHECK((*events.begin()).connection_record().what == BARTIZAN_CONNECTION_ENTERED);
    CHECK(request.path() == "/kept" && !request.respond(200, "nobody"));
}

static void a_queue_that_ends_first_answers_503() {
    std::optional<bartizan::queue> queue(std::in_place);
    bartizan::server server = serve(*queue);
    peer client(server, GET("/"));
    pollfd waiting{static_cast<int>(queue->fd()), POLLIN, 0};
    CHECK(poll(&waiting, 1, 10000) == 1);
    queue.reset();
    CHECK(begins(client.hear(), "HTTP/1.1 503 "));
}

int main() {
    RUN(a_queue_is_polled_woken_and_drained);
    RUN(a_request_that_nobody_takes_gets_500);
    RUN(a_consumer_that_throws_loses_nothing);
    RUN(readiness_and_cancellation_are_events);
    RUN(records_are_read_and_released_with_their_batch);
    RUN(what_was_given_comes_back_through_the_queue);
    RUN(a_batch_and_its_requests_outlive_queue_and_server);
    RUN(a_queue_that_ends_first_answers_503);
}
