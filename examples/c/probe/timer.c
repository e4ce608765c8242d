/* One thread and a binary heap. The thread never blocks in a flow: it continues them without patience. */
#define _POSIX_C_SOURCE 200809L
#include "timer.h"

#include <stdlib.h>
#include <time.h>

#include "flow.h"

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void swap(alarm_entry *a, alarm_entry *b) {
    alarm_entry kept = *a;
    *a = *b;
    *b = kept;
}

static void rise(alarm_entry *heap, size_t at) {
    while (at && heap[at].due < heap[(at - 1) / 2].due) {
        swap(&heap[at], &heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}

static struct flow *take_first(timer *t) {
    struct flow *first = t->heap[0].flow;
    size_t at = 0;
    t->heap[0] = t->heap[--t->count];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < t->count && t->heap[child + 1].due < t->heap[child].due) child++;
        if (child >= t->count || t->heap[at].due <= t->heap[child].due) return first;
        swap(&t->heap[at], &t->heap[child]);
        at = child;
    }
}

static void *run(void *user_data) {
    timer *t = user_data;
    pthread_mutex_lock(&t->lock);
    while (!t->stopping) {
        if (!t->count) {
            pthread_cond_wait(&t->changed, &t->lock);
        } else if (t->heap[0].due > now()) {
            uint64_t due = t->heap[0].due;
            struct timespec until;
            until.tv_sec = (time_t)(due / 1000000000u);
            until.tv_nsec = (long)(due % 1000000000u);
            pthread_cond_timedwait(&t->changed, &t->lock, &until);
        } else {
            struct flow *f = take_first(t);
            pthread_mutex_unlock(&t->lock);
            flow_post(f, FLOW_TIME, 0);
            flow_unref(f);
            pthread_mutex_lock(&t->lock);
        }
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

int timer_start(timer *t) {
    pthread_condattr_t monotonic;
    pthread_mutex_init(&t->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&t->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    t->heap = NULL;
    t->count = t->cap = 0;
    t->stopping = 0;
    return pthread_create(&t->thread, NULL, run, t);
}

void timer_after(timer *t, uint64_t ms, struct flow *f) {
    flow_ref(f);
    pthread_mutex_lock(&t->lock);
    if (t->count == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 64;
        t->heap = realloc(t->heap, t->cap * sizeof *t->heap);
        if (!t->heap) abort();
    }
    t->heap[t->count].due = now() + ms * 1000000u;
    t->heap[t->count].flow = f;
    rise(t->heap, t->count++);
    pthread_cond_signal(&t->changed);
    pthread_mutex_unlock(&t->lock);
}

void timer_stop(timer *t) {
    size_t i;
    pthread_mutex_lock(&t->lock);
    t->stopping = 1;
    pthread_cond_signal(&t->changed);
    pthread_mutex_unlock(&t->lock);
    pthread_join(t->thread, NULL);
    for (i = 0; i < t->count; i++) {
        flow_post(t->heap[i].flow, FLOW_DONE, 0);
        flow_unref(t->heap[i].flow);
    }
    free(t->heap);
    pthread_cond_destroy(&t->changed);
    pthread_mutex_destroy(&t->lock);
}
