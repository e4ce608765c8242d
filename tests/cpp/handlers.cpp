// Handlers: every kind of callable, inline and on workers; what they throw, and other misuse; requests that outlive the call;
// the end of a server that is serving.
#include "check.hpp"

#include <atomic>
#include <stdexcept>

using namespace std::chrono_literals;

static const std::uint32_t MODES[] = {BARTIZAN_MODE_INLINE, BARTIZAN_MODE_WORKERS};

static void function(bartizan::request request) { request.respond(200, "function"); }

struct functor {
    void operator()(const bartizan::request &request) const { request.respond(200, "functor"); }
};

static void any_callable_is_a_handler() {
    for (std::uint32_t mode : MODES) {
        CHECK(ends(ask(serve(mode, function), GET("/")), "\r\n\r\nfunction"));
        CHECK(ends(ask(serve(mode, functor()), GET("/")), "\r\n\r\nfunctor"));
        CHECK(ends(ask(serve(mode, std::function<void(bartizan::request)>(function)), GET("/")), "\r\n\r\nfunction"));
        auto only_moves = [text = std::make_unique<std::string>("moved")](bartizan::request &&request) {
            return request.respond(200, *text);
        };
        CHECK(ends(ask(serve(mode, std::move(only_moves)), GET("/")), "\r\n\r\nmoved"));
        std::atomic<int> calls{0};
        auto counts = [&calls, turns = 0](auto request) mutable {
            calls = ++turns;
            request.respond(200, {{"x-turn", "1"}, {"content-type", "text/plain"}}, "counted");
        };
        std::string answer = ask(serve(mode, counts), GET("/"));
        CHECK(calls == 1 && ends(answer, "\r\n\r\ncounted"));
        CHECK(answer.find("\r\nx-turn: 1\r\ncontent-type: text/plain\r\n") != answer.npos);
    }
}

static void a_request_shows_what_was_asked() {
    std::string shown;
    bartizan::server server = serve(BARTIZAN_MODE_INLINE, [&shown](bartizan::request request) {
        for (auto [name, value] : request.headers()) shown += std::string(name) + "=" + std::string(value) + ";";
        CHECK(request.method() == "GET" && request.scheme() == "http" && request.authority() == "a.example");
        CHECK(request.target() == "/p?q=r" && request.path() == "/p" && request.query() == "q=r");
        CHECK(request.peer_ip() == "127.0.0.1" && request.local_ip() == "127.0.0.1");
        CHECK(request.peer_port() && request.local_port() && request.peer_port() != request.local_port());
        CHECK(request.http_version() == 11 && request.listener() == 0 && request.stream() == 0 && !request.tls());
        CHECK(request.connection() && request.connection() != request.get() && request.get() == request.view().request);
        CHECK(!request.has_body() && !request.peer_certificate());
        CHECK(request.header("HOST") == "a.example" && !request.header("host", 1) && !request.header("none"));
        CHECK(request.headers().size() == 2 && request.headers()[1].name == "connection");
        auto at = request.headers().begin();
        CHECK((*at++).name == "host" && (*at).name == "connection" && ++at == request.headers().end());
        bartizan::exchange same = request;
        CHECK(same && same == request && !(same != request) && same != bartizan::exchange());
        request.respond(204);
    });
    CHECK(begins(ask(server, GET("/p?q=r")), "HTTP/1.1 204 "));
    CHECK(shown == "host=a.example;connection=close;");
}

/// How a handler may go wrong, and what the peer sees.
static void misbehave(bartizan::request request) {
    std::string_view path = request.path();
    if (path == "/throws") throw std::runtime_error("a bug");
    if (path == "/throws-a-number") throw 7;
    if (path == "/refuses") throw bartizan::error(BARTIZAN_E_REFUSED, "not today");
    if (path == "/is-overloaded") throw bartizan::error(BARTIZAN_E_LIMIT, "too much");
    if (path == "/forgets") return;
    if (path == "/answers-twice") {
        request.respond(200, "first");
        request.respond(200, "second");
    }
    if (path == "/splits") request.respond(200, {{"x", "a\r\nb: c"}}, "x");
    if (path == "/throws-after-begin") {
        request.begin(200, {}, 5);
        request.try_write("ab");
        throw std::runtime_error("half way");
    }
    if (path == "/uses-what-it-moved") {
        bartizan::request taken = std::move(request);
        request.respond(200, "from nothing");
    }
    if (path == "/reads-what-it-moved") {
        bartizan::request taken = std::move(request);
        static_cast<void>(request.method());
    }
}

static void what_a_handler_throws_becomes_500_and_is_told() {
    for (std::uint32_t mode : MODES) {
        mailbox<std::string> told;
        bartizan::config config;
        config.handler(mode, misbehave, [&told](std::exception_ptr thrown) {
            try {
                std::rethrow_exception(thrown);
            } catch (const bartizan::error &error) {
                told.put(std::string(error.name()));
            } catch (const std::exception &error) {
                told.put(error.what());
            } catch (...) {
                told.put("something else");
                throw;
            }
        });
        bartizan::server server = serve(config);
        CHECK(begins(ask(server, GET("/throws")), "HTTP/1.1 500 ") && told.take() == "a bug");
        CHECK(begins(ask(server, GET("/throws-a-number")), "HTTP/1.1 500 ") && told.take() == "something else");
        CHECK(begins(ask(server, GET("/refuses")), "HTTP/1.1 503 ") && told.take() == "E_REFUSED");
        CHECK(begins(ask(server, GET("/is-overloaded")), "HTTP/1.1 503 ") && told.take() == "E_LIMIT");
        CHECK(begins(ask(server, GET("/forgets")), "HTTP/1.1 500 "));
        CHECK(ends(ask(server, GET("/answers-twice")), "\r\n\r\nfirst") && told.take() == "E_STATE");
        CHECK(begins(ask(server, GET("/splits")), "HTTP/1.1 500 ") && told.take() == "E_VALUE");
        CHECK(!ends(ask(server, GET("/throws-after-begin")), "abcde") && told.take() == "half way");
        CHECK(begins(ask(server, GET("/uses-what-it-moved")), "HTTP/1.1 500 ") && told.take() == "E_HANDLE");
        CHECK(begins(ask(server, GET("/reads-what-it-moved")), "HTTP/1.1 500 ") && told.take() == "E_HANDLE");
    }
}

static void a_handler_may_return_a_status() {
    for (std::uint32_t mode : MODES) {
        bartizan::server server = serve(mode, [](bartizan::request request) -> bartizan_status {
            if (request.path() == "/") return request.respond(200, "fine"), BARTIZAN_OK;
            return request.path() == "/refuse" ? BARTIZAN_E_REFUSED : BARTIZAN_E_VALUE;
        });
        CHECK(ends(ask(server, GET("/")), "\r\n\r\nfine"));
        CHECK(begins(ask(server, GET("/refuse")), "HTTP/1.1 503 "));
        CHECK(begins(ask(server, GET("/fail")), "HTTP/1.1 500 "));
    }
}

static void a_request_is_answered_later_by_another_thread() {
    for (std::uint32_t mode : MODES) {
        mailbox<bartizan::request> kept;
        bartizan::server server = serve(mode, [&kept](bartizan::request request) { kept.put(std::move(request)); });
        peer client(server, GET("/later"));
        bartizan::request request = kept.take();
        bartizan::exchange names = request;
        std::thread([&request] {
            bartizan::request mine;
            mine = std::move(request);
            CHECK(mine.path() == "/later" && !mine.cancelled() && !request);
            mine.respond(201, "later");
        }).join();
        CHECK(begins(client.hear(), "HTTP/1.1 201 "));
        THROWS(BARTIZAN_E_HANDLE, "bartizan_respond: E_HANDLE", names.respond(200, "after its end"));
        THROWS(BARTIZAN_E_HANDLE, "", names.retain());
        THROWS(BARTIZAN_E_HANDLE, "", names.cancelled());
    }
}

static void the_last_owner_that_ends_without_an_answer_gives_500() {
    mailbox<bartizan::request> kept;
    bartizan::server server =
        serve(BARTIZAN_MODE_INLINE, [&kept](bartizan::request request) { kept.put(std::move(request)); });
    peer client(server, GET("/"));
    bartizan::request first = kept.take();
    bartizan::request second = first.retain();
    CHECK(first == second && second.path() == "/");
    first.reset();
    THROWS(BARTIZAN_E_HANDLE, "", first.path());
    CHECK(!second.cancelled());
    // By hand, as C does.
    EXPECT(BARTIZAN_OK, bartizan_request_release(second.release()));
    CHECK(!second && begins(client.hear(), "HTTP/1.1 500 "));
    second.reset();
}

static void a_peer_that_leaves_cancels_and_no_answer_throws() {
    for (std::uint32_t mode : MODES) {
        mailbox<bartizan::request> kept;
        mailbox<std::uint32_t> cancelled;
        int ended = 0;
        {
            bartizan::server server = serve(mode, [&](bartizan::request request) {
                request.on_cancel([&cancelled, end = witness(ended)](bartizan::exchange exchange, std::uint32_t reason) {
                    CHECK(exchange);
                    cancelled.put(reason);
                    throw std::runtime_error("nobody hears this");
                });
                kept.put(std::move(request));
            });
            std::optional<peer> client(std::in_place, server, GET("/"));
            bartizan::request request = kept.take();
            THROWS(BARTIZAN_E_STATE, "", request.on_cancel([](bartizan::exchange, std::uint32_t) {}));
            client.reset();
            std::uint32_t reason = cancelled.take();
            CHECK(begins(bartizan_reason_name(reason), "peer.") && request.cancelled() == reason);
            // The socket may still have taken it; nothing is thrown either way.
            request.respond(200, "nobody");
            CHECK(request.path() == "/");
        }
        CHECK(ended == 1);
    }
}

static void limits_of_a_request_move_in_every_form() {
    bartizan::server server = serve(BARTIZAN_MODE_INLINE, [](bartizan::request request) {
        request.set(BARTIZAN_HANDLER_TIMEOUT_MS, 90s);
        CHECK(request.remaining(BARTIZAN_HANDLER_TIMEOUT_MS) > 80s);
        request.set(BARTIZAN_HANDLER_TIMEOUT_MS, "200s");
        CHECK(request.remaining(BARTIZAN_HANDLER_TIMEOUT_MS) > 190s);
        request.set(BARTIZAN_HANDLER_TIMEOUT_MS, BARTIZAN_OFF);
        CHECK(!request.remaining(BARTIZAN_HANDLER_TIMEOUT_MS));
        request.set(BARTIZAN_MAX_BODY_BYTES, 17u);
        THROWS(BARTIZAN_E_VALUE, "", request.set(BARTIZAN_MAX_BODY_BYTES, 17s));
        THROWS(BARTIZAN_E_VALUE, "out of range", request.set(BARTIZAN_MAX_BODY_BYTES, ~std::size_t{0}));
        THROWS(BARTIZAN_E_OPTION, "", request.set(BARTIZAN_BACKLOG, 1));
        THROWS(BARTIZAN_E_OPTION, "", request.remaining("no_such_key"));
        request.tag(3);
        request.respond(200, "moved");
    });
    CHECK(ends(ask(server, GET("/")), "\r\n\r\nmoved"));
}

/// The handler refers to what lies on the stack below the server: none of it may be used when the server has ended.
static void a_server_that_ends_while_serving_waits_for_its_handlers() {
    for (std::uint32_t mode : MODES) {
        mailbox<bool> entered;
        std::atomic<bool> left{false};
        int ended = 0;
        std::string words = "on the stack";
        {
            bartizan::server server = serve(mode, [&, end = witness(ended)](bartizan::request request) {
                entered.put(true);
                nap(150);
                request.respond(200, words);
                left = true;
            });
            peer client(server, GET("/"));
            entered.take();
        }
        CHECK(left && ended == 1);
    }
}

static void a_request_outlives_its_server() {
    bartizan::request kept;
    {
        mailbox<bartizan::request> box;
        bartizan::server server =
            serve(BARTIZAN_MODE_WORKERS, [&box](bartizan::request request) { box.put(std::move(request)); });
        peer client(server, GET("/kept"));
        kept = box.take();
    }
    CHECK(kept.path() == "/kept" && kept.cancelled());
    CHECK(!kept.respond(200, "nobody") && !kept.begin(200) && !kept.inform(103, {{"link", "</a>"}}) && !kept.abort());
}

static void a_handler_may_end_its_own_server() {
    for (std::uint32_t mode : MODES) {
        std::optional<bartizan::server> server;
        mailbox<bool> ended;
        // Made first, so that the handler never sees a server that is only half there.
        std::mutex starting;
        std::unique_lock<std::mutex> held(starting);
        server.emplace(serve(mode, [&](bartizan::request request) {
            std::unique_lock<std::mutex>(starting).unlock();
            THROWS(BARTIZAN_E_DEADLOCK, "", server->wait());
            server.reset();
            request.reset();
            ended.put(true);
        }));
        peer client(*server, GET("/"));
        held.unlock();
        ended.take();
        client.hear();
    }
}

int main() {
    RUN(any_callable_is_a_handler);
    RUN(a_request_shows_what_was_asked);
    RUN(what_a_handler_throws_becomes_500_and_is_told);
    RUN(a_handler_may_return_a_status);
    RUN(a_request_is_answered_later_by_another_thread);
    RUN(the_last_owner_that_ends_without_an_answer_gives_500);
    RUN(a_peer_that_leaves_cancels_and_no_answer_throws);
    RUN(limits_of_a_request_move_in_every_form);
    RUN(a_server_that_ends_while_serving_waits_for_its_handlers);
    RUN(a_request_outlives_its_server);
    RUN(a_handler_may_end_its_own_server);
}
