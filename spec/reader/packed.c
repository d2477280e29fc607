/* Section 8. */
#include "igs.h"

#include <math.h>

static const double PI = 3.14159265358979323846;

/* The end of QUAN, from place_bits on. */
void igs_read_widths(igs_file *file, igs_quantiser *quan, const uint8_t *data, size_t size) {
    uint32_t n_fields = 2 + file->n_channels, bits = quan->place_bits = size ? data[0] : 0;
    if (size != 1 + 5 * n_fields) igs_fail("CorruptField", "QUAN has another length");
    if (quan->position_offset) igs_fail("CorruptField", "QUAN has a position_offset");
    if (quan->feature_slope) igs_fail("CorruptField", "QUAN has a feature_slope");
    for (uint32_t g = 0; g < file->lod_count; g++)
        if (quan->cell_log2[g]) igs_fail("CorruptField", "QUAN has cells");
    if (bits < 12 || bits > 31) igs_fail("CorruptField", "QUAN has place_bits of %u", bits);
    for (uint32_t k = 0; k < n_fields; k++) {
        quan->field_low[k] = (int32_t)get32(data + 1 + 5 * k);
        quan->field_bits[k] = data[5 + 5 * k];
        if (quan->field_bits[k] > 24) igs_fail("CorruptField", "QUAN has a field of %u bits", quan->field_bits[k]);
        bits += quan->field_bits[k];
    }
    quan->record_size = (bits + 7) / 8;
}

static uint64_t number(const uint8_t *record, uint32_t *at, uint32_t n_bits) {
    uint64_t value = 0;
    for (uint32_t i = 0; i < n_bits; i++, ++*at) value |= (uint64_t)(record[*at / 8] >> *at % 8 & 1) << i;
    return value;
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

void igs_decode_packed(const igs_file *file, const igs_page *page, const uint8_t *data, igs_set *set, size_t first) {
    const igs_quantiser *quan = file->quantiser;
    uint32_t C = file->n_channels, digits = 0, side = file->width > file->height ? file->width : file->height;
    while (side >> digits) digits++;
    int64_t u = digits > 16 ? INT64_C(1) << (digits - 16) : 1, slope = get16(data + 8);
    int64_t X = u * get16(data), Y = u * get16(data + 2);
    int64_t w = least(u * get16(data + 4), file->width - X), h = least(u * get16(data + 6), file->height - Y);
    if (w <= 0 || h <= 0) igs_fail("CorruptField", "a page has an empty box");
    int64_t low[N_FIELDS], scale[N_FIELDS], f[N_FIELDS];
    for (uint32_t k = 0; k < 2 + C; k++) {
        low[k] = (int64_t)quan->field_low[k] + get16(data + 10 + 3 * k);
        scale[k] = data[12 + 3 * k];
        if (!scale[k]) igs_fail("CorruptField", "a page has a scale of 0");
    }
    const uint8_t *record = data + 16 + 3 * C;
    for (int64_t i = 0; i < page->n_gaussians; i++, record += quan->record_size) {
        igs_gaussian *g = &set->gaussian[first + (size_t)i];
        double transformed[MAX_CHANNELS];
        uint64_t p = 0;
        uint32_t at = 0;
        for (uint32_t k = 0; k < 2 + C; k++) {
            if (k == 2) p = number(record, &at, quan->place_bits);
            f[k] = low[k] + scale[k] * (int64_t)number(record, &at, quan->field_bits[k]);
            if (k >= 2) transformed[k - 2] = (double)f[k] * quan->feature_step[k - 2];
        }
        if (number(record, &at, 8 * quan->record_size - at)) igs_fail("CorruptField", "a record has bits after its end");
        if (f[0] < -32768 || f[0] > 32768 || f[1] < 0 || f[1] > 255)
            igs_fail("CorruptField", "a record has scales of %ld and %ld", (long)f[0], (long)f[1]);
        uint32_t r_bits = igs_rotation_bits(quan, f[1]);
        igs_shape s = igs_shape_of(quan, f[0], f[1], (int64_t)(p & ((1u << r_bits) - 1)));
        int64_t left = (int64_t)quan->place_bits - r_bits;
        int64_t lean = s.low - s.high + 2 * s.leading + 16 * (igs_floor_log2(w * w) - igs_floor_log2(h * h));
        int64_t x_bits = igs_floor_div(32 * left + lean + 32, 64);
        x_bits = x_bits < 0 ? 0 : least(x_bits, left);
        uint64_t x_o = p >> r_bits & ((UINT64_C(1) << x_bits) - 1), y_o = p >> (r_bits + x_bits);
        int64_t x_i = least(X + (i * slope * u >> 8), file->width - w);
        g->s0 = igs_pow2(s.high);
        g->s1 = igs_pow2(s.low);
        g->theta = (double)s.angle * (PI / 65536);
        g->x = (double)x_i + ((double)x_o + 0.5) * ldexp((double)w, (int)-x_bits);
        g->y = (double)Y + ((double)y_o + 0.5) * ldexp((double)h, (int)(x_bits - left));
        igs_transform(file, transformed, set->features + (first + (size_t)i) * C);
    }
}
