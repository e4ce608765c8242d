/* The probe's command line. It is checked for shape here; what a key, a policy or an address may be, the library says. */
#define _POSIX_C_SOURCE 200809L
#include "options.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bartizan.h"
#include "text.h"

static const char USAGE[] =
    "usage: probe [--mode inline|workers|queue] [--queues N] [--consumers N] [--set KEY=TEXT]...\n"
    "             --listen ADDR [listener options] [--listen ADDR [listener options]]...\n"
    "\n"
    "  --mode MODE           who runs the handlers (inline)\n"
    "  --queues N            queues, with --mode queue (1)\n"
    "  --consumers N         threads that drain each queue (1)\n"
    "  --set KEY=TEXT        a setting: of the server, or behind --listen of that listener\n"
    "  --listen ADDR         127.0.0.1:8443, [::1]:0, unix:/path\n"
    "  --listen-fd N         a bound socket instead\n"
    "  --events FILE         one JSON object per connection and request event\n"
    "  --log FILE            the library's log records\n"
    "  --admin ADDR          /metrics and /stats in cleartext, exempt from load caps\n"
    "  --print-settings      the effective settings as JSON, then exit\n"
    "\n"
    "listener options:\n"
    "  --self-signed[=NAME,NAME] | --cert FILE --key FILE | --plaintext\n"
    "  --policy NAME  --groups LIST  --suites LIST  --versions LIST  --alpn LIST\n"
    "  --client-ca FILE  --client-auth off|optional|required\n"
    "  --sni NAME=CERT:KEY[:POLICY]  --set-sni NAME:KEY=TEXT\n"
    "  --trust-proxy CIDR  --ticket-keys FILE\n";

void refuse(const char *format, ...) {
    text line = {0};
    char message[2048];
    size_t i;
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    text_format(&line, "probe: %s", message);
    for (i = 0; i < line.len; i++)
        if (line.at[i] == '\n' || line.at[i] == '\r') line.at[i] = ' ';
    text_say(&line, "\n");
    fputs(line.at, stderr);
    text_free(&line);
    exit(2);
}

/* Room for one more element of `size` octets, zeroed. */
static void *append(void *list, size_t *count, size_t size) {
    char *longer = realloc(list, (*count + 1) * size);
    if (!longer) abort();
    memset(longer + *count * size, 0, size);
    ++*count;
    return longer;
}

/* Cuts `at` at the first `separator`; what follows it, or NULL. */
static char *cut(char *at, char separator) {
    char *found = strchr(at, separator);
    if (found) *found++ = '\0';
    return found;
}

static assignment parse_assignment(const char *option, char *value, int with_name) {
    assignment parsed = {0};
    char *key = value, *text = cut(value, '=');
    if (!text) refuse("%s %s: expected %sKEY=TEXT", option, value, with_name ? "NAME:" : "");
    if (with_name) {
        parsed.server_name = value;
        key = cut(value, ':');
        if (!key) refuse("%s %s: expected NAME:KEY=TEXT", option, value);
    }
    parsed.key = key;
    parsed.text = text;
    return parsed;
}

static named_identity parse_identity(char *value) {
    named_identity parsed = {0};
    char *cert = cut(value, '='), *key = cert ? cut(cert, ':') : NULL;
    if (!key) refuse("--sni %s: expected NAME=CERT:KEY[:POLICY]", value);
    parsed.policy = cut(key, ':');
    parsed.server_name = value;
    parsed.cert = cert;
    parsed.key = key;
    return parsed;
}

static size_t parse_count(const char *option, const char *value, uint64_t least, uint64_t most) {
    uint64_t count;
    if (parse_uint(value, strlen(value), most, &count) || count < least)
        refuse("%s %s: expected a number from %llu to %llu", option, value, (unsigned long long)least,
               (unsigned long long)most);
    return (size_t)count;
}

/* One option whose value was found; 0 if there is no such listener option. */
static int listener_option(listener_options *l, const char *name, char *value) {
    const struct { const char *name, **field; } texts[] = {
        {"--cert", &l->cert}, {"--key", &l->key}, {"--policy", &l->policy}, {"--groups", &l->groups},
        {"--suites", &l->suites}, {"--versions", &l->versions}, {"--alpn", &l->alpn},
        {"--client-ca", &l->client_ca}, {"--client-auth", &l->client_auth}, {"--ticket-keys", &l->ticket_keys},
    };
    size_t i;
    for (i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (strcmp(name, texts[i].name)) continue;
        *texts[i].field = value;
        return 1;
    }
    if (!strcmp(name, "--set-sni")) {
        l->name_settings = append(l->name_settings, &l->name_setting_count, sizeof *l->name_settings);
        l->name_settings[l->name_setting_count - 1] = parse_assignment(name, value, 1);
    } else if (!strcmp(name, "--sni")) {
        l->identities = append(l->identities, &l->identity_count, sizeof *l->identities);
        l->identities[l->identity_count - 1] = parse_identity(value);
    } else if (!strcmp(name, "--trust-proxy")) {
        l->proxies = append(l->proxies, &l->proxy_count, sizeof *l->proxies);
        l->proxies[l->proxy_count - 1] = value;
    } else {
        return 0;
    }
    return 1;
}

static void global_option(options *o, listener_options *current, const char *name, char *value) {
    if (!strcmp(name, "--mode")) {
        if (!strcmp(value, "inline")) o->mode = BARTIZAN_MODE_INLINE;
        else if (!strcmp(value, "workers")) o->mode = BARTIZAN_MODE_WORKERS;
        else if (!strcmp(value, "queue")) o->mode = QUEUES;
        else refuse("--mode %s: expected inline, workers or queue", value);
    } else if (!strcmp(name, "--queues")) {
        o->queues = parse_count(name, value, 1, 256);
    } else if (!strcmp(name, "--consumers")) {
        o->consumers = parse_count(name, value, 1, 256);
    } else if (!strcmp(name, "--set")) {
        assignment **list = current ? &current->settings : &o->settings;
        size_t *count = current ? &current->setting_count : &o->setting_count;
        *list = append(*list, count, sizeof **list);
        (*list)[*count - 1] = parse_assignment(name, value, 0);
    } else if (!strcmp(name, "--listen") || !strcmp(name, "--listen-fd")) {
        o->listeners = append(o->listeners, &o->listener_count, sizeof *o->listeners);
        current = &o->listeners[o->listener_count - 1];
        if (name[8]) current->descriptor = (long)parse_count(name, value, 0, 1 << 20);
        else current->address = value;
    } else if (!strcmp(name, "--events")) {
        o->events = value;
    } else if (!strcmp(name, "--log")) {
        o->log = value;
    } else if (!strcmp(name, "--admin")) {
        o->admin = value;
    } else if (!current) {
        refuse("%s: no such option, or it belongs behind a --listen", name);
    } else if (!listener_option(current, name, value)) {
        refuse("%s: no such option", name);
    }
}

/* Options without a value of their own; 0 if `name` is none of them. */
static int flag(options *o, listener_options *current, const char *name, const char *value) {
    if (!strcmp(name, "--help")) {
        fputs(USAGE, stdout);
        exit(0);
    } else if (!strcmp(name, "--print-settings")) {
        o->print_settings = 1;
    } else if (strcmp(name, "--plaintext") && strcmp(name, "--self-signed")) {
        return 0;
    } else if (!current) {
        refuse("%s belongs behind a --listen", name);
    } else if (!strcmp(name, "--self-signed")) {
        current->self_signed = 1;
        current->names = value;
        return 1;
    } else {
        current->plaintext = 1;
    }
    if (value) refuse("%s takes no value", name);
    return 1;
}

static void check_listener(const listener_options *l) {
    const char *name = l->address ? l->address : "--listen-fd";
    int secured = l->self_signed || l->cert || l->key || l->identity_count;
    if (!l->cert != !l->key) refuse("%s: --cert and --key go together", name);
    if (l->self_signed && l->cert) refuse("%s: either --self-signed or --cert", name);
    if (l->plaintext && secured) refuse("%s: either --plaintext or an identity", name);
    if (l->plaintext && (l->policy || l->groups || l->suites || l->versions || l->alpn || l->client_ca ||
                         l->client_auth || l->ticket_keys))
        refuse("%s: --plaintext has no TLS to configure", name);
    if (!l->plaintext && !secured) refuse("%s: needs --self-signed, --cert and --key, or --plaintext", name);
}

void options_parse(options *out, int argc, char **argv) {
    int i;
    size_t l;
    memset(out, 0, sizeof *out);
    out->mode = BARTIZAN_MODE_INLINE;
    out->queues = out->consumers = 1;
    for (i = 1; i < argc; i++) {
        listener_options *current = out->listener_count ? &out->listeners[out->listener_count - 1] : NULL;
        char *value;
        if (strncmp(argv[i], "--", 2)) refuse("%s: expected an option, see --help", argv[i]);
        value = cut(argv[i], '=');
        if (flag(out, current, argv[i], value)) continue;
        if (!value && i + 1 < argc) {
            global_option(out, current, argv[i], argv[i + 1]);
            i++;
        } else if (value) {
            global_option(out, current, argv[i], value);
        } else {
            refuse("%s: no such option, or its value is missing", argv[i]);
        }
    }
    if (!out->listener_count && !out->print_settings) refuse("nothing to do without --listen, see --help");
    for (l = 0; l < out->listener_count; l++) check_listener(&out->listeners[l]);
}

void options_free(options *o) {
    size_t i;
    for (i = 0; i < o->listener_count; i++) {
        free(o->listeners[i].settings);
        free(o->listeners[i].name_settings);
        free(o->listeners[i].identities);
        free(o->listeners[i].proxies);
    }
    free(o->listeners);
    free(o->settings);
}
