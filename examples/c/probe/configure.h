/* From the probe's options to the library's objects. */
#ifndef PROBE_CONFIGURE_H
#define PROBE_CONFIGURE_H

#include "bartizan.h"
#include "options.h"
#include "text.h"

/* What a listener presents, its files read anew. *out is NULL for cleartext. 0, or -1 and why. */
int tls_build(const listener_options *l, bartizan_tls **out, text *why);

/* Settings and listeners of the served configuration; no handlers, no hooks. 0, or -1 and why. */
int config_build(const options *o, bartizan_config *config, text *why);

/* The effective settings as one JSON object: numbers in the row's unit, "auto", null for off, choices by name. */
void settings_print(const bartizan_config *config, text *out);

/* 0, or -1 and the library's error moved into why. It takes the error by address because C leaves open which argument is
 * evaluated first. */
int explain(text *why, const char *about, bartizan_status status, bartizan_error **error);

#endif
