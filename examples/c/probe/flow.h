/* A request that outlives its callback, as a machine of steps that is the same in every mode. A step does what can be done now,
 * then waits for one thing (content, room, time), or ends the flow; the next event continues it.
 *
 * Events are posted from any thread, also while a step runs and from inside it: whoever finds the flow at rest runs it, everyone
 * else only leaves a mark. So no lock is held across a call of the library, and a reactor never waits for a worker. */
#ifndef PROBE_FLOW_H
#define PROBE_FLOW_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "bartizan.h"
#include "sha256.h"
#include "text.h"

enum {
    FLOW_START = 1,
    FLOW_BODY = 2,
    FLOW_ROOM = 4,
    FLOW_TIME = 8,
    FLOW_CANCEL = 16,                           /* an answer may still go out after peer.closed */
    FLOW_DONE = 32                              /* nothing can */
};

struct probe;
typedef struct flow flow;
typedef void (*flow_step)(flow *f);

struct flow {
    pthread_mutex_t lock;                       /* guards the next four */
    unsigned refs, happened;
    int running;
    uint32_t cancel_reason;
    flow *next;                                 /* guarded by the table */

    struct probe *probe;
    bartizan_request request;
    const bartizan_request_view *view;          /* until the flow ends */
    bartizan_connection connection;
    uint32_t stream;

    /* From here on: only the step that runs. */
    flow_step step;
    int64_t patience;                           /* of the thread that runs: -1 may block, 0 not */
    int ended, leaves_with_peer, begun;
    uint64_t ms, count, limit;
    sha256 sum;
    text out;
    size_t out_done;
    char *held;                                 /* content that a blocking read has taken */
    size_t held_at, held_len;
};

/* The flows of --mode queue by request id: events may come later than the end of their flow, and out of order between two
 * consumers, so they carry no pointer. */
typedef struct flow_table {
    pthread_mutex_t lock;
    flow *buckets[1024];
} flow_table;

void flow_table_init(flow_table *table);
void flow_table_destroy(flow_table *table);

/* Takes over the request's reference; set up the fields, then run it. */
flow *flow_new(struct probe *p, const bartizan_request_view *view, flow_step step);
void flow_run(flow *f, int64_t patience);

void flow_post(flow *f, unsigned what, int64_t patience);
void flow_ref(flow *f);
void flow_unref(flow *f);

/* An event of a queue; requests that have no flow are passed over. */
void flow_queue_event(struct probe *p, const bartizan_event *event);

/* For steps. After AGAIN, and after flow_wait, return: the event is ordered. After any other failure: end. */
bartizan_status flow_peek(flow *f, const void **octets, size_t *n);   /* OK, EOF, AGAIN, or < 0 */
bartizan_status flow_consume(flow *f, size_t n);
bartizan_status flow_write(flow *f, const void *octets, size_t n, size_t *taken);
void flow_wait(flow *f, uint64_t ms);
void flow_end(flow *f);                         /* releases the request */

#endif
