/* From the probe's options to the library's objects. What is wrong with a value, the library's own message tells. */
#define _POSIX_C_SOURCE 200809L
#include "configure.h"

#include <errno.h>
#include <string.h>

static const char DEVELOPMENT_NAMES[] = "localhost,127.0.0.1,::1";

int explain(text *why, const char *about, bartizan_status status, bartizan_error **error) {
    if (status >= 0) return 0;
    if (about) text_format(why, "%s: ", about);
    text_say(why, *error ? bartizan_error_message(*error) : bartizan_status_name(status));
    bartizan_error_free(*error);
    *error = NULL;
    return -1;
}

static int read_file(text *into, const char *path, text *why) {
    if (!text_read_file(into, path)) return 0;
    text_format(why, "%s: %s", path, strerror(errno));
    return -1;
}

static int identity_from_files(
        bartizan_tls *tls, const char *server_name, const char *cert, const char *key, text *why) {
    text chain = {0}, secret = {0};
    bartizan_identity *identity = NULL;
    bartizan_error *error = NULL;
    int failed = read_file(&chain, cert, why) || read_file(&secret, key, why);
    if (!failed)
        failed = explain(why, cert, bartizan_identity_from_pem(chain.at, chain.len, secret.at, secret.len,
                                                               &identity, &error), &error);
    if (!failed)
        failed = explain(why, cert, bartizan_tls_identity(tls, server_name, identity, &error), &error);
    bartizan_identity_free(identity);
    text_free(&chain);
    text_free(&secret);
    return failed;
}

static int identity_self_signed(bartizan_tls *tls, const char *names, text *why) {
    bartizan_identity *identity = NULL;
    bartizan_error *error = NULL;
    int failed = explain(why, "--self-signed", bartizan_identity_self_signed(names, BARTIZAN_NTS, &identity, &error),
                         &error);
    if (!failed)
        failed = explain(why, "--self-signed", bartizan_tls_identity(tls, NULL, identity, &error), &error);
    bartizan_identity_free(identity);
    return failed;
}

static int client_auth(bartizan_tls *tls, const listener_options *l, text *why) {
    static const char *const MODES[] = {"off", "optional", "required"};
    const char *name = l->client_auth ? l->client_auth : l->client_ca ? "required" : "off";
    text ca = {0};
    bartizan_error *error = NULL;
    uint32_t mode = 0;
    int failed;
    while (mode < 3 && strcmp(name, MODES[mode])) mode++;
    if (mode == 3) {
        text_format(why, "--client-auth %s: expected off, optional or required", name);
        return -1;
    }
    failed = l->client_ca && read_file(&ca, l->client_ca, why);
    if (!failed)
        failed = explain(why, "--client-auth", bartizan_tls_client_auth(tls, mode, ca.at, ca.len, &error), &error);
    text_free(&ca);
    return failed;
}

/* What holds for every name of a listener. A policy resets the lists, so it goes first; a name with a policy of its own takes
 * that policy's lists too. */
static int tls_rules(bartizan_tls *tls, const listener_options *l, const char *own_policy, text *why) {
    const char *policy = own_policy ? own_policy : l->policy;
    const struct {
        const char *option, *list;
        bartizan_status (*set)(bartizan_tls *, const char *, size_t, bartizan_error **);
    } lists[] = {
        {"--groups", l->groups, bartizan_tls_groups},
        {"--suites", l->suites, bartizan_tls_suites},
        {"--versions", l->versions, bartizan_tls_versions},
    };
    size_t i;
    bartizan_error *error = NULL;
    if (policy && explain(why, "--policy", bartizan_tls_policy(tls, policy, &error), &error)) return -1;
    for (i = 0; !own_policy && i < sizeof lists / sizeof *lists; i++) {
        if (!lists[i].list) continue;
        if (explain(why, lists[i].option, lists[i].set(tls, lists[i].list, BARTIZAN_NTS, &error), &error)) return -1;
    }
    return client_auth(tls, l, why);
}

static int ticket_keys(bartizan_tls *tls, const char *path, text *why) {
    text keys = {0};
    bartizan_error *error = NULL;
    int failed = read_file(&keys, path, why);
    if (!failed && (!keys.len || keys.len % BARTIZAN_TICKET_KEY_LEN)) {
        text_format(why, "%s: expected keys of %u octets each", path, BARTIZAN_TICKET_KEY_LEN);
        failed = -1;
    }
    if (!failed)
        failed = explain(why, path, bartizan_tls_ticket_keys(tls, keys.at, keys.len / BARTIZAN_TICKET_KEY_LEN, &error),
                         &error);
    text_free(&keys);
    return failed;
}

static int tls_named(bartizan_tls *tls, const listener_options *l, const named_identity *named, text *why) {
    bartizan_tls *other = bartizan_tls_new();
    bartizan_error *error = NULL;
    int failed = tls_rules(other, l, named->policy, why) ||
                 identity_from_files(other, NULL, named->cert, named->key, why) ||
                 explain(why, named->server_name, bartizan_tls_server_name(tls, named->server_name, other, &error),
                         &error);
    bartizan_tls_free(other);
    return failed;
}

int tls_build(const listener_options *l, bartizan_tls **out, text *why) {
    bartizan_tls *tls;
    bartizan_error *error = NULL;
    size_t i;
    int failed;
    *out = NULL;
    if (l->plaintext) return 0;
    tls = bartizan_tls_new();
    failed = tls_rules(tls, l, NULL, why);
    if (!failed && l->alpn)
        failed = explain(why, "--alpn", bartizan_tls_alpn(tls, l->alpn, BARTIZAN_NTS, &error), &error);
    if (!failed && l->self_signed)
        failed = identity_self_signed(tls, l->names ? l->names : DEVELOPMENT_NAMES, why);
    if (!failed && l->cert) failed = identity_from_files(tls, NULL, l->cert, l->key, why);
    for (i = 0; !failed && i < l->identity_count; i++) failed = tls_named(tls, l, &l->identities[i], why);
    if (!failed && l->ticket_keys) failed = ticket_keys(tls, l->ticket_keys, why);
    if (failed) {
        bartizan_tls_free(tls);
        return -1;
    }
    *out = tls;
    return 0;
}

static int listener_build(const listener_options *l, bartizan_config *config, text *why) {
    bartizan_tls *tls;
    bartizan_error *error = NULL;
    uint32_t index = 0;
    size_t i;
    int failed;
    if (tls_build(l, &tls, why)) return -1;
    if (l->address)
        failed = explain(why, NULL, bartizan_config_listen(config, l->address, tls, &index, &error), &error);
    else
        failed = explain(why, "--listen-fd", bartizan_config_listen_fd(config, l->descriptor, tls, &index, &error), &error);
    bartizan_tls_free(tls);
    for (i = 0; !failed && i < l->setting_count; i++)
        failed = explain(why, NULL,
                         bartizan_config_listener_set_text(config, index, l->settings[i].key, l->settings[i].text,
                                                           BARTIZAN_NTS, &error), &error);
    for (i = 0; !failed && i < l->name_setting_count; i++)
        failed = explain(why, NULL,
                         bartizan_config_server_name_set_text(config, index, l->name_settings[i].server_name,
                                                              l->name_settings[i].key, l->name_settings[i].text,
                                                              BARTIZAN_NTS, &error), &error);
    for (i = 0; !failed && i < l->proxy_count; i++)
        failed = explain(why, "--trust-proxy", bartizan_config_trust_proxy(config, index, l->proxies[i], &error), &error);
    return failed;
}

int config_build(const options *o, bartizan_config *config, text *why) {
    bartizan_error *error = NULL;
    size_t i;
    for (i = 0; i < o->setting_count; i++)
        if (explain(why, NULL, bartizan_config_set_text(config, o->settings[i].key, o->settings[i].text, BARTIZAN_NTS,
                                                        &error), &error))
            return -1;
    for (i = 0; i < o->listener_count; i++)
        if (listener_build(&o->listeners[i], config, why)) return -1;
    return 0;
}

/* The name at `index` of a comma separated list. */
static void choice_name(text *out, const char *choices, int64_t index) {
    while (index-- > 0) choices = strchr(choices, ',') + 1;
    json_octets(out, choices, strcspn(choices, ","));
}

void settings_print(const bartizan_config *config, text *out) {
    bartizan_setting row;
    size_t i;
    json_open(out, '{');
    for (i = 0; memset(&row, 0, sizeof row), row.struct_size = sizeof row, !bartizan_setting_at(i, &row); i++) {
        int64_t value;
        if (bartizan_config_get(config, row.key, &value, NULL)) continue;
        json_key(out, row.key);
        if (row.choices) choice_name(out, row.choices, value);
        else if (value == BARTIZAN_OFF) json_string(out, NULL);
        else if (value == BARTIZAN_AUTO) json_string(out, "auto");
        else json_int(out, value);
    }
    json_close(out, '}');
    text_say(out, "\n");
}
