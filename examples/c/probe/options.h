/* The probe's command line as data. Texts point into argv, which the parser cuts at its separators. */
#ifndef PROBE_OPTIONS_H
#define PROBE_OPTIONS_H

#include <stddef.h>

/* KEY=TEXT, and with a server name NAME:KEY=TEXT. */
typedef struct assignment {
    const char *server_name, *key, *text;
} assignment;

/* --sni NAME=CERT:KEY[:POLICY] */
typedef struct named_identity {
    const char *server_name, *cert, *key, *policy;
} named_identity;

typedef struct listener_options {
    const char *address;                        /* NULL: a descriptor */
    long descriptor;
    int plaintext, self_signed;
    const char *names, *cert, *key;
    const char *policy, *groups, *suites, *versions, *alpn, *client_ca, *client_auth, *ticket_keys;
    assignment *settings, *name_settings;
    size_t setting_count, name_setting_count;
    named_identity *identities;
    size_t identity_count;
    const char **proxies;
    size_t proxy_count;
} listener_options;

enum { QUEUES = 3 };                            /* the third mode, beside BARTIZAN_MODE_INLINE and _WORKERS */

typedef struct options {
    unsigned mode;
    size_t queues, consumers;                   /* consumers of each queue */
    assignment *settings;
    size_t setting_count;
    listener_options *listeners;
    size_t listener_count;
    const char *events, *log, *admin;
    int print_settings;
} options;

/* Exits 2 with one line if the line makes no sense, 0 after --help. */
void options_parse(options *out, int argc, char **argv);
void options_free(options *o);

/* One line on stderr, then exit 2: bad usage or configuration. */
#ifdef __GNUC__
__attribute__((noreturn, format(printf, 1, 2)))
#endif
void refuse(const char *format, ...);

#endif
