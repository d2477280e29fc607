/* Sections 7 and 8. */
#include "internal.h"

static const double PI = 3.14159265358979323846;

igs_status igs_decode_f16(igs_file *file, const igs_set *set, const igs_entry *page, const uint8_t *data, igs_gaussian *g,
                          float *features) {
    uint32_t C = file->n_channels;
    for (uint32_t i = 0; i < page->n_gaussians; i++, g++, data += 10 + 2 * C) {
        g->x = get16(data) / 65535.0 * set->width;
        g->y = get16(data + 2) / 65535.0 * set->height;
        g->s0 = igs_f16(data + 4);
        g->s1 = igs_f16(data + 6);
        g->theta = get16(data + 8) * (PI / 65536);
        for (uint32_t c = 0; c < C; c++) *features++ = (float)igs_f16(data + 10 + 2 * c);
    }
    return IGS_OK;
}

/* The end of QUAN, from place_bits on. */
igs_status igs_read_widths(igs_file *file, const igs_set *set, igs_quantiser *quan, const uint8_t *data, size_t size) {
    uint32_t n_fields = 2 + file->n_channels, bits = quan->place_bits = size ? data[0] : 0;
    CHECK(size == 1 + 5 * n_fields, IGS_CORRUPT_FIELD, "QUAN has another length");
    CHECK(!quan->position_offset, IGS_CORRUPT_FIELD, "QUAN has a position_offset");
    CHECK(!quan->feature_slope, IGS_CORRUPT_FIELD, "QUAN has a feature_slope");
    for (uint32_t g = 0; g < set->lod_count; g++) CHECK(!quan->cell_log2[g], IGS_CORRUPT_FIELD, "QUAN has cells");
    CHECK_N(bits >= 12 && bits <= 31, IGS_CORRUPT_FIELD, "QUAN has place_bits of #", bits);
    for (uint32_t k = 0; k < n_fields; k++) {
        quan->field_low[k] = (int32_t)get32(data + 1 + 5 * k);
        quan->field_bits[k] = data[5 + 5 * k];
        CHECK_N(quan->field_bits[k] <= 24, IGS_CORRUPT_FIELD, "QUAN has a field of # bits", quan->field_bits[k]);
        bits += quan->field_bits[k];
    }
    quan->record_size = (bits + 7) / 8;
    return IGS_OK;
}

/* Numbers of up to 32 bits of a record, the least significant bit first. */
typedef struct {
    const uint8_t *next, *end;
    uint64_t held;
    uint32_t n_held;
} record_stream;

static uint64_t number(record_stream *r, uint32_t n_bits) {
    while (r->n_held < n_bits && r->next < r->end) {
        r->held |= (uint64_t)*r->next++ << r->n_held;
        r->n_held += 8;
    }
    uint64_t value = r->held & ((UINT64_C(1) << n_bits) - 1);
    r->held >>= n_bits;
    r->n_held -= n_bits;
    return value;
}

igs_status igs_decode_packed(igs_file *file, const igs_set *set, const igs_entry *page, const uint8_t *data,
                             igs_gaussian *g, float *features) {
    const igs_quantiser *quan = set->quantiser;
    uint32_t C = file->n_channels, digits = 0, side = set->width > set->height ? set->width : set->height;
    while (side >> digits) digits++;
    int64_t u = digits > 16 ? INT64_C(1) << (digits - 16) : 1, slope = get16(data + 8);
    int64_t X = u * get16(data), Y = u * get16(data + 2);
    int64_t w = igs_least(u * get16(data + 4), set->width - X), h = igs_least(u * get16(data + 6), set->height - Y);
    CHECK(w > 0 && h > 0, IGS_CORRUPT_FIELD, "a page has an empty box");
    int64_t low[N_FIELDS], scale[N_FIELDS], f[N_FIELDS];
    for (uint32_t k = 0; k < 2 + C; k++) {
        low[k] = (int64_t)quan->field_low[k] + get16(data + 10 + 3 * k);
        scale[k] = data[12 + 3 * k];
        CHECK(scale[k], IGS_CORRUPT_FIELD, "a page has a scale of 0");
    }
    int64_t flat = 16 * (igs_floor_log2(w * w) - igs_floor_log2(h * h));
    const uint8_t *record = data + 16 + 3 * C;
    for (int64_t i = 0; i < page->n_gaussians; i++, g++, record += quan->record_size, features += C) {
        double transformed[MAX_CHANNELS];
        record_stream r = {record, record + quan->record_size, 0, 0};
        for (uint32_t k = 0; k < 2; k++) f[k] = low[k] + scale[k] * (int64_t)number(&r, quan->field_bits[k]);
        uint64_t p = number(&r, quan->place_bits);
        for (uint32_t k = 2; k < 2 + C; k++) {
            f[k] = low[k] + scale[k] * (int64_t)number(&r, quan->field_bits[k]);
            transformed[k - 2] = (double)f[k] * quan->feature_step[k - 2];
        }
        CHECK(!r.held && r.next == r.end, IGS_CORRUPT_FIELD, "a record has bits after its end");
        CHECK_N(f[0] >= -32768 && f[0] <= 32768, IGS_CORRUPT_FIELD, "a record has a narrow scale of #", f[0]);
        CHECK_N(f[1] >= 0 && f[1] <= 255, IGS_CORRUPT_FIELD, "a record has an elongation of #", f[1]);
        uint32_t r_bits = igs_rotation_bits(quan, f[1]);
        igs_shape s = igs_shape_of(quan, f[0], f[1], (int64_t)(p & ((1u << r_bits) - 1)), r_bits);
        int64_t left = (int64_t)quan->place_bits - r_bits;
        int64_t lean = s.low - s.high + 2 * s.leading + flat;
        int64_t x_bits = igs_down(32 * left + lean + 32, 6);
        x_bits = x_bits < 0 ? 0 : igs_least(x_bits, left);
        uint64_t x_o = p >> r_bits & ((UINT64_C(1) << x_bits) - 1), y_o = p >> (r_bits + x_bits);
        int64_t x_i = igs_least(X + (i * slope * u >> 8), set->width - w);
        g->s0 = igs_pow2(s.high);
        g->s1 = igs_pow2(s.low);
        g->theta = (double)s.angle * (PI / 65536);
        g->x = (double)x_i + ((double)x_o + 0.5) * ((double)w * power_of_2(-x_bits));
        g->y = (double)Y + ((double)y_o + 0.5) * ((double)h * power_of_2(x_bits - left));
        igs_transform(file, quan, transformed, features);
    }
    return IGS_OK;
}
