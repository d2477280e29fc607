/* libigs as a WebAssembly module: one file per instance, its bytes through the import `env.igsw_read`.
 *
 * A function with a status returns 0, 1 (NeedBytes: the import returned 1; call again once the bytes have arrived), or an
 * error below 0 as in igs.h, of which igsw_error has the line. Tables and lists live in memory until the next call that
 * makes such ones; any call may move or grow the memory. Numbers of bytes are doubles, exact to 2^53. */
#include "../include/igs.h"
#include "runtime.h"

#define EXPORT(name) __attribute__((export_name(#name), visibility("default")))

/* Copies bytes of the file: 0 = done, 1 = they have not arrived yet, else = they cannot be read. */
__attribute__((import_module("env"), import_name("igsw_read"))) int32_t igsw_read(double offset, uint32_t size, void *to);

static igs_file *file;
static igs_info info;

/* ---- memory ---- */

EXPORT(igsw_alloc) void *igsw_alloc(uint32_t size) { return runtime_alloc(size); }
EXPORT(igsw_free) void igsw_free(void *memory) { runtime_free(memory); }

static void *allocate(void *user, size_t size) {
    (void)user;
    return runtime_alloc(size);
}

static void release(void *user, void *memory, size_t size) {
    (void)user;
    (void)size;
    runtime_free(memory);
}

/* Room for a result, of at least n items; what was there is lost. NULL where there is none. */
typedef struct {
    void *data;
    size_t size;
} room;

static void *reserve(room *r, size_t n, size_t size) {
    size_t bytes = n * size + 1;
    if (n > ((size_t)1 << 31) / size) return NULL;
    if (r->size >= bytes) return r->data;
    runtime_free(r->data);
    r->data = runtime_alloc(bytes);
    r->size = r->data ? bytes : 0;
    return r->data;
}

/* ---- opening ---- */

static igs_status read_import(void *user, uint64_t offset, void *to, size_t size) {
    (void)user;
    int32_t result = igsw_read((double)offset, (uint32_t)size, to);
    return result == 0 ? IGS_OK : result == 1 ? IGS_NEED_BYTES : IGS_READ_FAILED;
}

/* file_size: bytes that are there; below 0: as many as the header says. Reads header, table of contents and CHAN; of a file
 * without coarser sets its tables. */
EXPORT(igsw_open) int32_t igsw_open(double file_size) {
    static const igs_options options = {{allocate, release, NULL}, 0, 0, 1};
    uint8_t head[24];
    if (!file && igs_create(&options, &file)) return IGS_OUT_OF_MEMORY;
    if (file_size < 0) {
        igs_status status = read_import(NULL, 0, head, sizeof head);
        if (status) return status;
        file_size = 0;
        for (int i = head[14] == 3 ? 17 : 23; i >= 16; i--) file_size = file_size * 256 + head[i];
    }
    igs_source source = {(uint64_t)file_size, read_import, NULL, NULL};
    igs_status status = igs_open(file, &source);
    return status ? status : igs_get_info(file, &info);
}

EXPORT(igsw_error) const char *igsw_error(void) { return igs_message(file); }

/* ---- what the file holds, as JSON ---- */

static room json;
static size_t json_size;

static void put(const char *text) {
    size_t n = strlen(text);
    if (json_size + n < json.size) memcpy((char *)json.data + json_size, text, n + 1);
    json_size += n;
}

static void put_uint(uint64_t v) {
    char digits[24];
    int at = 23;
    digits[at] = 0;
    do digits[--at] = (char)('0' + v % 10);
    while (v /= 10);
    put(digits + at);
}

static void put_name(const char *name, uint64_t v) {
    put("\"");
    put(name);
    put("\":");
    put_uint(v);
    put(",");
}

/* A binary32 number to 17 digits or so: enough to be read as the same one. */
static void put_float(double v) {
    int64_t e = 0;
    if (v < 0) put("-");
    v = fabs(v);
    if (v == 0) {
        put("0");
        return;
    }
    while (v >= 1e15) v /= 10, e++;
    while (v < 1e14) v *= 10, e--;
    put_uint((uint64_t)(v + 0.5));
    put(e < 0 ? "e-" : "e");
    put_uint((uint64_t)(e < 0 ? -e : e));
}

static void put_text(const char *text) { /* has no control characters and no backslash */
    char one[3] = {0, 0, 0};
    put("\"");
    for (; *text; text++) {
        one[0] = *text == '"' ? '\\' : *text;
        one[1] = *text == '"' ? '"' : 0;
        put(one);
    }
    put("\"");
}

static void put_choice(const char *name, const char *const *choices, uint32_t which) {
    put("\"");
    put(name);
    put("\":\"");
    put(choices[which]);
    put("\",");
}

static void put_group(const igs_group *g) {
    static const char *const roles[] = {"color", "albedo", "normal", "ao", "roughness", "metalness", "height", "opacity", "mask", "emissive", "data"};
    static const char *const types[] = {"uint", "float"}, *const transfers[] = {"srgb", "linear", "log", "asinh"};
    static const char *const alphas[] = {"none", "straight", "premultiplied"}, *const normals[] = {"none", "gl", "dx"};
    put("{\"name\":");
    put_text(g->name);
    put(",\"source\":");
    put_text(g->source);
    put(",");
    put_choice("role", roles, g->role);
    put_choice("sample_type", types, g->sample_type);
    put_choice("transfer", transfers, g->transfer);
    put_choice("alpha", alphas, g->alpha);
    put_choice("normal", normals, g->normal);
    put_name("first", g->first);
    put_name("n_channels", g->n_channels);
    put_name("bit_depth", g->bit_depth);
    put_name("knee", g->knee);
    put("\"value_min\":");
    put_float(g->value_min);
    put(",\"value_max\":");
    put_float(g->value_max);
    put(",\"background\":[");
    for (uint32_t c = 0; c < g->n_channels; c++) {
        if (c) put(",");
        put_float(g->background[c]);
    }
    put("]}");
}

static void put_grain(uint32_t number, const igs_group *g) {
    put("{");
    put_name("group", number);
    put_name("correlation", g->correlation);
    put_name("independence", g->independence);
    put("\"strength\":[");
    for (int i = 0; i < 8; i++) {
        if (i) put(",");
        put_uint(g->strength[i]);
    }
    put("]}");
}

static void put_info(void) {
    static const char *const profiles[] = {"f16", "packed", "coded", "small"};
    igs_group group;
    igs_level level;
    json_size = 0;
    put("{");
    put_name("width", info.width);
    put_name("height", info.height);
    put_name("n_channels", info.n_channels);
    put_name("top_k", info.top_k);
    put_choice("profile", profiles, info.profile);
    put_name("file_size", info.file_size);
    put_name("truncated", (uint64_t)info.truncated);
    put("\"support_q\":");
    put_float(info.support_q);
    put(",\"levels\":[");
    for (uint32_t lod = 0; lod < info.n_levels; lod++) {
        igs_find_level(file, lod, &level);
        put(lod ? ",{" : "{");
        put_name("lod", lod);
        put_name("set", level.set);
        put("\"scale_log2\":");
        put_uint(level.scale_log2);
        put("}");
    }
    put("],\"groups\":[");
    for (uint32_t g = 0; g < info.n_groups; g++) {
        if (igs_get_group(file, g, &group)) break;
        if (g) put(",");
        put_group(&group);
    }
    put("],\"grain\":[");
    int any = 0;
    for (uint32_t g = 0; g < info.n_groups; g++) {
        if (igs_get_group(file, g, &group) || !group.has_grain) continue;
        if (any++) put(",");
        put_grain(g, &group);
    }
    put("]}");
}

/* UTF-8, ends with 0; "" where bytes of GRAN have not arrived yet, or it is damaged. */
EXPORT(igsw_info) const char *igsw_info(void) {
    igs_group group;
    if (!info.n_groups || igs_get_group(file, 0, &group)) return "";
    put_info(); /* once to measure it */
    if (json_size + 1 > json.size) {
        if (!reserve(&json, json_size + 1, 1)) return "";
        put_info();
    }
    return json.data;
}

/* ---- levels and pages ---- */

EXPORT(igsw_level) int32_t igsw_level(uint32_t lod) { return igs_load_level(file, lod); }

typedef struct {
    double offset, first;
    uint32_t id, n_bytes, n_gaussians, generation, tx_first, ty_first, tx_last, ty_last;
} page_row;

static room ids, rows, geometry, features, pixels;
static size_t n_pages, n_gaussians;

EXPORT(igsw_pages) int32_t igsw_pages(uint32_t lod, uint32_t tx0, uint32_t ty0, uint32_t tx1, uint32_t ty1) {
    igs_tiles tiles = {tx0, ty0, tx1, ty1};
    n_pages = 0;
    size_t n;
    igs_status status = igs_find_pages(file, lod, tiles, NULL, 0, &n);
    if (status) return status;
    uint32_t *id = reserve(&ids, n, sizeof *id);
    page_row *row = reserve(&rows, n, sizeof *row);
    if (!id || !row) return IGS_OUT_OF_MEMORY;
    status = igs_find_pages(file, lod, tiles, id, n, &n);
    for (size_t i = 0; i < n && !status; i++) {
        igs_page p;
        status = igs_get_page(file, lod, id[i], &p);
        if (!status) row[i] = (page_row){(double)p.offset, (double)p.first, id[i], p.n_bytes, p.n_gaussians, p.generation,
                                         p.box.x_first, p.box.y_first, p.box.x_last, p.box.y_last};
    }
    if (!status) n_pages = n;
    return status;
}

EXPORT(igsw_n_pages) uint32_t igsw_n_pages(void) { return n_pages; }
EXPORT(igsw_page_list) const void *igsw_page_list(void) { return rows.data; }

EXPORT(igsw_decode) int32_t igsw_decode(uint32_t lod, uint32_t id) {
    igs_page page;
    n_gaussians = 0;
    igs_status status = igs_get_page(file, lod, id, &page);
    if (status) return status;
    igs_gaussian *g = reserve(&geometry, page.n_gaussians, sizeof *g);
    float *f = reserve(&features, page.n_gaussians, sizeof *f * info.n_channels);
    if (!g || !f) return IGS_OUT_OF_MEMORY;
    status = igs_decode_page(file, lod, id, g, f);
    if (!status) n_gaussians = page.n_gaussians;
    return status;
}

EXPORT(igsw_n_gaussians) uint32_t igsw_n_gaussians(void) { return n_gaussians; }
EXPORT(igsw_geometry) const void *igsw_geometry(void) { return geometry.data; }
EXPORT(igsw_features) const void *igsw_features(void) { return features.data; }

/* ---- scenes, tile lists and pixels ---- */

static igs_scene *scene;
static igs_lists lists;

EXPORT(igsw_scene) int32_t igsw_scene(uint32_t lod, uint32_t tx0, uint32_t ty0, uint32_t tx1, uint32_t ty1) {
    igs_scene_close(scene);
    igs_status status = igs_scene_create(file, lod, &scene);
    return status ? status : igs_scene_read(scene, (igs_tiles){tx0, ty0, tx1, ty1});
}

EXPORT(igsw_scene_size) uint32_t igsw_scene_size(void) { return scene ? igs_scene_gaussians(scene, NULL, NULL) : 0; }

EXPORT(igsw_scene_geometry) const void *igsw_scene_geometry(void) {
    const igs_gaussian *g = NULL;
    if (scene) igs_scene_gaussians(scene, &g, NULL);
    return g;
}

EXPORT(igsw_scene_features) const void *igsw_scene_features(void) {
    const float *f = NULL;
    if (scene) igs_scene_gaussians(scene, NULL, &f);
    return f;
}

EXPORT(igsw_lists) int32_t igsw_lists(uint32_t tx0, uint32_t ty0, uint32_t tx1, uint32_t ty1) {
    return scene ? igs_scene_lists(scene, (igs_tiles){tx0, ty0, tx1, ty1}, &lists) : IGS_INVALID_ARGUMENT;
}

EXPORT(igsw_list_offsets) const uint32_t *igsw_list_offsets(void) { return lists.first; }
EXPORT(igsw_list_entries) const uint32_t *igsw_list_entries(void) { return lists.entry; }

/* flags: 1 grain, 2 each tile at the finest level that has arrived, 4 samples in place of features. out_w and out_h 0: w
 * and h. */
EXPORT(igsw_render) int32_t igsw_render(uint32_t lod, uint32_t x, uint32_t y, uint32_t w, uint32_t h, uint32_t out_w, uint32_t out_h, uint32_t flags) {
    igs_request request = {lod, x, y, w, h, out_w, out_h, flags & 4 ? IGS_SAMPLES_F32 : IGS_FEATURES_F32, flags & 1, flags >> 1 & 1, 0};
    size_t n_x = out_w ? out_w : w, n_y = out_h ? out_h : h;
    if (!n_x || !n_y || n_x > (1u << 26) / n_y) return IGS_INVALID_ARGUMENT;
    float *out = reserve(&pixels, n_x * n_y, sizeof *out * info.n_channels);
    return out ? igs_render(file, &request, out) : IGS_OUT_OF_MEMORY;
}

EXPORT(igsw_pixels) const void *igsw_pixels(void) { return pixels.data; }
