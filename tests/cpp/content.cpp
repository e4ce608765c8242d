// Content both ways: whole, in pieces, with and without waiting, without a copy, with trailers; what its misuse throws.
#include "check.hpp"

#include <algorithm>
#include <array>
#include <vector>

using namespace std::chrono_literals;

static void what_is_small_is_in_the_view_and_can_be_read_on_a_reactor() {
    bartizan::server server = serve(BARTIZAN_MODE_INLINE, [](bartizan::request request) {
        CHECK(request.has_body() && request.content_length() == 5u && request.body() == "hello");
        CHECK(request.read_all() == "hello");
        CHECK(request.trailers().size() == 0);
        char octet;
        CHECK(request.read(&octet, 1, 0ms) == 0);
        request.respond(200, {}, *request.body());
    });
    CHECK(ends(ask(server, POST("Content-Length: 5\r\n") "hello"), "\r\n\r\nhello"));
}

static void content_is_awaited_piece_by_piece_on_a_worker() {
    mailbox<bool> empty;
    bartizan::config config;
    config.set(BARTIZAN_BUFFER_BODY_BYTES, 0);
    config.handler(BARTIZAN_MODE_WORKERS, [&empty](bartizan::request request) {
        std::array<char, 3> piece;
        CHECK(!request.body() && !request.content_length());
        CHECK(!request.try_read(piece.data(), piece.size()) && !request.peek());
        THROWS(BARTIZAN_E_TIMEOUT, "bartizan_body_read", request.read(piece.data(), piece.size(), 20ms));
        THROWS(BARTIZAN_E_STATE, "", request.trailers());
        THROWS(BARTIZAN_E_VALUE, "", request.read(piece.data(), 0));
        THROWS(BARTIZAN_E_VALUE, "", request.consume(1));
        empty.put(true);
        CHECK(request.read(piece.data(), piece.size(), 10s) == 3 && begins({piece.data(), 3}, "hel"));
        CHECK(request.peek() == "lo");
        request.consume(1);
        CHECK(request.try_read(piece.data(), piece.size()) == 1u && piece[0] == 'o');
        CHECK(request.read_all(10s) == " world" && request.peek() == "");
        CHECK(request.try_read(piece.data(), piece.size()) == 0u);
        CHECK(request.trailers().size() == 1 && (*request.trailers().begin()).value == "yes");
        request.respond(200, "read");
    });
    bartizan::server server = serve(config);
    peer client(server, POST("Transfer-Encoding: chunked\r\n"));
    empty.take();
    client.say("5\r\nhello\r\n");
    nap(50);
    client.say("6\r\n world\r\n0\r\nx-done: yes\r\n\r\n");
    CHECK(ends(client.hear(), "\r\n\r\nread"));
}

static void a_lost_rest_of_content_is_no_end() {
    mailbox<std::string> told;
    bartizan::config config;
    config.set(BARTIZAN_BUFFER_BODY_BYTES, 0);
    config.handler(BARTIZAN_MODE_WORKERS, [&told](bartizan::request request) {
        try {
            told.put("read: " + request.read_all());
        } catch (const bartizan::error &error) {
            told.put(std::string(error.name()));
            throw;
        }
    });
    bartizan::server server = serve(config);
    { peer(server, POST("Content-Length: 5\r\n") "he"); }
    CHECK(told.take() == "E_CANCELLED");
}

static void content_over_its_cap_throws_and_gets_413() {
    bartizan::config config;
    config.set(BARTIZAN_BUFFER_BODY_BYTES, 0);
    config.handler(BARTIZAN_MODE_WORKERS, [](bartizan::request request) {
        request.set(BARTIZAN_MAX_BODY_BYTES, 3);
        THROWS(BARTIZAN_E_LIMIT, "", request.read_all(10s));
    });
    bartizan::server server = serve(config);
    CHECK(begins(ask(server, POST("Transfer-Encoding: chunked\r\n") "5\r\nhello\r\n0\r\n\r\n"), "HTTP/1.1 413 "));
}

static void an_answer_is_written_in_pieces_with_hints_before_and_trailers_behind() {
    for (std::uint32_t mode : {BARTIZAN_MODE_INLINE, BARTIZAN_MODE_WORKERS}) {
        bartizan::server server = serve(mode, [](bartizan::request request) {
            std::vector<bartizan::field> many(40, bartizan::field{"x-many", "yes"});
            THROWS(BARTIZAN_E_STATE, "bartizan_response_write", request.write("early"));
            THROWS(BARTIZAN_E_VALUE, "", request.inform(200, {}));
            request.inform(103, {{"link", "</style.css>"}});
            request.begin(200, many);
            CHECK(request.try_write("one ") == 4u);
            request.write("");
            request.write("two");
            request.finish({{"x-sum", "2"}});
            THROWS(BARTIZAN_E_STATE, "", request.write("late"));
            THROWS(BARTIZAN_E_STATE, "", request.finish());
        });
        std::string answer = ask(server, "GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: close, TE\r\n\r\n");
        CHECK(begins(answer, "HTTP/1.1 103 ") && answer.find("HTTP/1.1 200 ") != answer.npos);
        CHECK(answer.find("one ") != answer.npos && answer.find("two") != answer.npos);
        CHECK(answer.find("x-sum: 2") != answer.npos);
        std::size_t fields = 0;
        for (std::size_t at = 0; (at = answer.find("x-many: yes", at)) != answer.npos; at++) fields++;
        CHECK(fields == 40);
    }
}

static void an_announced_length_is_enforced() {
    bartizan::server server = serve(BARTIZAN_MODE_INLINE, [](bartizan::request request) {
        request.begin(200, {}, 4);
        THROWS(BARTIZAN_E_VALUE, "", request.write("fives", 0ms));
        request.write(request.path() == "/short" ? "fiv" : "four", 0ms);
        if (request.path() == "/short") THROWS(BARTIZAN_E_STATE, "", request.finish());
        else request.finish();
    });
    std::string answer = ask(server, GET("/"));
    CHECK(answer.find("\r\ncontent-length: 4\r\n") != answer.npos && ends(answer, "\r\n\r\nfour"));
    // Aborted, so that nobody takes it for the whole.
    CHECK(ask(server, GET("/short")) == "(reset)");
    THROWS(BARTIZAN_E_VALUE, "out of range", bartizan::exchange().begin(200, {}, ~std::uint64_t{0}));
}

/// More than the windows hold: the writer waits for room, the reader gets every octet.
static void writing_waits_for_a_slow_peer() {
    static const std::size_t SIZE = 900'000;
    bartizan::server server = serve(BARTIZAN_MODE_WORKERS, [](bartizan::request request) {
        request.begin(200, {}, SIZE);
        CHECK(request.write(std::string(SIZE, 'x'), 20s));
        CHECK(request.finish());
    });
    std::string answer = ask(server, GET("/"));
    CHECK(std::count(answer.begin(), answer.end(), 'x') >= static_cast<long>(SIZE));
}

static void waiting_on_a_reactor_throws_instead() {
    mailbox<bool> told;
    bartizan::config config;
    config.set(BARTIZAN_BUFFER_BODY_BYTES, 0);
    config.handler(BARTIZAN_MODE_INLINE, [&told](bartizan::request request) {
        char octet;
        THROWS(BARTIZAN_E_DEADLOCK, "", request.read(&octet, 1));
        request.begin(200);
        THROWS(BARTIZAN_E_DEADLOCK, "", request.write(std::string(1 << 26, 'x')));
        request.abort();
        told.put(true);
    });
    bartizan::server server = serve(config);
    peer client(server, POST("Content-Length: 9\r\n"));
    CHECK(told.take());
}

static void writing_to_a_peer_that_does_not_read_times_out() {
    mailbox<std::string> told;
    bartizan::server server = serve(BARTIZAN_MODE_WORKERS, [&told](bartizan::request request) {
        try {
            request.begin(200);
            // Socket buffers may hold some megabytes.
            request.write(std::string(1 << 26, 'x'), 100ms);
            told.put("written");
        } catch (const bartizan::error &error) {
            told.put(std::string(error.name()));
            request.abort();
        }
    });
    peer client(server, GET("/"));
    CHECK(told.take() == "E_TIMEOUT");
}

static void readiness_calls_back_and_a_stream_goes_on_there() {
    int ended = 0;
    {
        bartizan::config config;
        config.set(BARTIZAN_BUFFER_BODY_BYTES, 0);
        config.handler(BARTIZAN_MODE_INLINE, [&ended](bartizan::request request) {
            auto owner = std::make_shared<bartizan::request>(std::move(request));
            bartizan::exchange live = *owner;
            live.begin(200);
            live.on_ready([owner, end = witness(ended)](bartizan::exchange exchange, std::uint32_t what) {
                CHECK(what == BARTIZAN_EV_BODY || what == BARTIZAN_EV_WRITABLE);
                while (std::optional<std::string_view> piece = exchange.peek()) {
                    if (piece->empty()) {
                        exchange.finish();
                        return owner->reset();
                    }
                    std::optional<std::size_t> accepted = exchange.try_write(*piece);
                    if (!accepted) return owner->reset();
                    exchange.consume(*accepted);
                    if (*accepted < piece->size()) return static_cast<void>(exchange.arm_response());
                }
                exchange.arm_body();
            });
            THROWS(BARTIZAN_E_STATE, "", live.on_ready([](bartizan::exchange, std::uint32_t) {}));
            live.arm_response();
        });
        bartizan::server server = serve(config);
        peer client(server, POST("Transfer-Encoding: chunked\r\n") "5\r\nhello\r\n");
        client.hear("hello");
        client.say("6\r\n world\r\n0\r\n\r\n");
        std::string rest = client.hear();
        CHECK(rest.find(" world") != rest.npos && ends(rest, "0\r\n\r\n"));
        server.shutdown();
        CHECK(server.wait(10s));
    }
    CHECK(ended == 1);
}

static void owned_content_moves_and_is_destroyed_once() {
    static int destroyed;
    struct octets {
        witness end{destroyed};
        std::vector<unsigned char> held = std::vector<unsigned char>(100'000, 'v');
        const unsigned char *data() const { return held.data(); }
        std::size_t size() const { return held.size(); }
    };
    destroyed = 0;
    {
        bartizan::server server = serve(BARTIZAN_MODE_WORKERS, [](bartizan::request request) {
            std::string kept(50'000, 'k');
            if (request.path() == "/moved") request.respond_owned(200, {}, std::string(60'000, 'm'));
            else if (request.path() == "/short") request.respond_owned(200, {{"x-short", "1"}}, std::string("short"));
            else if (request.path() == "/copied") request.respond_owned(200, {}, kept);
            else if (request.path() == "/forbidden") request.respond_owned(200, {{"connection", "x"}, {"x y", "z"}}, octets());
            else request.respond_owned(200, {}, octets());
        });
        CHECK(ends(ask(server, GET("/moved")), "\r\n\r\n" + std::string(60'000, 'm')));
        CHECK(ends(ask(server, GET("/short")), "\r\n\r\nshort"));
        CHECK(ends(ask(server, GET("/copied")), "\r\n\r\n" + std::string(50'000, 'k')));
        CHECK(ends(ask(server, GET("/octets")), "\r\n\r\n" + std::string(100'000, 'v')));
        CHECK(begins(ask(server, GET("/forbidden")), "HTTP/1.1 500 "));
    }
    CHECK(destroyed == 2);
}

static void an_abort_resets() {
    bartizan::server server = serve(BARTIZAN_MODE_INLINE, [](bartizan::request request) { request.abort(); });
    CHECK(ask(server, GET("/")) == "(reset)");
}

int main() {
    RUN(what_is_small_is_in_the_view_and_can_be_read_on_a_reactor);
    RUN(content_is_awaited_piece_by_piece_on_a_worker);
    RUN(a_lost_rest_of_content_is_no_end);
    RUN(content_over_its_cap_throws_and_gets_413);
    RUN(an_answer_is_written_in_pieces_with_hints_before_and_trailers_behind);
    RUN(an_announced_length_is_enforced);
    RUN(writing_waits_for_a_slow_peer);
    RUN(waiting_on_a_reactor_throws_instead);
    RUN(writing_to_a_peer_that_does_not_read_times_out);
    RUN(readiness_calls_back_and_a_stream_goes_on_there);
    RUN(owned_content_moves_and_is_destroyed_once);
    RUN(an_abort_resets);
}
