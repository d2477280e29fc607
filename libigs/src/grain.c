/* Section 3.10, in binary64. */
#include "internal.h"

igs_status igs_read_grain(igs_file *file) {
    const igs_set *set = file->set;
    const igs_chunk *c = &set->known[GRAN];
    size_t size;
    uint8_t *data;
    if (file->grain_is_read || !c->present || c->offset + c->stored_size > set->there) return IGS_OK;
    TRY(igs_load_chunk(file, set, c, 1 + 11 * (uint64_t)file->n_groups, 0, &data, &size));
    CHECK(size && data[0] && size == 1 + 11 * (size_t)data[0], IGS_CORRUPT_FIELD, "GRAN has other entries than it says");
    for (const uint8_t *p = data + 1; p < data + size; p += 11) {
        CHECK(p[0] < 64 && p[1] <= 16, IGS_CORRUPT_FIELD, "a field of GRAN is outside its range");
        CHECK(p == data + 1 || p[0] > p[-11], IGS_CORRUPT_FIELD, "the groups of GRAN do not ascend");
        CHECK(p[0] < file->n_groups, IGS_CORRUPT_FIELD, "GRAN has a group that is not there");
        igs_group *g = &file->group[p[0]];
        uint32_t n_colours = g->n_channels - (g->n_channels > 1 && g->alpha);
        CHECK((g->role <= 1 || g->role == 9) && !g->sample_type && (n_colours == 1 || n_colours == 3), IGS_CORRUPT_FIELD,
              "GRAN has a group that is no integer gray or RGB");
        g->has_grain = 1;
        g->correlation = p[1];
        g->independence = p[2];
        memcpy(g->strength, p + 3, 8);
    }
    file->grain_is_read = 1;
    return IGS_OK;
}

static uint32_t hash(uint32_t x, uint32_t y, uint32_t k) {
    uint32_t v = x * 0x9E3779B1u + y * 0x85EBCA77u + k * 0xC2B2AE3Du + 0x165667B1u;
    v = (v ^ v >> 16) * 0x7FEB352Du;
    v = (v ^ v >> 15) * 0x846CA68Bu;
    return v ^ v >> 16;
}

/* The noise u_k of a pixel, of standard deviation 1. */
static double noise(uint32_t x, uint32_t y, uint32_t k, int32_t a) {
    int32_t N = 0, weight[3] = {a, 16, a};
    for (int j = 0; j < 3; j++)
        for (int i = 0; i < 3; i++) {
            if (!weight[i] || !weight[j]) continue;
            uint32_t v = hash(x + (uint32_t)(i - 1), y + (uint32_t)(j - 1), k);
            N += weight[i] * weight[j] * ((int32_t)((v & 255) + (v >> 8 & 255) + (v >> 16 & 255) + (v >> 24)) - 510);
        }
    return N / (147.8 * (256 + 2 * a * a));
}

void igs_add_grain(const igs_file *file, uint32_t X, uint32_t Y, double ratio_x, double ratio_y, double *features) {
    int reduced = ratio_x > 1 || ratio_y > 1;
    for (uint32_t g = 0; g < file->n_groups; g++) {
        const igs_group *group = &file->group[g];
        if (!group->has_grain) continue;
        double *v = features + group->first, m = group->independence / 255.0, a = group->correlation;
        uint32_t n_colours = group->n_channels - (group->n_channels > 1 && group->alpha);
        double G = (16 + 2 * a) * (16 + 2 * a) / (256 + 2 * a * a);
        double f = 1 / sqrt((1 + (greater(1, ratio_x) - 1) / G) * (1 + (greater(1, ratio_y) - 1) / G));
        double L = clamp(n_colours == 1 ? v[0] : (v[0] + 2 * v[1] + v[2]) / 4, 0, 1);
        int i = L * 7 >= 6 ? 6 : (int)(L * 7), used = reduced ? 0 : (int)group->correlation;
        const uint8_t *strength = group->strength;
        double s = (strength[i] + (7 * L - i) * (strength[i + 1] - strength[i])) * f / 1024;
        double shared = sqrt(1 - m) * noise(X, Y, 128 * g, used);
        for (uint32_t c = 0; c < n_colours; c++) {
            double d = s * (shared + (m > 0 ? sqrt(m) * noise(X, Y, 128 * g + 1 + c, used) : 0));
            double r = greater(0, lesser(v[c], 1 - v[c]));
            v[c] += clamp(d, -r, r);
        }
    }
}
