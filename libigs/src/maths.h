/* The functions of math.h and string.h that libigs uses: those of the C library, or, in freestanding builds, of
 * ../wasm/runtime.c. */
#ifndef IGS_MATHS_H
#define IGS_MATHS_H

#include <stddef.h>
#include <stdint.h>

#ifdef IGS_FREESTANDING

#define sqrt __builtin_sqrt
#define floor __builtin_floor
#define ceil __builtin_ceil
#define fabs __builtin_fabs
#define INFINITY __builtin_inf()
#define NAN __builtin_nan("")
double cos(double);
double sin(double);
double exp(double);
double exp2(double);
double log2(double);
double sinh(double);
double asinh(double);
void *memcpy(void *, const void *, size_t);
void *memmove(void *, const void *, size_t);
void *memset(void *, int, size_t);
int memcmp(const void *, const void *, size_t);
size_t strlen(const char *);

#else

#include <math.h>
#include <string.h>

#endif

static inline int is_finite(double v) { return v - v == 0; }

/* The usual cases of fmin and fmax: neither is NaN. */
static inline double lesser(double a, double b) { return a < b ? a : b; }
static inline double greater(double a, double b) { return a > b ? a : b; }
static inline double clamp(double value, double low, double high) { return lesser(greater(value, low), high); }

/* 2^e; 0 and infinity beyond the normal numbers. */
static inline double power_of_2(int64_t e) {
    uint64_t word = e < -1022 ? 0 : (uint64_t)(e > 1023 ? 2047 : e + 1023) << 52;
    double value;
    memcpy(&value, &word, 8);
    return value;
}

#endif
