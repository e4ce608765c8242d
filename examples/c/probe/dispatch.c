/* How requests reach the routes: one callback in inline and workers mode; in queue mode threads that drain the queues. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>

#include "options.h"
#include "probe.h"

/* Events of one call: enough that a burst costs one wake-up, few enough to leave the rest to another consumer. */
enum { BATCH = 64 };

struct dispatch {
    probe *probe;
    bartizan_queue **queues;
    size_t queue_count;
    pthread_t *threads;
    size_t thread_count, running;
};

static bartizan_status on_reactor(void *user_data, const bartizan_request_view *view) { return route(user_data, view, 0); }

static bartizan_status on_worker(void *user_data, const bartizan_request_view *view) { return route(user_data, view, -1); }

typedef struct consumer {
    probe *probe;
    bartizan_queue *queue;
} consumer;

static void *consume(void *user_data) {
    consumer self = *(consumer *)user_data;
    bartizan_event events[BATCH];
    size_t n, i;
    free(user_data);
    while (bartizan_queue_next(self.queue, events, BATCH, -1, &n) >= 0)
        for (i = 0; i < n; i++)
            if (events[i].kind == BARTIZAN_EV_REQUEST) route(self.probe, events[i].data.ptr, 0);
            else flow_queue_event(self.probe, &events[i]);
    return NULL;
}

dispatch *dispatch_new(probe *p, size_t queues, size_t consumers) {
    dispatch *d = calloc(1, sizeof *d);
    if (!d) abort();
    d->probe = p;
    if (p->mode != QUEUES) return d;
    d->queues = calloc(queues, sizeof *d->queues);
    d->threads = calloc(queues * consumers, sizeof *d->threads);
    if (!d->queues || !d->threads) abort();
    d->queue_count = queues;
    d->thread_count = queues * consumers;
    return d;
}

bartizan_status dispatch_configure(dispatch *d, bartizan_config *config, bartizan_error **error) {
    bartizan_status status = BARTIZAN_OK;
    size_t i;
    if (d->probe->mode != QUEUES)
        return bartizan_config_handler(config, d->probe->mode,
                                       d->probe->mode == BARTIZAN_MODE_WORKERS ? on_worker : on_reactor, d->probe, NULL,
                                       error);
    /* Connection, request and log records go to their callbacks in this mode too: two consumers would write them out of order. */
    for (i = 0; !status && i < d->queue_count; i++) {
        status = bartizan_queue_new(&d->queues[i], error);
        if (!status) status = bartizan_config_queue(config, d->queues[i], 0, error);
    }
    return status;
}

int dispatch_start(dispatch *d) {
    for (d->running = 0; d->running < d->thread_count; d->running++) {
        consumer *c = malloc(sizeof *c);
        int failed;
        if (!c) abort();
        c->probe = d->probe;
        c->queue = d->queues[d->running % d->queue_count];
        failed = pthread_create(&d->threads[d->running], NULL, consume, c);
        if (failed) {
            free(c);
            return failed;
        }
    }
    return 0;
}

void dispatch_join(dispatch *d) {
    while (d->running) pthread_join(d->threads[--d->running], NULL);
}

void dispatch_free(dispatch *d) {
    size_t i;
    for (i = 0; i < d->queue_count; i++) bartizan_queue_free(d->queues[i]);
    free(d->queues);
    free(d->threads);
    free(d);
}
