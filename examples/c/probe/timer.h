/* One thread that continues flows when their time has come: how the probe answers from another thread than the callback's. */
#ifndef PROBE_TIMER_H
#define PROBE_TIMER_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

struct flow;

typedef struct alarm_entry {
    uint64_t due;                               /* nanoseconds of CLOCK_MONOTONIC */
    struct flow *flow;                          /* one reference */
} alarm_entry;

typedef struct timer {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    alarm_entry *heap;                          /* the next one first */
    size_t count, cap;
    int stopping;
} timer;

int timer_start(timer *t);                      /* 0, or an errno */
void timer_after(timer *t, uint64_t ms, struct flow *f);
void timer_stop(timer *t);                      /* flows that still wait are over */

#endif
