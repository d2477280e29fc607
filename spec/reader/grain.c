/* Section 3.10, at the stored size, in binary64. */
#include "igs.h"

#include <math.h>

uint32_t igs_grain_hash(uint32_t x, uint32_t y, uint32_t k) {
    uint32_t v = x * 0x9E3779B1u + y * 0x85EBCA77u + k * 0xC2B2AE3Du + 0x165667B1u;
    v = (v ^ v >> 16) * 0x7FEB352Du;
    v = (v ^ v >> 15) * 0x846CA68Bu;
    return v ^ v >> 16;
}

/* The noise u_k of a pixel, of standard deviation 1. */
static double noise(uint32_t x, uint32_t y, uint32_t k, int a) {
    int32_t N = 0, weight[3] = {a, 16, a};
    for (int j = 0; j < 3; j++)
        for (int i = 0; i < 3; i++) {
            uint32_t v = igs_grain_hash(x + (uint32_t)(i - 1), y + (uint32_t)(j - 1), k);
            int32_t n = (int32_t)((v & 255) + (v >> 8 & 255) + (v >> 16 & 255) + (v >> 24)) - 510;
            N += weight[i] * weight[j] * n;
        }
    return N / (147.8 * (256 + 2 * a * a));
}

void igs_add_grain(const igs_file *file, double x, double y, double *features) {
    uint32_t X = (uint32_t)floor(x), Y = (uint32_t)floor(y);
    for (uint32_t g = 0; g < file->n_groups; g++) {
        const igs_group *group = &file->group[g];
        if (!group->has_grain) continue;
        double *v = features + group->first, m = group->grain[2] / 255.0;
        double L = fmin(fmax(group->n_colours == 1 ? v[0] : (v[0] + 2 * v[1] + v[2]) / 4, 0), 1);
        int i = L * 7 >= 6 ? 6 : (int)(L * 7);
        const uint8_t *strength = group->grain + 3;
        double s = (strength[i] + (7 * L - i) * (strength[i + 1] - strength[i])) / 1024;
        for (int c = 0; c < group->n_colours; c++) {
            double shared = noise(X, Y, 128 * g, group->grain[1]), own = noise(X, Y, 128 * g + 1 + (uint32_t)c, group->grain[1]);
            double d = s * (sqrt(1 - m) * shared + sqrt(m) * own), r = fmax(0, fmin(v[c], 1 - v[c]));
            v[c] += fmin(fmax(d, -r), r);
        }
    }
}
