/* Content by readiness, in the three modes with one table: armed, told, taken; begun, written until full, armed, finished. The
 * peer's window is the measure of back-pressure: what it could push, and what waits for it. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { QUEUED = 3, CONTENT = 4 << 20, MOST_PUSHED = 24 << 20 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

/* One exchange of the table at a time. */
typedef struct scene {
    uint32_t mode;
    int upload, inside, calls, drops, writable_calls;
    size_t total;
    bartizan_request kept;                      /* under the lock */
    bartizan_server *server;
    bartizan_queue *queue;
    pthread_t consumer;
} scene;

static scene S;

static int locked(const int *number) {
    int value;
    pthread_mutex_lock(&lock);
    value = *number;
    pthread_mutex_unlock(&lock);
    return value;
}

static int is(bartizan_str s, const char *words) { return s.len == strlen(words) && !memcmp(s.ptr, words, s.len); }

static void finish_upload(bartizan_request request) {
    const bartizan_header *trailers;
    char words[32];
    size_t count, len = (size_t)snprintf(words, sizeof words, "%lu", (unsigned long)S.total);
    EXPECT(BARTIZAN_OK, bartizan_body_trailers(request, &trailers, &count));
    EXPECT(BARTIZAN_OK, bartizan_respond(request, 200, NULL, 0, words, len));
    EXPECT(BARTIZAN_OK, bartizan_request_release(request));
}

/* Takes what is here, an odd piece at a time, and arms for more. */
static void take(bartizan_request request) {
    const void *octets, *again;
    size_t n, m;
    bartizan_status status;
    while (!(status = bartizan_body_peek(request, &octets, &n))) {
        size_t piece = n > 10000 ? 10000 : n;
        CHECK(n > 0 && *(const char *)octets == 'u' && ((const char *)octets)[n - 1] == 'u');
        EXPECT(BARTIZAN_OK, bartizan_body_peek(request, &again, &m));
        CHECK(m >= n);
        EXPECT(BARTIZAN_E_VALUE, bartizan_body_consume(request, CONTENT * 2));
        EXPECT(BARTIZAN_OK, bartizan_body_consume(request, piece));
        S.total += piece;
    }
    if (status == BARTIZAN_EOF) finish_upload(request);
    else {
        EXPECT(BARTIZAN_AGAIN, status);
        EXPECT(BARTIZAN_OK, bartizan_body_arm(request));
    }
}

/* Writes until there is no room, and arms for more. */
static void give(bartizan_request request) {
    static char block[50000];
    size_t n;
    memset(block, 'd', sizeof block);
    for (;;) {
        size_t left = CONTENT - S.total < sizeof block ? CONTENT - S.total : sizeof block;
        if (!left) {
            EXPECT(BARTIZAN_OK, bartizan_response_finish(request, NULL, 0));
            EXPECT(BARTIZAN_OK, bartizan_request_release(request));
            return;
        }
        switch (bartizan_response_write(request, block, left, 0, &n)) {
        case BARTIZAN_OK:
            CHECK(n > 0 && n <= left);
            S.total += n;
            break;
        case BARTIZAN_AGAIN:
            CHECK(!n);
            EXPECT(BARTIZAN_OK, bartizan_response_arm(request));
            return;
        default:
            CHECK(!"a write of a live answer is taken or has to wait");
        }
    }
}

static void ready(void *user_data, bartizan_request request, uint32_t what) {
    CHECK(user_data == &S);
    pthread_mutex_lock(&lock);
    CHECK(!S.inside);
    S.inside = 1;
    S.calls++;
    S.writable_calls += what == BARTIZAN_EV_WRITABLE;
    pthread_mutex_unlock(&lock);
    CHECK(what == (S.upload ? BARTIZAN_EV_BODY : BARTIZAN_EV_WRITABLE));
    /* What releases last ends the scene, so the mark goes first; fn is not called before this call has returned. */
    pthread_mutex_lock(&lock);
    S.inside = 0;
    pthread_mutex_unlock(&lock);
    if (S.upload) take(request);
    else give(request);
}

static void drop(void *user_data) {
    CHECK(user_data == &S);
    pthread_mutex_lock(&lock);
    S.drops++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

/* The first step, in every mode. */
static void begin(const bartizan_request_view *view) {
    bartizan_request request = view->request;
    S.upload = is(view->path, "/upload");
    S.total = 0;
    if (is(view->path, "/keep")) {
        pthread_mutex_lock(&lock);
        S.kept = request;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
        return;
    }
    if (S.mode == QUEUED) {
        EXPECT(BARTIZAN_E_STATE, bartizan_request_on_ready(request, ready, NULL, NULL));
    } else {
        EXPECT(BARTIZAN_E_STATE, bartizan_body_arm(request));
        EXPECT(BARTIZAN_OK, bartizan_request_on_ready(request, ready, &S, drop));
        EXPECT(BARTIZAN_E_STATE, bartizan_request_on_ready(request, ready, &S, drop));
    }
    EXPECT(BARTIZAN_E_STATE, bartizan_response_arm(request));
    if (S.upload) {
        EXPECT(BARTIZAN_OK, bartizan_body_arm(request));
    } else {
        EXPECT(BARTIZAN_OK, bartizan_response_begin(request, 200, NULL, 0, CONTENT));
        EXPECT(BARTIZAN_OK, bartizan_response_arm(request));
    }
}

static bartizan_status handle(void *user_data, const bartizan_request_view *view) {
    (void)user_data;
    begin(view);
    return BARTIZAN_OK;
}

static void *consume(void *queue) {
    bartizan_event events[4];
    bartizan_status status;
    size_t n, i;
    while ((status = bartizan_queue_next(queue, events, 4, -1, &n)) >= 0)
        for (i = 0; i < n; i++) {
            if (events[i].kind == BARTIZAN_EV_REQUEST) begin(events[i].data.ptr);
            if (events[i].kind == BARTIZAN_EV_BODY || events[i].kind == BARTIZAN_EV_WRITABLE)
                ready(&S, events[i].request, events[i].kind);
        }
    EXPECT(BARTIZAN_E_CLOSED, status);
    return NULL;
}

static void push_all(int peer, size_t len) {
    static char block[65536];
    memset(block, 'u', sizeof block);
    while (len) {
        ssize_t n = send(peer, block, len < sizeof block ? len : sizeof block, MSG_NOSIGNAL);
        CHECK(n > 0);
        len -= (size_t)n;
    }
}

static void an_upload_is_taken_as_it_comes(void) {
    char reply[512], words[64];
    int peer = dial(S.server);
    say(peer, "POST /upload HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4194304\r\n\r\n");
    push_all(peer, 1000);
    nap(100);
    push_all(peer, CONTENT - 1000);
    CHECK(hear(peer, reply, sizeof reply, NULL) > 0);
    snprintf(words, sizeof words, "\r\n\r\n%d", CONTENT);
    CHECK(strstr(reply, words));
    close(peer);
    CHECK(locked(&S.calls) > 1);
}

static void a_download_is_written_as_it_is_taken(void) {
    static char room[65536];
    char *head;
    size_t total;
    ssize_t n;
    int before, peer = dial(S.server);
    before = locked(&S.writable_calls);
    say(peer, "GET /download HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    CHECK((n = recv(peer, room, sizeof room - 1, 0)) > 0);
    room[n] = '\0';
    CHECK((head = strstr(room, "\r\n\r\n")) != NULL);
    total = (size_t)(room + n - head - 4);
    while ((n = recv(peer, room, sizeof room, 0)) > 0) total += (size_t)n;
    CHECK(n == 0 && total == CONTENT);
    CHECK(locked(&S.writable_calls) > before + 1);
    close(peer);
}

/* Nobody reads: the peer can push what the windows hold and no more, and all of it arrives afterwards. */
static void an_upload_that_nobody_takes_is_held_back(void) {
    static char block[65536];
    bartizan_request request;
    const void *octets;
    size_t pushed = 0, second, here;
    int peer = dial(S.server), quiet = 0;
    char reply[512];
    memset(block, 'u', sizeof block);
    say(peer, "POST /keep HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1000000000\r\n\r\n");
    pthread_mutex_lock(&lock);
    while (!S.kept) pthread_cond_wait(&changed, &lock);
    request = S.kept;
    S.kept = 0;
    pthread_mutex_unlock(&lock);
    EXPECT(BARTIZAN_OK, bartizan_request_set(request, BARTIZAN_MAX_BODY_BYTES, BARTIZAN_OFF));
    while (quiet < 5 && pushed < MOST_PUSHED) {
        ssize_t n = send(peer, block, sizeof block, MSG_NOSIGNAL | MSG_DONTWAIT);
        CHECK(n > 0 || errno == EAGAIN);
        if (n > 0) pushed += (size_t)n, quiet = 0;
        else quiet++, nap(50);
    }
    CHECK(pushed < MOST_PUSHED);
    /* As soon as it is taken, there is room again. */
    for (second = 0, quiet = 0; quiet < 500 && second < pushed;) {
        ssize_t n = send(peer, block, sizeof block, MSG_NOSIGNAL | MSG_DONTWAIT);
        bartizan_status status = bartizan_body_peek(request, &octets, &here);
        if (!status) EXPECT(BARTIZAN_OK, bartizan_body_consume(request, here));
        else EXPECT(BARTIZAN_AGAIN, status);
        if (n > 0) second += (size_t)n;
        if (n <= 0 && status) quiet++, nap(10);
    }
    CHECK(second >= pushed);
    EXPECT(BARTIZAN_OK, bartizan_response_abort(request));
    CHECK(hear(peer, reply, sizeof reply, NULL) <= 0);
    close(peer);
    EXPECT(BARTIZAN_OK, bartizan_request_release(request));
}

static void scenes(uint32_t mode) {
    bartizan_config *config = bartizan_config_new();
    int turns;
    memset(&S, 0, sizeof S);
    S.mode = mode;
    if (mode == QUEUED) {
        EXPECT(BARTIZAN_OK, bartizan_queue_new(&S.queue, NULL));
        EXPECT(BARTIZAN_OK, bartizan_config_queue(config, S.queue, 0, NULL));
    } else {
        EXPECT(BARTIZAN_OK, bartizan_config_handler(config, mode, handle, NULL, NULL, NULL));
    }
    S.server = serve(config);
    if (mode == QUEUED) CHECK(!pthread_create(&S.consumer, NULL, consume, S.queue));
    RUN(an_upload_is_taken_as_it_comes);
    RUN(a_download_is_written_as_it_is_taken);
    RUN(an_upload_that_nobody_takes_is_held_back);
    stop(S.server);
    if (mode == QUEUED) {
        CHECK(!pthread_join(S.consumer, NULL));
        bartizan_queue_free(S.queue);
        return;
    }
    /* One that was taken and one that was refused, per exchange. */
    for (turns = 0; turns < 100 && locked(&S.drops) < 4; turns++) nap(20);
    CHECK(locked(&S.drops) == 4);
}

int main(void) {
    scenes(BARTIZAN_MODE_INLINE);
    scenes(BARTIZAN_MODE_WORKERS);
    scenes(QUEUED);
    return 0;
}
