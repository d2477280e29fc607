/* RFC 1950 and 1951, one bit at a time. */
#include "internal.h"

typedef struct {
    const uint8_t *data;
    size_t size, at;
    uint8_t *raw;
    size_t raw_size, n_raw;
    uint32_t held, n_held;
    int bad;
} stream;

typedef struct {
    uint16_t count[16], symbol[288];
} huffman;

static uint32_t bits(stream *s, uint32_t n) {
    while (s->n_held < n) {
        if (s->at == s->size) {
            s->bad = 1;
            return 0;
        }
        s->held |= (uint32_t)s->data[s->at++] << s->n_held;
        s->n_held += 8;
    }
    uint32_t value = s->held & ((1u << n) - 1);
    s->held >>= n;
    s->n_held -= n;
    return value;
}

static void put(stream *s, uint8_t byte) {
    if (s->n_raw == s->raw_size) s->bad = 1;
    else s->raw[s->n_raw++] = byte;
}

/* Canonical code of some lengths; 0 where they are no code. */
static int build(huffman *h, const uint8_t *lengths, uint32_t n) {
    uint16_t offset[16] = {0};
    int32_t left = 1;
    for (uint32_t l = 0; l < 16; l++) h->count[l] = 0;
    for (uint32_t i = 0; i < n; i++) h->count[lengths[i]]++;
    h->count[0] = 0;
    for (uint32_t l = 1; l < 16; l++) {
        left = 2 * left - h->count[l];
        if (left < 0) return 0;
        if (l < 15) offset[l + 1] = (uint16_t)(offset[l] + h->count[l]);
    }
    for (uint32_t i = 0; i < n; i++)
        if (lengths[i]) h->symbol[offset[lengths[i]]++] = (uint16_t)i;
    return 1;
}

static uint32_t symbol(stream *s, const huffman *h) {
    int32_t code = 0, first = 0, index = 0;
    for (uint32_t l = 1; l < 16 && !s->bad; l++) {
        code |= (int32_t)bits(s, 1);
        if (code - first < h->count[l]) return h->symbol[index + code - first];
        index += h->count[l];
        first = (first + h->count[l]) << 1;
        code <<= 1;
    }
    s->bad = 1;
    return 0;
}

static void block(stream *s, const huffman *literals, const huffman *distances) {
    static const uint16_t base[29] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                      31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
    for (;;) {
        uint32_t found = symbol(s, literals);
        if (s->bad || found == 256) return;
        if (found < 256) {
            put(s, (uint8_t)found);
            continue;
        }
        found -= 257;
        if (found > 28) {
            s->bad = 1;
            return;
        }
        uint32_t length = base[found] + (found < 8 || found == 28 ? 0 : bits(s, found / 4 - 1));
        uint32_t code = symbol(s, distances);
        if (code > 29) s->bad = 1;
        if (s->bad) return;
        size_t distance = code < 4 ? code + 1 : ((2 + code % 2) << (code / 2 - 1)) + 1 + bits(s, code / 2 - 1);
        if (distance > s->n_raw) s->bad = 1;
        while (length-- && !s->bad) put(s, s->raw[s->n_raw - distance]);
        if (s->bad) return;
    }
}

static void dynamic(stream *s) {
    static const uint8_t order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    uint8_t lengths[320] = {0}, small[19] = {0};
    huffman literals, distances;
    uint32_t n_literals = bits(s, 5) + 257, n_distances = bits(s, 5) + 1, n_small = bits(s, 4) + 4;
    for (uint32_t i = 0; i < n_small; i++) small[order[i]] = (uint8_t)bits(s, 3);
    if (s->bad || n_literals > 286 || n_distances > 30 || !build(&literals, small, 19)) {
        s->bad = 1;
        return;
    }
    for (uint32_t i = 0; i < n_literals + n_distances && !s->bad;) {
        uint32_t found = symbol(s, &literals), times = 1;
        uint8_t length = (uint8_t)found;
        if (found == 16) {
            if (!i) s->bad = 1;
            length = i ? lengths[i - 1] : 0;
            times = 3 + bits(s, 2);
        } else if (found > 16) {
            length = 0;
            times = found == 17 ? 3 + bits(s, 3) : 11 + bits(s, 7);
        }
        if (i + times > n_literals + n_distances) s->bad = 1;
        while (times-- && !s->bad) lengths[i++] = length;
    }
    if (s->bad || !lengths[256] || !build(&literals, lengths, n_literals) ||
        !build(&distances, lengths + n_literals, n_distances))
        s->bad = 1;
    else
        block(s, &literals, &distances);
}

static void fixed(stream *s) {
    uint8_t lengths[288], five[30];
    huffman literals, distances;
    for (uint32_t i = 0; i < 288; i++) lengths[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
    for (uint32_t i = 0; i < 30; i++) five[i] = 5;
    build(&literals, lengths, 288);
    build(&distances, five, 30);
    block(s, &literals, &distances);
}

static void stored(stream *s) {
    s->held = s->n_held = 0; /* the rest of a byte; whole bytes are never held */
    if (s->size - s->at < 4 || get16(s->data + s->at) != (get16(s->data + s->at + 2) ^ 0xFFFF)) {
        s->bad = 1;
        return;
    }
    uint32_t n = get16(s->data + s->at);
    s->at += 4;
    if (s->size - s->at < n) s->bad = 1;
    while (n-- && !s->bad) put(s, s->data[s->at++]);
}

int igs_inflate(const uint8_t *data, size_t size, uint8_t *raw, size_t raw_size) {
    stream s = {data, size, 2, raw, raw_size, 0, 0, 0, 0};
    uint32_t a = 1, b = 0, last = 0;
    if (size < 6 || (data[0] & 15) != 8 || data[0] >> 4 > 7 || (data[0] * 256 + data[1]) % 31 || data[1] & 32) return 0;
    while (!last && !s.bad) {
        last = bits(&s, 1);
        switch (bits(&s, 2)) {
        case 0: stored(&s); break;
        case 1: fixed(&s); break;
        case 2: dynamic(&s); break;
        default: s.bad = 1;
        }
    }
    if (s.bad || s.n_raw != raw_size || size - s.at != 4) return 0;
    for (size_t i = 0; i < raw_size; i++) {
        a = (a + raw[i]) % 65521;
        b = (b + a) % 65521;
    }
    const uint8_t *sum = data + s.at;
    return ((uint32_t)sum[0] << 24 | sum[1] << 16 | sum[2] << 8 | sum[3]) == (b << 16 | a);
}
