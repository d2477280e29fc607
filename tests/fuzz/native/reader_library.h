/* The C reader of spec/reader as a library that can be called with any bytes: every fault comes back as the name of an
 * error, whatever was allocated is freed, and memory has a cap. The reader's sources are compiled as they are, with
 *
 *     -Dcalloc=fuzz_calloc -Dfree=fuzz_free -Dfopen=fuzz_fopen
 *
 * and without main.c; reader_library.c is compiled without these. */
#ifndef READER_LIBRARY_H
#define READER_LIBRARY_H

#include <stddef.h>
#include <stdint.h>

/* The name of the error, "" for none, or "memory" for more than the cap of bytes at a time. */
const char* fuzz_open(const uint8_t* data, size_t size);
const char* fuzz_grain(void);        /* after fuzz_open: the chunk GRAN, where there is one */
const char* fuzz_read(uint32_t lod); /* after fuzz_open: the Gaussians of a whole LOD, kept for fuzz_blend */
void fuzz_blend(const double* points, size_t n, double q_scale, double* features); /* (n, 2) px; (n, n_channels) */
void fuzz_close(void);

uint32_t fuzz_width(void);
uint32_t fuzz_height(void);
uint32_t fuzz_lods(void);
uint32_t fuzz_channels(void);
uint32_t fuzz_groups(void);
size_t fuzz_gaussians(void); /* of the LOD that was read */
double fuzz_sample(uint32_t channel, double feature);
size_t fuzz_most_bytes(void); /* allocated at a time since the process began */

#endif
