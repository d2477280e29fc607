/* The Gaussians of a region, and its tile lists: section 3.4, in binary64. */
#include "internal.h"

igs_status igs_scene_create(igs_file *file, uint32_t lod, igs_scene **out) {
    igs_scene *scene;
    *out = NULL;
    TRY(igs_load_level(file, lod));
    TAKE(scene, &file->ring, 1);
    scene->file = file;
    scene->lod = lod;
    scene->top_k = file->set->top_k;
    scene->support_q = file->set->support_q;
    scene->tiles = (igs_tiles){1, 1, 0, 0};
    *out = scene;
    return IGS_OK;
}

static void empty(igs_scene *scene) {
    igs_free_all(scene->file, &scene->lists_ring);
    igs_free_all(scene->file, &scene->ring);
    scene->tiles = (igs_tiles){1, 1, 0, 0};
    scene->n = 0;
    memset(&scene->lists, 0, sizeof scene->lists);
}

void igs_scene_close(igs_scene *scene) {
    if (!scene) return;
    empty(scene);
    igs_free(scene->file, &scene->file->ring, scene);
}

static igs_status fill(igs_scene *scene, igs_tiles tiles, int only_arrived) {
    igs_file *file = scene->file;
    igs_set *set;
    uint32_t row, C = file->n_channels;
    uint8_t *data;
    TRY(igs_set_of(file, scene->lod, &set, &row));
    TRY(igs_clip_tiles(file, &tiles));
    igs_tiles own = igs_tiles_of_set(set, tiles);
    TRY(igs_need_entries(file, set, row, own));
    size_t n = 0, first = 0;
    for (int pass = 0; pass < 3; pass++) { /* count, compare the CRCs, decode */
        if (pass == 2) {
            TAKE(scene->gaussians, &scene->ring, n);
            TAKE(scene->features, &scene->ring, (uint64_t)n * C);
            TAKE(scene->turns, &scene->ring, (uint64_t)n * 2);
        }
        for (uint32_t i = 0; i < set->n_pages && set->page[i].generation <= row; i++) {
            const igs_entry *page = &set->page[i];
            if (!igs_is_known(set, page)) continue;
            if (!only_arrived) CHECK(igs_is_there(set, page), IGS_TRUNCATED_STREAM, "the file is cut inside this level");
            if (!igs_meets(page, own) || !igs_is_there(set, page)) continue;
            if (pass == 0) {
                n += page->n_gaussians;
                continue;
            }
            TRY(igs_load_page(file, set, page, &data));
            if (pass == 2) {
                TRY(igs_unpack_page(file, set, row, page, data, scene->gaussians + first, scene->features + first * C));
                first += page->n_gaussians;
            }
            igs_free(file, &file->scratch, data);
        }
    }
    for (size_t i = 0; i < n; i++) {
        scene->turns[2 * i] = cos(scene->gaussians[i].theta);
        scene->turns[2 * i + 1] = sin(scene->gaussians[i].theta);
    }
    scene->n = n;
    scene->tiles = tiles;
    return IGS_OK;
}

igs_status igs_fill_scene(igs_scene *scene, igs_tiles tiles, int only_arrived) {
    empty(scene);
    igs_status status = fill(scene, tiles, only_arrived);
    if (status) empty(scene);
    igs_free_all(scene->file, &scene->file->scratch);
    return status;
}

igs_status igs_scene_read(igs_scene *scene, igs_tiles tiles) { return igs_fill_scene(scene, tiles, 0); }

size_t igs_scene_gaussians(const igs_scene *scene, const igs_gaussian **gaussians, const float **features) {
    if (gaussians) *gaussians = scene->gaussians;
    if (features) *features = scene->features;
    return scene->n;
}

/* ---- tile lists ---- */

/* Tiles first to last that the closed interval u..v meets, of those from low to high; first > last where there is none. */
static void meeting(double u, double v, uint32_t low, uint32_t high, uint32_t *first, uint32_t *last) {
    double a = floor(u / TILE), b = floor(v / TILE);
    if (u / TILE == a) a -= 1;
    *first = a > low ? a > high ? high + 1 : (uint32_t)a : low;
    *last = b < high ? b < low ? low - 1 : (uint32_t)b : high;
    if (*first > high || b < low) {
        *first = 1;
        *last = 0;
    }
}

/* For each tile in whose list a Gaussian stands, counts it, or enters its number at the place `at` of the tile; how many
 * rows and tiles were looked at. */
static uint64_t list_gaussian(const igs_scene *scene, uint32_t i, igs_tiles t, uint32_t *at, uint32_t *entries) {
    const igs_gaussian *g = &scene->gaussians[i];
    double c = scene->turns[2 * (size_t)i], s = scene->turns[2 * (size_t)i + 1], s0 = g->s0, s1 = g->s1, Q = scene->support_q;
    double a = s0 * s0 * c * c + s1 * s1 * s * s;
    double b = (s0 * s0 - s1 * s1) * c * s;
    double d = s0 * s0 * s * s + s1 * s1 * c * c;
    double det = (s0 * s0) * (s1 * s1);
    double hx = sqrt(Q * d / det), hy = sqrt(Q * a / det), tip = b * hx / d;
    uint32_t y_first, y_last, x_first, x_last;
    uint64_t n = 0;
    if (g->x + hx < (double)TILE * t.x_first - 1 || g->x - hx > (double)TILE * t.x_last + TILE + 1) return 0;
    meeting(g->y - hy, g->y + hy, t.y_first, t.y_last, &y_first, &y_last);
    for (uint32_t ty = y_first; ty <= y_last; ty++) {
        double lo = greater((double)TILE * ty - g->y, -hy), hi = lesser((double)TILE * ty - g->y + TILE, hy);
        double y = clamp(-tip, lo, hi);
        double x_right = (-b * y + sqrt(greater(0, a * Q - det * y * y))) / a;
        y = clamp(tip, lo, hi);
        double x_left = (-b * y - sqrt(greater(0, a * Q - det * y * y))) / a;
        meeting(g->x + x_left, g->x + x_right, t.x_first, t.x_last, &x_first, &x_last);
        uint32_t *row = at + (size_t)(ty - t.y_first) * (t.x_last - t.x_first + 1);
        for (uint32_t tx = x_first; tx <= x_last; tx++) {
            uint32_t *place = &row[tx - t.x_first];
            if (entries) entries[*place] = i;
            ++*place;
        }
        n += x_first <= x_last ? x_last - x_first + 2 : 1; /* the row, too, for the limit of work */
    }
    return n;
}

static igs_status make_lists(igs_scene *scene, igs_tiles t) {
    igs_file *file = scene->file;
    CHECK(t.x_first <= t.x_last && t.y_first <= t.y_last && t.x_first >= scene->tiles.x_first &&
              t.y_first >= scene->tiles.y_first && t.x_last <= scene->tiles.x_last && t.y_last <= scene->tiles.y_last,
          IGS_INVALID_ARGUMENT, "the scene has not read these tiles");
    uint64_t n_tiles = (uint64_t)(t.x_last - t.x_first + 1) * (t.y_last - t.y_first + 1), total = 0;
    uint32_t *first, *entries;
    TAKE(first, &scene->lists_ring, n_tiles + 1);
    for (size_t i = 0; i < scene->n; i++) {
        total += list_gaussian(scene, (uint32_t)i, t, first, NULL);
        CHECK(total <= UINT32_MAX && total <= file->max_bytes / 4, IGS_LIMIT_EXCEEDED, "the tile lists of the region are too long");
    }
    total = 0;
    for (size_t i = 0; i < n_tiles; i++) { /* from counts to places */
        uint32_t count = first[i];
        first[i] = (uint32_t)total;
        total += count;
    }
    TAKE(entries, &scene->lists_ring, total);
    for (size_t i = 0; i < scene->n; i++) list_gaussian(scene, (uint32_t)i, t, first, entries);
    for (size_t i = (size_t)n_tiles; i; i--) first[i] = first[i - 1]; /* each place is now the next tile's */
    first[0] = 0;
    scene->lists = (igs_lists){first, entries, (size_t)n_tiles};
    scene->listed = t;
    return IGS_OK;
}

igs_status igs_make_lists(igs_scene *scene, igs_tiles tiles) {
    igs_free_all(scene->file, &scene->lists_ring);
    memset(&scene->lists, 0, sizeof scene->lists);
    TRY(igs_clip_tiles(scene->file, &tiles));
    igs_status status = make_lists(scene, tiles);
    if (!status) return IGS_OK;
    igs_free_all(scene->file, &scene->lists_ring);
    memset(&scene->lists, 0, sizeof scene->lists);
    return status;
}

igs_status igs_scene_lists(igs_scene *scene, igs_tiles tiles, igs_lists *lists) {
    igs_status status = igs_make_lists(scene, tiles);
    *lists = scene->lists;
    return status;
}
