/* A reader of IGS files, written from igs.md alone: what it takes to render a pixel, and nothing else.
 *
 *     cc -std=c99 -O2 -o igs_render *.c -lm
 *
 * Names are those of the specification. Any fault ends in `igs_fail`, which each program has its own of: that of main.c
 * prints one line, `ERROR: fact`, and ends the process with code 1; another may leave by longjmp, but must not return. */
#ifndef IGS_H
#define IGS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { MAX_CHANNELS = 64, MAX_LODS = 16, MAX_TOP_K = 32, TILE = 16, N_TABLES = 3 + MAX_CHANNELS, N_FIELDS = 2 + MAX_CHANNELS, SLOTS = 4096, N_KNOWN = 14 };

typedef struct {
    int first, n_channels, bit_depth, sample_type, transfer, knee;
    double value_min, value_max;
    int role, n_colours, has_grain;
    uint8_t grain[11]; /* its entry of GRAN */
} igs_group;

typedef struct {
    uint32_t tx_first, ty_first, tx_last, ty_last, crc, n_bytes;
    uint32_t n_gaussians, generation;
    uint64_t offset; /* in the file */
} igs_page;

typedef struct {
    int32_t low;
    uint16_t count[352], start[352];
    uint16_t token_of[SLOTS];
} igs_table;

typedef struct { /* the chunk QUAN */
    int32_t scale_step, position_offset, feature_slope;
    uint8_t rotation_from[12], cell_log2[MAX_LODS];
    double feature_step[MAX_CHANNELS], *transform; /* of group after group, row by row */
    igs_table table[N_TABLES]; /* of profile coded */
    int32_t field_low[N_FIELDS]; /* of profile packed, as what follows */
    uint32_t field_bits[N_FIELDS], place_bits, record_size;
} igs_quantiser;

typedef struct {
    double x, y, s0, s1, theta; /* px, 1/px after the gain, rad */
} igs_gaussian;

typedef struct {
    size_t n;
    igs_gaussian *gaussian;
    float *features; /* n_channels of each */
} igs_set;

typedef struct { /* an entry of the table of contents */
    const uint8_t *entry;
    uint64_t offset, stored_size, raw_size;
} igs_chunk;

typedef struct { /* a whole file, or a coarser set in one, which is a file as well */
    FILE *stream;
    uint64_t base; /* where it begins */
    uint64_t stored_size, file_size, data_offset;
    igs_chunk known[N_KNOWN], coarser[MAX_LODS]; /* the coarsest first */
    uint32_t n_coarser, n_lods; /* of all sets */
    int has_tables;
    uint32_t profile, lod_count, width, height, n_gaussians, n_channels, top_k, page_size;
    double support_q;
    uint32_t n_groups, n_pages;
    igs_group group[MAX_CHANNELS];
    double background[MAX_CHANNELS];
    uint32_t counts[MAX_LODS];
    double gain[MAX_LODS][MAX_LODS]; /* [m][g] */
    igs_page *page;
    igs_quantiser *quantiser;
    igs_set small; /* of profile small, whose Gaussians are read with the header */
} igs_file;

void igs_fail(const char *error, const char *fact, ...); /* main.c */
void *igs_alloc(size_t n, size_t size);

/* Everything before the Gaussians, and in a file with coarser sets what stands before those. */
void igs_open(igs_file *file, const char *path);

/* The Gaussians that a LOD shows, of the pages that meet tiles x0..x1, y0..y1, inclusive. In file order. */
igs_set igs_read(igs_file *file, uint32_t lod, uint32_t x0, uint32_t y0, uint32_t x1, uint32_t y1);

/* The Gaussians of one page: coded.c. `first` is where in the set they go. */
void igs_decode_page(const igs_file *file, const igs_page *page, const uint8_t *data, igs_set *set, size_t first);
void igs_read_quantiser(igs_file *file, const uint8_t *data, size_t size);

/* The same of profile packed: packed.c. */
void igs_decode_packed(const igs_file *file, const igs_page *page, const uint8_t *data, igs_set *set, size_t first);
void igs_read_widths(igs_file *file, igs_quantiser *quan, const uint8_t *data, size_t size);

/* The same of profile small, and all that comes before: small.c. */
void igs_open_small(igs_file *file, const igs_file *outer);
void igs_decode_small(const igs_file *file, const igs_page *page, const uint8_t *data, igs_set *set, size_t first);

/* Bytes of the file, their checksum after that of others (0 at first), and the chunk CHAN. */
uint8_t *igs_load(igs_file *file, uint64_t offset, size_t size);
uint32_t igs_crc32c(uint32_t crc, const uint8_t *data, size_t size);
void igs_read_channels(igs_file *file, const uint8_t *data, size_t size);
void igs_check_version(const uint8_t *header);

/* What a coarser set shares with the file that it stands in. */
void igs_share(igs_file *file, const igs_file *outer);

/* What scales say of the other values; `r_bits` depends on e alone. */
typedef struct {
    int64_t high, low, angle, leading;
} igs_shape;
uint32_t igs_rotation_bits(const igs_quantiser *quan, int64_t e);
igs_shape igs_shape_of(const igs_quantiser *quan, int64_t n, int64_t e, int64_t r);
double igs_pow2(int64_t e);
int64_t igs_floor_div(int64_t a, int64_t b);
int64_t igs_floor_log2(int64_t v);

/* Bits of a place in a cell, and the Gaussian of such a shape and place. */
int64_t igs_place_bits(const igs_quantiser *quan, uint32_t generation, int64_t units);
void igs_set_place(const igs_quantiser *quan, uint32_t generation, const igs_shape *s, uint64_t z, int64_t x_bits,
                   int64_t x_o, int64_t y_bits, int64_t y_o, igs_gaussian *g);

/* Features of transformed ones. */
void igs_transform(const igs_file *file, const double *transformed, float *features);

/* The blend at a point, n_channels features, of a set that holds the Gaussians of the point's tile: render.c. */
void igs_blend(const igs_file *file, const igs_set *set, double x, double y, double *features);

/* The chunk GRAN, where there is one, and the grain of the pixel of the stored size that holds a point, added to its
 * features: grain.c. */
void igs_read_grain(igs_file *file);
uint32_t igs_grain_hash(uint32_t x, uint32_t y, uint32_t k);
void igs_add_grain(const igs_file *file, double x, double y, double *features);

/* The source's sample that a feature stands for: a code for uint, else a value. */
double igs_sample(const igs_group *group, double feature);

/* Inflates a zlib stream of exactly raw_size bytes; 0 where it is not one: inflate.c. */
int igs_inflate(const uint8_t *data, size_t size, uint8_t *raw, size_t raw_size);

/* Little-endian numbers. */
static inline uint32_t get16(const uint8_t *p) { return p[0] | (uint32_t)p[1] << 8; }
static inline uint32_t get32(const uint8_t *p) { return get16(p) | get16(p + 2) << 16; }
static inline uint64_t get64(const uint8_t *p) { return get32(p) | (uint64_t)get32(p + 4) << 32; }
double get_f16(const uint8_t *p);
double get_f32(const uint8_t *p);

#endif
