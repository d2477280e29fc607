/* Section 6.7: from integers to Gaussians. */
#include "internal.h"

static const double PI = 3.14159265358979323846;

static const int32_t M[32] = {1073741824, 1050733751, 1028218693, 1006186087, 984625594, 963527098, 942880699,
                              922676710,  902905651,  883558244,  864625413,  846098274, 827968132, 810226483,
                              792865000,  775875538,  759250125,  742980960,  727060411, 711481005, 696235434,
                              681316545,  666717336,  652430958,  638450708,  624770026, 611382493, 598281827,
                              585461881,  572916640,  560640218,  548626854};

double igs_pow2(int64_t e) {
    int64_t k = -igs_down(-e, 5);
    return M[32 * k - e] * power_of_2(k - 30);
}

static int64_t sine(int64_t v) {
    int64_t t = (v * v) >> 15;
    return igs_least((v * (51465 - ((t * (21077 - ((t * 2382) >> 15))) >> 15))) >> 15, 32768);
}

int64_t igs_floor_log2(int64_t v) {
    int64_t log = 0;
    while (v >>= 1) log++;
    return log;
}

uint32_t igs_rotation_bits(const igs_quantiser *quan, int64_t e) {
    uint32_t bits = 0;
    while (bits < 12 && quan->rotation_from[bits] <= e) bits++;
    return bits;
}

igs_shape igs_shape_of(const igs_quantiser *quan, int64_t n, int64_t e, int64_t r, uint32_t rotation_bits) {
    igs_shape s = {n * quan->scale_step, (n - e) * quan->scale_step, r << (16 - rotation_bits), 0};
    int64_t from_vertical = s.angle < 32768 ? 32768 - s.angle : s.angle - 32768;
    int64_t cosine = sine(from_vertical), sinus = sine(32768 - from_vertical);
    int64_t d = 2 * (s.high - s.low); /* 31 octaves clear any M, as 62 do */
    int64_t ratio = M[d & 31] >> igs_least(d >> 5, 31);
    int64_t variance = ((ratio * (cosine * cosine)) >> 30) + sinus * sinus + 1;
    s.leading = 16 * (30 - igs_floor_log2(variance)) - 8;
    return s;
}

uint32_t igs_place_bits(const igs_quantiser *quan, uint32_t generation, int64_t units) {
    int64_t bits = igs_down(quan->position_offset + 32 * (int64_t)quan->cell_log2[generation] + units, 5);
    return (uint32_t)(bits < 0 ? 0 : igs_least(bits, 16));
}

/* Every second bit of z, from bit 0 on, 15 of them. */
static uint64_t every_second(uint64_t z) {
    z &= 0x15555555;
    z = (z | z >> 1) & 0x33333333;
    z = (z | z >> 2) & 0x0F0F0F0F;
    z = (z | z >> 4) & 0x00FF00FF;
    return (z | z >> 8) & 0xFFFF;
}

void igs_set_place(const igs_quantiser *quan, uint32_t generation, const igs_shape *s, uint64_t z, uint32_t x_bits,
                   uint64_t x_o, uint32_t y_bits, uint64_t y_o, igs_gaussian *g) {
    int64_t cell_log2 = quan->cell_log2[generation];
    g->s0 = igs_pow2(s->high);
    g->s1 = igs_pow2(s->low);
    g->theta = (double)s->angle * (PI / 65536);
    g->x = ((double)((every_second(z) << x_bits) + x_o) + 0.5) * power_of_2(cell_log2 - x_bits);
    g->y = ((double)((every_second(z >> 1) << y_bits) + y_o) + 0.5) * power_of_2(cell_log2 - y_bits);
}

void igs_transform(const igs_file *file, const igs_quantiser *quan, const double *transformed, float *features) {
    const double *row = quan->transform;
    for (uint32_t k = 0; k < file->n_groups; k++) {
        uint32_t first = file->group[k].first, m = file->group[k].n_channels;
        for (uint32_t to = 0; to < m; to++) {
            double sum = 0;
            for (uint32_t from = 0; from < m; from++) sum += transformed[first + from] * row[from * m + to];
            features[first + to] = (float)sum;
        }
        row += m * m;
    }
}
