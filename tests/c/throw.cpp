// A C++ exception that leaves a callback: the process ends with a message instead of undefined behaviour.
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <csignal>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

bartizan_status handle(void *, const bartizan_request_view *) { throw std::runtime_error("from a handler"); }

void on_connection(void *, const bartizan_connection_record *) { throw std::runtime_error("from a hook"); }

void drop(void *) { throw std::runtime_error("from a drop function"); }

void serve_and_throw(int what) {
    bartizan_config *config = bartizan_config_new();
    char reply[64];
    EXPECT(BARTIZAN_OK, bartizan_config_handler(config, BARTIZAN_MODE_WORKERS, handle, nullptr, what == 2 ? drop : nullptr,
                                                nullptr));
    if (what == 1) EXPECT(BARTIZAN_OK, bartizan_config_on_connection(config, on_connection, nullptr, nullptr, nullptr));
    bartizan_server *server = serve(config);
    if (what == 2) stop(server);
    else talk(server, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", reply, sizeof reply);
    nap(10000);
}

void the_process_ends_with_a_message(int what) {
    static const char WORDS[] = "bartizan: an exception left a callback";
    char heard[4096] = "";
    size_t len = 0;
    int ends[2], status = 0;
    CHECK(!pipe(ends));
    std::fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (!pid) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        alarm(30);
        dup2(ends[1], 2);
        close(ends[1]);
        serve_and_throw(what);
        _exit(0);
    }
    close(ends[1]);
    for (ssize_t n; len + 1 < sizeof heard && (n = read(ends[0], heard + len, sizeof heard - 1 - len)) > 0;)
        len += static_cast<size_t>(n);
    close(ends[0]);
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    CHECK(std::strstr(heard, WORDS));
}

void an_exception_out_of_a_handler_ends_the_process_with_a_message() { the_process_ends_with_a_message(0); }
void an_exception_out_of_a_hook_ends_the_process_with_a_message() { the_process_ends_with_a_message(1); }
void an_exception_out_of_a_drop_function_ends_the_process_with_a_message() { the_process_ends_with_a_message(2); }

}  // namespace

int main() {
    RUN(an_exception_out_of_a_handler_ends_the_process_with_a_message);
    RUN(an_exception_out_of_a_hook_ends_the_process_with_a_message);
    RUN(an_exception_out_of_a_drop_function_ends_the_process_with_a_message);
    return 0;
}
