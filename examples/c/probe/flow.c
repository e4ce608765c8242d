/* The runner of flows, and where their events come from: callbacks in inline and workers mode, the table in queue mode. */
#define _POSIX_C_SOURCE 200809L
#include "flow.h"

#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "probe.h"

/* What a blocking read takes at once. */
enum { HELD = 16384 };

/* ---- life ---- */

void flow_ref(flow *f) {
    pthread_mutex_lock(&f->lock);
    f->refs++;
    pthread_mutex_unlock(&f->lock);
}

void flow_unref(flow *f) {
    unsigned left;
    pthread_mutex_lock(&f->lock);
    left = --f->refs;
    pthread_mutex_unlock(&f->lock);
    if (left) return;
    pthread_mutex_destroy(&f->lock);
    text_free(&f->out);
    free(f->held);
    free(f);
}

static void drop(void *user_data) { flow_unref(user_data); }

flow *flow_new(probe *p, const bartizan_request_view *view, flow_step step) {
    flow *f = calloc(1, sizeof *f);
    if (!f) abort();
    pthread_mutex_init(&f->lock, NULL);
    f->refs = 2;                                /* the request's, and the caller's until flow_run */
    f->running = 1;
    f->probe = p;
    f->request = view->request;
    f->view = view;
    f->connection = view->connection;
    f->stream = view->stream;
    f->step = step;
    sha256_init(&f->sum);
    return f;
}

/* ---- the runner ---- */

static int is_over(flow *f, unsigned what) {
    if (what & FLOW_DONE) return 1;
    if (!(what & FLOW_CANCEL)) return 0;
    return f->leaves_with_peer || strcmp(bartizan_reason_name(f->cancel_reason), "peer.closed");
}

/* Called with the lock held and `running` set by this thread. */
static void run_marks(flow *f, int64_t patience) {
    while (f->happened) {
        unsigned what = f->happened;
        f->happened = 0;
        pthread_mutex_unlock(&f->lock);
        f->patience = patience;
        if (f->ended) ;
        else if (is_over(f, what)) flow_end(f);
        else if (what & ~(unsigned)FLOW_CANCEL) f->step(f);
        pthread_mutex_lock(&f->lock);
    }
    f->running = 0;
}

void flow_post(flow *f, unsigned what, int64_t patience) {
    pthread_mutex_lock(&f->lock);
    f->happened |= what;
    if (!f->running) {
        f->running = 1;
        run_marks(f, patience);
    }
    pthread_mutex_unlock(&f->lock);
}

static void flow_cancel(flow *f, uint32_t reason) {
    int first;
    pthread_mutex_lock(&f->lock);
    first = !f->cancel_reason;
    if (first) f->cancel_reason = reason;
    pthread_mutex_unlock(&f->lock);
    if (!first) return;
    journal_cancelled(&f->probe->events, f->connection, f->stream, reason);
    flow_post(f, FLOW_CANCEL, 0);
}

/* ---- events of callbacks ---- */

static void on_cancel(void *user_data, bartizan_request request, uint32_t reason) {
    (void)request;
    flow_cancel(user_data, reason);
}

static void on_ready(void *user_data, bartizan_request request, uint32_t what) {
    flow *f = user_data;
    (void)request;
    flow_post(f, what == BARTIZAN_EV_BODY ? FLOW_BODY : FLOW_ROOM, f->probe->mode == BARTIZAN_MODE_WORKERS ? -1 : 0);
}

/* ---- events of queues ---- */

void flow_table_init(flow_table *table) {
    memset(table, 0, sizeof *table);
    pthread_mutex_init(&table->lock, NULL);
}

void flow_table_destroy(flow_table *table) { pthread_mutex_destroy(&table->lock); }

static flow **bucket_of(flow_table *table, bartizan_request request) {
    return &table->buckets[request * UINT64_C(0x9e3779b97f4a7c15) >> 54];
}

static void table_add(flow_table *table, flow *f) {
    flow **bucket = bucket_of(table, f->request);
    flow_ref(f);
    pthread_mutex_lock(&table->lock);
    f->next = *bucket;
    *bucket = f;
    pthread_mutex_unlock(&table->lock);
}

static flow *table_find(flow_table *table, bartizan_request request) {
    flow *f;
    pthread_mutex_lock(&table->lock);
    for (f = *bucket_of(table, request); f && f->request != request; f = f->next) ;
    if (f) flow_ref(f);
    pthread_mutex_unlock(&table->lock);
    return f;
}

static void table_remove(flow_table *table, flow *gone) {
    flow **at;
    pthread_mutex_lock(&table->lock);
    for (at = bucket_of(table, gone->request); *at != gone; at = &(*at)->next) ;
    *at = gone->next;
    pthread_mutex_unlock(&table->lock);
    flow_unref(gone);
}

void flow_queue_event(probe *p, const bartizan_event *event) {
    flow *f;
    /* Only flows are tagged: the rest need no look-up. */
    if (!event->tag || !(f = table_find(&p->flows, event->request))) return;
    switch (event->kind) {
    case BARTIZAN_EV_BODY: flow_post(f, FLOW_BODY, 0); break;
    case BARTIZAN_EV_WRITABLE: flow_post(f, FLOW_ROOM, 0); break;
    case BARTIZAN_EV_CANCELLED: flow_cancel(f, (uint32_t)event->arg[0]); break;
    case BARTIZAN_EV_DONE: flow_post(f, FLOW_DONE, 0); break;
    default: break;
    }
    flow_unref(f);
}

/* Another consumer may have passed over a cancellation, even the end, before the flow stood in the table. Both come only after
 * cancel was raised, so one look afterwards finds what was missed. */
static void join_table(flow *f) {
    uint32_t reason;
    table_add(&f->probe->flows, f);
    bartizan_request_tag(f->request, 1);
    if (bartizan_request_cancelled(f->request, &reason) == BARTIZAN_E_CANCELLED) flow_cancel(f, reason);
}

void flow_run(flow *f, int64_t patience) {
    if (f->probe->mode == QUEUES) {
        join_table(f);
    } else {
        flow_ref(f);
        bartizan_request_on_ready(f->request, on_ready, f, drop);
        flow_ref(f);
        bartizan_request_on_cancel(f->request, on_cancel, f, drop);
    }
    pthread_mutex_lock(&f->lock);
    f->happened |= FLOW_START;
    run_marks(f, patience);
    pthread_mutex_unlock(&f->lock);
    flow_unref(f);
}

/* ---- for steps ---- */

bartizan_status flow_peek(flow *f, const void **octets, size_t *n) {
    bartizan_status status;
    if (f->held_at == f->held_len && f->patience) {
        if (!f->held && !(f->held = malloc(HELD))) abort();
        f->held_at = f->held_len = 0;
        status = bartizan_body_read(f->request, f->held, HELD, f->patience, &f->held_len);
        if (status) return status;
    }
    if (f->held_at < f->held_len) {
        *octets = f->held + f->held_at;
        *n = f->held_len - f->held_at;
        return BARTIZAN_OK;
    }
    status = bartizan_body_peek(f->request, octets, n);
    if (status == BARTIZAN_AGAIN) {
        bartizan_status armed = bartizan_body_arm(f->request);
        if (armed) return armed;
    }
    return status;
}

bartizan_status flow_consume(flow *f, size_t n) {
    if (f->held_at == f->held_len) return bartizan_body_consume(f->request, n);
    f->held_at += n;
    return BARTIZAN_OK;
}

bartizan_status flow_write(flow *f, const void *octets, size_t n, size_t *taken) {
    bartizan_status status = bartizan_response_write(f->request, octets, n, f->patience, taken);
    if (status == BARTIZAN_AGAIN) {
        bartizan_status armed = bartizan_response_arm(f->request);
        if (armed) return armed;
    }
    return status;
}

void flow_wait(flow *f, uint64_t ms) { timer_after(&f->probe->timer, ms, f); }

void flow_end(flow *f) {
    f->ended = 1;
    if (f->probe->mode == QUEUES) table_remove(&f->probe->flows, f);
    bartizan_request_release(f->request);
    flow_unref(f);
}
