/* SHA-256 (FIPS 180-4), so that the probe depends on nothing but the library. */
#ifndef PROBE_SHA256_H
#define PROBE_SHA256_H

#include <stddef.h>
#include <stdint.h>

typedef struct sha256 {
    uint32_t state[8];
    uint64_t length;                            /* octets so far */
    unsigned char block[64];
} sha256;

void sha256_init(sha256 *sum);
void sha256_add(sha256 *sum, const void *octets, size_t n);
void sha256_hex(sha256 *sum, char hex[65]);     /* ends the sum; NUL-terminated */

#endif
