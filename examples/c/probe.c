/* The probe: a small server that shows everything the library does, for black-box checks. Here: start, signals, reload, stop.
 * Its options are probe/options.c, its routes probe/routes.c and probe/steps.c, its events probe/observe.c. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bartizan.h"
#include "probe/configure.h"
#include "probe/options.h"
#include "probe/probe.h"

enum {
    GLANCE_MS = 20,                             /* between two looks for a second signal while the server drains */
    STOP_MS = 2000,                             /* most that a forced stop waits for the last events */
    FORCED = 130                                /* exit code of a forced stop: 128 + SIGINT, as shells count */
};

/* ---- start ---- */

/* Signals are taken by sigwait in the main thread; every thread inherits the mask. An ignored SIGINT, as background jobs of a
 * shell have, would never arrive. */
static sigset_t take_signals(void) {
    static const int TAKEN[] = {SIGINT, SIGTERM, SIGHUP};
    sigset_t set;
    size_t i;
    sigemptyset(&set);
    for (i = 0; i < sizeof TAKEN / sizeof *TAKEN; i++) {
        signal(TAKEN[i], SIG_DFL);
        sigaddset(&set, TAKEN[i]);
    }
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    return set;
}

static void must(bartizan_status status, bartizan_error **error) {
    text why = {0};
    if (explain(&why, NULL, status, error)) refuse("%s", why.at);
}

static bartizan_config *configure(const options *o) {
    bartizan_config *config = bartizan_config_new();
    text why = {0};
    if (config_build(o, config, &why)) refuse("%s", why.at);
    return config;
}

static void print_settings(const bartizan_config *config) {
    text out = {0};
    settings_print(config, &out);
    fputs(out.at, stdout);
    text_free(&out);
}

static void start(probe *p, const options *o, bartizan_config *config, dispatch *d) {
    bartizan_server *server;
    bartizan_error *error = NULL;
    must(dispatch_configure(d, config, &error), &error);
    if (o->events) {
        must(bartizan_config_on_connection(config, journal_connection, &p->events, NULL, &error), &error);
        must(bartizan_config_on_request_end(config, journal_request_end, &p->events, NULL, &error), &error);
    }
    if (o->log) must(bartizan_config_on_log(config, BARTIZAN_LOG_DEBUG, journal_log, &p->log, NULL, &error), &error);
    must(bartizan_server_start(config, &server, &error), &error);
    pthread_mutex_lock(&p->lock);
    p->server = server;
    pthread_mutex_unlock(&p->lock);
    if (dispatch_start(d)) refuse("cannot start the consumers");
}

/* A server of its own: what it serves is neither counted nor slowed by what the other one suffers. */
static bartizan_server *start_admin(probe *p, const char *address) {
    bartizan_config *config = bartizan_config_new();
    bartizan_server *admin = NULL;
    bartizan_error *error = NULL;
    must(bartizan_config_set(config, BARTIZAN_IO_THREADS, 1, &error), &error);
    must(bartizan_config_listen(config, address, NULL, NULL, &error), &error);
    must(bartizan_config_handler(config, BARTIZAN_MODE_INLINE, route_admin, p, NULL, &error), &error);
    must(bartizan_server_start(config, &admin, &error), &error);
    bartizan_config_free(config);
    return admin;
}

static void print_address(const bartizan_server *server, uint32_t listener, const char *scheme) {
    char address[512];
    size_t len;
    if (bartizan_server_address(server, listener, address, sizeof address, &len)) refuse("a listener has no address");
    printf("listening %s%s\n", strncmp(address, "unix:", 5) ? scheme : "", address);
}

/* ---- reload ---- */

/* Everything is read and checked before anything is replaced. */
static int reload(bartizan_server *server, const options *o, text *why) {
    bartizan_tls **fresh = calloc(o->listener_count, sizeof *fresh);
    bartizan_error *error = NULL;
    size_t i;
    int failed = 0;
    if (!fresh) abort();
    for (i = 0; !failed && i < o->listener_count; i++) failed = tls_build(&o->listeners[i], &fresh[i], why);
    for (i = 0; !failed && i < o->listener_count; i++)
        if (fresh[i])
            failed = explain(why, NULL, bartizan_server_update_tls(server, (uint32_t)i, fresh[i], &error), &error);
    for (i = 0; i < o->listener_count; i++) bartizan_tls_free(fresh[i]);
    free(fresh);
    return failed;
}

static void reload_and_tell(bartizan_server *server, const options *o) {
    text why = {0};
    size_t i;
    if (reload(server, o, &why)) {
        for (i = 0; i < why.len; i++)
            if (why.at[i] == '\n') why.at[i] = ' ';
        printf("reload failed: %s\n", why.at);
    } else {
        puts("reloaded");
    }
    fflush(stdout);
    text_free(&why);
}

/* ---- stop ---- */

static int is_stop(int signal) { return signal == SIGINT || signal == SIGTERM; }

static void await_stop(const sigset_t *signals, bartizan_server *server, const options *o) {
    int signal = 0;
    while (sigwait(signals, &signal) || !is_stop(signal))
        if (signal == SIGHUP) reload_and_tell(server, o);
}

/* 0 when everything ended by itself, FORCED after a second signal. */
static int drain(const sigset_t *signals, bartizan_server *server) {
    static const struct timespec AT_ONCE = {0, 0};
    bartizan_server_shutdown(server, -1);
    while (bartizan_server_wait(server, GLANCE_MS) == BARTIZAN_E_TIMEOUT) {
        if (!is_stop(sigtimedwait(signals, NULL, &AT_ONCE))) continue;
        bartizan_server_shutdown(server, 0);
        /* A handler that does not return cannot be ended; the process can. */
        if (bartizan_server_wait(server, STOP_MS)) exit(FORCED);
        return FORCED;
    }
    return 0;
}

int main(int argc, char **argv) {
    sigset_t signals = take_signals();
    options o;
    probe p;
    dispatch *d;
    bartizan_config *config;
    bartizan_server *admin;
    size_t i;
    int code;

    options_parse(&o, argc, argv);
    config = configure(&o);
    if (o.print_settings) {
        print_settings(config);
        bartizan_config_free(config);
        options_free(&o);
        return 0;
    }

    memset(&p, 0, sizeof p);
    p.mode = o.mode;
    pthread_mutex_init(&p.lock, NULL);
    flow_table_init(&p.flows);
    if (journal_open(&p.events, o.events)) refuse("%s: %s", o.events, strerror(errno));
    if (journal_open(&p.log, o.log)) refuse("%s: %s", o.log, strerror(errno));
    if (timer_start(&p.timer)) refuse("cannot start the timer");
    d = dispatch_new(&p, o.queues, o.consumers);
    start(&p, &o, config, d);
    bartizan_config_free(config);
    admin = o.admin ? start_admin(&p, o.admin) : NULL;
    for (i = 0; i < o.listener_count; i++)
        print_address(p.server, (uint32_t)i, o.listeners[i].plaintext ? "http://" : "https://");
    if (admin) print_address(admin, 0, "http://");
    puts("ready");
    fflush(stdout);

    await_stop(&signals, p.server, &o);
    journal_draining(&p.events);
    code = drain(&signals, p.server);
    dispatch_join(d);
    timer_stop(&p.timer);
    if (admin) {
        bartizan_server_shutdown(admin, 0);
        bartizan_server_wait(admin, STOP_MS);
        bartizan_server_free(admin);
    }
    bartizan_server_free(p.server);
    dispatch_free(d);
    journal_close(&p.log);
    journal_close(&p.events);
    flow_table_destroy(&p.flows);
    pthread_mutex_destroy(&p.lock);
    options_free(&o);
    return code;
}
