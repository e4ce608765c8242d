/* What the probe shows of its server: the --events and --log files, the stats object, the metrics text. */
#ifndef PROBE_OBSERVE_H
#define PROBE_OBSERVE_H

#include <pthread.h>
#include <stdint.h>

#include "bartizan.h"
#include "text.h"

/* A file of whole lines: each is built and written under one lock, in one write. */
typedef struct journal {
    pthread_mutex_t lock;
    int file;                                   /* -1: nothing is wanted */
    uint64_t seq;                               /* of the next event line */
    text line;
} journal;

/* path NULL: every line is dropped. 0, or -1 with errno. */
int journal_open(journal *j, const char *path);
void journal_close(journal *j);

/* Hooks of the library; user_data is the journal. */
void journal_connection(void *user_data, const bartizan_connection_record *record);
void journal_request_end(void *user_data, const bartizan_request_record *record);
void journal_log(void *user_data, const bartizan_log_record *record);

void journal_cancelled(journal *j, bartizan_connection connection, uint32_t stream, uint32_t reason);
void journal_draining(journal *j);

void json_str(text *out, bartizan_str octets);
void json_address(text *out, bartizan_str ip, uint32_t port);
void json_tls(text *out, const bartizan_tls_info *tls);  /* NULL is null */

/* 0, or the library's status. */
bartizan_status stats_print(const bartizan_server *server, text *out);
bartizan_status metrics_print(const bartizan_server *server, text *out);

#endif
