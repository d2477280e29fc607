// Positions of bits, and prefetches, for GCC, clang and MSVC.
//
// Everything here has internal linkage: the objects of the instruction sets share no function (render/isa/memory.h).
#pragma once
#include <cstdint>

#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
#endif

namespace gscodec {

// floor(log2(value)) of a value above 0.
static inline int floor_log2(uint64_t value) {
#if defined(_MSC_VER) && !defined(__clang__)
    unsigned long index;
    _BitScanReverse64(&index, value);
    return static_cast<int>(index);
#else
    return 63 - __builtin_clzll(value);
#endif
}

// Place of the lowest 1 in a value above 0.
static inline int lowest_bit(uint64_t value) {
#if defined(_MSC_VER) && !defined(__clang__)
    unsigned long index;
    _BitScanForward64(&index, value);
    return static_cast<int>(index);
#else
    return __builtin_ctzll(value);
#endif
}

// Hints that memory will be read, or written, soon; an address that nothing can be read from does no harm.
static inline void prefetch(const void* address) {
#if !defined(_MSC_VER) || defined(__clang__)
    __builtin_prefetch(address);
#elif defined(_M_X64)
    _mm_prefetch(static_cast<const char*>(address), _MM_HINT_T0);
#elif defined(_M_ARM64)
    __prefetch(address);
#endif
}

static inline void prefetch_to_write(const void* address) {
#if !defined(_MSC_VER) || defined(__clang__)
    __builtin_prefetch(address, 1);
#else
    prefetch(address);
#endif
}

}  // namespace gscodec
