/* From a request to its route. What can be answered on the spot is answered here; the rest becomes a flow (steps.c). Every
 * route gives the request's reference back, or hands it to a flow. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "options.h"
#include "probe.h"
#include "steps.h"

/* Only libraries built with the feature test-panic have it. */
#ifdef __GNUC__
__attribute__((weak))
#endif
extern bartizan_status bartizan_test_panic(bartizan_request request);

typedef struct call {
    probe *probe;
    const bartizan_request_view *view;
    int64_t patience;
    bartizan_str argument;                      /* of the path, behind the route's name */
} call;

static int is(bartizan_str s, const char *words) { return s.len == strlen(words) && !memcmp(s.ptr, words, s.len); }

/* ---- answers ---- */

static bartizan_status done(const call *c, bartizan_status status) {
    bartizan_request_release(c->view->request);
    return status;
}

static bartizan_status answer(const call *c, uint32_t code, const char *type, const void *octets, size_t n) {
    bartizan_header header = {{"content-type", 12}, {NULL, 0}};
    header.value.ptr = type;
    header.value.len = strlen(type);
    bartizan_respond(c->view->request, code, &header, 1, octets, n);
    return done(c, BARTIZAN_OK);
}

static bartizan_status hello(const call *c) {
    bartizan_respond(c->view->request, 200, TEXT_PLAIN, 1, HELLO, HELLO_LEN);
    return done(c, BARTIZAN_OK);
}

static bartizan_status say(const call *c, uint32_t code, text *words) {
    answer(c, code, "text/plain", words->at, words->len);
    text_free(words);
    return BARTIZAN_OK;
}

static bartizan_status not_found(const call *c) { return answer(c, 404, "text/plain", "not found\n", 10); }

static bartizan_status bad_value(const call *c, bartizan_str value, const char *why) {
    text words = {0};
    text_add(&words, value.ptr, value.len);
    text_format(&words, ": %s\n", why);
    return say(c, 400, &words);
}

/* ---- values ---- */

/* The number behind the route's name; 0, or -1 after the 400. */
static int number(const call *c, uint64_t max, uint64_t *value) {
    char why[64];
    if (!parse_uint(c->argument.ptr, c->argument.len, max, value)) return 0;
    snprintf(why, sizeof why, "not a number from 0 to %llu", (unsigned long long)max);
    bad_value(c, c->argument, why);
    return -1;
}

static int milliseconds(const call *c, uint64_t *ms) { return number(c, INT32_MAX, ms); }

/* KEY=TEXT of the query sets a limit of this request; 0, or -1 after the 400. */
static int set_limit(const call *c, bartizan_str piece) {
    char key[64], why[128];
    const char *equals = memchr(piece.ptr, '=', piece.len);
    size_t key_len = equals ? (size_t)(equals - piece.ptr) : 0;
    bartizan_status status;
    if (!equals || key_len >= sizeof key) {
        bad_value(c, piece, "not KEY=TEXT");
        return -1;
    }
    memcpy(key, piece.ptr, key_len);
    key[key_len] = '\0';
    status = bartizan_request_set_text(c->view->request, key, equals + 1, piece.len - key_len - 1);
    if (status >= 0) return 0;
    snprintf(why, sizeof why, "%s",
             status == BARTIZAN_E_OPTION ? "no setting that a request may move"
             : status == BARTIZAN_E_VALUE ? "not a value of this setting" : bartizan_status_name(status));
    bad_value(c, piece, why);
    return -1;
}

static int set_limits(const call *c) {
    bartizan_str rest = c->view->query;
    while (rest.len) {
        const char *end = memchr(rest.ptr, '&', rest.len);
        bartizan_str piece = rest;
        if (end) piece.len = (size_t)(end - rest.ptr);
        if (piece.len && set_limit(c, piece)) return -1;
        rest.ptr += piece.len + (end != NULL);
        rest.len -= piece.len + (end != NULL);
    }
    return 0;
}

/* ---- routes with a flow ---- */

static bartizan_status run(const call *c, flow_step step, uint64_t ms, uint64_t limit) {
    flow *f = flow_new(c->probe, c->view, step);
    f->ms = ms;
    f->limit = limit;
    /* The two that never end by themselves; known before the first event, which may be the cancellation. */
    f->leaves_with_peer = step == step_hang || step == step_sse;
    flow_run(f, c->patience);
    return BARTIZAN_OK;
}

static bartizan_status inspect(const call *c) { return run(c, step_inspect, 0, 0); }
static bartizan_status echo(const call *c) { return run(c, step_echo, 0, 0); }
static bartizan_status hang(const call *c) { return run(c, step_hang, 0, 0); }
static bartizan_status trailers(const call *c) { return run(c, step_trailers, 0, 0); }

static bartizan_status sink(const call *c) { return set_limits(c) ? BARTIZAN_OK : run(c, step_sink, 0, 0); }

static bartizan_status bytes(const call *c) {
    uint64_t n;
    return number(c, INT64_MAX, &n) || set_limits(c) ? BARTIZAN_OK : run(c, step_bytes, 0, n);
}

static bartizan_status after_ms(const call *c, flow_step step) {
    uint64_t ms;
    return milliseconds(c, &ms) ? BARTIZAN_OK : run(c, step, ms, 0);
}

static bartizan_status wait(const call *c) { return after_ms(c, step_wait); }
static bartizan_status unread(const call *c) { return after_ms(c, step_unread); }
static bartizan_status sse(const call *c) { return after_ms(c, step_sse); }

/* ---- routes on the spot ---- */

static bartizan_status block(const call *c) {
    uint64_t ms;
    struct timespec left;
    if (milliseconds(c, &ms)) return BARTIZAN_OK;
    left.tv_sec = (time_t)(ms / 1000);
    left.tv_nsec = (long)(ms % 1000) * 1000000;
    while (nanosleep(&left, &left)) ;
    return hello(c);
}

static bartizan_status early(const call *c) { return answer(c, 200, "text/plain", "early", 5); }

static bartizan_status leave(const call *c) { return done(c, BARTIZAN_OK); }

static bartizan_status twice(const call *c) {
    probe *p = c->probe;
    bartizan_status second;
    if (is(c->view->query, "last")) {
        bartizan_header headers[2] = {{{"content-type", 12}, {"text/plain", 10}}, {{"x-second", 8}, {NULL, 0}}};
        pthread_mutex_lock(&p->lock);
        headers[1].value.ptr = p->second ? p->second : "none";
        pthread_mutex_unlock(&p->lock);
        headers[1].value.len = strlen(headers[1].value.ptr);
        bartizan_respond(c->view->request, 200, headers, 2, HELLO, HELLO_LEN);
        return done(c, BARTIZAN_OK);
    }
    /* Locked throughout: the first answer may be read, and ?last asked for, before the second is refused. */
    pthread_mutex_lock(&p->lock);
    bartizan_respond(c->view->request, 200, TEXT_PLAIN, 1, HELLO, HELLO_LEN);
    second = bartizan_respond(c->view->request, 200, TEXT_PLAIN, 1, HELLO, HELLO_LEN);
    p->second = bartizan_status_name(second);
    pthread_mutex_unlock(&p->lock);
    return done(c, BARTIZAN_OK);
}

/* The library answers for a callback that fails. A queue has no callback: there the program answers a refusal itself, and
 * releasing without an answer is the failure. */
static bartizan_status fail(const call *c) { return done(c, BARTIZAN_E_VALUE); }

static bartizan_status refuse_request(const call *c) {
    static const bartizan_header RETRY[1] = {{{"retry-after", 11}, {"1", 1}}};
    if (c->probe->mode == QUEUES) bartizan_respond(c->view->request, 503, RETRY, 1, NULL, 0);
    return done(c, BARTIZAN_E_REFUSED);
}

static bartizan_status panic(const call *c) {
    if (!bartizan_test_panic) return not_found(c);
    return done(c, bartizan_test_panic(c->view->request));
}

static bartizan_status cut(const call *c) {
    bartizan_response_abort(c->view->request);
    return done(c, BARTIZAN_OK);
}

static bartizan_status deadline(const call *c) {
    text words = {0};
    int64_t ms;
    bartizan_status status = bartizan_request_remaining(c->view->request, BARTIZAN_HANDLER_TIMEOUT_MS, &ms);
    if (status) return done(c, status);
    if (ms == BARTIZAN_OFF) text_say(&words, "off");
    else text_format(&words, "%lld", (long long)ms);
    return say(c, 200, &words);
}

static bartizan_status hints(const call *c) {
    static const bartizan_header LINK[1] = {{{"link", 4}, {"</style.css>; rel=preload; as=style", 35}}};
    bartizan_response_informational(c->view->request, 103, LINK, 1);
    return hello(c);
}

static bartizan_status cert(const call *c) {
    uint64_t n;
    const void *der;
    size_t len;
    if (number(c, INT32_MAX, &n)) return BARTIZAN_OK;
    if (bartizan_request_peer_certificate(c->view->request, (size_t)n, &der, &len)) return not_found(c);
    return answer(c, 200, "application/pkix-cert", der, len);
}

static bartizan_status report(
        const call *c, const char *type, bartizan_status (*print)(const bartizan_server *, text *)) {
    text out = {0};
    bartizan_server *server;
    bartizan_status status;
    pthread_mutex_lock(&c->probe->lock);
    server = c->probe->server;
    pthread_mutex_unlock(&c->probe->lock);
    /* The first request may be faster than the return of start. */
    if (!server) return answer(c, 503, "text/plain", "starting\n", 9);
    status = print(server, &out);
    if (status) done(c, status);
    else answer(c, 200, type, out.at, out.len);
    text_free(&out);
    return status;
}

static bartizan_status stats(const call *c) { return report(c, "application/json", stats_print); }

static bartizan_status metrics(const call *c) {
    return report(c, "application/openmetrics-text; version=1.0.0; charset=utf-8", metrics_print);
}

/* ---- the table ---- */

enum { ANY = 1, ARGUMENT = 2, ADMIN = 4 };

static const struct {
    const char *path;                           /* ARGUMENT: what stands before it */
    unsigned flags;                             /* ANY: every method, else GET and HEAD */
    bartizan_status (*route)(const call *c);
} ROUTES[] = {
    {"/inspect", ANY, inspect},     {"/echo", ANY, echo},           {"/sink", ANY, sink},
    {"/bytes/", ARGUMENT, bytes},   {"/wait/", ARGUMENT, wait},     {"/block/", ARGUMENT, block},
    {"/hang", 0, hang},             {"/early", ANY, early},         {"/unread/", ANY | ARGUMENT, unread},
    {"/drop", 0, leave},            {"/double", 0, twice},          {"/fail", 0, fail},
    {"/refuse", 0, refuse_request}, {"/panic", 0, panic},           {"/abort", 0, cut},
    {"/deadline", 0, deadline},     {"/hints", 0, hints},           {"/trailers", 0, trailers},
    {"/cert/", ARGUMENT, cert},     {"/sse/", ARGUMENT, sse},       {"/stats", ADMIN, stats},
    {"/metrics", ADMIN, metrics},
};

static bartizan_status look_up(call *c, unsigned wanted) {
    bartizan_str path = c->view->path;
    int get = is(c->view->method, "GET") || is(c->view->method, "HEAD");
    size_t i;
    for (i = 0; i < sizeof ROUTES / sizeof *ROUTES; i++) {
        size_t len = strlen(ROUTES[i].path);
        if (path.len < len || memcmp(path.ptr, ROUTES[i].path, len)) continue;
        if (path.len > len && !(ROUTES[i].flags & ARGUMENT)) continue;
        if ((ROUTES[i].flags & wanted) != wanted || !(get || ROUTES[i].flags & ANY)) break;
        c->argument.ptr = path.ptr + len;
        c->argument.len = path.len - len;
        return ROUTES[i].route(c);
    }
    return not_found(c);
}

/* The root goes first and touches nothing shared: it is what benchmarks ask for. */
bartizan_status route(probe *p, const bartizan_request_view *view, int64_t patience) {
    call c = {0};
    c.probe = p;
    c.view = view;
    c.patience = patience;
    if (view->path.len == 1 && *view->path.ptr == '/' && (is(view->method, "GET") || is(view->method, "HEAD")))
        return hello(&c);
    return look_up(&c, 0);
}

bartizan_status route_admin(void *user_data, const bartizan_request_view *view) {
    call c = {0};
    c.probe = user_data;
    c.view = view;
    return look_up(&c, ADMIN);
}
