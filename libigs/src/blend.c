/* Section 3.5, in binary64. */
#include "internal.h"

igs_status igs_make_tile(igs_file *file, igs_ring *ring, uint32_t room, igs_tile *tile) {
    double *memory;
    memset(tile, 0, sizeof *tile);
    TAKE(memory, ring, 7 * (uint64_t)room);
    tile->room = room;
    tile->x = memory;
    tile->y = memory + room;
    tile->s0 = memory + 2 * (size_t)room;
    tile->s1 = memory + 3 * (size_t)room;
    tile->cosine = memory + 4 * (size_t)room;
    tile->sine = memory + 5 * (size_t)room;
    tile->q = memory + 6 * (size_t)room;
    return IGS_OK;
}

uint32_t igs_longest_list(const igs_scene *scene) {
    uint32_t longest = 0;
    for (size_t i = 0; i < scene->lists.n_tiles; i++) {
        uint32_t n = scene->lists.first[i + 1] - scene->lists.first[i];
        if (n > longest) longest = n;
    }
    return longest;
}

void igs_enter_tile(const igs_scene *scene, uint32_t tx, uint32_t ty, igs_tile *tile) {
    igs_tiles t = scene->listed;
    const uint32_t *first = scene->lists.first + (size_t)(ty - t.y_first) * (t.x_last - t.x_first + 1) + (tx - t.x_first);
    tile->list = scene->lists.entry + first[0];
    tile->n = first[1] - first[0];
    tile->n_near = 0;
    for (uint32_t i = 0; i < tile->n; i++) {
        const igs_gaussian *g = &scene->gaussians[tile->list[i]];
        const double *turn = &scene->turns[2 * (size_t)tile->list[i]];
        tile->x[i] = g->x;
        tile->y[i] = g->y;
        tile->s0[i] = g->s0;
        tile->s1[i] = g->s1;
        tile->cosine[i] = turn[0];
        tile->sine[i] = turn[1];
    }
}

static void find_q(const igs_tile *tile, double x, double y) {
    const double *m_x = tile->x, *m_y = tile->y, *s0 = tile->s0, *s1 = tile->s1, *cosine = tile->cosine, *sine = tile->sine;
    double *q = tile->q;
    for (uint32_t i = 0; i < tile->n; i++) {
        double dx = x - m_x[i], dy = y - m_y[i];
        double U = s0[i] * (cosine[i] * dx + sine[i] * dy);
        double V = s1[i] * (cosine[i] * dy - sine[i] * dx);
        q[i] = U * U + V * V;
    }
}

/* Places of the K smallest q, ascending, ties in file order. What was near the last point gives a bound, which saves
 * nearly all insertions. */
static uint32_t find_near(igs_tile *tile, uint32_t K, double *q_of) {
    const double *q = tile->q;
    double bound = INFINITY;
    uint32_t n = 0, *near = tile->near;
    if (tile->n_near == K) {
        bound = q[near[0]];
        for (uint32_t k = 1; k < K; k++) bound = greater(bound, q[near[k]]);
    }
    for (uint32_t i = 0; i < tile->n; i++) {
        double v = q[i];
        if (v > bound || (n == K && v == bound)) continue;
        uint32_t place = n < K ? n++ : K - 1;
        for (; place && q_of[place - 1] > v; place--) {
            q_of[place] = q_of[place - 1];
            near[place] = near[place - 1];
        }
        q_of[place] = v;
        near[place] = i;
        if (n == K) bound = q_of[K - 1];
    }
    tile->n_near = n;
    return n;
}

void igs_blend(const igs_scene *scene, igs_tile *tile, double x, double y, double *features) {
    uint32_t C = scene->file->n_channels;
    double q_of[MAX_TOP_K], sum = 0;
    find_q(tile, x, y);
    uint32_t n = find_near(tile, scene->top_k, q_of);
    for (uint32_t c = 0; c < C; c++) features[c] = n ? 0 : scene->file->background[c];
    for (uint32_t i = 0; i < n; i++) {
        double w = exp(-(q_of[i] - q_of[0]) / 2);
        const float *f = scene->features + (size_t)tile->list[tile->near[i]] * C;
        sum += w;
        for (uint32_t c = 0; c < C; c++) features[c] += w * f[c];
    }
    for (uint32_t c = 0; c < C && n; c++) features[c] /= sum;
}
