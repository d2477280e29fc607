/* What the parts of libigs share. Names are those of the specification.
 *
 * A function that can fail returns a status; TRY, CHECK and TAKE return it at once. Nothing is freed on the way out: each
 * allocation hangs in a ring, and whoever owns the ring frees all of it (memory.c). */
#ifndef IGS_INTERNAL_H
#define IGS_INTERNAL_H

#include "../include/igs.h"
#include "maths.h"

enum {
    MAX_CHANNELS = IGS_MAX_CHANNELS,
    MAX_LODS = IGS_MAX_LEVELS,
    MAX_TOP_K = IGS_MAX_TOP_K,
    TILE = IGS_TILE_PX,
    N_TABLES = 3 + MAX_CHANNELS,
    N_FIELDS = 2 + MAX_CHANNELS,
    SLOTS = 4096,
    MAX_TOKENS = 352,
    SMALL = 3 /* the profile */
};

/* ---- memory ---- */

typedef struct igs_block igs_block;
struct igs_block { /* before each allocation */
    igs_block *before, *after;
    size_t size; /* with the block itself */
};

typedef struct { /* allocations that are freed together; zeros is an empty one */
    igs_block *first;
} igs_ring;

/* n * size bytes, zeroed; NULL after an error, which is then the file's. */
void *igs_take(igs_file *file, igs_ring *ring, uint64_t n, size_t size);
void igs_free(igs_file *file, igs_ring *ring, void *memory);
void igs_free_all(igs_file *file, igs_ring *ring);

/* ---- what a file holds ---- */

enum { CHAN, FILE_, ICCP, TAGS, GRAN, CSET, LODS, PAGT, QUAN, PAGI, GAUS, EXIF, XMP_, META, N_KNOWN };

typedef struct {
    int32_t low;
    uint16_t count[MAX_TOKENS], start[MAX_TOKENS];
    uint16_t token_of[SLOTS];
} igs_table;

typedef struct { /* the chunk QUAN */
    int32_t scale_step, position_offset, feature_slope;
    uint8_t rotation_from[12], cell_log2[MAX_LODS];
    double feature_step[MAX_CHANNELS], *transform; /* of group after group, row by row */
    igs_table *table;                              /* 3 + C of them: of profile coded */
    int32_t field_low[N_FIELDS];                   /* of profile packed, as what follows */
    uint32_t field_bits[N_FIELDS], place_bits, record_size;
} igs_quantiser;

typedef struct { /* an entry of PAGI or PAGT */
    uint64_t offset; /* in the set */
    uint32_t tx_first, ty_first, tx_last, ty_last, crc, n_bytes;
    uint32_t n_gaussians, generation;
    uint32_t first_page, n_pages; /* of a block; n_pages is 0 once its pages have been read */
} igs_entry;

typedef struct { /* an entry of the table of contents */
    int present;
    uint8_t is_critical, is_small, codec, n_lods, scale_log2;
    uint32_t crc;
    uint64_t offset, stored_size, raw_size;
} igs_chunk;

typedef struct { /* the finest set, with what the file has beside it, or a coarser one, which is written like a file */
    igs_ring ring;
    uint64_t base, there; /* where it begins in the file, and how many of its bytes are there */
    uint64_t file_size, data_offset;
    igs_chunk known[N_KNOWN];
    int is_open, has_tables;
    uint32_t profile, lod_count, width, height, n_gaussians, n_channels, top_k, page_size, scale_log2;
    double support_q;
    uint32_t counts[MAX_LODS];
    double gain[MAX_LODS][MAX_LODS]; /* [m][g] */
    uint32_t n_pages, n_blocks;
    igs_entry *page, *block; /* blocks: only where PAGT is used */
    igs_quantiser *quantiser;
    igs_gaussian *gaussians; /* of profile small, whose Gaussians are read with the header */
    float *features;
} igs_set;

struct igs_file {
    igs_allocator allocator;
    uint64_t max_bytes, in_use, most_bytes, max_work;
    int use_page_tree;
    igs_source source;
    const uint8_t *memory; /* the source of igs_open_memory */
    igs_ring ring, scratch; /* scratch: until the call returns */
    igs_status status; /* of the last failure, and its line */
    char message[160];
    uint32_t crc_table[256];

    /* from here on: of the file that is open, zeroed by igs_open */
    int is_open, grain_is_read;
    uint32_t n_channels, n_groups, n_coarser, n_levels;
    igs_chunk coarser[MAX_LODS]; /* the coarsest first */
    igs_group group[MAX_CHANNELS];
    double background[MAX_CHANNELS];
    igs_set set[MAX_LODS + 1]; /* the finest first */
};

/* ---- errors ---- */

/* Notes an error and returns it. A # in the fact stands for the number. */
igs_status igs_fault(igs_file *file, igs_status status, const char *fact, int64_t number);

#define TRY(action)                        \
    do {                                   \
        igs_status status_of_ = (action);  \
        if (status_of_) return status_of_; \
    } while (0)
#define CHECK(fine, status, fact) CHECK_N(fine, status, fact, 0)
#define CHECK_N(fine, status, fact, number)                                            \
    do {                                                                               \
        if (!(fine)) return igs_fault(file, (status), (fact), (int64_t)(number));      \
    } while (0)
#define TAKE(pointer, ring, n)                                                         \
    do {                                                                               \
        if (!((pointer) = igs_take(file, (ring), (n), sizeof *(pointer)))) return file->status; \
    } while (0)

/* ---- bytes ---- */

/* Copies bytes of a set, and whether bytes of it have arrived, asking nobody. */
igs_status igs_read(igs_file *file, const igs_set *set, uint64_t offset, void *to, uint64_t size);
/* The same into memory of the ring scratch. */
igs_status igs_load(igs_file *file, const igs_set *set, uint64_t offset, uint64_t size, uint8_t **data);
/* CRC32C after that of other bytes; 0 at first. */
uint32_t igs_crc32c(const igs_file *file, uint32_t crc, const uint8_t *data, size_t size);

static inline uint32_t get16(const uint8_t *p) { return p[0] | (uint32_t)p[1] << 8; }
static inline uint32_t get32(const uint8_t *p) { return get16(p) | get16(p + 2) << 16; }
static inline uint64_t get64(const uint8_t *p) { return get32(p) | (uint64_t)get32(p + 4) << 32; }
/* v / 2^bits, rounded down. */
static inline int64_t igs_down(int64_t v, int bits) {
    return v >= 0 ? v >> bits : -((-v + ((INT64_C(1) << bits) - 1)) >> bits);
}
static inline int64_t igs_least(int64_t a, int64_t b) { return a < b ? a : b; }
double igs_f16(const uint8_t *p);
double igs_f32(const uint8_t *p);

/* Inflates a zlib stream of exactly raw_size bytes; 0 where it is not one: inflate.c. */
int igs_inflate(const uint8_t *data, size_t size, uint8_t *raw, size_t raw_size);

/* ---- container ---- */

/* Header and table of contents, and of the finest set CHAN: container.c, of a small file with its Gaussians: small.c. */
igs_status igs_open_set(igs_file *file, igs_set *set);
igs_status igs_open_small(igs_file *file, igs_set *set);
/* A coarser set in the short form, whose place and scale are set: small.c. */
igs_status igs_open_small_set(igs_file *file, igs_set *set, const igs_chunk *chunk);
igs_status igs_check_version(igs_file *file, const uint8_t *header);
/* The raw bytes, in the ring scratch, of a chunk of at most `cap`, or, where `exact`, of that many. */
igs_status igs_load_chunk(igs_file *file, const igs_set *set, const igs_chunk *chunk, uint64_t cap, int exact, uint8_t **data, size_t *size);
/* CHAN, whose texts are kept: channels.c. */
igs_status igs_read_channels(igs_file *file, const uint8_t *data, size_t size);
/* GRAN, once, where it is there and has arrived: grain.c. */
igs_status igs_read_grain(igs_file *file);
/* LODS, QUAN, and PAGI or PAGT, once: tables.c. */
igs_status igs_read_tables(igs_file *file, igs_set *set);
igs_status igs_read_quantiser(igs_file *file, igs_set *set, const uint8_t *data, size_t size);
/* The end of QUAN of profile packed, from place_bits on: packed.c. */
igs_status igs_read_widths(igs_file *file, const igs_set *set, igs_quantiser *quan, const uint8_t *data, size_t size);
/* The set of a level with its tables, and the row of LODS that shows it: levels.c. */
igs_status igs_set_of(igs_file *file, uint32_t lod, igs_set **set, uint32_t *row);

/* ---- pages ---- */

/* Tiles of a set that cover tiles of the file. */
igs_tiles igs_tiles_of_set(const igs_set *set, igs_tiles tiles);
static inline int igs_meets(const igs_entry *e, igs_tiles t) {
    return e->tx_first <= t.x_last && e->tx_last >= t.x_first && e->ty_first <= t.y_last && e->ty_last >= t.y_first;
}
/* The entries of all pages that meet tiles of the set, of generations up to `row`: tables.c. */
igs_status igs_need_entries(igs_file *file, igs_set *set, uint32_t row, igs_tiles tiles);
igs_status igs_need_entry(igs_file *file, igs_set *set, uint32_t page);
/* Whether the entry of a page has been read; of a file without PAGT all have. */
static inline int igs_is_known(const igs_set *set, const igs_entry *page) { return !set->n_blocks || page->offset; }
/* A page's bytes, with the checksum compared, in the ring scratch; and its Gaussians as row `row` of LODS shows them in
 * the file: levels.c. */
igs_status igs_load_page(igs_file *file, const igs_set *set, const igs_entry *page, uint8_t **data);
igs_status igs_unpack_page(igs_file *file, const igs_set *set, uint32_t row, const igs_entry *page, const uint8_t *data,
                           igs_gaussian *g, float *features);
/* Whether its bytes are there, by the size of the source. */
static inline int igs_is_there(const igs_set *set, const igs_entry *page) {
    return page->offset <= set->there && page->n_bytes <= set->there - page->offset;
}
/* Tiles that lie within the grid of the file. */
igs_status igs_clip_tiles(igs_file *file, igs_tiles *tiles);

/* The Gaussians of a page as they are stored, in px of the set: records.c, packed.c, coded.c. */
igs_status igs_decode_f16(igs_file *file, const igs_set *set, const igs_entry *page, const uint8_t *data, igs_gaussian *g, float *features);
igs_status igs_decode_packed(igs_file *file, const igs_set *set, const igs_entry *page, const uint8_t *data, igs_gaussian *g, float *features);
igs_status igs_decode_coded(igs_file *file, const igs_set *set, const igs_entry *page, const uint8_t *data, igs_gaussian *g, float *features);

/* ---- quantised Gaussians: lattice.c ---- */

/* What scales say of the other values. */
typedef struct {
    int64_t high, low, angle, leading;
} igs_shape;
uint32_t igs_rotation_bits(const igs_quantiser *quan, int64_t e);
igs_shape igs_shape_of(const igs_quantiser *quan, int64_t n, int64_t e, int64_t r, uint32_t rotation_bits);
double igs_pow2(int64_t e);
int64_t igs_floor_log2(int64_t v);
/* Bits of a place in a cell, and the Gaussian of such a shape and place. */
uint32_t igs_place_bits(const igs_quantiser *quan, uint32_t generation, int64_t units);
void igs_set_place(const igs_quantiser *quan, uint32_t generation, const igs_shape *s, uint64_t z, uint32_t x_bits,
                   uint64_t x_o, uint32_t y_bits, uint64_t y_o, igs_gaussian *g);
/* Features of transformed ones. */
void igs_transform(const igs_file *file, const igs_quantiser *quan, const double *transformed, float *features);

/* ---- scenes ---- */

struct igs_scene {
    igs_file *file;
    uint32_t lod, top_k;
    double support_q;
    igs_ring ring, lists_ring;
    igs_tiles tiles; /* that were read */
    size_t n;
    igs_gaussian *gaussians;
    double *turns; /* cosine and sine of each */
    float *features;
    igs_tiles listed; /* tiles of the lists */
    igs_lists lists;
};

/* Reads the scene again, for other tiles; where `only_arrived`, without pages that are not there. scene.c */
igs_status igs_fill_scene(igs_scene *scene, igs_tiles tiles, int only_arrived);
igs_status igs_make_lists(igs_scene *scene, igs_tiles tiles);

/* ---- values: blend.c, grain.c ---- */

typedef struct { /* the Gaussians of a tile's list, one after the other */
    const uint32_t *list;
    uint32_t n, room, n_near;
    double *x, *y, *s0, *s1, *cosine, *sine, *q;
    uint32_t near[MAX_TOP_K]; /* places of those that were blended at the last point */
} igs_tile;

/* Room for the longest list of a scene, in a ring; and the Gaussians of a tile in it. */
igs_status igs_make_tile(igs_file *file, igs_ring *ring, uint32_t room, igs_tile *tile);
uint32_t igs_longest_list(const igs_scene *scene);
void igs_enter_tile(const igs_scene *scene, uint32_t tx, uint32_t ty, igs_tile *tile);
/* The blend at a point of the tile: C features. */
void igs_blend(const igs_scene *scene, igs_tile *tile, double x, double y, double *features);

/* Adds the grain of pixel X, Y of an output of which a pixel is ratio_x by ratio_y px: section 3.10. */
void igs_add_grain(const igs_file *file, uint32_t X, uint32_t Y, double ratio_x, double ratio_y, double *features);

#endif
