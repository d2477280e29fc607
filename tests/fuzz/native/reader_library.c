#include "reader_library.h"

#include <stdlib.h>
#include <string.h>

#include "../../../libigs/src/internal.h"

enum { CAP = 256 << 20, MOST_WORK = 1 << 24, PIECE = 256, MOST_PIXELS = 48 };

static size_t in_use, most, countdown;

static void *allocate(void *user, size_t size) {
    (void)user;
    if (countdown && !--countdown) return NULL;
    void *memory = malloc(size);
    if (!memory) return NULL;
    memset(memory, 0xA5, size); /* whoever relies on zeros is found */
    in_use += size;
    if (in_use > most) most = in_use;
    return memory;
}

static void release(void *user, void *memory, size_t size) {
    (void)user;
    in_use -= size;
    free(memory);
}

void fuzz_fail_at(size_t n) { countdown = n; }

void fuzz_expect_nothing_left(void) {
    if (in_use) abort();
}

static igs_file *file;
static igs_scene *scene;
static igs_info info;

static const char *name_of(igs_status status) { return status ? igs_name(status) : ""; }

static igs_status create(int use_page_tree, igs_file **out) {
    igs_options options = {{allocate, release, NULL}, CAP, MOST_WORK, use_page_tree};
    return igs_create(&options, out);
}

void fuzz_close(void) {
    igs_scene_close(scene);
    igs_close(file);
    scene = NULL;
    file = NULL;
    memset(&info, 0, sizeof info);
}

const char *fuzz_open(const uint8_t *data, size_t size, int use_page_tree) {
    fuzz_close();
    igs_status status = create(use_page_tree, &file);
    if (!status) status = igs_open_memory(file, data, size);
    if (!status) status = igs_get_info(file, &info);
    return name_of(status);
}

const char *fuzz_grain(void) {
    igs_group group;
    return name_of(igs_get_group(file, 0, &group));
}

const char *fuzz_read(uint32_t lod) {
    igs_scene_close(scene);
    igs_status status = igs_scene_create(file, lod, &scene);
    if (!status) status = igs_scene_read(scene, (igs_tiles){0, 0, UINT32_MAX, UINT32_MAX});
    return name_of(status);
}

static uint32_t tile_of(double v, uint32_t side) {
    uint32_t last = (side - 1) / TILE;
    return v / TILE >= last ? last : (uint32_t)(v / TILE);
}

void fuzz_blend(const double *points, size_t n, double q_scale, double *features) {
    double support_q = scene->support_q;
    scene->support_q *= q_scale;
    for (size_t i = 0; i < n; i++) {
        igs_tile tile;
        uint32_t tx = tile_of(points[2 * i], info.width), ty = tile_of(points[2 * i + 1], info.height);
        igs_status status = igs_make_lists(scene, (igs_tiles){tx, ty, tx, ty});
        if (!status) status = igs_make_tile(file, &scene->lists_ring, igs_longest_list(scene), &tile);
        if (status) continue;
        igs_enter_tile(scene, tx, ty, &tile);
        igs_blend(scene, &tile, points[2 * i], points[2 * i + 1], features + i * info.n_channels);
    }
    scene->support_q = support_q;
}

double fuzz_sample(uint32_t channel, double feature) {
    igs_group group = {0};
    for (uint32_t g = 0; !igs_get_group(file, g, &group) && channel >= group.first + group.n_channels;) g++;
    return igs_to_sample(&group, feature);
}

uint32_t fuzz_width(void) { return info.width; }
uint32_t fuzz_height(void) { return info.height; }
uint32_t fuzz_lods(void) { return info.n_levels; }
uint32_t fuzz_channels(void) { return info.n_channels; }
uint32_t fuzz_groups(void) { return info.n_groups; }
size_t fuzz_gaussians(void) { return scene ? scene->n : 0; }
size_t fuzz_most_bytes(void) { return most; }

/* ---- everything else ---- */

typedef struct { /* bytes that arrive in pieces, once they have been asked for */
    const uint8_t *data;
    uint8_t *arrived;
    uint64_t wanted, wanted_size;
} stream;

static igs_status read_stream(void *user, uint64_t offset, void *to, size_t size) {
    stream *s = user;
    for (uint64_t piece = offset / PIECE; piece <= (offset + size - 1) / PIECE; piece++)
        if (!s->arrived[piece]) {
            s->wanted = offset;
            s->wanted_size = size;
            return IGS_NEED_BYTES;
        }
    memcpy(to, s->data + offset, size);
    return IGS_OK;
}

static int has_arrived(stream *s, igs_status status) {
    if (status != IGS_NEED_BYTES) return 1;
    for (uint64_t piece = s->wanted / PIECE; piece <= (s->wanted + s->wanted_size - 1) / PIECE; piece++) s->arrived[piece] = 1;
    return 0;
}

static void look_at(igs_file *f, stream *s, uint32_t draw) {
    igs_info about;
    igs_status status;
    igs_source source = {s->wanted_size, read_stream, NULL, s};
    do status = igs_open(f, &source);
    while (!has_arrived(s, status));
    if (status || igs_get_info(f, &about)) return;
    uint32_t lod = draw % about.n_levels, columns = (about.width - 1) / TILE + 1, rows = (about.height - 1) / TILE + 1;
    uint32_t x = (draw >> 4) % about.width, y = (draw >> 12) % about.height, ids[8];
    igs_tiles tiles = {x / TILE, y / TILE, x / TILE + draw % 3, y / TILE + draw % 2};
    igs_level level;
    igs_page page;
    size_t n = 0;
    uint32_t best = 0;
    do status = igs_get_level(f, lod, &level);
    while (!has_arrived(s, status));
    do status = igs_find_pages(f, lod, tiles, ids, 8, &n);
    while (!has_arrived(s, status));
    for (size_t i = 0; !status && i < n && i < 8; i++) {
        do status = igs_get_page(f, lod, ids[i], &page);
        while (!has_arrived(s, status));
        if (status) break;
        igs_gaussian *g = malloc(page.n_gaussians * sizeof *g);
        float *features = malloc((size_t)page.n_gaussians * about.n_channels * sizeof *features);
        do status = g && features ? igs_decode_page(f, lod, ids[i], g, features) : IGS_OUT_OF_MEMORY;
        while (!has_arrived(s, status));
        free(g);
        free(features);
    }
    do status = igs_best_level(f, 0, draw % columns, (draw >> 8) % rows, &best);
    while (!has_arrived(s, status));
    if (!status && best > about.n_levels) abort();
    if (n > 64) return; /* pages; rendering them is for larger machines */
    igs_request request = {lod, x, y, MOST_PIXELS, MOST_PIXELS, 0, 0, (igs_format)(draw % 5), draw & 1, draw >> 1 & 1, 0};
    if (request.width > about.width - x) request.width = about.width - x;
    if (request.height > about.height - y) request.height = about.height - y;
    if (draw & 4) request.out_width = 1 + (draw >> 5) % MOST_PIXELS;
    if (draw & 8) request.out_height = 1 + (draw >> 9) % MOST_PIXELS;
    void *out = malloc((size_t)MOST_PIXELS * MOST_PIXELS * about.n_channels * 8);
    do status = out ? igs_render(f, &request, out) : IGS_OUT_OF_MEMORY;
    while (!has_arrived(s, status));
    free(out);
    double points[4] = {x + 0.25, y + 0.75, about.width, 0}, *features = malloc(2 * sizeof(double) * about.n_channels);
    do status = features ? igs_sample(f, lod, points, 2, draw & 1, features) : IGS_OUT_OF_MEMORY;
    while (!has_arrived(s, status));
    free(features);
}

void fuzz_all(const uint8_t *data, size_t size, uint32_t draw) {
    igs_file *f;
    stream s = {data, calloc(size / PIECE + 1, 1), 0, size};
    if (s.arrived && !create(draw >> 3 & 1, &f)) {
        look_at(f, &s, draw);
        igs_close(f);
    }
    free(s.arrived);
}
