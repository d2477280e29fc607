#define _GNU_SOURCE /* fmemopen */
#include "reader_library.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "../../../spec/reader/igs.h"

enum { CAP = 256 << 20 };

/* Blocks hang in a ring, so that all of them can be freed after a fault. */
typedef union block {
    struct {
        union block *before, *after;
        size_t size;
    };
    max_align_t align;
} block;

static block ring = {{&ring, &ring, 0}};
static size_t in_use, most;

void *fuzz_calloc(size_t n, size_t size);
void fuzz_free(void *memory);
FILE *fuzz_fopen(const char *path, const char *mode);

void *fuzz_calloc(size_t n, size_t size) {
    if (size && n > (CAP - in_use) / size) return NULL;
    block *b = calloc(1, sizeof *b + n * size);
    if (!b) return NULL;
    b->size = n * size;
    b->before = &ring;
    b->after = ring.after;
    ring.after->before = b;
    ring.after = b;
    in_use += b->size;
    if (in_use > most) most = in_use;
    return b + 1;
}

void fuzz_free(void *memory) {
    if (!memory) return;
    block *b = (block *)memory - 1;
    b->before->after = b->after;
    b->after->before = b->before;
    in_use -= b->size;
    free(b);
}

static const uint8_t *bytes;
static size_t n_bytes;
static igs_file file;
static igs_set set;
static jmp_buf escape;
static char error_name[32];

FILE *fuzz_fopen(const char *path, const char *mode) {
    (void)path;
    return n_bytes ? fmemopen((void *)(uintptr_t)bytes, n_bytes, mode) : fopen("/dev/null", mode);
}

void igs_fail(const char *error, const char *fact, ...) {
    (void)fact;
    strncpy(error_name, error, sizeof error_name - 1);
    longjmp(escape, 1);
}

void fuzz_close(void) {
    if (file.stream) fclose(file.stream);
    while (ring.after != &ring) fuzz_free(ring.after + 1);
    memset(&file, 0, sizeof file);
    memset(&set, 0, sizeof set);
}

const char *fuzz_open(const uint8_t *data, size_t size) {
    fuzz_close();
    bytes = data;
    n_bytes = size;
    memset(error_name, 0, sizeof error_name);
    if (!setjmp(escape)) igs_open(&file, "");
    return error_name;
}

const char *fuzz_grain(void) {
    memset(error_name, 0, sizeof error_name);
    if (!setjmp(escape)) igs_read_grain(&file);
    return error_name;
}

const char *fuzz_read(uint32_t lod) {
    memset(error_name, 0, sizeof error_name);
    fuzz_free(set.gaussian);
    fuzz_free(set.features);
    memset(&set, 0, sizeof set);
    if (!setjmp(escape)) set = igs_read(&file, lod, 0, 0, (file.width - 1) / TILE, (file.height - 1) / TILE);
    return error_name;
}

void fuzz_blend(const double *points, size_t n, double q_scale, double *features) {
    double support_q = file.support_q;
    file.support_q *= q_scale;
    for (size_t i = 0; i < n; i++)
        igs_blend(&file, &set, points[2 * i], points[2 * i + 1], features + i * file.n_channels);
    file.support_q = support_q;
}

double fuzz_sample(uint32_t channel, double feature) {
    uint32_t group = 0;
    while (channel >= (uint32_t)(file.group[group].first + file.group[group].n_channels)) group++;
    return igs_sample(&file.group[group], feature);
}

uint32_t fuzz_width(void) { return file.width; }
uint32_t fuzz_height(void) { return file.height; }
uint32_t fuzz_lods(void) { return file.n_lods; }
uint32_t fuzz_channels(void) { return file.n_channels; }
uint32_t fuzz_groups(void) { return file.n_groups; }
size_t fuzz_gaussians(void) { return set.n; }
size_t fuzz_most_bytes(void) { return most; }
