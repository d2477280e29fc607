/* libigs as functions of one open file that can be called with any bytes: every fault comes back as the name of an error,
 * whatever was allocated is freed, and memory has a cap. */
#ifndef READER_LIBRARY_H
#define READER_LIBRARY_H

#include <stddef.h>
#include <stdint.h>

/* The name of the error, or "" for none. */
const char* fuzz_open(const uint8_t* data, size_t size, int use_page_tree);
const char* fuzz_grain(void);        /* after fuzz_open: the chunk GRAN, where there is one */
const char* fuzz_read(uint32_t lod); /* after fuzz_open: the Gaussians of a whole LOD, kept for fuzz_blend */
void fuzz_blend(const double* points, size_t n, double q_scale, double* features); /* (n, 2) px; (n, n_channels) */
void fuzz_close(void);

/* Everything else that the library does with a file, whose pictures are small: pages, page tree, partial and reduced
 * pictures, points; from a source that has no bytes at first. `draw` decides what is asked for. Aborts where a rule of the
 * library is broken. */
void fuzz_all(const uint8_t* data, size_t size, uint32_t draw);
/* From now on the n-th allocation from here fails; 0: none. */
void fuzz_fail_at(size_t n);
/* Aborts where memory is in use. */
void fuzz_expect_nothing_left(void);

uint32_t fuzz_width(void);
uint32_t fuzz_height(void);
uint32_t fuzz_lods(void);
uint32_t fuzz_channels(void);
uint32_t fuzz_groups(void);
size_t fuzz_gaussians(void); /* of the LOD that was read */
double fuzz_sample(uint32_t channel, double feature);
size_t fuzz_most_bytes(void); /* allocated at a time since the process began */

#endif
