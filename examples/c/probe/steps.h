/* The steps behind the routes that take time: they read, write or wait. */
#ifndef PROBE_STEPS_H
#define PROBE_STEPS_H

#include "flow.h"

/* The hello of every route that answers it. */
extern const bartizan_header TEXT_PLAIN[1];
extern const char HELLO[];
enum { HELLO_LEN = 13 };

void step_inspect(flow *f);
void step_echo(flow *f);
void step_sink(flow *f);
void step_unread(flow *f);                      /* ms */
void step_bytes(flow *f);                       /* limit: how many */
void step_wait(flow *f);                        /* ms */
void step_hang(flow *f);
void step_trailers(flow *f);
void step_sse(flow *f);                         /* ms */

#endif
