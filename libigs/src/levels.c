/* The handle, what the file holds, its levels and their pages. */
#include "internal.h"

#ifndef IGS_FREESTANDING
#include <stdlib.h>

static void *take_plainly(void *user, size_t size) {
    (void)user;
    return malloc(size);
}

static void free_plainly(void *user, void *memory, size_t size) {
    (void)user;
    (void)size;
    free(memory);
}

static const igs_allocator plain = {take_plainly, free_plainly, NULL};
#else
static const igs_allocator plain = {NULL, NULL, NULL};
#endif

/* ---- the handle ---- */

igs_status igs_create(const igs_options *options, igs_file **out) {
    igs_options own = {{NULL, NULL, NULL}, 0, 0, 0};
    if (options) own = *options;
    if (!own.allocator.allocate || !own.allocator.release) own.allocator = plain;
    igs_file *file = *out = own.allocator.allocate ? own.allocator.allocate(own.allocator.user, sizeof *file) : NULL;
    if (!file) return IGS_OUT_OF_MEMORY;
    memset(file, 0, sizeof *file);
    file->allocator = own.allocator;
    file->max_bytes = own.max_bytes ? own.max_bytes : UINT64_C(1) << 30;
    file->max_work = own.max_work ? own.max_work : UINT64_C(1) << 38;
    file->use_page_tree = own.use_page_tree;
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t word = i;
        for (int bit = 0; bit < 8; bit++) word = word & 1 ? word >> 1 ^ 0x82F63B78u : word >> 1;
        file->crc_table[i] = word;
    }
    return IGS_OK;
}

static void forget(igs_file *file) {
    igs_free_all(file, &file->scratch);
    igs_free_all(file, &file->ring);
    for (int k = 0; k <= MAX_LODS; k++) igs_free_all(file, &file->set[k].ring);
    memset(&file->is_open, 0, sizeof *file - offsetof(igs_file, is_open));
}

static void close_source(igs_file *file) {
    if (file->source.close) file->source.close(file->source.user);
    memset(&file->source, 0, sizeof file->source);
    file->memory = NULL;
}

void igs_close(igs_file *file) {
    if (!file) return;
    forget(file);
    close_source(file);
    file->allocator.release(file->allocator.user, file, sizeof *file);
}

/* Ends a call: whatever it had only for itself is freed. */
static igs_status end(igs_file *file, igs_status status) {
    igs_free_all(file, &file->scratch);
    return status;
}

/* ---- opening ---- */

static igs_status open_finest(igs_file *file) {
    igs_set *set = file->set;
    forget(file);
    set->there = file->source.size;
    TRY(igs_open_set(file, set));
    if (!file->n_coarser) TRY(igs_read_tables(file, set));
    file->is_open = 1;
    return IGS_OK;
}

igs_status igs_open(igs_file *file, const igs_source *source) {
    if (source) {
        CHECK(source->read, IGS_INVALID_ARGUMENT, "the source cannot be read");
        close_source(file);
        file->source = *source;
    }
    CHECK(file->memory || file->source.read, IGS_INVALID_ARGUMENT, "there is no source");
    return end(file, open_finest(file));
}

igs_status igs_open_memory(igs_file *file, const void *data, size_t size) {
    static const uint8_t none[1] = {0};
    close_source(file);
    file->memory = data ? data : none;
    file->source.size = data ? size : 0;
    return igs_open(file, NULL);
}

/* Header and tables of a coarser set. */
static igs_status open_coarser(igs_file *file, igs_set *set, const igs_chunk *c) {
    if (!set->is_open) {
        const igs_set *finest = file->set;
        uint32_t side = 1u << c->scale_log2;
        igs_free_all(file, &set->ring);
        memset(set, 0, sizeof *set);
        set->scale_log2 = c->scale_log2;
        set->base = c->offset;
        set->there = finest->there < c->offset ? 0 : finest->there - c->offset;
        if (set->there > c->stored_size) set->there = c->stored_size;
        if (c->is_small) return igs_open_small_set(file, set, c);
        TRY(igs_open_set(file, set));
        set->is_open = 0;
        CHECK(set->file_size == c->stored_size, IGS_CORRUPT_FIELD, "a coarser set does not fill its chunk");
        CHECK(set->profile == finest->profile, IGS_CORRUPT_FIELD, "the profile of a coarser set");
        CHECK(set->lod_count == c->n_lods && set->n_channels == finest->n_channels && set->top_k == finest->top_k &&
                  set->support_q == finest->support_q && set->width == (finest->width - 1) / side + 1 &&
                  set->height == (finest->height - 1) / side + 1,
              IGS_CORRUPT_FIELD, "a coarser set does not agree with the file");
        set->is_open = 1;
    }
    return igs_read_tables(file, set);
}

/* Number of the set of a level, which becomes a level of that set. */
static uint32_t place_of(const igs_file *file, uint32_t *lod) {
    uint32_t k = 0, n = file->set->lod_count;
    while (*lod >= n) {
        *lod -= n;
        n = file->coarser[file->n_coarser - ++k].n_lods;
    }
    return k;
}

static igs_status check_lod(igs_file *file, uint32_t lod) {
    CHECK(file->is_open, IGS_INVALID_ARGUMENT, "no file is open");
    CHECK_N(lod < file->n_levels, IGS_INVALID_ARGUMENT, "there is no level #", lod);
    return IGS_OK;
}

igs_status igs_set_of(igs_file *file, uint32_t lod, igs_set **out, uint32_t *row) {
    TRY(check_lod(file, lod));
    uint32_t k = place_of(file, &lod);
    igs_set *set = *out = &file->set[k];
    if (!set->has_tables) TRY(k ? open_coarser(file, set, &file->coarser[file->n_coarser - k]) : igs_read_tables(file, set));
    *row = set->lod_count - 1 - lod;
    return IGS_OK;
}

/* ---- what the file holds ---- */

igs_status igs_get_info(const igs_file *file, igs_info *info) {
    const igs_set *finest = file->set;
    memset(info, 0, sizeof *info);
    if (!file->is_open) return IGS_INVALID_ARGUMENT;
    info->width = finest->width;
    info->height = finest->height;
    info->n_channels = file->n_channels;
    info->n_groups = file->n_groups;
    info->n_levels = file->n_levels;
    info->n_sets = 1 + file->n_coarser;
    info->profile = finest->profile;
    info->top_k = finest->top_k;
    info->support_q = finest->support_q;
    info->file_size = finest->file_size;
    info->truncated = finest->there < finest->file_size;
    return IGS_OK;
}

igs_status igs_get_group(igs_file *file, uint32_t group, igs_group *out) {
    CHECK(file->is_open, IGS_INVALID_ARGUMENT, "no file is open");
    CHECK_N(group < file->n_groups, IGS_INVALID_ARGUMENT, "there is no channel group #", group);
    TRY(end(file, igs_read_grain(file)));
    *out = file->group[group];
    return IGS_OK;
}

igs_status igs_load_level(igs_file *file, uint32_t lod) {
    igs_set *set;
    uint32_t row;
    return end(file, igs_set_of(file, lod, &set, &row));
}

igs_status igs_find_level(igs_file *file, uint32_t lod, igs_level *level) {
    memset(level, 0, sizeof *level);
    TRY(check_lod(file, lod));
    level->set = place_of(file, &lod);
    if (level->set) level->scale_log2 = file->coarser[file->n_coarser - level->set].scale_log2;
    return IGS_OK;
}

igs_status igs_get_level(igs_file *file, uint32_t lod, igs_level *level) {
    igs_set *set;
    uint32_t row;
    TRY(igs_find_level(file, lod, level));
    TRY(end(file, igs_set_of(file, lod, &set, &row)));
    level->profile = set->profile;
    level->n_gaussians = set->counts[row];
    level->end = set->base + set->data_offset;
    for (uint32_t i = 0; i < set->n_blocks && set->block[i].generation <= row; i++)
        level->end = set->base + set->block[i].offset + set->block[i].n_bytes;
    for (uint32_t i = 0; i < set->n_pages && set->page[i].generation <= row; i++, level->n_pages++)
        if (!set->n_blocks) level->end = set->base + set->page[i].offset + set->page[i].n_bytes;
    if (set->profile == SMALL) level->end = set->base + set->file_size;
    return IGS_OK;
}

/* ---- pages ---- */

igs_status igs_clip_tiles(igs_file *file, igs_tiles *t) {
    uint32_t x = (file->set->width - 1) / TILE, y = (file->set->height - 1) / TILE;
    if (t->x_last > x) t->x_last = x;
    if (t->y_last > y) t->y_last = y;
    CHECK(t->x_first <= t->x_last && t->y_first <= t->y_last, IGS_INVALID_ARGUMENT, "there are no such tiles");
    return IGS_OK;
}

igs_tiles igs_tiles_of_set(const igs_set *set, igs_tiles t) {
    uint32_t s = set->scale_log2;
    return (igs_tiles){t.x_first >> s, t.y_first >> s, t.x_last >> s, t.y_last >> s};
}

static igs_status find_pages(igs_file *file, uint32_t lod, igs_tiles tiles, uint32_t *ids, size_t capacity, size_t *n) {
    igs_set *set;
    uint32_t row;
    *n = 0;
    TRY(igs_set_of(file, lod, &set, &row));
    TRY(igs_clip_tiles(file, &tiles));
    tiles = igs_tiles_of_set(set, tiles);
    TRY(igs_need_entries(file, set, row, tiles));
    for (uint32_t i = 0; i < set->n_pages && set->page[i].generation <= row; i++)
        if (igs_is_known(set, &set->page[i]) && igs_meets(&set->page[i], tiles)) {
            if (ids && *n < capacity) ids[*n] = i;
            ++*n;
        }
    return IGS_OK;
}

igs_status igs_find_pages(igs_file *file, uint32_t lod, igs_tiles tiles, uint32_t *ids, size_t capacity, size_t *n) {
    return end(file, find_pages(file, lod, tiles, ids, capacity, n));
}

static igs_status page_of(igs_file *file, uint32_t lod, uint32_t id, igs_set **set, uint32_t *row, const igs_entry **page) {
    TRY(igs_set_of(file, lod, set, row));
    CHECK_N(id < (*set)->n_pages && (*set)->page[id].generation <= *row, IGS_INVALID_ARGUMENT, "the level has no page #", id);
    *page = &(*set)->page[id];
    return igs_need_entry(file, *set, id);
}

igs_status igs_get_page(igs_file *file, uint32_t lod, uint32_t id, igs_page *out) {
    igs_set *set;
    const igs_entry *page = NULL; /* set where the status is 0 */
    uint32_t row, before = 0, count = 0; /* pages and Gaussians of the generations before */
    TRY(end(file, page_of(file, lod, id, &set, &row, &page)));
    for (uint32_t g = 0, n; g < page->generation; g++, count += n) {
        n = set->counts[g] - count;
        before += (n + set->page_size - 1) / set->page_size;
    }
    out->offset = set->base + page->offset;
    out->n_bytes = page->n_bytes;
    out->n_gaussians = page->n_gaussians;
    out->generation = page->generation;
    out->first = count + (uint64_t)(id - before) * set->page_size;
    out->box = (igs_tiles){page->tx_first, page->ty_first, page->tx_last, page->ty_last};
    return IGS_OK;
}

igs_status igs_load_page(igs_file *file, const igs_set *set, const igs_entry *page, uint8_t **data) {
    CHECK(igs_is_there(set, page), IGS_TRUNCATED_STREAM, "the file is cut inside this level");
    *data = NULL;
    if (set->profile == SMALL) return IGS_OK;
    TRY(igs_load(file, set, page->offset, page->n_bytes, data));
    CHECK(igs_crc32c(file, 0, *data, page->n_bytes) == page->crc, IGS_CHECKSUM_MISMATCH, "a page is damaged");
    return IGS_OK;
}

igs_status igs_unpack_page(igs_file *file, const igs_set *set, uint32_t row, const igs_entry *page, const uint8_t *data,
                           igs_gaussian *gaussians, float *features) {
    uint32_t n = page->n_gaussians, C = file->n_channels;
    switch (set->profile) {
    case 0: TRY(igs_decode_f16(file, set, page, data, gaussians, features)); break;
    case 1: TRY(igs_decode_packed(file, set, page, data, gaussians, features)); break;
    case 2: TRY(igs_decode_coded(file, set, page, data, gaussians, features)); break;
    default:
        memcpy(gaussians, set->gaussians, n * sizeof *gaussians);
        memcpy(features, set->features, (size_t)n * C * sizeof *features);
    }
    double gain = set->gain[row][page->generation], side = (double)(1u << set->scale_log2);
    for (uint32_t i = 0; i < n; i++) {
        igs_gaussian *g = gaussians + i;
        double least = lesser(g->s0, g->s1), greatest = greater(g->s0, g->s1);
        CHECK(g->x <= set->width && g->y <= set->height, IGS_CORRUPT_FIELD, "a mean lies outside");
        CHECK(is_finite(g->s0) && is_finite(g->s1) && least >= 1.0 / 16384 && greatest <= 64, IGS_CORRUPT_FIELD,
              "an inverse scale is outside its range");
        for (uint32_t c = 0; c < C; c++, features++)
            CHECK(fabs(*features) <= 65504, IGS_CORRUPT_FIELD, "a feature is outside its range");
        g->s0 *= gain;
        g->s1 *= gain;
        if (!set->scale_log2) continue;
        g->x *= side;
        g->y *= side;
        g->s0 /= side;
        g->s1 /= side;
    }
    return IGS_OK;
}

static igs_status decode_page(igs_file *file, uint32_t lod, uint32_t id, igs_gaussian *gaussians, float *features) {
    igs_set *set;
    const igs_entry *page = NULL; /* set where the status is 0 */
    uint32_t row;
    uint8_t *data;
    TRY(page_of(file, lod, id, &set, &row, &page));
    TRY(igs_load_page(file, set, page, &data));
    return igs_unpack_page(file, set, row, page, data, gaussians, features);
}

igs_status igs_decode_page(igs_file *file, uint32_t lod, uint32_t id, igs_gaussian *gaussians, float *features) {
    return end(file, decode_page(file, lod, id, gaussians, features));
}

/* ---- cut files ---- */

static igs_status has_arrived(igs_file *file, uint32_t lod, igs_tiles tiles, int *arrived) {
    igs_set *set;
    uint32_t row;
    *arrived = 0;
    igs_status status = igs_set_of(file, lod, &set, &row);
    if (status == IGS_TRUNCATED_STREAM) return IGS_OK;
    TRY(status);
    TRY(igs_clip_tiles(file, &tiles));
    tiles = igs_tiles_of_set(set, tiles);
    TRY(igs_need_entries(file, set, row, tiles));
    for (uint32_t i = 0; i < set->n_pages && set->page[i].generation <= row; i++) {
        const igs_entry *page = &set->page[i];
        if (igs_is_known(set, page) && igs_meets(page, tiles) && !igs_is_there(set, page)) return IGS_OK;
    }
    *arrived = 1;
    return IGS_OK;
}

igs_status igs_has_arrived(igs_file *file, uint32_t lod, igs_tiles tiles, int *arrived) {
    return end(file, has_arrived(file, lod, tiles, arrived));
}

igs_status igs_best_level(igs_file *file, uint32_t lod, uint32_t tx, uint32_t ty, uint32_t *best) {
    int arrived;
    TRY(check_lod(file, lod));
    for (*best = lod; *best < file->n_levels; ++*best) {
        TRY(end(file, has_arrived(file, *best, (igs_tiles){tx, ty, tx, ty}, &arrived)));
        if (arrived) break;
    }
    return IGS_OK;
}
