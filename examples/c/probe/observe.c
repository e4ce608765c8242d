/* What the probe shows of its server. The shapes are those of the wheel's __init__.pyi: ConnectionEvent, RequestEnd, Stats,
 * TlsRecord. */
#define _POSIX_C_SOURCE 200809L
#include "observe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int journal_open(journal *j, const char *path) {
    memset(j, 0, sizeof *j);
    pthread_mutex_init(&j->lock, NULL);
    j->file = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : -1;
    return path && j->file < 0 ? -1 : 0;
}

void journal_close(journal *j) {
    if (j->file >= 0) close(j->file);
    text_free(&j->line);
    pthread_mutex_destroy(&j->lock);
}

/* One write per line; the loop is for the interrupted and the full disk's short ones. */
static void journal_write(journal *j) {
    size_t done = 0;
    text_say(&j->line, "\n");
    while (done < j->line.len) {
        ssize_t n = write(j->file, j->line.at + done, j->line.len - done);
        if (n < 0 && errno != EINTR) break;
        if (n > 0) done += (size_t)n;
    }
}

static void event_open(journal *j, const char *name) {
    pthread_mutex_lock(&j->lock);
    text_clear(&j->line);
    json_open(&j->line, '{');
    json_key(&j->line, "event");
    json_string(&j->line, name);
    json_key(&j->line, "seq");
    json_uint(&j->line, j->seq++);
}

static void event_close(journal *j) {
    json_close(&j->line, '}');
    journal_write(j);
    pthread_mutex_unlock(&j->lock);
}

static void json_time(text *out, int64_t micros) {
    json_key(out, "time");
    json_int(out, micros / 1000000);
    text_format(out, ".%06d", (int)(micros % 1000000));
}

/* Time per phase that was entered: one with a time, and the one it is in. */
static void json_millis(text *out, const uint64_t *micros, size_t count, int64_t current) {
    size_t phase;
    json_key(out, "millis");
    json_open(out, '{');
    for (phase = 0; phase < count && bartizan_phase_name((uint32_t)phase); phase++) {
        if (!micros[phase] && (int64_t)phase != current) continue;
        json_key(out, bartizan_phase_name((uint32_t)phase));
        json_uint(out, micros[phase] / 1000);
        text_format(out, ".%03u", (unsigned)(micros[phase] % 1000));
    }
    json_close(out, '}');
}

static const char *protocol_name(uint32_t http_version) {
    switch (http_version) {
    case 10: return "http/1.0";
    case 11: return "http/1.1";
    case 20: return "h2";
    default: return NULL;
    }
}

void json_str(text *out, bartizan_str octets) { json_octets(out, octets.ptr, octets.len); }

static void json_optional(text *out, bartizan_str octets) {
    if (octets.len) json_str(out, octets);
    else json_string(out, NULL);
}

void json_address(text *out, bartizan_str ip, uint32_t port) {
    text address = {0};
    if (!ip.len) text_say(&address, "unix:");
    else if (memchr(ip.ptr, ':', ip.len)) text_format(&address, "[%.*s]:%u", (int)ip.len, ip.ptr, (unsigned)port);
    else text_format(&address, "%.*s:%u", (int)ip.len, ip.ptr, (unsigned)port);
    json_octets(out, address.at, address.len);
    text_free(&address);
}

void json_tls(text *out, const bartizan_tls_info *tls) {
    if (!tls) {
        json_string(out, NULL);
        return;
    }
    json_open(out, '{');
    json_key(out, "version");
    json_str(out, tls->version_name);
    json_key(out, "suite");
    json_str(out, tls->suite_name);
    json_key(out, "group");
    json_str(out, tls->group_name);
    json_key(out, "server_name");
    json_optional(out, tls->server_name);
    json_key(out, "alpn");
    json_optional(out, tls->alpn);
    json_key(out, "resumed");
    json_raw(out, tls->resumed ? "true" : "false");
    json_key(out, "peer_certificates");
    json_uint(out, tls->peer_certificates);
    json_close(out, '}');
}

void journal_connection(void *user_data, const bartizan_connection_record *r) {
    journal *j = user_data;
    text *out = &j->line;
    int closed = r->what == BARTIZAN_CONNECTION_CLOSED;
    if (j->file < 0) return;
    event_open(j, closed ? "closed" : "entered");
    json_time(out, r->time_micros);
    json_key(out, "conn");
    json_uint(out, r->connection);
    json_key(out, "listener");
    json_uint(out, r->listener);
    json_key(out, "peer");
    json_address(out, r->peer_ip, r->peer_port);
    json_key(out, "phase");
    json_string(out, bartizan_phase_name(r->phase));
    if (closed) {
        json_key(out, "reason");
        json_string(out, bartizan_reason_name(r->reason));
    }
    json_key(out, "protocol");
    json_string(out, protocol_name(r->http_version));
    json_key(out, "tls");
    json_tls(out, r->tls);
    json_key(out, "bytes_in");
    json_uint(out, r->bytes_in);
    json_key(out, "bytes_out");
    json_uint(out, r->bytes_out);
    json_key(out, "requests");
    json_uint(out, r->requests);
    json_millis(out, r->phase_micros, r->phase_count, r->phase);
    event_close(j);
}

static void json_stream(text *out, uint32_t stream) {
    json_key(out, "stream");
    if (stream) json_uint(out, stream);
    else json_string(out, NULL);
}

void journal_request_end(void *user_data, const bartizan_request_record *r) {
    journal *j = user_data;
    text *out = &j->line;
    if (j->file < 0) return;
    event_open(j, "request");
    json_time(out, r->time_micros);
    json_key(out, "conn");
    json_uint(out, r->connection);
    json_stream(out, r->stream);
    json_key(out, "method");
    json_str(out, r->method);
    json_key(out, "target");
    json_str(out, r->target);
    json_key(out, "status");
    if (r->code) json_uint(out, r->code);
    else json_string(out, NULL);
    json_key(out, "reason");
    json_string(out, bartizan_reason_name(r->reason));
    json_key(out, "bytes_in");
    json_uint(out, r->bytes_in);
    json_key(out, "bytes_out");
    json_uint(out, r->bytes_out);
    json_millis(out, r->phase_micros, r->phase_count, -1);
    event_close(j);
}

void journal_cancelled(journal *j, bartizan_connection connection, uint32_t stream, uint32_t reason) {
    if (j->file < 0) return;
    event_open(j, "cancelled");
    json_key(&j->line, "conn");
    json_uint(&j->line, connection);
    json_stream(&j->line, stream);
    json_key(&j->line, "reason");
    json_string(&j->line, bartizan_reason_name(reason));
    event_close(j);
}

void journal_draining(journal *j) {
    if (j->file < 0) return;
    event_open(j, "draining");
    event_close(j);
}

void journal_log(void *user_data, const bartizan_log_record *r) {
    static const char *const LEVELS[] = {"", "ERROR", "WARN", "INFO", "DEBUG"};
    journal *j = user_data;
    if (j->file < 0) return;
    pthread_mutex_lock(&j->lock);
    text_clear(&j->line);
    text_format(&j->line, "%s %.*s", LEVELS[r->level <= BARTIZAN_LOG_DEBUG ? r->level : 0], (int)r->target.len,
                r->target.ptr);
    if (r->connection) text_format(&j->line, " conn=%llu", (unsigned long long)r->connection);
    text_say(&j->line, " ");
    text_add(&j->line, r->text.ptr, r->text.len);
    journal_write(j);
    pthread_mutex_unlock(&j->lock);
}

static size_t name_count(const char *(*name)(uint32_t)) {
    size_t count = 0;
    while (name((uint32_t)count)) count++;
    return count;
}

static uint64_t json_counts(
        text *out, const char *key, const uint64_t *counts, size_t from, size_t to, const char *(*name)(uint32_t)) {
    uint64_t sum = 0;
    size_t id;
    json_key(out, key);
    json_open(out, '{');
    for (id = from; id < to; id++) {
        json_key(out, name((uint32_t)id));
        json_uint(out, counts[id]);
        sum += counts[id];
    }
    json_close(out, '}');
    return sum;
}

/* The counts are one snapshot and the metrics another, so the three connection counters come from the former: their sums must
 * hold in every answer. */
bartizan_status stats_print(const bartizan_server *server, text *out) {
    size_t phases = name_count(bartizan_phase_name), reasons = name_count(bartizan_reason_name), i;
    uint64_t *counts = calloc(phases + reasons, sizeof *counts), open, closed;
    bartizan_metrics m = {0};
    bartizan_status status;
    if (!counts) return BARTIZAN_E_LIMIT;
    m.struct_size = sizeof m;
    status = bartizan_server_metrics(server, &m);
    if (!status) status = bartizan_server_counts(server, counts, phases, counts + phases, reasons);
    if (!status) {
        const struct { const char *key; uint64_t value; } rest[] = {
            {"handshakes_completed", m.handshakes_completed}, {"handshakes_failed", m.handshakes_failed},
            {"handshakes_resumed", m.handshakes_resumed}, {"handshakes_pending", m.handshakes_pending},
            {"requests_started", m.requests_started}, {"requests_ended", m.requests_ended},
            {"requests_live", m.requests_live}, {"requests_queued", m.requests_queued},
            {"requests_unanswered", m.requests_unanswered}, {"handlers_running", m.handlers_running},
            {"bytes_received", m.bytes_received}, {"bytes_sent", m.bytes_sent}, {"memory_bytes", m.memory_bytes},
            {"descriptors_open", m.descriptors_open}, {"descriptors_limit", m.descriptors_limit},
        };
        json_open(out, '{');
        open = json_counts(out, "phases", counts, 0, phases, bartizan_phase_name);
        closed = json_counts(out, "reasons", counts + phases, 1, reasons, bartizan_reason_name);
        json_key(out, "connections_accepted");
        json_uint(out, open + closed);
        json_key(out, "connections_open");
        json_uint(out, open);
        json_key(out, "connections_closed");
        json_uint(out, closed);
        for (i = 0; i < sizeof rest / sizeof *rest; i++) {
            json_key(out, rest[i].key);
            json_uint(out, rest[i].value);
        }
        json_close(out, '}');
    }
    free(counts);
    return status;
}

bartizan_status metrics_print(const bartizan_server *server, text *out) {
    bartizan_status status;
    char *room = NULL;
    size_t cap = 0, len = 0;
    /* Numbers grow while they are asked for: some slack, and again if it was not enough. */
    while ((status = bartizan_server_metrics_text(server, room, cap, &len)) == BARTIZAN_E_LIMIT) {
        free(room);
        cap = len + 1024;
        room = malloc(cap);
        if (!room) return BARTIZAN_E_LIMIT;
    }
    if (!status) text_add(out, room, len);
    free(room);
    return status;
}
