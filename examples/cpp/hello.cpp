// HTTPS in ten lines of C++17: curl --insecure https://127.0.0.1:8443/. Ctrl-C lets what is in flight finish.
// What is not here, such as streams and queues, is in bartizan.hpp and its tests.
#include <bartizan.hpp>
#include <csignal>
#include <exception>
#include <iostream>

static sigset_t hold_stop_signals();

int main(int argc, char **argv) try {
    using namespace std::chrono_literals;
    sigset_t stop = hold_stop_signals();

    bartizan::tls tls;
    tls.identity(bartizan::identity::self_signed("localhost,127.0.0.1,::1"));
    bartizan::config config;
    config.set(BARTIZAN_HANDSHAKE_TIMEOUT_MS, 10s);
    config.listen(argc > 1 ? argv[1] : "127.0.0.1:8443", tls);
    config.handler(BARTIZAN_MODE_INLINE, [](bartizan::request request) {
        request.respond(200, {{"content-type", "text/plain"}}, "Hello, World!\n");
    });
    bartizan::server server(config);
    std::cout << "curl --insecure https://" << server.address() << "/" << std::endl;

    int signal;
    sigwait(&stop, &signal);
    server.shutdown();
    server.wait();
} catch (const std::exception &error) {
    std::cerr << "hello: " << error.what() << '\n';
    return 1;
}

// Blocked before the library starts its threads, so that every thread leaves Ctrl-C to sigwait.
static sigset_t hold_stop_signals() {
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGTERM);
    sigprocmask(SIG_BLOCK, &stop, nullptr);
    return stop;
}
