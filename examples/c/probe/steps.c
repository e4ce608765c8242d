/* The steps behind the routes that take time. Each is called again for the event it ordered, and finds in the flow how far it
 * came; whatever fails ends the flow, since by then the library has answered or reset. */
#define _POSIX_C_SOURCE 200809L
#include "steps.h"

#include <string.h>
#include <strings.h>

#include "observe.h"

const bartizan_header TEXT_PLAIN[1] = {{{"content-type", 12}, {"text/plain", 10}}};
const char HELLO[] = "Hello, World!";

static void answer(flow *f, const char *type, const char *octets, size_t n) {
    bartizan_header header = {{"content-type", 12}, {NULL, 0}};
    header.value.ptr = type;
    header.value.len = strlen(type);
    bartizan_respond(f->request, 200, &header, 1, octets, n);
    flow_end(f);
}

/* Reads what is there into `take`; EOF when all is read, AGAIN when the step is to return. Ends the flow on failure. */
static bartizan_status drain(flow *f, void (*take)(flow *f, const void *octets, size_t n)) {
    for (;;) {
        const void *octets;
        size_t n;
        bartizan_status status = flow_peek(f, &octets, &n);
        if (status == BARTIZAN_OK) {
            take(f, octets, n);
            status = flow_consume(f, n);
        }
        if (status < 0) flow_end(f);
        if (status) return status;
    }
}

/* ---- /inspect ---- */

static void inspect_take(flow *f, const void *octets, size_t n) {
    sha256_add(&f->sum, octets, n);
    f->count += n;
}

static void json_fields(text *out, const char *key, const bartizan_header *fields, size_t count) {
    size_t i;
    json_key(out, key);
    json_open(out, '[');
    for (i = 0; i < count; i++) {
        json_open(out, '[');
        json_str(out, fields[i].name);
        json_str(out, fields[i].value);
        json_close(out, ']');
    }
    json_close(out, ']');
}

void step_inspect(flow *f) {
    const bartizan_request_view *view = f->view;
    const struct { const char *key; bartizan_str value; } texts[] = {
        {"method", view->method}, {"scheme", view->scheme}, {"authority", view->authority},
        {"target", view->target}, {"path", view->path}, {"query", view->query},
    };
    const bartizan_header *trailers = NULL;
    size_t trailer_count = 0, i;
    char hex[65];
    text *out = &f->out;
    if (drain(f, inspect_take) != BARTIZAN_EOF) return;
    bartizan_body_trailers(f->request, &trailers, &trailer_count);
    sha256_hex(&f->sum, hex);
    json_open(out, '{');
    for (i = 0; i < sizeof texts / sizeof *texts; i++) {
        json_key(out, texts[i].key);
        json_str(out, texts[i].value);
    }
    json_key(out, "http");
    json_string(out, view->http_version == 10 ? "1.0" : view->http_version == 11 ? "1.1" : "2");
    json_fields(out, "headers", view->headers, view->header_count);
    json_fields(out, "trailers", trailers, trailer_count);
    json_key(out, "body");
    json_open(out, '{');
    json_key(out, "length");
    json_uint(out, f->count);
    json_key(out, "sha256");
    json_string(out, hex);
    json_close(out, '}');
    json_key(out, "peer");
    json_address(out, view->peer_ip, view->peer_port);
    json_key(out, "local");
    json_address(out, view->local_ip, view->local_port);
    json_key(out, "listener");
    json_uint(out, view->listener);
    json_key(out, "conn");
    json_uint(out, view->connection);
    json_key(out, "tls");
    json_tls(out, view->tls);
    json_close(out, '}');
    answer(f, "application/json", out->at, out->len);
}

/* ---- /echo, /sink, /unread ---- */

/* The answer begins with the first content, not before: until then a 408 or 413 can still be sent. */
static int echo_begin(flow *f) {
    static const bartizan_header TYPE[1] = {{{"content-type", 12}, {"application/octet-stream", 24}}};
    if (!f->begun && bartizan_response_begin(f->request, 200, TYPE, 1, f->view->content_length)) return -1;
    f->begun = 1;
    return 0;
}

void step_echo(flow *f) {
    for (;;) {
        const void *octets;
        size_t n, taken = 0;
        bartizan_status status = flow_peek(f, &octets, &n);
        if (status == BARTIZAN_AGAIN) return;
        if (status < 0 || echo_begin(f)) break;
        if (status == BARTIZAN_EOF) {
            bartizan_response_finish(f->request, NULL, 0);
            break;
        }
        status = flow_write(f, octets, n, &taken);
        if (status == BARTIZAN_AGAIN) return;
        if (status < 0 || flow_consume(f, taken)) break;
    }
    flow_end(f);
}

static void sink_take(flow *f, const void *octets, size_t n) {
    (void)octets;
    f->count += n;
}

void step_sink(flow *f) {
    if (drain(f, sink_take) != BARTIZAN_EOF) return;
    text_format(&f->out, "%llu", (unsigned long long)f->count);
    answer(f, "text/plain", f->out.at, f->out.len);
}

void step_unread(flow *f) {
    f->step = step_sink;
    flow_wait(f, f->ms);
}

/* ---- /bytes ---- */

void step_bytes(flow *f) {
    static const char BLOCK[65536] = {0};
    static const bartizan_header TYPE[1] = {{{"content-type", 12}, {"application/octet-stream", 24}}};
    if (!f->begun && bartizan_response_begin(f->request, 200, TYPE, 1, (int64_t)f->limit)) {
        flow_end(f);
        return;
    }
    f->begun = 1;
    while (f->count < f->limit) {
        uint64_t left = f->limit - f->count;
        size_t taken = 0;
        bartizan_status status = flow_write(f, BLOCK, left < sizeof BLOCK ? (size_t)left : sizeof BLOCK, &taken);
        if (status == BARTIZAN_AGAIN) return;
        if (status < 0) {
            flow_end(f);
            return;
        }
        f->count += taken;
    }
    bartizan_response_finish(f->request, NULL, 0);
    flow_end(f);
}

/* ---- /wait, /hang ---- */

static void step_hello(flow *f) { answer(f, "text/plain", HELLO, HELLO_LEN); }

void step_wait(flow *f) {
    f->step = step_hello;
    flow_wait(f, f->ms);
}

/* Cancellation is the only event, and the runner ends the flow for it. */
void step_hang(flow *f) { (void)f; }

/* ---- /trailers ---- */

static int lists_trailers(bartizan_str te) {
    size_t at = 0;
    while (at < te.len) {
        size_t from, end;
        while (at < te.len && strchr(" \t,", te.ptr[at])) at++;
        for (from = end = at; at < te.len && te.ptr[at] != ','; at++)
            if (te.ptr[at] != ' ' && te.ptr[at] != '\t') end = at + 1;
        if (end - from == 8 && !strncasecmp(te.ptr + from, "trailers", 8)) return 1;
    }
    return 0;
}

/* RFC 9110 6.5.1: over HTTP/1.1 only to who says that trailers are not lost on the way. */
static int takes_trailers(const flow *f) {
    size_t nth = 0;
    bartizan_str te;
    if (f->view->http_version != 11) return f->view->http_version == 20;
    while (!bartizan_request_header(f->request, "te", BARTIZAN_NTS, nth++, &te))
        if (lists_trailers(te)) return 1;
    return 0;
}

void step_trailers(flow *f) {
    static const bartizan_header HEADERS[2] = {{{"content-type", 12}, {"text/plain", 10}},
                                               {{"trailer", 7}, {"x-sum", 5}}};
    bartizan_header sum = {{"x-sum", 5}, {NULL, 64}};
    size_t trailers = (size_t)takes_trailers(f);
    char hex[65];
    bartizan_status status = BARTIZAN_OK;
    if (!f->begun) status = bartizan_response_begin(f->request, 200, HEADERS, 1 + trailers, -1);
    f->begun = 1;
    while (!status && f->count < HELLO_LEN) {
        size_t taken = 0;
        status = flow_write(f, HELLO + f->count, HELLO_LEN - f->count, &taken);
        f->count += taken;
    }
    if (status == BARTIZAN_AGAIN) return;
    if (!status) {
        sha256_add(&f->sum, HELLO, HELLO_LEN);
        sha256_hex(&f->sum, hex);
        sum.value.ptr = hex;
        bartizan_response_finish(f->request, &sum, trailers);
    }
    flow_end(f);
}

/* ---- /sse ---- */

/* One event at a time: the next is due only when the last was taken, so a slow reader holds nothing but its own connection. */
static void step_sse_event(flow *f) {
    if (f->out_done == f->out.len) {
        text_clear(&f->out);
        f->out_done = 0;
        text_format(&f->out, "data: %llu\n\n", (unsigned long long)++f->count);
    }
    while (f->out_done < f->out.len) {
        size_t taken = 0;
        bartizan_status status = flow_write(f, f->out.at + f->out_done, f->out.len - f->out_done, &taken);
        if (status == BARTIZAN_AGAIN) return;
        if (status < 0) {
            flow_end(f);
            return;
        }
        f->out_done += taken;
    }
    flow_wait(f, f->ms);
}

void step_sse(flow *f) {
    static const bartizan_header HEADERS[2] = {{{"content-type", 12}, {"text/event-stream", 17}},
                                               {{"cache-control", 13}, {"no-cache", 8}}};
    f->step = step_sse_event;
    if (bartizan_response_begin(f->request, 200, HEADERS, 2, -1)) flow_end(f);
    else flow_wait(f, f->ms);
}
