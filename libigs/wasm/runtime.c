/* What a freestanding build needs of a C library: memory, and functions of math.h to within an ulp or two. */
#include "runtime.h"

/* ---- memory: a list of free blocks by address, neighbours joined ---- */

typedef struct block block;
struct block {
    size_t size; /* with this head; a multiple of 16 */
    block *next; /* while it is free */
    size_t unused[2];
};

extern unsigned char __heap_base;
static block *free_blocks;
static size_t heap_end;

static void *grown(size_t size) {
    if (!heap_end) heap_end = ((size_t)&__heap_base + 15) & ~(size_t)15;
    size_t room = __builtin_wasm_memory_size(0) * 65536 - heap_end;
    if (size > room && __builtin_wasm_memory_grow(0, (size - room + 65535) / 65536) == (size_t)-1) return 0;
    block *b = (block *)heap_end;
    heap_end += size;
    b->size = size;
    return b + 1;
}

void *runtime_alloc(size_t n) {
    if (n > (size_t)1 << 31) return 0;
    size_t size = (n + sizeof(block) + 15) & ~(size_t)15;
    for (block **at = &free_blocks; *at; at = &(*at)->next) {
        block *b = *at;
        if (b->size < size) continue;
        if (b->size - size >= 64) {
            block *rest = (block *)((unsigned char *)b + size);
            rest->size = b->size - size;
            rest->next = b->next;
            b->size = size;
            *at = rest;
        } else {
            *at = b->next;
        }
        return b + 1;
    }
    return grown(size);
}

void runtime_free(void *memory) {
    if (!memory) return;
    block *b = (block *)memory - 1, *before = 0, *after = free_blocks;
    while (after && after < b) {
        before = after;
        after = after->next;
    }
    b->next = after;
    if (before) before->next = b;
    else free_blocks = b;
    if (after && (unsigned char *)b + b->size == (unsigned char *)after) {
        b->size += after->size;
        b->next = after->next;
    }
    if (before && (unsigned char *)before + before->size == (unsigned char *)b) {
        before->size += b->size;
        before->next = b->next;
    }
}

void *memcpy(void *to, const void *from, size_t n) { return __builtin_memcpy(to, from, n); }
void *memmove(void *to, const void *from, size_t n) { return __builtin_memmove(to, from, n); }
void *memset(void *to, int byte, size_t n) { return __builtin_memset(to, byte, n); }

int memcmp(const void *a, const void *b, size_t n) {
    const unsigned char *p = a, *q = b;
    for (; n; n--, p++, q++)
        if (*p != *q) return *p - *q;
    return 0;
}

size_t strlen(const char *text) {
    size_t n = 0;
    while (text[n]) n++;
    return n;
}

/* ---- functions ---- */

static const double LN2_HIGH = 0x1.62e42feep-1, LN2_LOW = 0x1.a39ef35793c76p-33, LN2 = 0x1.62e42fefa39efp-1;

/* Sine and cosine on [-pi/4, pi/4] by their series; the first term left out is below 2^-58. */
static double sine(double x) {
    double z = x * x, sum = 0;
    static const double c[] = {-1.0 / 1307674368000, 1.0 / 6227020800, -1.0 / 39916800, 1.0 / 362880, -1.0 / 5040, 1.0 / 120, -1.0 / 6};
    for (int i = 0; i < 7; i++) sum = sum * z + c[i];
    return x + x * (z * sum);
}

static double cosine(double x) {
    double z = x * x, sum = 0;
    static const double c[] = {1.0 / 20922789888000, -1.0 / 87178291200, 1.0 / 479001600, -1.0 / 3628800, 1.0 / 40320, -1.0 / 720, 1.0 / 24};
    for (int i = 0; i < 7; i++) sum = sum * z + c[i];
    double half = 0.5 * z, w = 1 - half;
    return w + ((1 - w - half) + z * z * sum);
}

static double turned(double x, int quarter) {
    /* pi / 2 in three parts, the first two of 33 bits: exact products for the few turns that angles have */
    static const double high = 0x1.921fb544p+0, middle = 0x1.0b4611a6p-34, low = 0x1.3198a2e037073p-69;
    double n = floor(x * 0x1.45f306dc9c883p-1 + 0.5);
    double r = ((x - n * high) - n * middle) - n * low;
    switch (((int)n + quarter) & 3) {
    case 0: return sine(r);
    case 1: return cosine(r);
    case 2: return -sine(r);
    default: return -cosine(r);
    }
}

double sin(double x) { return turned(x, 0); }
double cos(double x) { return turned(x, 1); }

double exp(double x) {
    if (x < -745) return 0;
    if (x > 709.78) return INFINITY;
    double n = floor(x / LN2 + 0.5), r = (x - n * LN2_HIGH) - n * LN2_LOW, sum = 0;
    static const double c[] = {1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320,
                               1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5};
    for (int i = 0; i < 12; i++) sum = sum * r + c[i];
    double value = 1 + (r + r * r * sum);
    int half = (int)n / 2; /* in two steps, since 2^n may be no normal number */
    return value * power_of_2(half) * power_of_2((int)n - half);
}

static double log(double x) {
    uint64_t word;
    memcpy(&word, &x, 8);
    int64_t e = (int64_t)(word >> 52) - 1023; /* x is normal and positive here */
    word = (word & 0xFFFFFFFFFFFFFu) | (uint64_t)1023 << 52;
    double m, sum = 0;
    memcpy(&m, &word, 8);
    if (m > 1.4142135623730951) {
        m *= 0.5;
        e++;
    }
    double f = (m - 1) / (m + 1), z = f * f; /* log m = 2 atanh f */
    for (int k = 23; k >= 3; k -= 2) sum = (sum + 1.0 / k) * z;
    return (double)e * LN2_HIGH + (2 * f + (2 * f * sum + (double)e * LN2_LOW));
}

double exp2(double x) {
    double n = floor(x + 0.5);
    return exp((x - n) * LN2) * power_of_2((int)n);
}

double log2(double x) { return log(x) / LN2; }

double sinh(double x) {
    double z = x * x;
    if (z > 1) {
        double half = 0.5 * exp(0.5 * fabs(x)), e = exp(0.5 * fabs(x)); /* so that only the result overflows */
        double value = half * e - 0.5 / (e * e);
        return x < 0 ? -value : value;
    }
    double sum = 0;
    for (int k = 16; k >= 2; k -= 2) sum = (1 + sum) * z / (k * (k + 1));
    return x + x * sum;
}

double asinh(double x) {
    double a = fabs(x), u = a + a * a / (1 + sqrt(1 + a * a)), v = 1 + u;
    double value = v == 1 ? u : log(v) * (u / (v - 1)); /* log(1 + u) */
    return x < 0 ? -value : value;
}
