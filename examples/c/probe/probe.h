/* What every part of the probe shares: the program, and the three ways in which requests reach its routes. */
#ifndef PROBE_H
#define PROBE_H

#include <pthread.h>

#include "bartizan.h"
#include "flow.h"
#include "observe.h"
#include "timer.h"

typedef struct probe {
    unsigned mode;                              /* BARTIZAN_MODE_INLINE, _WORKERS or QUEUES */
    journal events, log;
    timer timer;
    flow_table flows;                           /* of --mode queue */
    pthread_mutex_t lock;                       /* guards the two below */
    bartizan_server *server;
    const char *second;                         /* what the second answer of the last /double gave */
} probe;

/* routes.c. patience: what a route may block in a read or a write, -1 for ever, 0 not at all. */
bartizan_status route(probe *p, const bartizan_request_view *view, int64_t patience);
bartizan_status route_admin(void *user_data, const bartizan_request_view *view);

/* dispatch.c: callbacks, or queues with their consumers. */
typedef struct dispatch dispatch;
dispatch *dispatch_new(probe *p, size_t queues, size_t consumers);
bartizan_status dispatch_configure(dispatch *d, bartizan_config *config, bartizan_error **error);
int dispatch_start(dispatch *d);                /* after the server: 0, or an errno */
void dispatch_join(dispatch *d);                /* after shutdown: returns when every queue has ended */
void dispatch_free(dispatch *d);

#endif
