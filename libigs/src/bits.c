/* Section 6.8. */
#include "bits.h"

static uint32_t next_byte(igs_bits *bits) {
    uint32_t byte = bits->at < bits->size ? bits->data[bits->at] : 0;
    bits->at++;
    return byte;
}

static uint32_t narrow(igs_bits *bits, uint32_t split) {
    uint32_t bit = bits->code >= split;
    if (bit) {
        bits->code -= split;
        bits->span -= split;
    } else {
        bits->span = split;
    }
    while (bits->span < 1u << 24) {
        bits->span <<= 8;
        bits->code = bits->code << 8 | next_byte(bits);
    }
    return bit;
}

static uint32_t learned(igs_bits *bits, igs_context *c) {
    uint32_t bit = narrow(bits, (bits->span >> 12) * ((c->zeros << 12) / (c->zeros + c->ones)));
    if (bit) c->ones += 2;
    else c->zeros += 2;
    if (c->zeros + c->ones > 512) {
        c->zeros = (c->zeros + 1) >> 1;
        c->ones = (c->ones + 1) >> 1;
    }
    return bit;
}

int64_t igs_plain(igs_bits *bits, uint32_t n_bits) {
    int64_t value = 0;
    while (n_bits--) value = value << 1 | narrow(bits, bits->span >> 1);
    return value;
}

int64_t igs_magnitude(igs_bits *bits, igs_numbers *stream) {
    uint32_t o = 0;
    while (!bits->bad && learned(bits, &stream->more[o])) bits->bad |= ++o > MAX_ORDER;
    if (!o || bits->bad) return 0;
    int64_t top = 2 | learned(bits, &stream->upper[o]);
    return (top << (o - 1) | igs_plain(bits, o - 1)) - 1;
}

int64_t igs_number(igs_bits *bits, igs_numbers *stream) {
    int64_t value = igs_magnitude(bits, stream);
    return value && igs_plain(bits, 1) ? -value : value;
}

void igs_begin_bits(igs_bits *bits, const uint8_t *data, size_t size, igs_numbers *streams, uint32_t n) {
    *bits = (igs_bits){data, size, 0, 0xFFFFFFFFu, 0, 0};
    for (int i = 0; i < 4; i++) bits->code = bits->code << 8 | next_byte(bits);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t o = 0; o <= MAX_ORDER; o++) streams[i].more[o] = streams[i].upper[o] = (igs_context){1, 1};
}
