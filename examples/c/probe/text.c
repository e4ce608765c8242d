/* A growing run of octets, and JSON written into it. A probe that has no memory left has nothing to report: it aborts. */
#define _POSIX_C_SOURCE 200809L
#include "text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void reserve(text *t, size_t more) {
    size_t cap = t->cap ? t->cap : 256;
    if (t->len + more + 1 <= t->cap) return;
    while (cap < t->len + more + 1) cap *= 2;
    t->at = realloc(t->at, cap);
    if (!t->at) abort();
    t->cap = cap;
}

void text_clear(text *t) { t->len = 0; }

void text_free(text *t) {
    free(t->at);
    memset(t, 0, sizeof *t);
}

void text_add(text *t, const void *octets, size_t n) {
    reserve(t, n);
    if (n) memcpy(t->at + t->len, octets, n);
    t->len += n;
    t->at[t->len] = '\0';
}

void text_say(text *t, const char *words) { text_add(t, words, strlen(words)); }

void text_format(text *t, const char *format, ...) {
    size_t room;
    int need;
    va_list args;
    reserve(t, 1);
    room = t->cap - t->len;
    va_start(args, format);
    need = vsnprintf(t->at + t->len, room, format, args);
    va_end(args);
    if (need < 0) abort();
    if ((size_t)need >= room) {
        reserve(t, (size_t)need);
        va_start(args, format);
        vsnprintf(t->at + t->len, (size_t)need + 1, format, args);
        va_end(args);
    }
    t->len += (size_t)need;
}

int text_read_file(text *t, const char *path) {
    FILE *file = fopen(path, "rb");
    char block[4096];
    size_t n;
    int failed, why;
    if (!file) return -1;
    errno = 0;
    while ((n = fread(block, 1, sizeof block, file)) > 0) text_add(t, block, n);
    failed = ferror(file);
    why = errno;
    fclose(file);
    errno = why;
    return failed ? -1 : 0;
}

static void json_separate(text *t) {
    if (t->len && !strchr("{[:", t->at[t->len - 1])) text_add(t, ",", 1);
}

void json_open(text *t, char bracket) {
    json_separate(t);
    text_add(t, &bracket, 1);
}

void json_close(text *t, char bracket) { text_add(t, &bracket, 1); }

void json_key(text *t, const char *key) {
    json_string(t, key);
    text_add(t, ":", 1);
}

void json_octets(text *t, const char *octets, size_t n) {
    size_t i, plain = 0;
    json_separate(t);
    text_add(t, "\"", 1);
    for (i = 0; i < n; i++) {
        unsigned char octet = (unsigned char)octets[i];
        if (octet >= 0x20 && octet < 0x7f && octet != '"' && octet != '\\') continue;
        text_add(t, octets + plain, i - plain);
        text_format(t, "\\u%04x", octet);
        plain = i + 1;
    }
    if (n) text_add(t, octets + plain, n - plain);
    text_add(t, "\"", 1);
}

void json_string(text *t, const char *words) {
    if (words) json_octets(t, words, strlen(words));
    else json_raw(t, "null");
}

void json_uint(text *t, uint64_t value) {
    json_separate(t);
    text_format(t, "%llu", (unsigned long long)value);
}

void json_int(text *t, int64_t value) {
    json_separate(t);
    text_format(t, "%lld", (long long)value);
}

void json_raw(text *t, const char *literal) {
    json_separate(t);
    text_say(t, literal);
}

int parse_uint(const char *at, size_t len, uint64_t max, uint64_t *value) {
    uint64_t sum = 0;
    size_t i;
    if (!len) return -1;
    for (i = 0; i < len; i++) {
        unsigned digit = (unsigned)(unsigned char)at[i] - '0';
        if (digit > 9 || sum > (max - digit) / 10) return -1;
        sum = sum * 10 + digit;
    }
    *value = sum;
    return 0;
}
