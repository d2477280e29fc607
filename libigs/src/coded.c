/* Section 9. */
#include "internal.h"

typedef struct {
    const uint8_t *data;
    size_t size, at;
    uint32_t state;
    uint64_t held; /* of the bytes before `at`, when bits are read */
    uint32_t n_held;
    int bad;
} page_stream;

static uint32_t token(page_stream *p, const igs_table *table) {
    uint32_t slot = p->state % SLOTS, t = table->token_of[slot];
    p->state = table->count[t] * (p->state >> 12) + slot - table->start[t];
    if (p->state < 1u << 16) {
        if (p->size - p->at < 2) {
            p->bad = 1;
            p->state = 1u << 16;
            return t;
        }
        p->state = p->state << 16 | get16(p->data + p->at);
        p->at += 2;
    }
    return t;
}

static uint64_t number(page_stream *p, uint32_t n_bits) {
    while (p->n_held < n_bits) {
        if (p->at == p->size) {
            p->bad = 1;
            return 0;
        }
        p->held |= (uint64_t)p->data[p->at++] << p->n_held;
        p->n_held += 8;
    }
    uint64_t value = p->held & ((UINT64_C(1) << n_bits) - 1);
    p->held >>= n_bits;
    p->n_held -= n_bits;
    return value;
}

/* The value of a token t for split b, with the bits that come after it; 0 after an error. */
static int64_t value_of(page_stream *p, uint32_t t, uint32_t b, const igs_table *table, int64_t low, int64_t high) {
    int64_t v = t;
    if (t >= 1u << b) {
        uint32_t o = b + (t - (1u << b)) / 4;
        if (o > 31) {
            p->bad = 1;
            return 0;
        }
        v = (int64_t)(4 + (t - (1u << b)) % 4) << (o - 2);
        v += (int64_t)number(p, o - 2);
    }
    v += table->low;
    if (v >= low && v <= high) return v;
    p->bad = 1;
    return 0;
}

igs_status igs_decode_coded(igs_file *file, const igs_set *set, const igs_entry *page, const uint8_t *data,
                            igs_gaussian *g, float *features) {
    const igs_quantiser *quan = set->quantiser;
    const igs_table *table = quan->table;
    uint32_t n = page->n_gaussians, C = file->n_channels, side_bits = 0;
    page_stream p = {data, page->n_bytes, 4, 0, 0, 0, 0};
    uint16_t *tokens; /* gaps, narrow scales, elongations, each feature */
    TAKE(tokens, &file->scratch, (uint64_t)n * (3 + C));
    CHECK(p.size >= 4, IGS_CORRUPT_FIELD, "a page ends early");
    p.state = get32(data);
    CHECK_N(p.state >= 1u << 16, IGS_CORRUPT_FIELD, "a page begins with state #", p.state);
    for (uint32_t column = 0; column < 3 + C; column++)
        for (uint32_t i = column == 0; i < n; i++) tokens[(size_t)column * n + i] = (uint16_t)token(&p, &table[column]);
    CHECK(!p.bad, IGS_CORRUPT_FIELD, "a page ends early");
    CHECK_N(p.state == 1u << 16, IGS_CORRUPT_FIELD, "a page ends with state #", p.state);

    uint32_t side = set->width > set->height ? set->width : set->height;
    while ((side - 1) >> quan->cell_log2[page->generation] >> side_bits) side_bits++;
    int64_t z = 0;
    for (uint32_t i = 0; i < n; i++) {
        double transformed[MAX_CHANNELS];
        int64_t narrow = value_of(&p, tokens[n + i], 8, &table[1], -32768, 32768);
        int64_t elongation = value_of(&p, tokens[2 * (size_t)n + i], 8, &table[2], 0, 32768);
        uint32_t rotation_bits = igs_rotation_bits(quan, elongation);
        int64_t rotation = (int64_t)number(&p, rotation_bits);
        if (i == 0) z = (int64_t)number(&p, 2 * side_bits);
        else z += value_of(&p, tokens[i], 4, &table[0], INT64_MIN, INT64_MAX);
        CHECK(!p.bad && z >= 0 && z < 1 << 30, IGS_CORRUPT_FIELD, "a page has a value outside its range, or ends early");
        igs_shape s = igs_shape_of(quan, narrow, elongation, rotation, rotation_bits);
        uint32_t x_bits = igs_place_bits(quan, page->generation, s.low + s.leading);
        uint32_t y_bits = igs_place_bits(quan, page->generation, s.high - s.leading);
        uint64_t x_o = number(&p, x_bits), y_o = number(&p, y_bits);
        igs_set_place(quan, page->generation, &s, (uint64_t)z, x_bits, x_o, y_bits, y_o, &g[i]);
        double area = igs_pow2(igs_down(quan->feature_slope * (s.high + s.low), 6));
        for (uint32_t c = 0; c < C; c++)
            transformed[c] = (double)value_of(&p, tokens[(size_t)(3 + c) * n + i], 8, &table[3 + c], INT32_MIN, INT32_MAX) *
                             (area * quan->feature_step[c]);
        CHECK(!p.bad, IGS_CORRUPT_FIELD, "a page has a value outside its range, or ends early");
        igs_transform(file, quan, transformed, features + (size_t)i * C);
    }
    CHECK(!p.held && p.at == p.size, IGS_CORRUPT_FIELD, "a page has bits after its end");
    igs_free(file, &file->scratch, tokens);
    return IGS_OK;
}
