// Set-up and observation: settings in every form, listeners, identities, hooks, numbers; what a mistake throws, in words.
#include "check.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <atomic>
#include <cstring>
#include <fcntl.h>
#include <stdexcept>
#include <sys/socket.h>
#include <vector>

using namespace std::chrono_literals;

static void answer(bartizan::request request) { request.respond(200, "fine"); }

static void settings_are_set_as_numbers_times_and_text() {
    bartizan::config config;
    config.set(BARTIZAN_HANDSHAKE_TIMEOUT_MS, 7s);
    CHECK(config.get(BARTIZAN_HANDSHAKE_TIMEOUT_MS) == 7000);
    config.set(BARTIZAN_HANDSHAKE_TIMEOUT_MS, 1min + 30s);
    CHECK(config.get(BARTIZAN_HANDSHAKE_TIMEOUT_MS) == 90000);
    config.set(BARTIZAN_HANDSHAKE_TIMEOUT_MS, "2s");
    CHECK(config.get(BARTIZAN_HANDSHAKE_TIMEOUT_MS) == 2000);
    config.set(BARTIZAN_MAX_HEADER_BYTES, std::string("32KiB"));
    CHECK(config.get(BARTIZAN_MAX_HEADER_BYTES) == 32768);
    config.set(BARTIZAN_MAX_HEADER_BYTES, sizeof(char[4096]));
    config.set(BARTIZAN_HTTP2, false);
    CHECK(config.get(BARTIZAN_MAX_HEADER_BYTES) == 4096 && config.get(BARTIZAN_HTTP2) == 0);
    config.set(BARTIZAN_BODY_TIMEOUT_MS, BARTIZAN_OFF);
    CHECK(config.get(BARTIZAN_BODY_TIMEOUT_MS) == BARTIZAN_OFF);
    THROWS(BARTIZAN_E_VALUE, "handshake_timeout", config.set(BARTIZAN_HANDSHAKE_TIMEOUT_MS, 1ms));
    THROWS(BARTIZAN_E_VALUE, "backlog", config.set(BARTIZAN_BACKLOG, 10s));
    THROWS(BARTIZAN_E_VALUE, "", config.set(BARTIZAN_BODY_TIMEOUT_MS, bartizan::forever));
    THROWS(BARTIZAN_E_VALUE, "18446744073709551615 is out of range", config.set(BARTIZAN_BODY_TIMEOUT_MS, ~std::uint64_t{0}));
    THROWS(BARTIZAN_E_OPTION, "header_timeout", config.set("header_timout", 10s));
    THROWS(BARTIZAN_E_OPTION, "no_such_key", config.get("no_such_key"));
    std::size_t rows = 0;
    while (std::optional<bartizan_setting> row = bartizan::setting_at(rows)) {
        config.get(row->key);
        rows++;
    }
    CHECK(rows > 40);
}

static void what_is_wrong_with_a_listener_is_said() {
    bartizan::config config;
    bartizan::tls tls;
    THROWS(BARTIZAN_E_VALUE, "nowhere", config.listen("nowhere"));
    THROWS(BARTIZAN_E_VALUE, "a NUL inside", config.listen(std::string_view("127.0.0.1:0\0:80", 15)));
    THROWS(BARTIZAN_E_VALUE, "", config.listen_fd(-1));
    THROWS(BARTIZAN_E_IO, "", config.listen_fd(99999, tls));
    CHECK(config.listen("127.0.0.1:0") == 0 && config.listen("[::1]:0", tls) == 1);
    config.listener_set(0, BARTIZAN_HEADER_TIMEOUT_MS, 3s);
    config.listener_set(0, BARTIZAN_MAX_HEADER_BYTES, "8KiB");
    THROWS(BARTIZAN_E_OPTION, "", config.listener_set(0, BARTIZAN_WORKER_THREADS, "2"));
    THROWS(BARTIZAN_E_VALUE, "", config.listener_set(7, BARTIZAN_HEADER_TIMEOUT_MS, 3s));
    config.server_name_set(1, "a.example", BARTIZAN_HANDSHAKE_TIMEOUT_MS, 3s);
    config.server_name_set(1, "a.example", BARTIZAN_MAX_HEADER_BYTES, "8KiB");
    THROWS(BARTIZAN_E_OPTION, "", config.server_name_set(1, "a.example", BARTIZAN_BACKLOG, "8"));
    config.trust_proxy(0, "10.0.0.0/8");
    THROWS(BARTIZAN_E_VALUE, "", config.trust_proxy(0, "10.0.0.0/99"));
    THROWS(BARTIZAN_E_STATE, "", bartizan::server(config));
}

static void handlers_and_queues_exclude_each_other() {
    bartizan::config config;
    bartizan::queue queue;
    int ended = 0;
    THROWS(BARTIZAN_E_VALUE, "", config.handler(9, [end = witness(ended)](bartizan::request) {}));
    CHECK(ended == 1);
    config.queue(queue);
    THROWS(BARTIZAN_E_STATE, "", config.handler(BARTIZAN_MODE_INLINE, [end = witness(ended)](bartizan::request) {}));
    CHECK(ended == 2);
    THROWS(BARTIZAN_E_STATE, "", config.queue(queue));
}

static void a_config_ends_what_it_was_given_once() {
    int ended = 0;
    {
        bartizan::config config;
        config.handler(BARTIZAN_MODE_INLINE, [end = witness(ended)](bartizan::request) {});
        config.handler(BARTIZAN_MODE_INLINE, [end = witness(ended)](bartizan::request request) { answer(std::move(request)); });
        bartizan::config moved = std::move(config);
        CHECK(ended == 1);
        {
            bartizan::server first = serve(moved), second(moved);
            CHECK(ends(ask(first, GET("/")), "fine") && ends(ask(second, GET("/")), "fine"));
        }
        CHECK(ended == 1);
    }
    CHECK(ended == 2);
}

static std::string pem(const char *name) {
    std::string text(100'000, '\0');
    FILE *file = fopen((std::string(getenv("PEM")) + "/" + name).c_str(), "r");
    CHECK(file);
    text.resize(fread(text.data(), 1, text.size(), file));
    fclose(file);
    return text;
}

static void what_is_wrong_with_tls_is_said() {
    bartizan::identity self = bartizan::identity::self_signed("localhost,127.0.0.1");
    std::string chain = pem("chain.pem"), key = pem("key.pem");
    bartizan::identity files = bartizan::identity::from_pem(chain, key);
    THROWS(BARTIZAN_E_TLS, "", bartizan::identity::from_pem("no pem", key));
    THROWS(BARTIZAN_E_TLS, "", bartizan::identity::from_pem({}, {}));
    THROWS(BARTIZAN_E_VALUE, "empty item", bartizan::identity::self_signed("a.example,,b.example"));
    bartizan::tls tls, other;
    tls.policy("modern");
    tls.groups("X25519MLKEM768,X25519");
    tls.suites("TLS_AES_128_GCM_SHA256");
    tls.versions("TLSv1.3");
    tls.alpn("http/1.1");
    tls.identity(self);
    tls.identity("*.example", files);
    other.identity(files);
    other.client_auth(BARTIZAN_CLIENT_AUTH_OPTIONAL, chain);
    other.client_auth(BARTIZAN_CLIENT_AUTH_OFF);
    tls.server_name("b.example", other);
    tls.ticket_keys({{1, 2, 3}, {4, 5, 6}});
    THROWS(BARTIZAN_E_OPTION, "paranoid", tls.policy("paranoid"));
    THROWS(BARTIZAN_E_OPTION, "curve", tls.groups("curve"));
    THROWS(BARTIZAN_E_OPTION, "NULL_SUITE", tls.suites("NULL_SUITE"));
    THROWS(BARTIZAN_E_OPTION, "SSLv3", tls.versions("SSLv3"));
    THROWS(BARTIZAN_E_OPTION, "h9", tls.alpn("h9"));
    THROWS(BARTIZAN_E_VALUE, "", tls.identity("not a name", files));
    THROWS(BARTIZAN_E_VALUE, "", tls.server_name("c.example", bartizan::tls()));
    THROWS(BARTIZAN_E_VALUE, "", tls.client_auth(9));
    THROWS(BARTIZAN_E_VALUE, "", tls.client_auth(BARTIZAN_CLIENT_AUTH_REQUIRED, "no pem"));

    bartizan::config config;
    config.handler(BARTIZAN_MODE_INLINE, answer);
    config.listen("127.0.0.1:0", tls);
    config.listen("127.0.0.1:0");
    bartizan::server server(config);
    server.update_tls(0, other);
    THROWS(BARTIZAN_E_STATE, "", server.update_tls(1, other));
    THROWS(BARTIZAN_E_VALUE, "", server.update_tls(2, other));
    THROWS(BARTIZAN_E_VALUE, "", server.update_tls(0, bartizan::tls()));
}

static void hooks_observe_and_may_throw() {
    std::atomic<int> started{0}, stopped{0}, closed{0}, ended{0}, logged{0};
    {
        bartizan::config config;
        config.handler(BARTIZAN_MODE_INLINE, answer);
        config.thread_hooks(
            [&](std::uint32_t role) {
                CHECK(role == BARTIZAN_ROLE_REACTOR || role == BARTIZAN_ROLE_WORKER);
                started++;
                throw 1;
            },
            [&](std::uint32_t) {
                stopped++;
                throw 2;
            });
        config.on_connection([&](const bartizan_connection_record &record) {
            closed += record.what == BARTIZAN_CONNECTION_CLOSED;
            throw 3;
        });
        config.on_request_end([&](const bartizan_request_record &record) {
            ended += bartizan::text(record.target) == "/" && record.code == 200;
            throw 4;
        });
        config.on_log(BARTIZAN_LOG_DEBUG, [&](const bartizan_log_record &record) {
            CHECK(record.text.len);
            logged++;
            throw 5;
        });
        THROWS(BARTIZAN_E_VALUE, "", config.on_log(9, [](const bartizan_log_record &) {}));
        bartizan::server server = serve(config);
        CHECK(ends(ask(server, GET("/")), "fine"));
        server.shutdown(1000ms);
        CHECK(server.wait(10s) && server.wait());
    }
    CHECK(started >= 2 && started == stopped && closed == 1 && ended == 1 && logged);
}

static void a_server_tells_its_addresses_and_numbers() {
    bartizan::server server = serve(BARTIZAN_MODE_WORKERS, answer);
    CHECK(begins(server.address(), "127.0.0.1:"));
    THROWS(BARTIZAN_E_VALUE, "bartizan_server_address", server.address(1));
    ask(server, GET("/"));
    peer open(server, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    open.hear("fine");
    bartizan_metrics metrics = server.metrics();
    bartizan::counts taken = server.counts();
    bartizan::counts counts = std::move(taken);
    CHECK(metrics.connections_accepted == 2 && metrics.requests_started == 2);
    std::uint64_t sum = 0;
    for (std::uint64_t n : counts.open_by_phase) sum += n;
    for (std::uint64_t n : counts.closed_by_reason) sum += n;
    CHECK(sum == 2);
    std::string text = server.metrics_text();
    CHECK(text.size() > 256 && ends(text, "# EOF\n"));
    server.trim();
    CHECK(!server.wait(0ms));
    bartizan::server moved = std::move(server);
    CHECK(moved.get() && !server.get());
    THROWS(BARTIZAN_E_NULL, "", server.address());
    THROWS(BARTIZAN_E_NULL, "", server.shutdown());
}

static void a_listening_socket_is_taken_over() {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(!bind(fd, reinterpret_cast<sockaddr *>(&to), sizeof to) && !listen(fd, 8));
    {
        bartizan::config config;
        config.listen_fd(fd);
        config.handler(BARTIZAN_MODE_INLINE, answer);
        bartizan::server server(config);
        CHECK(ends(ask(server, GET("/")), "fine"));
    }
    CHECK(fcntl(fd, F_GETFD) == -1);
}

int main() {
    CHECK(bartizan_version() && bartizan::config().get());
    RUN(settings_are_set_as_numbers_times_and_text);
    RUN(what_is_wrong_with_a_listener_is_said);
    RUN(handlers_and_queues_exclude_each_other);
    RUN(a_config_ends_what_it_was_given_once);
    RUN(what_is_wrong_with_tls_is_said);
    RUN(hooks_observe_and_may_throw);
    RUN(a_server_tells_its_addresses_and_numbers);
    RUN(a_listening_socket_is_taken_over);
}
