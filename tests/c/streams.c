/* Content both ways: buffered, pulled with a time-out, written under back-pressure, with trailers, cut short. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MANY = 8 << 20 };

static int is(bartizan_str s, const char *words) { return s.len == strlen(words) && !memcmp(s.ptr, words, s.len); }

static bartizan_status upload(const bartizan_request_view *view) {
    const bartizan_header *trailers;
    char room[8192], words[64];
    size_t n, count, total = 0;
    bartizan_status status;
    EXPECT(BARTIZAN_E_STATE, bartizan_body_trailers(view->request, &trailers, &count));
    while (!(status = bartizan_body_read(view->request, room, sizeof room, -1, &n))) {
        CHECK(n > 0);
        total += n;
    }
    EXPECT(BARTIZAN_EOF, status);
    EXPECT(BARTIZAN_EOF, bartizan_body_read(view->request, room, sizeof room, 0, &n));
    EXPECT(BARTIZAN_OK, bartizan_body_trailers(view->request, &trailers, &count));
    if (count) CHECK(is(trailers[0].name, "x-end") && is(trailers[0].value, "yes"));
    n = (size_t)snprintf(words, sizeof words, "%lu %lu", (unsigned long)total, (unsigned long)count);
    EXPECT(BARTIZAN_OK, bartizan_respond(view->request, 200, NULL, 0, words, n));
    return BARTIZAN_OK;
}

static bartizan_status download(const bartizan_request_view *view) {
    char *block = calloc(1, 65536);
    size_t total = 0, n;
    CHECK(block);
    EXPECT(BARTIZAN_OK, bartizan_response_begin(view->request, 200, NULL, 0, MANY));
    EXPECT(BARTIZAN_E_STATE, bartizan_response_begin(view->request, 200, NULL, 0, MANY));
    EXPECT(BARTIZAN_E_STATE, bartizan_response_informational(view->request, 103, NULL, 0));
    while (total < MANY) {
        size_t left = MANY - total < 65536 ? MANY - total : 65536;
        EXPECT(BARTIZAN_OK, bartizan_response_write(view->request, block, left, -1, &n));
        CHECK(n > 0 && n <= left);
        total += n;
    }
    EXPECT(BARTIZAN_E_VALUE, bartizan_response_write(view->request, block, 1, 0, &n));
    EXPECT(BARTIZAN_OK, bartizan_response_finish(view->request, NULL, 0));
    EXPECT(BARTIZAN_E_STATE, bartizan_response_write(view->request, block, 1, 0, &n));
    EXPECT(BARTIZAN_E_STATE, bartizan_response_finish(view->request, NULL, 0));
    free(block);
    return BARTIZAN_OK;
}

static bartizan_status chunked(const bartizan_request_view *view) {
    static const bartizan_header SUM[1] = {{{"x-sum", 5}, {"3", 1}}}, LENGTH[1] = {{{"content-length", 14}, {"3", 1}}};
    size_t n;
    EXPECT(BARTIZAN_E_STATE, bartizan_response_write(view->request, "abc", 3, 0, &n));
    EXPECT(BARTIZAN_E_STATE, bartizan_response_finish(view->request, NULL, 0));
    EXPECT(BARTIZAN_OK, bartizan_response_informational(view->request, 103, NULL, 0));
    EXPECT(BARTIZAN_OK, bartizan_response_begin(view->request, 200, NULL, 0, -1));
    EXPECT(BARTIZAN_OK, bartizan_response_write(view->request, "abc", 3, -1, &n));
    EXPECT(BARTIZAN_E_VALUE, bartizan_response_finish(view->request, LENGTH, 1));
    EXPECT(BARTIZAN_OK, bartizan_response_finish(view->request, SUM, 1));
    return BARTIZAN_OK;
}

static bartizan_status cut_short(const bartizan_request_view *view) {
    size_t n;
    EXPECT(BARTIZAN_OK, bartizan_response_begin(view->request, 200, NULL, 0, 10));
    EXPECT(BARTIZAN_OK, bartizan_response_write(view->request, "abc", 3, -1, &n));
    EXPECT(BARTIZAN_E_STATE, bartizan_response_finish(view->request, NULL, 0));
    return BARTIZAN_OK;
}

static bartizan_status patient(const bartizan_request_view *view) {
    char room[8];
    size_t n = 7;
    EXPECT(BARTIZAN_AGAIN, bartizan_body_read(view->request, room, sizeof room, 0, &n));
    CHECK(n == 0);
    EXPECT(BARTIZAN_E_TIMEOUT, bartizan_body_read(view->request, room, sizeof room, 50, &n));
    EXPECT(BARTIZAN_OK, bartizan_respond(view->request, 200, NULL, 0, "timed out", 9));
    return BARTIZAN_OK;
}

static bartizan_status too_large(const bartizan_request_view *view) {
    char room[4096];
    size_t n;
    bartizan_status status;
    EXPECT(BARTIZAN_OK, bartizan_request_set(view->request, BARTIZAN_MAX_BODY_BYTES, 1000));
    while (!(status = bartizan_body_read(view->request, room, sizeof room, -1, &n))) ;
    EXPECT(BARTIZAN_E_LIMIT, status);
    EXPECT(BARTIZAN_E_CANCELLED, bartizan_body_read(view->request, room, sizeof room, -1, &n));
    EXPECT(BARTIZAN_E_CANCELLED, bartizan_respond(view->request, 200, NULL, 0, "", 0));
    return BARTIZAN_OK;
}

static bartizan_status buffered(const bartizan_request_view *view) {
    char room[16];
    size_t n;
    CHECK(view->flags & BARTIZAN_VIEW_HAS_BODY && view->flags & BARTIZAN_VIEW_BODY_BUFFERED);
    CHECK(is(view->body, "content") && view->content_length == 7);
    EXPECT(BARTIZAN_OK, bartizan_body_read(view->request, room, sizeof room, 0, &n));
    CHECK(n == 7 && !memcmp(room, "content", 7));
    EXPECT(BARTIZAN_OK, bartizan_respond(view->request, 200, NULL, 0, "was there", 9));
    return BARTIZAN_OK;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int owned_drops;

static void owned_drop(void *octets) {
    pthread_mutex_lock(&lock);
    owned_drops++;
    pthread_mutex_unlock(&lock);
    free(octets);
}

static bartizan_status owned(const bartizan_request_view *view) {
    char *octets = malloc(100000), *refused = malloc(10);
    CHECK(octets && refused);
    memset(octets, 'o', 100000);
    EXPECT(BARTIZAN_E_VALUE, bartizan_respond_owned(view->request, 42, NULL, 0, refused, 10, owned_drop, refused));
    EXPECT(BARTIZAN_OK, bartizan_respond_owned(view->request, 200, NULL, 0, octets, 100000, owned_drop, octets));
    return BARTIZAN_OK;
}

static bartizan_status handle(void *user_data, const bartizan_request_view *view) {
    static const struct {
        const char *path;
        bartizan_status (*route)(const bartizan_request_view *view);
    } ROUTES[] = {{"/upload", upload}, {"/download", download}, {"/chunked", chunked},     {"/short", cut_short},
                  {"/patient", patient}, {"/large", too_large}, {"/buffered", buffered}, {"/owned", owned}};
    bartizan_status status = BARTIZAN_E_VALUE;
    size_t i;
    (void)user_data;
    for (i = 0; i < sizeof ROUTES / sizeof *ROUTES; i++)
        if (is(view->path, ROUTES[i].path)) status = ROUTES[i].route(view);
    bartizan_request_release(view->request);
    return status;
}

static bartizan_server *server;
static char reply[4096];

static void a_chunked_upload_ends_with_its_trailers(void) {
    int peer = dial(server), i;
    char *block = malloc(65536 + 1);
    CHECK(block);
    memset(block, 'u', 65536);
    block[65536] = '\0';
    say(peer, "POST /upload HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (i = 0; i < 64; i++) {
        say(peer, "10000\r\n");
        say(peer, block);
        say(peer, "\r\n");
    }
    say(peer, "0\r\nx-end: yes\r\n\r\n");
    CHECK(hear(peer, reply, sizeof reply, NULL) > 0 && strstr(reply, "\r\n\r\n4194304 1"));
    free(block);
    close(peer);
}

static void a_download_waits_for_its_reader(void) {
    int peer = dial(server);
    char *room = malloc(65536), *head;
    size_t total = 0;
    ssize_t n;
    CHECK(room);
    say(peer, "GET /download HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    nap(200);
    n = recv(peer, room, 65535, 0);
    CHECK(n > 0);
    room[n] = '\0';
    head = strstr(room, "\r\n\r\n");
    CHECK(head && strstr(room, "content-length: 8388608"));
    for (total = (size_t)(room + n - head - 4); (n = recv(peer, room, 65536, 0)) > 0; total += (size_t)n) ;
    CHECK(n == 0 && total == MANY);
    free(room);
    close(peer);
}

static void an_answer_without_length_is_chunked_and_has_trailers(void) {
    talk(server, "GET /chunked HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: close, te\r\n\r\n", reply, sizeof reply);
    CHECK(strstr(reply, "HTTP/1.1 103") == reply && strstr(reply, "HTTP/1.1 200"));
    CHECK(strstr(reply, "3\r\nabc\r\n0\r\nx-sum: 3\r\n\r\n"));
    talk(server, "GET /chunked HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", reply, sizeof reply);
    CHECK(strstr(reply, "3\r\nabc\r\n0\r\n\r\n"));
}

static void an_answer_short_of_its_length_is_cut(void) {
    int peer = dial(server);
    say(peer, "GET /short HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(hear(peer, reply, sizeof reply, NULL) < 0 || !strstr(reply, "\r\n\r\n") || strlen(strstr(reply, "\r\n\r\n")) < 14);
    close(peer);
}

static void a_read_gives_up_after_its_own_time(void) {
    int peer = dial(server);
    say(peer, "POST /patient HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    CHECK(hear(peer, reply, sizeof reply, "timed out") > 0 && strstr(reply, "timed out"));
    close(peer);
}

static void content_past_its_limit_is_413(void) {
    int peer = dial(server);
    char block[2001];
    memset(block, 'l', 2000);
    block[2000] = '\0';
    say(peer, "POST /large HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n");
    say(peer, block);
    CHECK(hear(peer, reply, sizeof reply, "\r\n\r\n") > 0 && strstr(reply, "HTTP/1.1 413") == reply);
    close(peer);
}

static void small_announced_content_comes_with_the_request(void) {
    talk(server, "POST /buffered HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 7\r\n\r\ncontent", reply,
         sizeof reply);
    CHECK(strstr(reply, "was there"));
}

static void owned_content_is_given_back_once(void) {
    int peer = dial(server), turns;
    char *room = malloc(120000);
    CHECK(room);
    say(peer, "GET /owned HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    CHECK(hear(peer, room, 120000, NULL) > 100000);
    close(peer);
    free(room);
    for (turns = 0; turns < 100; turns++) {
        int drops;
        pthread_mutex_lock(&lock);
        drops = owned_drops;
        pthread_mutex_unlock(&lock);
        if (drops == 2) return;
        nap(50);
    }
    CHECK(!"both were given back");
}

int main(void) {
    bartizan_config *config = bartizan_config_new();
    EXPECT(BARTIZAN_OK, bartizan_config_set(config, BARTIZAN_WORKER_THREADS, 2, NULL));
    EXPECT(BARTIZAN_OK, bartizan_config_handler(config, BARTIZAN_MODE_WORKERS, handle, NULL, NULL, NULL));
    server = serve(config);
    RUN(a_chunked_upload_ends_with_its_trailers);
    RUN(a_download_waits_for_its_reader);
    RUN(an_answer_without_length_is_chunked_and_has_trailers);
    RUN(an_answer_short_of_its_length_is_cut);
    RUN(a_read_gives_up_after_its_own_time);
    RUN(content_past_its_limit_is_413);
    RUN(small_announced_content_comes_with_the_request);
    RUN(owned_content_is_given_back_once);
    stop(server);
    return 0;
}
