/* Content without end: what goes through leaves no memory behind, either way, over HTTP/1.1. 200 MiB each way, or as many as
 * BARTIZAN_MEGABYTES says (make volume: ten thousand). The peer sees the back-pressure: see readiness.c. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BLOCK = 256 << 10, SLACK = 8 << 20 };

static uint64_t total;
static char block[BLOCK];

static uint64_t resident(void) {
    unsigned long size = 0, pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    CHECK(statm && fscanf(statm, "%lu %lu", &size, &pages) == 2);
    fclose(statm);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static bartizan_status handle(void *user_data, const bartizan_request_view *view) {
    bartizan_request request = view->request;
    char words[32], *room = malloc(BLOCK);
    uint64_t done = 0;
    bartizan_status status;
    size_t n;
    (void)user_data;
    CHECK(room);
    EXPECT(BARTIZAN_OK, bartizan_request_set(request, BARTIZAN_MAX_BODY_BYTES, BARTIZAN_OFF));
    if (view->method.len == 4) {                /* POST */
        while (!(status = bartizan_body_read(request, room, BLOCK, -1, &n))) done += n;
        EXPECT(BARTIZAN_EOF, status);
        n = (size_t)snprintf(words, sizeof words, "%llu", (unsigned long long)done);
        EXPECT(BARTIZAN_OK, bartizan_respond(request, 200, NULL, 0, words, n));
    } else {
        EXPECT(BARTIZAN_OK, bartizan_response_begin(request, 200, NULL, 0, (int64_t)total));
        for (; done < total; done += n) {
            size_t left = total - done < BLOCK ? (size_t)(total - done) : BLOCK;
            EXPECT(BARTIZAN_OK, bartizan_response_write(request, block, left, -1, &n));
        }
        EXPECT(BARTIZAN_OK, bartizan_response_finish(request, NULL, 0));
    }
    free(room);
    return bartizan_request_release(request);
}

static bartizan_server *server;

/* The memory after the first sixteenth is the measure: pools are filled by then. */
static void flat(uint64_t done, uint64_t *before) {
    if (!*before && done >= total / 16) *before = resident();
    if (*before && resident() > *before + SLACK) {
        fprintf(stderr, "%llu octets more after %llu\n", (unsigned long long)(resident() - *before), (unsigned long long)done);
        CHECK(!"memory is flat");
    }
}

static void an_upload_without_end_leaves_no_memory_behind(void) {
    char head[200], reply[512], words[32];
    uint64_t done, before = 0;
    int peer = dial(server);
    snprintf(head, sizeof head, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %llu\r\n\r\n",
             (unsigned long long)total);
    say(peer, head);
    for (done = 0; done < total;) {
        ssize_t n = send(peer, block, total - done < BLOCK ? (size_t)(total - done) : BLOCK, MSG_NOSIGNAL);
        CHECK(n > 0);
        done += (uint64_t)n;
        flat(done, &before);
    }
    CHECK(hear(peer, reply, sizeof reply, NULL) > 0);
    snprintf(words, sizeof words, "\r\n\r\n%llu", (unsigned long long)total);
    CHECK(strstr(reply, words));
    close(peer);
}

static void a_download_without_end_leaves_no_memory_behind(void) {
    uint64_t done, before = 0;
    char *room = malloc(BLOCK), *head;
    ssize_t n;
    int peer = dial(server);
    CHECK(room);
    say(peer, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    CHECK((n = recv(peer, room, BLOCK - 1, 0)) > 0);
    room[n] = '\0';
    CHECK((head = strstr(room, "\r\n\r\n")) != NULL);
    for (done = (uint64_t)(room + n - head - 4); (n = recv(peer, room, BLOCK, 0)) > 0;) {
        done += (uint64_t)n;
        flat(done, &before);
    }
    CHECK(n == 0 && done == total);
    free(room);
    close(peer);
}

int main(void) {
    const char *megabytes = getenv("BARTIZAN_MEGABYTES");
    bartizan_config *config = bartizan_config_new();
    total = (uint64_t)(megabytes ? atol(megabytes) : 200) << 20;
    memset(block, 'v', sizeof block);
    EXPECT(BARTIZAN_OK, bartizan_config_set(config, BARTIZAN_WORKER_THREADS, 2, NULL));
    EXPECT(BARTIZAN_OK, bartizan_config_handler(config, BARTIZAN_MODE_WORKERS, handle, NULL, NULL, NULL));
    server = serve(config);
    RUN(an_upload_without_end_leaves_no_memory_behind);
    RUN(a_download_without_end_leaves_no_memory_behind);
    stop(server);
    return 0;
}
