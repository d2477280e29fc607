// CPUID and XGETBV, read directly: the compilers' own functions for it differ, and clang's needs a runtime library that
// a Windows build does not link. Bits as in the Intel 64 manual, volume 2A, CPUID.
#include "machine/cpu.h"

#include <cstdint>

#if defined(__x86_64__) || defined(_M_X64)
#ifdef _MSC_VER
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#endif

namespace gscodec {

#if defined(__x86_64__) || defined(_M_X64)

namespace {

struct Registers {
    uint32_t a = 0, b = 0, c = 0, d = 0;
};

Registers cpuid(uint32_t leaf) {
    Registers found;
#ifdef _MSC_VER
    int values[4];
    __cpuid(values, 0);
    if (static_cast<uint32_t>(values[0]) < leaf) return found;
    __cpuidex(values, static_cast<int>(leaf), 0);
    found.a = static_cast<uint32_t>(values[0]), found.b = static_cast<uint32_t>(values[1]);
    found.c = static_cast<uint32_t>(values[2]), found.d = static_cast<uint32_t>(values[3]);
#else
    if (static_cast<uint32_t>(__get_cpuid_max(0, nullptr)) >= leaf)
        __cpuid_count(leaf, 0, found.a, found.b, found.c, found.d);
#endif
    return found;
}

// Registers that the operating system saves. Only where CPUID reports OSXSAVE.
uint64_t saved_state() {
#ifdef _MSC_VER
    return _xgetbv(0);
#else
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return static_cast<uint64_t>(high) << 32 | low;
#endif
}

bool has(uint32_t value, int bit) { return value >> bit & 1; }

}  // namespace

CpuFeatures cpu_features() {
    CpuFeatures found;
    const uint32_t first = cpuid(1).c, seventh = cpuid(7).b;
    if (!has(first, 27)) return found;  // OSXSAVE
    constexpr uint64_t kYmm = 0x06, kZmm = 0xe6;
    const uint64_t saved = saved_state();
    found.avx2 = (saved & kYmm) == kYmm && has(first, 12) && has(first, 28) && has(seventh, 5);
    found.avx512 = found.avx2 && (saved & kZmm) == kZmm && has(seventh, 16) && has(seventh, 17) && has(seventh, 30) &&
                   has(seventh, 31);
    return found;
}

#else

CpuFeatures cpu_features() { return {}; }

#endif

}  // namespace gscodec
