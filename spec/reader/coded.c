/* Records of profile `f16`, and sections 6.6, 6.7 and 9. */
#include "igs.h"

#include <math.h>
#include <stdlib.h>

static const double PI = 3.14159265358979323846;

static const int64_t M[32] = {1073741824, 1050733751, 1028218693, 1006186087, 984625594, 963527098, 942880699,
                              922676710,  902905651,  883558244,  864625413,  846098274, 827968132, 810226483,
                              792865000,  775875538,  759250125,  742980960,  727060411, 711481005, 696235434,
                              681316545,  666717336,  652430958,  638450708,  624770026, 611382493, 598281827,
                              585461881,  572916640,  560640218,  548626854};

/* Quotients and shifts that round down, whatever the sign. */
int64_t igs_floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

double igs_pow2(int64_t e) {
    int64_t k = -igs_floor_div(-e, 32);
    return ldexp((double)M[32 * k - e], (int)(k - 30));
}

static int64_t sine(int64_t v) {
    int64_t t = (v * v) >> 15;
    int64_t result = (v * (51465 - ((t * (21077 - ((t * 2382) >> 15))) >> 15))) >> 15;
    return result < 32768 ? result : 32768;
}

int64_t igs_floor_log2(int64_t v) {
    int64_t log = 0;
    while (v >> (log + 1)) log++;
    return log;
}

uint32_t igs_rotation_bits(const igs_quantiser *quan, int64_t e) {
    uint32_t bits = 0;
    while (bits < 12 && quan->rotation_from[bits] <= e) bits++;
    return bits;
}

igs_shape igs_shape_of(const igs_quantiser *quan, int64_t n, int64_t e, int64_t r) {
    igs_shape s = {n * quan->scale_step, (n - e) * quan->scale_step, r << (16 - igs_rotation_bits(quan, e)), 0};
    int64_t from_vertical = llabs(s.angle - 32768);
    int64_t cosine = sine(from_vertical), sinus = sine(32768 - from_vertical);
    int64_t d = 2 * (s.high - s.low), octaves = d / 32 < 62 ? d / 32 : 62;
    int64_t ratio = M[d % 32] >> octaves;
    int64_t variance = ((ratio * (cosine * cosine)) >> 30) + sinus * sinus + 1;
    s.leading = 16 * (30 - igs_floor_log2(variance)) - 8;
    return s;
}

void igs_transform(const igs_file *file, const double *transformed, float *features) {
    const double *row = file->quantiser->transform;
    for (uint32_t k = 0; k < file->n_groups; k++) {
        int first = file->group[k].first, m = file->group[k].n_channels;
        for (int to = 0; to < m; to++) {
            double sum = 0;
            for (int from = 0; from < m; from++) sum += transformed[first + from] * row[from * m + to];
            features[first + to] = (float)sum;
        }
        row += m * m;
    }
}

static int64_t limited(int64_t v) { return v < 0 ? 0 : v > 16 ? 16 : v; }

/* ---- QUAN ---- */

static void make_counts(igs_table *table, const uint8_t *deltas, uint32_t n) {
    static const uint32_t steps[4] = {16, 19, 23, 27};
    uint64_t S = 0, s[352];
    uint32_t sum = 0, greatest;
    uint8_t weight = 0;
    for (uint32_t t = 0; t < n; t++) {
        weight = (uint8_t)(weight + deltas[t]);
        if (weight > 64) igs_fail("CorruptField", "QUAN has a weight of %u", weight);
        s[t] = weight ? (uint64_t)steps[(weight - 1) % 4] << ((weight - 1) / 4) : 0;
        S += s[t];
    }
    if (!S) igs_fail("CorruptField", "QUAN has a table without weights");
    for (uint32_t t = 0; t < n; t++) {
        table->count[t] = (uint16_t)(4096 * s[t] / S);
        if (s[t] && !table->count[t]) table->count[t] = 1;
        sum += table->count[t];
    }
    for (;;) {
        greatest = 0;
        for (uint32_t t = 1; t < n; t++)
            if (table->count[t] > table->count[greatest]) greatest = t;
        if (sum <= 4096) break;
        table->count[greatest]--;
        sum--;
    }
    table->count[greatest] = (uint16_t)(table->count[greatest] + 4096 - sum);
    for (uint32_t t = 0, slot = 0; t < n; t++) {
        table->start[t] = (uint16_t)slot;
        for (uint32_t i = 0; i < table->count[t]; i++) table->token_of[slot++] = (uint16_t)t;
    }
}

void igs_read_quantiser(igs_file *file, const uint8_t *data, size_t size) {
    igs_quantiser *quan = igs_alloc(1, sizeof *quan);
    uint32_t L = file->lod_count, C = file->n_channels, T = 0;
    for (uint32_t g = 0; g < file->n_groups; g++) T += (uint32_t)(file->group[g].n_channels * file->group[g].n_channels);
    size_t at = 16 + L + 4 * C + 2 * T;
    if (size < at) igs_fail("CorruptField", "QUAN ends early");
    quan->scale_step = data[0];
    quan->feature_slope = data[1];
    quan->position_offset = (int32_t)get16(data + 2) - (data[3] & 0x80 ? 65536 : 0);
    if (data[0] < 1 || data[0] > 64) igs_fail("CorruptField", "QUAN has a scale_step of %u", data[0]);
    if (data[1] > 64) igs_fail("CorruptField", "QUAN has a feature_slope of %u", data[1]);
    for (uint32_t i = 0; i < 12; i++) {
        quan->rotation_from[i] = data[4 + i];
        if (i && data[4 + i] < data[3 + i]) igs_fail("CorruptField", "QUAN has a rotation_from that falls");
    }
    for (uint32_t i = 0; i < L; i++) {
        uint32_t cell = quan->cell_log2[i] = data[16 + i];
        if (cell > 20) igs_fail("CorruptField", "QUAN has cells of 2^%u px", cell);
    }
    for (uint32_t c = 0; c < C; c++) {
        quan->feature_step[c] = get_f32(data + 16 + L + 4 * c);
        if (!(quan->feature_step[c] > 0 && isfinite(quan->feature_step[c])))
            igs_fail("CorruptField", "QUAN has a feature_step that is not positive");
    }
    quan->transform = igs_alloc(T, sizeof(double));
    for (uint32_t i = 0; i < T; i++) {
        quan->transform[i] = get_f16(data + 16 + L + 4 * C + 2 * i);
        if (!isfinite(quan->transform[i])) igs_fail("CorruptField", "QUAN has a transform that is not finite");
    }
    if (file->profile == 1) {
        igs_read_widths(file, quan, data + at, size - at);
        at = size;
    }
    uint32_t side = file->width > file->height ? file->width : file->height;
    for (uint32_t i = 0; i < L && file->profile == 2; i++)
        if ((side - 1) >> quan->cell_log2[i] >= 1u << 15)
            igs_fail("LimitExceeded", "QUAN has cells of 2^%u px", quan->cell_log2[i]);
    for (uint32_t i = 0; i < 3 + C && file->profile == 2; i++) {
        if (size - at < 6) igs_fail("CorruptField", "QUAN ends early");
        uint32_t n = get16(data + at + 4);
        quan->table[i].low = (int32_t)get32(data + at);
        if (n < 1 || n > 352) igs_fail("CorruptField", "QUAN has a table of %u tokens", n);
        at += 6;
        if (size - at < n) igs_fail("CorruptField", "QUAN ends early");
        make_counts(&quan->table[i], data + at, n);
        at += n;
    }
    if (at != size) igs_fail("CorruptField", "QUAN has %lu bytes too many", (unsigned long)(size - at));
    file->quantiser = quan;
}

/* ---- a coded page ---- */

typedef struct {
    const uint8_t *data;
    size_t size, at;
    uint32_t state;
    uint32_t held; /* of the byte before `at`, when bits are read */
    uint32_t n_held;
} page_stream;

static void ends_early(void) { igs_fail("CorruptField", "a page ends early"); }

static uint32_t token(page_stream *p, const igs_table *table) {
    uint32_t slot = p->state % SLOTS, t = table->token_of[slot];
    p->state = table->count[t] * (p->state >> 12) + slot - table->start[t];
    if (p->state < 1u << 16) {
        if (p->size - p->at < 2) ends_early();
        p->state = p->state << 16 | get16(p->data + p->at);
        p->at += 2;
    }
    return t;
}

static uint64_t number(page_stream *p, uint32_t n_bits) {
    uint64_t value = 0;
    for (uint32_t i = 0; i < n_bits; i++) {
        if (!p->n_held) {
            if (p->at == p->size) ends_early();
            p->held = p->data[p->at++];
            p->n_held = 8;
        }
        value |= (uint64_t)(p->held & 1) << i;
        p->held >>= 1;
        p->n_held--;
    }
    return value;
}

/* The value of a token t for split b, with the bits that come after it. */
static int64_t value_of(page_stream *p, uint32_t t, uint32_t b, const igs_table *table, int64_t low, int64_t high) {
    int64_t v = t;
    if (t >= 1u << b) {
        uint32_t o = b + (t - (1u << b)) / 4;
        if (o > 31) igs_fail("CorruptField", "a page has a value of 2^%u", o);
        v = (int64_t)(4 + (t - (1u << b)) % 4) << (o - 2);
        v += (int64_t)number(p, o - 2);
    }
    v += table->low;
    if (v < low || v > high) igs_fail("CorruptField", "a page has a value of %ld", (long)v);
    return v;
}

int64_t igs_place_bits(const igs_quantiser *quan, uint32_t generation, int64_t units) {
    return limited(igs_floor_div(quan->position_offset + 32 * (int64_t)quan->cell_log2[generation] + units, 32));
}

void igs_set_place(const igs_quantiser *quan, uint32_t generation, const igs_shape *s, uint64_t z, int64_t x_bits,
                   int64_t x_o, int64_t y_bits, int64_t y_o, igs_gaussian *g) {
    uint64_t z_x = 0, z_y = 0;
    int64_t cell_log2 = quan->cell_log2[generation];
    for (uint32_t i = 0; i < 15; i++) {
        z_x |= (z >> (2 * i) & 1) << i;
        z_y |= (z >> (2 * i + 1) & 1) << i;
    }
    g->s0 = igs_pow2(s->high);
    g->s1 = igs_pow2(s->low);
    g->theta = (double)s->angle * (PI / 65536);
    g->x = ldexp((double)((z_x << x_bits) + (uint64_t)x_o) + 0.5, (int)(cell_log2 - x_bits));
    g->y = ldexp((double)((z_y << y_bits) + (uint64_t)y_o) + 0.5, (int)(cell_log2 - y_bits));
}

static void decode_coded(const igs_file *file, const igs_page *page, const uint8_t *data, igs_set *set, size_t first) {
    const igs_quantiser *quan = file->quantiser;
    uint32_t n = page->n_gaussians, C = file->n_channels, side_bits = 0;
    uint32_t *tokens = igs_alloc((size_t)n * (3 + C), sizeof *tokens); /* gaps, narrow, elongations, each feature */
    page_stream p = {data, page->n_bytes, 4, 0, 0, 0};
    if (p.size < 4) ends_early();
    p.state = get32(data);
    if (p.state < 1u << 16) igs_fail("CorruptField", "a page begins with state %u", p.state);
    for (uint32_t column = 0; column < 3 + C; column++)
        for (uint32_t i = column == 0; i < n; i++) tokens[column * n + i] = token(&p, &quan->table[column]);
    if (p.state != 1u << 16) igs_fail("CorruptField", "a page ends with state %u", p.state);

    uint32_t side = file->width > file->height ? file->width : file->height;
    while ((side - 1) >> quan->cell_log2[page->generation] >> side_bits) side_bits++;
    int64_t z = 0;
    for (uint32_t i = 0; i < n; i++) {
        igs_gaussian *g = &set->gaussian[first + i];
        double transformed[MAX_CHANNELS];
        int64_t narrow = value_of(&p, tokens[n + i], 8, &quan->table[1], -32768, 32768);
        int64_t elongation = value_of(&p, tokens[2 * n + i], 8, &quan->table[2], 0, 32768);
        int64_t rotation = (int64_t)number(&p, igs_rotation_bits(quan, elongation));
        if (i == 0) z = (int64_t)number(&p, 2 * side_bits);
        else z += value_of(&p, tokens[i], 4, &quan->table[0], INT64_MIN, INT64_MAX);
        if (z < 0 || z >= 1 << 30) igs_fail("CorruptField", "a page has cell %ld", (long)z);
        igs_shape s = igs_shape_of(quan, narrow, elongation, rotation);
        int64_t x_bits = igs_place_bits(quan, page->generation, s.low + s.leading);
        int64_t y_bits = igs_place_bits(quan, page->generation, s.high - s.leading);
        int64_t x_o = (int64_t)number(&p, (uint32_t)x_bits), y_o = (int64_t)number(&p, (uint32_t)y_bits);
        igs_set_place(quan, page->generation, &s, (uint64_t)z, x_bits, x_o, y_bits, y_o, g);
        double area = igs_pow2(igs_floor_div(quan->feature_slope * (s.high + s.low), 64));
        for (uint32_t c = 0; c < C; c++)
            transformed[c] = (double)value_of(&p, tokens[(3 + c) * n + i], 8, &quan->table[3 + c], INT32_MIN, INT32_MAX) *
                             (area * quan->feature_step[c]);
        igs_transform(file, transformed, set->features + (first + i) * C);
    }
    if (p.held || p.at != p.size) igs_fail("CorruptField", "a page has bits after its end");
    free(tokens);
}

/* ---- records of profile f16 ---- */

static void decode_f16(const igs_file *file, const igs_page *page, const uint8_t *data, igs_set *set, size_t first) {
    uint32_t C = file->n_channels;
    for (uint32_t i = 0; i < page->n_gaussians; i++, data += 10 + 2 * C) {
        igs_gaussian *g = &set->gaussian[first + i];
        g->x = get16(data) / 65535.0 * file->width;
        g->y = get16(data + 2) / 65535.0 * file->height;
        g->s0 = get_f16(data + 4);
        g->s1 = get_f16(data + 6);
        g->theta = get16(data + 8) * (PI / 65536);
        for (uint32_t c = 0; c < C; c++) set->features[(first + i) * C + c] = (float)get_f16(data + 10 + 2 * c);
    }
}

void igs_decode_page(const igs_file *file, const igs_page *page, const uint8_t *data, igs_set *set, size_t first) {
    static void (*const decode[4])(const igs_file *, const igs_page *, const uint8_t *, igs_set *, size_t) = {
        decode_f16, igs_decode_packed, decode_coded, igs_decode_small};
    decode[file->profile](file, page, data, set, first);
    for (size_t i = first; i < first + page->n_gaussians; i++) {
        const igs_gaussian *g = &set->gaussian[i];
        double least = fmin(g->s0, g->s1), greatest = fmax(g->s0, g->s1);
        if (!(g->x <= file->width && g->y <= file->height)) igs_fail("CorruptField", "a mean lies outside");
        if (!(isfinite(g->s0) && isfinite(g->s1) && least >= 1.0 / 16384 && greatest <= 64))
            igs_fail("CorruptField", "an inverse scale is outside its range");
        for (uint32_t c = 0; c < file->n_channels; c++)
            if (!(fabs(set->features[i * file->n_channels + c]) <= 65504))
                igs_fail("CorruptField", "a feature is outside its range");
    }
}
