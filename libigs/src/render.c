/* Pixels of regions, and values at points: sections 3.9 and 3.7. */
#include "internal.h"

double igs_to_sample(const igs_group *group, double v) {
    const double MOST = 3.4028234663852886e38; /* of binary32 */
    double inside = clamp(v, 0, 1), range = group->value_max - group->value_min;
    if (group->sample_type == 0) return floor(inside * (power_of_2(group->bit_depth) - 1) + 0.5);
    if (group->transfer == 2) return clamp(group->value_min + exp2(inside * log2(1 + range)) - 1, -MOST, MOST);
    if (group->transfer == 3) {
        double s = power_of_2((int64_t)group->knee - 64), a = asinh(group->value_min / s), b = asinh(group->value_max / s);
        return clamp(s * sinh(a + inside * (b - a)), -MOST, MOST);
    }
    return clamp(group->value_min + v * range, -MOST, MOST);
}

/* ---- what is shown where ---- */

typedef struct {
    igs_file *file;
    igs_ring ring;
    igs_tiles tiles;
    uint8_t *level; /* of each tile; NULL: the same everywhere */
    uint32_t lod, n_levels;
    igs_scene *scene[MAX_LODS];
    igs_tile tile;
    uint64_t work; /* so far */
} view;

/* The finest level that has arrived of each tile. */
static igs_status choose_levels(view *v) {
    igs_file *file = v->file;
    igs_tiles t = v->tiles;
    uint32_t columns = t.x_last - t.x_first + 1;
    uint64_t n = (uint64_t)columns * (t.y_last - t.y_first + 1);
    uint8_t *arrived;
    TAKE(v->level, &v->ring, n);
    TAKE(arrived, &v->ring, n);
    memset(v->level, (int)v->n_levels, (size_t)n);
    for (uint32_t lod = v->n_levels; lod-- > v->lod;) {
        igs_set *set;
        uint32_t row;
        igs_status status = igs_set_of(file, lod, &set, &row);
        if (status == IGS_TRUNCATED_STREAM) continue;
        TRY(status);
        igs_tiles own = igs_tiles_of_set(set, t);
        TRY(igs_need_entries(file, set, row, own));
        memset(arrived, 1, (size_t)n);
        for (uint32_t i = 0; i < set->n_pages && set->page[i].generation <= row; i++) {
            const igs_entry *p = &set->page[i];
            if (!igs_is_known(set, p) || !igs_meets(p, own) || igs_is_there(set, p)) continue;
            uint64_t x_end = ((uint64_t)p->tx_last + 1) << set->scale_log2, y_end = ((uint64_t)p->ty_last + 1) << set->scale_log2;
            uint32_t x = p->tx_first << set->scale_log2, y = p->ty_first << set->scale_log2;
            for (uint32_t ty = y > t.y_first ? y : t.y_first; ty <= t.y_last && ty < y_end; ty++)
                for (uint32_t tx = x > t.x_first ? x : t.x_first; tx <= t.x_last && tx < x_end; tx++)
                    arrived[(size_t)(ty - t.y_first) * columns + (tx - t.x_first)] = 0;
        }
        for (size_t i = 0; i < n; i++)
            if (arrived[i]) v->level[i] = (uint8_t)lod;
    }
    igs_free(file, &v->ring, arrived);
    return IGS_OK;
}

static igs_status add_scene(view *v, uint32_t lod) {
    igs_file *file = v->file;
    TRY(igs_scene_create(file, lod, &v->scene[lod]));
    TRY(igs_fill_scene(v->scene[lod], v->tiles, v->level != NULL));
    return igs_make_lists(v->scene[lod], v->tiles);
}

static igs_status make_view(view *v, int available) {
    igs_file *file = v->file;
    igs_tiles t = v->tiles;
    uint32_t room = 0;
    if (available) TRY(choose_levels(v));
    if (!v->level) TRY(add_scene(v, v->lod));
    for (uint32_t lod = 0; v->level && lod < v->n_levels; lod++) {
        size_t i = 0, n = (size_t)(t.x_last - t.x_first + 1) * (t.y_last - t.y_first + 1);
        while (i < n && v->level[i] != lod) i++;
        if (i < n) TRY(add_scene(v, lod));
    }
    for (uint32_t lod = 0; lod < v->n_levels; lod++)
        if (v->scene[lod] && igs_longest_list(v->scene[lod]) > room) room = igs_longest_list(v->scene[lod]);
    return igs_make_tile(file, &v->ring, room, &v->tile);
}

/* Makes a tile the one of which n points are looked at; its scene, or NULL for the background. */
static igs_status enter(view *v, uint32_t tx, uint32_t ty, uint64_t n, const igs_scene **scene) {
    igs_tiles t = v->tiles;
    igs_file *file = v->file;
    uint32_t lod = v->lod;
    if (v->level) lod = v->level[(size_t)(ty - t.y_first) * (t.x_last - t.x_first + 1) + (tx - t.x_first)];
    *scene = NULL;
    if (lod >= v->n_levels) return IGS_OK;
    *scene = v->scene[lod];
    igs_enter_tile(*scene, tx, ty, &v->tile);
    v->work += n * v->tile.n;
    CHECK_N(v->work <= file->max_work, IGS_LIMIT_EXCEEDED, "more than # Gaussians would be looked at", file->max_work);
    return IGS_OK;
}

static void close_view(view *v) {
    for (uint32_t lod = 0; lod < MAX_LODS; lod++) igs_scene_close(v->scene[lod]);
    igs_free_all(v->file, &v->ring);
    igs_free_all(v->file, &v->file->scratch);
}

static uint32_t tile_of(double v, uint32_t side) {
    uint32_t last = (side - 1) / TILE;
    return v / TILE >= last ? last : v > 0 ? (uint32_t)(v / TILE) : 0;
}

/* ---- an axis of the output ---- */

typedef struct {
    uint32_t from, length, n; /* px of the stored image, and pixels of the output */
    uint32_t n_points;        /* where features are blended: n, or, where it is reduced, length */
    uint32_t side;            /* of the whole image */
} axis;

static double point_of(const axis *a, uint32_t i) {
    return a->n_points == a->length ? a->from + (i + 0.5) : a->from + (i + 0.5) * a->length / a->n;
}

static int is_reduced(const axis *a) { return a->n < a->length; }

/* Number of the pixel in the whole picture at this size, for grain. */
static uint32_t grain_of(const axis *a, uint32_t i) {
    return i + (uint32_t)((2 * (uint64_t)a->from * a->n + a->length) / (2 * (uint64_t)a->length));
}

/* ---- one pixel ---- */

/* Writes values: features, but samples of float groups where `are_samples`. */
static void put_pixel(const igs_file *file, igs_format format, const double *values, int are_samples, uint8_t *out) {
    for (uint32_t g = 0; g < file->n_groups; g++) {
        const igs_group *group = &file->group[g];
        int convert = group->sample_type ? !are_samples && format < IGS_FEATURES_F32 : format == IGS_SAMPLES_F32;
        for (uint32_t c = group->first; c < group->first + group->n_channels; c++) {
            double v = convert ? igs_to_sample(group, values[c]) : values[c];
            float single = (float)v;
            uint16_t code;
            switch (format) {
            case IGS_SAMPLES_U8: out[c] = (uint8_t)(clamp(v, 0, 1) * 255 + 0.5); break;
            case IGS_SAMPLES_U16:
                code = (uint16_t)(clamp(v, 0, 1) * 65535 + 0.5);
                memcpy(out + 2 * (size_t)c, &code, 2);
                break;
            case IGS_FEATURES_F64: memcpy(out + 8 * (size_t)c, &v, 8); break;
            default: memcpy(out + 4 * (size_t)c, &single, 4);
            }
        }
    }
}

/* ---- outputs that are reduced along an axis ---- */

typedef struct { /* how a channel is averaged */
    int alpha;             /* channel whose values weigh it: of straight colour; -1: none */
    int is_clamped, is_value; /* to 0..1; is a sample of a float group */
} rule;

/* Sums of an output pixel: of weighted values, then of values. */
typedef struct {
    rule rules[MAX_CHANNELS];
    double *sums;
} averages;

static void make_rules(const igs_file *file, rule *rules) {
    for (uint32_t g = 0; g < file->n_groups; g++) {
        const igs_group *group = &file->group[g];
        uint32_t last = group->first + group->n_channels - 1;
        for (uint32_t c = group->first; c <= last; c++) rules[c] = (rule){-1, 0, group->sample_type != 0};
        if (!group->alpha) continue;
        const igs_group *colours = group->n_channels > 1 || !g ? group : group - 1;
        uint32_t end = colours == group ? last : colours->first + colours->n_channels;
        for (uint32_t c = colours->first; c < end; c++) {
            if (group->alpha == 1) rules[c].alpha = (int)last;
            else rules[c].is_clamped = !rules[c].is_value;
        }
        rules[last].is_clamped = !rules[last].is_value;
    }
}

static void add_point(const igs_file *file, averages *a, const double *features, double share, double *sums) {
    double values[MAX_CHANNELS];
    uint32_t C = file->n_channels;
    for (uint32_t g = 0; g < file->n_groups; g++) {
        const igs_group *group = &file->group[g];
        for (uint32_t c = group->first; c < group->first + group->n_channels; c++) {
            values[c] = group->sample_type ? igs_to_sample(group, features[c]) : features[c];
            if (a->rules[c].is_clamped) values[c] = clamp(values[c], 0, 1);
        }
    }
    for (uint32_t c = 0; c < C; c++) {
        double weight = a->rules[c].alpha < 0 ? share : share * clamp(values[a->rules[c].alpha], 0, 1);
        sums[2 * c] += weight * values[c];
        sums[2 * c + 1] += a->rules[c].alpha < 0 ? weight : share * values[c];
        if (a->rules[c].alpha >= 0) sums[2 * C + c] += weight;
    }
}

static void find_means(const igs_file *file, const averages *a, const double *sums, double *values) {
    uint32_t C = file->n_channels;
    for (uint32_t c = 0; c < C; c++) {
        values[c] = sums[2 * c];
        if (a->rules[c].alpha >= 0) values[c] = sums[2 * C + c] > 0 ? sums[2 * c] / sums[2 * C + c] : sums[2 * c + 1];
    }
}

/* Outputs that a point of an axis belongs to, at most two, and its shares of them. */
static int outputs_of(const axis *a, uint32_t i, uint32_t *first, double share[2]) {
    if (!is_reduced(a)) {
        *first = i;
        share[0] = 1;
        return 1;
    }
    uint64_t from = (uint64_t)i * a->n, edge;
    *first = (uint32_t)(from / a->length);
    edge = ((uint64_t)*first + 1) * a->length;
    share[0] = (double)((edge < from + a->n ? edge : from + a->n) - from) / a->length;
    share[1] = edge < from + a->n ? (double)(from + a->n - edge) / a->length : 0;
    return share[1] > 0 ? 2 : 1;
}

/* ---- regions ---- */

typedef struct {
    const igs_request *request;
    axis x, y;
    size_t value_bytes, row_bytes;
    averages means;
    int reduced;
} job;

static void put_point(view *v, job *j, uint32_t column, uint32_t row, double *features, uint8_t *out) {
    igs_file *file = v->file;
    uint32_t C = file->n_channels, first_x, first_y;
    double share_x[2], share_y[2];
    if (!j->reduced) {
        if (j->request->grain) igs_add_grain(file, grain_of(&j->x, column), grain_of(&j->y, row), 0, 0, features);
        put_pixel(file, j->request->format, features, 0, out + row * j->row_bytes + (size_t)column * C * j->value_bytes);
        return;
    }
    int n_x = outputs_of(&j->x, column, &first_x, share_x), n_y = outputs_of(&j->y, row, &first_y, share_y);
    for (int b = 0; b < n_y; b++)
        for (int a = 0; a < n_x; a++) {
            size_t at = ((size_t)first_y + (size_t)b) * j->x.n + first_x + (size_t)a;
            add_point(file, &j->means, features, share_x[a] * share_y[b], j->means.sums + 3 * at * C);
        }
}

static void finish_means(const igs_file *file, const job *j, uint8_t *out) {
    uint32_t C = file->n_channels;
    double values[MAX_CHANNELS], ratio_x = (double)j->x.length / j->x.n, ratio_y = (double)j->y.length / j->y.n;
    for (uint32_t row = 0; row < j->y.n; row++)
        for (uint32_t column = 0; column < j->x.n; column++) {
            find_means(file, &j->means, j->means.sums + 3 * ((size_t)row * j->x.n + column) * C, values);
            if (j->request->grain)
                igs_add_grain(file, grain_of(&j->x, column), grain_of(&j->y, row), ratio_x, ratio_y, values);
            put_pixel(file, j->request->format, values, 1, out + row * j->row_bytes + (size_t)column * C * j->value_bytes);
        }
}

/* All points, tile by tile, so that a tile's Gaussians are gathered once. */
static igs_status blend_points(view *v, job *j, uint8_t *out) {
    double features[MAX_CHANNELS];
    const igs_file *file = v->file;
    for (uint32_t row = 0, row_end; row < j->y.n_points; row = row_end) {
        uint32_t ty = tile_of(point_of(&j->y, row), j->y.side);
        row_end = row + 1;
        while (row_end < j->y.n_points && tile_of(point_of(&j->y, row_end), j->y.side) == ty) row_end++;
        for (uint32_t column = 0, end; column < j->x.n_points; column = end) {
            uint32_t tx = tile_of(point_of(&j->x, column), j->x.side);
            end = column + 1;
            while (end < j->x.n_points && tile_of(point_of(&j->x, end), j->x.side) == tx) end++;
            const igs_scene *scene;
            TRY(enter(v, tx, ty, (uint64_t)(row_end - row) * (end - column), &scene));
            for (uint32_t r = row; r < row_end; r++)
                for (uint32_t c = column; c < end; c++) {
                    if (scene) igs_blend(scene, &v->tile, point_of(&j->x, c), point_of(&j->y, r), features);
                    else memcpy(features, file->background, file->n_channels * sizeof *features);
                    put_point(v, j, c, r, features, out);
                }
        }
    }
    return IGS_OK;
}

static igs_status make_axis(igs_file *file, axis *a, uint32_t from, uint32_t length, uint32_t n, uint32_t side) {
    CHECK(from < side && length <= side - from, IGS_INVALID_ARGUMENT, "the region leaves the picture");
    if (!length) length = side - from;
    if (!n) n = length;
    CHECK_N(n <= 1u << 20, IGS_INVALID_ARGUMENT, "an output of # pixels", n);
    *a = (axis){from, length, n, n < length ? length : n, side};
    return IGS_OK;
}

static igs_status render(view *v, const igs_request *request, uint8_t *out) {
    static const uint8_t sizes[5] = {1, 2, 4, 4, 8};
    igs_file *file = v->file;
    job j = {.request = request};
    uint32_t C = file->n_channels;
    CHECK(file->is_open, IGS_INVALID_ARGUMENT, "no file is open");
    CHECK((unsigned)request->format <= IGS_FEATURES_F64, IGS_INVALID_ARGUMENT, "the format is not known");
    CHECK_N(request->lod < file->n_levels, IGS_INVALID_ARGUMENT, "there is no level #", request->lod);
    TRY(make_axis(file, &j.x, request->x, request->width, request->out_width, file->set->width));
    TRY(make_axis(file, &j.y, request->y, request->height, request->out_height, file->set->height));
    j.value_bytes = sizes[request->format];
    CHECK((uint64_t)j.x.n * C * j.value_bytes <= SIZE_MAX / 2 / j.y.n, IGS_INVALID_ARGUMENT, "the output is too large");
    j.row_bytes = request->row_bytes ? request->row_bytes : (size_t)j.x.n * C * j.value_bytes;
    CHECK(j.row_bytes >= (size_t)j.x.n * C * j.value_bytes, IGS_INVALID_ARGUMENT, "row_bytes is less than a row");
    j.reduced = is_reduced(&j.x) || is_reduced(&j.y);
    if (request->grain) TRY(igs_read_grain(file));
    v->lod = request->lod;
    v->tiles = (igs_tiles){tile_of(point_of(&j.x, 0), j.x.side), tile_of(point_of(&j.y, 0), j.y.side),
                           tile_of(point_of(&j.x, j.x.n_points - 1), j.x.side), tile_of(point_of(&j.y, j.y.n_points - 1), j.y.side)};
    if (j.reduced) {
        make_rules(file, j.means.rules);
        TAKE(j.means.sums, &v->ring, 3 * (uint64_t)C * j.x.n * j.y.n);
    }
    TRY(make_view(v, request->available));
    TRY(blend_points(v, &j, out));
    if (j.reduced) finish_means(file, &j, out);
    return IGS_OK;
}

igs_status igs_render(igs_file *file, const igs_request *request, void *out) {
    view v = {.file = file, .n_levels = file->n_levels};
    igs_status status = render(&v, request, out);
    close_view(&v);
    return status;
}

/* ---- points ---- */

static igs_status sample(view *v, const double *points, size_t n, int grain, double *features) {
    igs_file *file = v->file;
    const igs_set *finest = file->set;
    CHECK(file->is_open, IGS_INVALID_ARGUMENT, "no file is open");
    CHECK_N(v->lod < file->n_levels, IGS_INVALID_ARGUMENT, "there is no level #", v->lod);
    if (grain) TRY(igs_read_grain(file));
    for (size_t i = 0; i < n; i++) {
        double x = points[2 * i], y = points[2 * i + 1];
        CHECK(x >= 0 && y >= 0 && x <= finest->width && y <= finest->height, IGS_INVALID_ARGUMENT,
              "a point lies outside the picture");
    }
    for (size_t i = 0, end; i < n; i = end) { /* runs of points in one tile */
        uint32_t tx = tile_of(points[2 * i], finest->width), ty = tile_of(points[2 * i + 1], finest->height);
        end = i + 1;
        while (end < n && tile_of(points[2 * end], finest->width) == tx && tile_of(points[2 * end + 1], finest->height) == ty)
            end++;
        v->tiles = (igs_tiles){tx, ty, tx, ty};
        TRY(make_view(v, 0));
        const igs_scene *scene;
        TRY(enter(v, tx, ty, end - i, &scene));
        for (size_t k = i; k < end; k++) {
            double *f = features + k * file->n_channels;
            igs_blend(scene, &v->tile, points[2 * k], points[2 * k + 1], f);
            if (grain) igs_add_grain(file, (uint32_t)floor(points[2 * k]), (uint32_t)floor(points[2 * k + 1]), 0, 0, f);
        }
        igs_scene_close(v->scene[v->lod]);
        v->scene[v->lod] = NULL;
        igs_free_all(file, &v->ring);
    }
    return IGS_OK;
}

igs_status igs_sample(igs_file *file, uint32_t lod, const double *points, size_t n, int grain, double *features) {
    view v = {.file = file, .lod = lod, .n_levels = file->n_levels};
    igs_status status = sample(&v, points, n, grain, features);
    close_view(&v);
    return status;
}
