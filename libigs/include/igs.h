/* libigs: a reader of IGS files, pictures made of 2D Gaussians (spec/igs.md). C99, without dependencies.
 *
 * Use: `igs_create` makes a handle, `igs_open` or one of its relatives reads the header, `igs_render` makes pixels,
 * `igs_close` frees everything.
 *
 *     igs_file *file;
 *     if (igs_create(NULL, &file)) return 1;
 *     igs_info info;
 *     if (igs_open_path(file, "picture.igs") || igs_get_info(file, &info)) { puts(igs_message(file)); ... }
 *     igs_request request = {0};             // the whole picture, finest level, 8-bit samples
 *     uint8_t *pixels = malloc((size_t)info.width * info.height * info.n_channels);
 *     igs_status status = igs_render(file, &request, pixels);
 *     igs_close(file);
 *
 * Rules that hold for all functions:
 * - They never end the process, print nothing and have no global state. One handle may be used by one thread at a time;
 *   different handles are independent.
 * - The result is a status: IGS_OK, IGS_NEED_BYTES, or an error below 0. `igs_message` has the fact in one line.
 * - What a function allocates goes through the allocator of the options, and is freed before it returns, or by `igs_close`
 *   (scenes: by `igs_scene_close`), whatever the file holds and wherever an allocation fails.
 * - IGS_NEED_BYTES comes only of sources whose `read` returns it. The call has then no lasting effect but tables already
 *   read, and is to be repeated once the bytes have arrived.
 * - Any bytes may be given: a file that breaks the specification gets the error that it names, in its order of checks.
 * - Output arrays are the caller's. After an error their content is not defined. */
#ifndef IGS_H
#define IGS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(IGS_SHARED) && defined(_WIN32)
#ifdef IGS_BUILDING
#define IGS_API __declspec(dllexport)
#else
#define IGS_API __declspec(dllimport)
#endif
#elif defined(IGS_SHARED) && defined(__GNUC__)
#define IGS_API __attribute__((visibility("default")))
#else
#define IGS_API
#endif

#define IGS_VERSION "1.0.0"

enum { IGS_MAX_CHANNELS = 64, IGS_MAX_LEVELS = 16, IGS_MAX_TOP_K = 32, IGS_TILE_PX = 16 };

typedef enum {
    IGS_OK = 0,
    IGS_NEED_BYTES = 1,           /* the source says that bytes have not arrived yet */
    IGS_BAD_MAGIC = -1,           /* the errors of the specification, section 13.1 */
    IGS_TRUNCATED_STREAM = -2,
    IGS_UNSUPPORTED_VERSION = -3,
    IGS_UNSUPPORTED_CHUNK = -4,
    IGS_CHECKSUM_MISMATCH = -5,
    IGS_LIMIT_EXCEEDED = -6,      /* also: more than max_bytes or max_work of the options */
    IGS_CORRUPT_FIELD = -7,
    IGS_INVALID_ARGUMENT = -8,    /* the call asks for what the file does not have; a fault of the caller */
    IGS_OUT_OF_MEMORY = -9,       /* the allocator returned NULL */
    IGS_READ_FAILED = -10         /* the source could not be read */
} igs_status;

typedef struct igs_file igs_file;   /* an open file */
typedef struct igs_scene igs_scene; /* Gaussians of a level of it, in memory */

/* ---- input and memory ---- */

typedef struct {
    uint64_t size; /* bytes that are there; less than the header's file_size for a cut file */
    /* Copies bytes offset to offset + size - 1, which lie within the size above. Returns IGS_OK, IGS_NEED_BYTES where they
     * have not arrived yet, or else IGS_READ_FAILED. */
    igs_status (*read)(void *user, uint64_t offset, void *to, size_t size);
    void (*close)(void *user); /* called once, by igs_close or the next igs_open; may be NULL */
    void *user;
} igs_source;

typedef struct {
    void *(*allocate)(void *user, size_t size);             /* aligned as by malloc; NULL where there is no memory */
    void (*release)(void *user, void *memory, size_t size); /* the size that was asked for */
    void *user;
} igs_allocator;

typedef struct {
    igs_allocator allocator; /* {NULL, NULL, NULL}: malloc and free */
    uint64_t max_bytes;      /* allocated at a time by this handle; 0: 1 GiB. More is IGS_LIMIT_EXCEEDED */
    uint64_t max_work;       /* Gaussians looked at by one call, each once for a point; 0: 2^38, some minutes. More is
                                IGS_LIMIT_EXCEEDED: a few kilobytes may describe pictures that take days */
    int use_page_tree;       /* not 0: of a file with PAGT, only those blocks of PAGI are read that a request needs */
} igs_options;

/* A handle without a file. `options` may be NULL. IGS_OUT_OF_MEMORY: *file is NULL. */
IGS_API igs_status igs_create(const igs_options *options, igs_file **file);
/* Frees the handle and all it has; its scenes must be closed before. NULL is fine. */
IGS_API void igs_close(igs_file *file);

/* Reads header, table of contents and channel groups, and of a file without coarser sets its tables. What was open before
 * is closed, whose scenes must be closed before. The source is copied; what it points at must live until igs_close. A source
 * of NULL is the one that the handle has: so igs_open is repeated after IGS_NEED_BYTES. */
IGS_API igs_status igs_open(igs_file *file, const igs_source *source);
/* The same of bytes in memory, which are not copied and must live until igs_close. */
IGS_API igs_status igs_open_memory(igs_file *file, const void *data, size_t size);
/* The same of a file on disk, through stdio; not part of freestanding builds. */
IGS_API igs_status igs_open_path(igs_file *file, const char *path);

/* Name of a status: "CorruptField", "NeedBytes" ... */
IGS_API const char *igs_name(igs_status status);
/* "CorruptField: the background is not finite" of the last call that failed; "" before the first. Lives until the next. */
IGS_API const char *igs_message(const igs_file *file);

/* ---- what a file holds ---- */

typedef struct {
    uint32_t width, height; /* px of the stored image */
    uint32_t n_channels, n_groups;
    uint32_t n_levels, n_sets; /* of all sets; level 0 is the finest */
    uint32_t profile;          /* of the finest set: 0 f16, 1 packed, 2 coded, 3 small */
    uint32_t top_k;
    double support_q;
    uint64_t file_size; /* of the whole file, as the header has it */
    int truncated;      /* whether the source is shorter */
} igs_info;

typedef struct { /* numbers and enums as in section 5.1 */
    const char *name, *source; /* UTF-8, end with 0; of the file, until igs_close */
    uint32_t first, n_channels;
    uint32_t role, bit_depth, sample_type, transfer, alpha, normal, knee;
    double value_min, value_max;
    double background[IGS_MAX_CHANNELS]; /* the first n_channels */
    int has_grain;                       /* whether GRAN has an entry for the group; then */
    uint32_t correlation, independence;
    uint8_t strength[8];
} igs_group;

typedef struct {
    uint32_t set, scale_log2, profile; /* sets count from the finest, 0; profile and what follows need igs_load_level */
    uint32_t n_gaussians, n_pages;     /* that the level shows */
    uint64_t end;                      /* a file of this many bytes holds the level */
} igs_level;

IGS_API igs_status igs_get_info(const igs_file *file, igs_info *info);
/* Group number `group`. Reads GRAN where there is one and it has arrived whole. */
IGS_API igs_status igs_get_group(igs_file *file, uint32_t group, igs_group *out);
/* Reads the tables of the level's set, once: LODS, QUAN, PAGT or PAGI; of a coarser set its header before that. */
IGS_API igs_status igs_load_level(igs_file *file, uint32_t lod);
/* Set and scale of a level alone; reads nothing. */
IGS_API igs_status igs_find_level(igs_file *file, uint32_t lod, igs_level *level);
/* All of it, after igs_load_level. */
IGS_API igs_status igs_get_level(igs_file *file, uint32_t lod, igs_level *level);

/* ---- pages ---- */

/* Tiles of 16 x 16 px, both ends inclusive, clipped to the grid where they reach beyond. */
typedef struct {
    uint32_t x_first, y_first, x_last, y_last;
} igs_tiles;

typedef struct {
    uint64_t offset; /* in the file */
    uint32_t n_bytes, n_gaussians, generation;
    uint64_t first;  /* number of its first Gaussian in the set */
    igs_tiles box;   /* tiles of the set's own grid, whose pixels are 2^scale_log2 px wide */
} igs_page;

typedef struct { /* px of the file; 1/px after the gain of the level; rad */
    double x, y, s0, s1, theta;
} igs_gaussian;

/* Numbers, ascending, of the pages that the level shows in these tiles of the file.
 * Args: ids: `capacity` numbers, or NULL. n: how many there are, also where that is more than `capacity`. */
IGS_API igs_status igs_find_pages(igs_file *file, uint32_t lod, igs_tiles tiles, uint32_t *ids, size_t capacity, size_t *n);
IGS_API igs_status igs_get_page(igs_file *file, uint32_t lod, uint32_t id, igs_page *page);
/* The Gaussians of a page as the level shows them: n_gaussians of each, features n_channels apart. Compares the checksum. */
IGS_API igs_status igs_decode_page(igs_file *file, uint32_t lod, uint32_t id, igs_gaussian *gaussians, float *features);

/* Whether all bytes of the level have arrived that these tiles need: 1, or 0 for a cut file without them. Tables that are
 * cut off count as not arrived. Sources that answer IGS_NEED_BYTES are not asked. */
IGS_API igs_status igs_has_arrived(igs_file *file, uint32_t lod, igs_tiles tiles, int *arrived);
/* The finest level from `lod` on that has arrived for a tile: section 11.2. n_levels where there is none. */
IGS_API igs_status igs_best_level(igs_file *file, uint32_t lod, uint32_t tx, uint32_t ty, uint32_t *best);

/* ---- scenes: Gaussians of a level, in memory ---- */

typedef struct {          /* of the tiles asked for, row by row */
    const uint32_t *first; /* n_tiles + 1 places in `entry` */
    const uint32_t *entry; /* numbers of Gaussians of the scene, ascending in each list */
    size_t n_tiles;
} igs_lists;

/* An empty scene of a level. */
IGS_API igs_status igs_scene_create(igs_file *file, uint32_t lod, igs_scene **scene);
IGS_API void igs_scene_close(igs_scene *scene);
/* The Gaussians of all pages that meet the tiles, in file order, in place of what the scene had. All checksums are
 * compared before the first page is decoded. */
IGS_API igs_status igs_scene_read(igs_scene *scene, igs_tiles tiles);
/* n igs_gaussian and n * n_channels features; they live until the next igs_scene_read or igs_scene_close. */
IGS_API size_t igs_scene_gaussians(const igs_scene *scene, const igs_gaussian **gaussians, const float **features);
/* Lists of tiles that igs_scene_read has read: section 3.4, in binary64. They live until the next call of this or of
 * igs_scene_read. Numbers are those of the scene's Gaussians. */
IGS_API igs_status igs_scene_lists(igs_scene *scene, igs_tiles tiles, igs_lists *lists);

/* ---- values ---- */

typedef enum {
    IGS_SAMPLES_U8 = 0,   /* features clamped to 0..1, as codes 0..255 */
    IGS_SAMPLES_U16 = 1,  /* as codes 0..65535, of the machine's byte order */
    IGS_SAMPLES_F32 = 2,  /* samples of the source's type: codes of its own depth of uint groups, values of float groups */
    IGS_FEATURES_F32 = 3, /* features as they are blended, not clamped */
    IGS_FEATURES_F64 = 4
} igs_format;

typedef struct {
    uint32_t lod;
    uint32_t x, y, width, height;   /* region, px of the stored image; width and height 0: to its ends */
    uint32_t out_width, out_height; /* pixels of the output; 0: those of the region. Section 3.9 */
    igs_format format;
    int grain;     /* not 0: add film grain, where the file has it */
    int available; /* not 0: of a cut file, each tile at the finest level from `lod` on that has arrived */
    size_t row_bytes; /* from one row of the output to the next; 0: rows without gaps */
} igs_request;

/* Pixels of a region, row by row, n_channels values each. Memory: the Gaussians of the region and its tile lists. */
IGS_API igs_status igs_render(igs_file *file, const igs_request *request, void *out);
/* Features at points of a level, in binary64.
 * Args: points: n pairs of x and y, px, within the image. grain: not 0: with film grain. features: n * n_channels. */
IGS_API igs_status igs_sample(igs_file *file, uint32_t lod, const double *points, size_t n, int grain, double *features);
/* The source's sample that a feature stands for: a code of uint groups, else a value. Section 3.7. */
IGS_API double igs_to_sample(const igs_group *group, double feature);

#ifdef __cplusplus
}
#endif
#endif
