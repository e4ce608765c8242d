/* A growing run of octets, and JSON written into it. No parser, no formatting beyond what the probe's lines need. */
#ifndef PROBE_TEXT_H
#define PROBE_TEXT_H

#include <stddef.h>
#include <stdint.h>

typedef struct text {
    char *at;                                   /* NUL-terminated once anything was added */
    size_t len, cap;
} text;

void text_clear(text *t);                       /* keeps the memory */
void text_free(text *t);
void text_add(text *t, const void *octets, size_t n);
void text_say(text *t, const char *words);
void text_format(text *t, const char *format, ...)
#ifdef __GNUC__
    __attribute__((format(printf, 2, 3)))
#endif
    ;

/* Appends a whole file; 0, or -1 with errno. */
int text_read_file(text *t, const char *path);

/* JSON. A comma goes before every member but the first of its object or array: what stands before decides. */
void json_open(text *t, char bracket);
void json_close(text *t, char bracket);
void json_key(text *t, const char *key);
void json_octets(text *t, const char *octets, size_t n);    /* one octet is one character of Latin-1 */
void json_string(text *t, const char *words);               /* NULL is null */
void json_uint(text *t, uint64_t value);
void json_int(text *t, int64_t value);
void json_raw(text *t, const char *literal);

/* A whole decimal number without sign; 0, or -1. */
int parse_uint(const char *at, size_t len, uint64_t max, uint64_t *value);

#endif
