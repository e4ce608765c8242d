/* What the C tests share. Every wait is bounded: a test that hangs is a test that fails. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const char *running = "set-up";

void check(int holds, const char *condition, const char *file, int line) {
    if (holds) return;
    fprintf(stderr, "%s:%d: %s: %s does not hold\n", file, line, running, condition);
    exit(1);
}

void expect(bartizan_status wanted, bartizan_status got, const char *call, const char *file, int line) {
    if (wanted == got) return;
    fprintf(stderr, "%s:%d: %s: %s gave %s instead of %s\n", file, line, running, call, bartizan_status_name(got),
            bartizan_status_name(wanted));
    exit(1);
}

void refuses(bartizan_error **error, const char *words, const char *call, const char *file, int line) {
    if (!*error || !strstr(bartizan_error_message(*error), words)) {
        fprintf(stderr, "%s:%d: %s: the error of %s is \"%s\" and does not say \"%s\"\n", file, line, running, call,
                *error ? bartizan_error_message(*error) : "(none)", words);
        exit(1);
    }
    bartizan_error_free(*error);
    *error = NULL;
}

void announce(const char *test) {
    if (test) running = test;
    else printf("ok %s\n", running);
    fflush(stdout);
}

bartizan_server *serve(bartizan_config *config) {
    bartizan_server *server = NULL;
    bartizan_error *error = NULL;
    EXPECT(BARTIZAN_OK, bartizan_config_listen(config, "127.0.0.1:0", NULL, NULL, &error));
    EXPECT(BARTIZAN_OK, bartizan_config_set(config, BARTIZAN_IO_THREADS, 2, &error));
    EXPECT(BARTIZAN_OK, bartizan_server_start(config, &server, &error));
    bartizan_config_free(config);
    return server;
}

void stop(bartizan_server *server) {
    EXPECT(BARTIZAN_OK, bartizan_server_shutdown(server, 1000));
    EXPECT(BARTIZAN_OK, bartizan_server_wait(server, 10000));
    bartizan_server_free(server);
}

int dial(const bartizan_server *server) {
    struct timeval patience = {10, 0};
    struct sockaddr_in to;
    char address[64];
    size_t len;
    int peer = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(BARTIZAN_OK, bartizan_server_address(server, 0, address, sizeof address, &len));
    CHECK(len == strlen(address));
    memset(&to, 0, sizeof to);
    to.sin_family = AF_INET;
    to.sin_port = htons((unsigned short)atoi(strchr(address, ':') + 1));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(peer >= 0);
    CHECK(!setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience));
    CHECK(!connect(peer, (struct sockaddr *)&to, sizeof to));
    return peer;
}

void say(int peer, const char *octets) {
    size_t left = strlen(octets);
    while (left) {
        ssize_t n = send(peer, octets, left, MSG_NOSIGNAL);
        CHECK(n > 0);
        octets += n;
        left -= (size_t)n;
    }
}

long hear(int peer, char *buf, size_t cap, const char *until) {
    size_t len = 0;
    buf[0] = '\0';
    while (len + 1 < cap) {
        ssize_t n = recv(peer, buf + len, cap - 1 - len, 0);
        if (n < 0) return -1;
        if (n == 0) break;
        len += (size_t)n;
        buf[len] = '\0';
        if (until && strstr(buf, until)) break;
    }
    return (long)len;
}

void talk(const bartizan_server *server, const char *request, char *buf, size_t cap) {
    int peer = dial(server);
    say(peer, request);
    CHECK(hear(peer, buf, cap, NULL) >= 0);
    close(peer);
}

int readable(const bartizan_queue *queue, int timeout_ms) {
    struct pollfd waiting;
    waiting.fd = (int)bartizan_queue_fd(queue);
    waiting.events = POLLIN;
    waiting.revents = 0;
    CHECK(waiting.fd >= 0);
    return poll(&waiting, 1, timeout_ms);
}

void nap(long ms) {
    struct timespec left;
    left.tv_sec = ms / 1000;
    left.tv_nsec = ms % 1000 * 1000000;
    while (nanosleep(&left, &left) && errno == EINTR) ;
}

/* 1 = no thread but this one runs or waits for a disk. One that ended meanwhile has no file and holds nothing. */
static int others_sleep(void) {
    struct dirent *task;
    int sleeping = 1;
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks);
    while ((task = readdir(tasks))) {
        char path[300], line[512], *state;
        FILE *stat;
        size_t len;
        if (task->d_name[0] == '.' || atol(task->d_name) == (long)getpid()) continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/stat", task->d_name);
        stat = fopen(path, "r");
        if (!stat) continue;
        len = fread(line, 1, sizeof line - 1, stat);
        fclose(stat);
        line[len] = '\0';
        state = strrchr(line, ')'); /* behind the thread's name, which may hold anything */
        if (state && state[1] && state[2] != 'S') sleeping = 0;
    }
    closedir(tasks);
    return sleeping;
}

/* The C library's malloc holds its locks over fork. That of GCC 12's ASAN does not: a child that was forked while another
 * thread was inside it waits for that thread for ever. Asleep, no thread is inside. */
pid_t fork_at_rest(void) {
    int turns;
    for (turns = 0; turns < 10000 && !others_sleep(); turns++) nap(1);
    CHECK(turns < 10000);
    return fork();
}
