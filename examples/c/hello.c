/* HTTPS in fifteen lines: make demo, then curl --insecure https://127.0.0.1:8443/. Ctrl-C lets what is in flight finish.
 * Configuration, handler and start are here; below are only the words on the screen and the wait for Ctrl-C. */
#define _POSIX_C_SOURCE 200809L
#include <bartizan.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static sigset_t hold_stop_signals(void);
static int complain(bartizan_error *error);
static void introduce(const bartizan_config *config, const bartizan_server *server);

static bartizan_status hello(void *user_data, const bartizan_request_view *view) {
    bartizan_header type = {{"content-type", 12}, {"text/plain", 10}};
    (void)user_data;
    bartizan_respond(view->request, 200, &type, 1, "Hello, World!\n", 14);
    return bartizan_request_release(view->request);
}

int main(int argc, char **argv) {
    const char *address = argc > 1 ? argv[1] : "127.0.0.1:8443";
    sigset_t stop = hold_stop_signals();
    bartizan_config *config = bartizan_config_new();
    bartizan_tls *tls = bartizan_tls_new();
    bartizan_identity *identity = NULL;
    bartizan_server *server = NULL;
    bartizan_error *error = NULL;
    int signal;

    if (bartizan_identity_self_signed("localhost,127.0.0.1,::1", BARTIZAN_NTS, &identity, &error) ||
        bartizan_tls_identity(tls, NULL, identity, &error) ||
        bartizan_config_set(config, BARTIZAN_HANDSHAKE_TIMEOUT_MS, 10000, &error) ||
        bartizan_config_listen(config, address, tls, NULL, &error) ||
        bartizan_config_handler(config, BARTIZAN_MODE_INLINE, hello, NULL, NULL, &error) ||
        bartizan_server_start(config, &server, &error))
        return complain(error);
    introduce(config, server);

    sigwait(&stop, &signal);
    bartizan_server_shutdown(server, -1);
    bartizan_server_wait(server, -1);
    bartizan_server_free(server);
    bartizan_config_free(config);
    bartizan_tls_free(tls);
    bartizan_identity_free(identity);
    return 0;
}

/* Blocked before the library starts its threads, so that every thread leaves Ctrl-C to sigwait. */
static sigset_t hold_stop_signals(void) {
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGTERM);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    return stop;
}

static int complain(bartizan_error *error) {
    fprintf(stderr, "hello: %s\n", bartizan_error_message(error));
    bartizan_error_free(error);
    return 1;
}

/* The name at `index` of a comma separated list. */
static void print_choice(const char *choices, int64_t index) {
    while (index-- > 0) choices = strchr(choices, ',') + 1;
    printf("%.*s\n", (int)strcspn(choices, ","), choices);
}

static void print_setting(const bartizan_config *config, const bartizan_setting *row) {
    int64_t value;
    if (bartizan_config_get(config, row->key, &value, NULL)) return;
    printf("  %-30s ", row->key);
    if (row->choices) print_choice(row->choices, value);
    else if (!strcmp(row->unit, "switch")) puts(value ? "on" : "off");
    else if (value == BARTIZAN_OFF) puts("off");
    else if (value == BARTIZAN_AUTO) puts("auto");
    else if (!strcmp(row->unit, "count")) printf("%" PRId64 "\n", value);
    else printf("%" PRId64 " %s\n", value, row->unit);
}

static void introduce(const bartizan_config *config, const bartizan_server *server) {
    bartizan_setting row;
    char address[256];
    size_t i, len;
    puts("Limits in force:");
    for (i = 0; memset(&row, 0, sizeof row), row.struct_size = sizeof row, !bartizan_setting_at(i, &row); i++)
        print_setting(config, &row);
    bartizan_server_address(server, 0, address, sizeof address, &len);
    printf("\nServing with a development identity; Ctrl-C drains and stops. Try:\n\n  curl --insecure https://%s/\n\n",
           address);
    fflush(stdout);
}
