/* Section 6.8: numbers from adaptive bits. */
#ifndef IGS_BITS_H
#define IGS_BITS_H
#include "internal.h"

enum { MAX_ORDER = 30 };

typedef struct {
    uint32_t zeros, ones;
} igs_context;

typedef struct { /* a stream */
    igs_context more[MAX_ORDER + 1], upper[MAX_ORDER + 1];
} igs_numbers;

typedef struct {
    const uint8_t *data;
    size_t size, at; /* `at` is beyond `size` where bytes of 0 have been taken */
    uint32_t span, code;
    int bad;
} igs_bits;

/* Takes the first four bytes, and sets all contexts of n streams to their first state. */
void igs_begin_bits(igs_bits *bits, const uint8_t *data, size_t size, igs_numbers *streams, uint32_t n);
int64_t igs_plain(igs_bits *bits, uint32_t n_bits);
/* 0 after an error, which `bad` tells. */
int64_t igs_magnitude(igs_bits *bits, igs_numbers *stream);
int64_t igs_number(igs_bits *bits, igs_numbers *stream);

#endif
