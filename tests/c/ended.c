/* What is used after its end. A second _free ends the process with a message; so does a _free of another kind. A view that is read
 * after its release is undefined: "ended address", with a debug build of the library under ASAN, shows that ASAN tells, and "ended
 * thread", with one that has no ASAN, what is read then. What calls with ended ids give is walk.c. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static bartizan_status handle(void *user_data, const bartizan_request_view *view) {
    (void)user_data;
    return bartizan_request_release(view->request);
}

static void free_a_config_twice(void) {
    bartizan_config *config = bartizan_config_new();
    bartizan_config_free(config);
    bartizan_config_free(config);
}

static void free_a_tls_twice(void) {
    bartizan_tls *tls = bartizan_tls_new();
    bartizan_tls_free(tls);
    bartizan_tls_free(tls);
}

static void free_an_identity_twice(void) {
    bartizan_identity *identity = NULL;
    EXPECT(BARTIZAN_OK, bartizan_identity_self_signed("localhost", BARTIZAN_NTS, &identity, NULL));
    bartizan_identity_free(identity);
    bartizan_identity_free(identity);
}

static void free_a_queue_twice(void) {
    bartizan_queue *queue = NULL;
    EXPECT(BARTIZAN_OK, bartizan_queue_new(&queue, NULL));
    bartizan_queue_free(queue);
    bartizan_queue_free(queue);
}

static void free_a_server_twice(void) {
    bartizan_config *config = bartizan_config_new();
    bartizan_server *server;
    EXPECT(BARTIZAN_OK, bartizan_config_handler(config, BARTIZAN_MODE_INLINE, handle, NULL, NULL, NULL));
    server = serve(config);
    bartizan_server_free(server);
    bartizan_server_free(server);
}

static void free_an_error_twice(void) {
    bartizan_config *config = bartizan_config_new();
    bartizan_error *error = NULL;
    EXPECT(BARTIZAN_E_OPTION, bartizan_config_set(config, "nonsense", 1, &error));
    bartizan_config_free(config);
    bartizan_error_free(error);
    bartizan_error_free(error);
}

static void free_a_config_as_a_queue(void) { bartizan_queue_free((bartizan_queue *)(void *)bartizan_config_new()); }

static void read_a_view_after_its_release(void) {
    bartizan_config *config = bartizan_config_new();
    const bartizan_request_view *view;
    bartizan_queue *queue = NULL;
    bartizan_server *server;
    bartizan_event event;
    size_t n;
    int peer;
    EXPECT(BARTIZAN_OK, bartizan_queue_new(&queue, NULL));
    EXPECT(BARTIZAN_OK, bartizan_config_queue(config, queue, 0, NULL));
    server = serve(config);
    peer = dial(server);
    say(peer, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT(BARTIZAN_OK, bartizan_queue_next(queue, &event, 1, 10000, &n));
    CHECK(event.kind == BARTIZAN_EV_REQUEST);
    view = (const bartizan_request_view *)event.data.ptr;
    CHECK(view->request == event.request);
    EXPECT(BARTIZAN_OK, bartizan_request_release(event.request));
    fprintf(stderr, "read %llx\n", (unsigned long long)view->request);
    close(peer);
}

/* In a child that has not used the library before, whose last words are caught; how it ended. */
static int last_words(void (*deed)(void), char *heard, size_t cap) {
    size_t len = 0;
    ssize_t n;
    int ends[2], status = 0;
    pid_t pid;
    CHECK(!pipe(ends));
    fflush(stdout);
    pid = fork();
    CHECK(pid >= 0);
    if (!pid) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        alarm(60);
        dup2(ends[1], 2);
        close(ends[1]);
        deed();
        _exit(0);
    }
    close(ends[1]);
    while (len + 1 < cap && (n = read(ends[0], heard + len, cap - 1 - len)) > 0) len += (size_t)n;
    heard[len] = '\0';
    close(ends[0]);
    CHECK(waitpid(pid, &status, 0) == pid);
    return status;
}

static char heard[65536];

static void a_second_free_ends_the_process_with_a_message(void) {
    static void (*const DEEDS[])(void) = {free_a_config_twice, free_a_tls_twice, free_an_identity_twice, free_a_queue_twice,
                                          free_a_server_twice, free_an_error_twice, free_a_config_as_a_queue};
    size_t i;
    for (i = 0; i < sizeof DEEDS / sizeof *DEEDS; i++) {
        int status = last_words(DEEDS[i], heard, sizeof heard);
        if (!strstr(heard, "bartizan: a _free of")) fprintf(stderr, "deed %zu: %s\n", i, heard);
        CHECK(strstr(heard, "bartizan: a _free of") && strstr(heard, "freed twice?"));
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    }
}

static const char *words_of_a_late_read;

static void a_late_read_of_a_view_is_seen(void) {
    int status = last_words(read_a_view_after_its_release, heard, sizeof heard);
    if (!strstr(heard, words_of_a_late_read)) fprintf(stderr, "%s\n", heard);
    CHECK(strstr(heard, words_of_a_late_read));
    CHECK(WIFEXITED(status) && !WEXITSTATUS(status) == !strcmp(words_of_a_late_read, "read dddddddddddddddd\n"));
}

int main(int count, char **arguments) {
    RUN(a_second_free_ends_the_process_with_a_message);
    if (count == 2) {
        words_of_a_late_read = strcmp(arguments[1], "address") ? "read dddddddddddddddd\n" : "heap-use-after-free";
        RUN(a_late_read_of_a_view_is_seen);
    }
    return 0;
}
