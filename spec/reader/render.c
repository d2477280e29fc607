/* Section 3, in binary64. */
#include "igs.h"

#include <float.h>
#include <math.h>

/* Whether the closed interval u..v meets that of tile t. */
static int meets(double u, double v, double t) {
    double first = floor(u / TILE), last = floor(v / TILE);
    if (u / TILE == first) first -= 1;
    return first <= t && t <= last;
}

static double clamp(double value, double low, double high) { return fmin(fmax(value, low), high); }

/* Whether a Gaussian stands in the list of tile tx, ty. */
static int in_list(const igs_gaussian *g, double Q, double tx, double ty) {
    double c = cos(g->theta), s = sin(g->theta), s0 = g->s0, s1 = g->s1;
    double a = s0 * s0 * c * c + s1 * s1 * s * s;
    double b = (s0 * s0 - s1 * s1) * c * s;
    double d = s0 * s0 * s * s + s1 * s1 * c * c;
    double det = (s0 * s0) * (s1 * s1);
    double hx = sqrt(Q * d / det), hy = sqrt(Q * a / det);
    if (!meets(g->y - hy, g->y + hy, ty)) return 0;
    double lo = fmax(TILE * ty - g->y, -hy), hi = fmin(TILE * ty - g->y + TILE, hy);
    double tip = b * hx / d;
    double y = clamp(-tip, lo, hi);
    double x_right = (-b * y + sqrt(fmax(0, a * Q - det * y * y))) / a;
    y = clamp(tip, lo, hi);
    double x_left = (-b * y - sqrt(fmax(0, a * Q - det * y * y))) / a;
    return meets(g->x + x_left, g->x + x_right, tx);
}

void igs_blend(const igs_file *file, const igs_set *set, double x, double y, double *features) {
    double last_x = (file->width - 1) / TILE, last_y = (file->height - 1) / TILE;
    double tx = clamp(floor(x / TILE), 0, last_x), ty = clamp(floor(y / TILE), 0, last_y);
    double q_of[MAX_TOP_K], sum = 0;
    size_t index_of[MAX_TOP_K];
    uint32_t n = 0, K = file->top_k, C = file->n_channels;

    for (size_t i = 0; i < set->n; i++) { /* the K smallest q so far, ascending, ties in file order */
        const igs_gaussian *g = &set->gaussian[i];
        if (!in_list(g, file->support_q, tx, ty)) continue;
        double dx = x - g->x, dy = y - g->y;
        double U = g->s0 * (cos(g->theta) * dx + sin(g->theta) * dy);
        double V = g->s1 * (-sin(g->theta) * dx + cos(g->theta) * dy);
        double q = U * U + V * V;
        if (n == K && q >= q_of[K - 1]) continue;
        uint32_t place = n < K ? n++ : K - 1;
        for (; place && q_of[place - 1] > q; place--) {
            q_of[place] = q_of[place - 1];
            index_of[place] = index_of[place - 1];
        }
        q_of[place] = q;
        index_of[place] = i;
    }
    for (uint32_t c = 0; c < C; c++) features[c] = n ? 0 : file->background[c];
    for (uint32_t i = 0; i < n; i++) {
        double w = exp(-(q_of[i] - q_of[0]) / 2);
        sum += w;
        for (uint32_t c = 0; c < C; c++) features[c] += w * set->features[index_of[i] * C + c];
    }
    for (uint32_t c = 0; c < C && n; c++) features[c] /= sum;
}

double igs_sample(const igs_group *group, double v) {
    double inside = clamp(v, 0, 1), range = group->value_max - group->value_min;
    if (group->sample_type == 0) return floor(inside * (ldexp(1, group->bit_depth) - 1) + 0.5);
    if (group->transfer == 2) return clamp(group->value_min + exp2(inside * log2(1 + range)) - 1, -FLT_MAX, FLT_MAX);
    if (group->transfer == 3) {
        double s = ldexp(1, group->knee - 64), a = asinh(group->value_min / s), b = asinh(group->value_max / s);
        return clamp(s * sinh(a + inside * (b - a)), -FLT_MAX, FLT_MAX);
    }
    return clamp(group->value_min + v * range, -FLT_MAX, FLT_MAX);
}
