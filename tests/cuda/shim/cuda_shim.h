// The part of CUDA C++ that the kernels of gscodec/cuda use, for a host compiler: qualifiers, vector types, the
// intrinsics of blocks and warps, atomics and device functions that <math.h> lacks. Nothing beyond that, so that a
// kernel which compiles here stays portable to every architecture we name. How threads come about: fibers.h.
#pragma once

#include "fibers.h"

#include <math.h>

#define __CUDACC__ 1
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __constant__ static const
#define __restrict__ __restrict
#define __launch_bounds__(...)
#define __align__(n) alignas(n)
#define __shared__ static

#define SHIM_VECTOR(type, name, align)                                      \
    struct alignas(align) name##2 { type x, y; };                           \
    static inline name##2 make_##name##2(type x, type y) { return {x, y}; } \
    struct name##3 { type x, y, z; };                                       \
    static inline name##3 make_##name##3(type x, type y, type z) { return {x, y, z}; }
#define SHIM_VECTOR4(type, name, align)                 \
    struct alignas(align) name##4 { type x, y, z, w; }; \
    static inline name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }
SHIM_VECTOR(float, float, 8)
SHIM_VECTOR(double, double, 16)
SHIM_VECTOR(int, int, 8)
SHIM_VECTOR(unsigned char, uchar, 2)
SHIM_VECTOR(unsigned short, ushort, 4)
SHIM_VECTOR4(float, float, 16)
SHIM_VECTOR4(int, int, 16)
SHIM_VECTOR4(unsigned, uint, 16)
SHIM_VECTOR4(unsigned char, uchar, 4)
SHIM_VECTOR4(unsigned short, ushort, 8)
struct alignas(8) uint2 {
    unsigned x, y;
};
static inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }

namespace shim {

template <class To, class From>
static inline To bits_as(From from) {
    static_assert(sizeof(To) == sizeof(From), "same size");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}

template <class T>
static inline uint64_t pack(T value) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles move 4 or 8 bytes");
    uint64_t given = 0;
    memcpy(&given, &value, sizeof value);
    return given;
}

template <class T>
static inline T unpack(uint64_t taken) {
    T value;
    memcpy(&value, &taken, sizeof value);
    return value;
}

static inline void check_width(int width) {
    if (width <= 0 || width > (int)kLanes || (width & (width - 1)))
        fail_misuse("a shuffle's width must be 1, 2, .. 32");
}

static inline int lane() { return (int)(machine().current % kLanes); }

template <class T>
static T shuffle(Site site, unsigned mask, T value, int source, int width = 32) {
    check_width(width);
    const int from = (lane() & ~(width - 1)) | (source & (width - 1));
    return unpack<T>(meet("__shfl_sync", site, mask, pack(value), from));
}

template <class T>
static T shuffle_up(Site site, unsigned mask, T value, unsigned delta, int width = 32) {
    check_width(width);
    const int inside = lane() & (width - 1);
    const int from = (int)delta > inside ? lane() : lane() - (int)delta;
    return unpack<T>(meet("__shfl_up_sync", site, mask, pack(value), from));
}

template <class T>
static T shuffle_down(Site site, unsigned mask, T value, unsigned delta, int width = 32) {
    check_width(width);
    const int inside = lane() & (width - 1);
    const int from = inside + (int)delta >= width ? lane() : lane() + (int)delta;
    return unpack<T>(meet("__shfl_down_sync", site, mask, pack(value), from));
}

template <class T>
static T shuffle_xor(Site site, unsigned mask, T value, int lanes, int width = 32) {
    check_width(width);
    const int wanted = lane() ^ lanes;
    const int from = wanted / width > lane() / width ? lane() : wanted;  // later groups are out of reach
    return unpack<T>(meet("__shfl_xor_sync", site, mask, pack(value), from & (kLanes - 1)));
}

static unsigned ballot(Site site, unsigned mask, int predicate) {
    return (unsigned)meet("__ballot_sync", site, mask, predicate != 0, kLanes);
}

static int any(Site site, unsigned mask, int predicate) {
    return (unsigned)meet("__any_sync", site, mask, predicate != 0, kLanes) != 0;
}

static int all(Site site, unsigned mask, int predicate) {
    const uint64_t taken = meet("__all_sync", site, mask, predicate != 0, kLanes);
    return (unsigned)taken == (unsigned)(taken >> 32);
}

static void sync_warp(Site site, unsigned mask = 0xffffffffu) { meet("__syncwarp", site, mask, 0, kLanes, true); }

}  // namespace shim

#define SHIM_SITE (shim::Site{__FILE__, __LINE__})
#define __syncthreads() shim::barrier("__syncthreads", SHIM_SITE)
#define __syncwarp(...) shim::sync_warp(SHIM_SITE __VA_OPT__(, ) __VA_ARGS__)
#define __shfl_sync(...) shim::shuffle(SHIM_SITE, __VA_ARGS__)
#define __shfl_up_sync(...) shim::shuffle_up(SHIM_SITE, __VA_ARGS__)
#define __shfl_down_sync(...) shim::shuffle_down(SHIM_SITE, __VA_ARGS__)
#define __shfl_xor_sync(...) shim::shuffle_xor(SHIM_SITE, __VA_ARGS__)
#define __ballot_sync(...) shim::ballot(SHIM_SITE, __VA_ARGS__)
#define __any_sync(...) shim::any(SHIM_SITE, __VA_ARGS__)
#define __all_sync(...) shim::all(SHIM_SITE, __VA_ARGS__)

static inline void __threadfence() { shim::races::at_fence(); }
static inline void __threadfence_block() {}

// Atomics, for the types that the oldest architecture we name has them for.
namespace shim {
template <class T>
struct Itself {
    typedef T type;
};
template <class T>
using Value = typename Itself<T>::type;  // not deduced: atomicAdd(unsigned*, 1) converts
template <class T, class... Allowed>
constexpr bool one_of() {
    return (__is_same(T, Allowed) || ...);
}
typedef unsigned long long ull;
}  // namespace shim

#define SHIM_ATOMIC(name, result, ...)                                                      \
    template <class T>                                                                      \
    SHIM_UNSEEN T name(T* at, shim::Value<T> value) {                                       \
        static_assert(shim::one_of<T, __VA_ARGS__>(), #name " is not there for this type"); \
        shim::maybe_switch();                                                               \
        shim::races::at_atomic(at, sizeof(T), __builtin_return_address(0));                 \
        const T old = *at;                                                                  \
        *at = (T)(result);                                                                  \
        return old;                                                                         \
    }
SHIM_ATOMIC(atomicAdd, old + value, int, unsigned, shim::ull, float, double)
SHIM_ATOMIC(atomicSub, old - value, int, unsigned)
SHIM_ATOMIC(atomicExch, value, int, unsigned, shim::ull, float)
SHIM_ATOMIC(atomicMin, value < old ? value : old, int, unsigned, long long, shim::ull)
SHIM_ATOMIC(atomicMax, value > old ? value : old, int, unsigned, long long, shim::ull)
SHIM_ATOMIC(atomicAnd, old& value, int, unsigned, shim::ull)
SHIM_ATOMIC(atomicOr, old | value, int, unsigned, shim::ull)
SHIM_ATOMIC(atomicXor, old ^ value, int, unsigned, shim::ull)

template <class T>
SHIM_UNSEEN T atomicCAS(T* at, shim::Value<T> expected, shim::Value<T> value) {
    static_assert(shim::one_of<T, int, unsigned, shim::ull, unsigned short>(), "atomicCAS is not there for this type");
    shim::maybe_switch();
    shim::races::at_atomic(at, sizeof(T), __builtin_return_address(0));
    const T old = *at;
    if (old == expected) *at = value;
    return old;
}

static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline int __ffsll(long long x) { return __builtin_ffsll(x); }
static inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
static inline int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)x) : 64; }
template <class T>
static inline T __ldg(const T* at) {
    return *at;
}

static inline float __uint_as_float(unsigned x) { return shim::bits_as<float>(x); }
static inline float __int_as_float(int x) { return shim::bits_as<float>(x); }
static inline unsigned __float_as_uint(float x) { return shim::bits_as<unsigned>(x); }
static inline int __float_as_int(float x) { return shim::bits_as<int>(x); }
static inline double __longlong_as_double(long long x) { return shim::bits_as<double>(x); }
static inline long long __double_as_longlong(double x) { return shim::bits_as<long long>(x); }
static inline int __float2int_rn(float x) { return (int)lrintf(x); }
static inline int __float2int_rd(float x) { return (int)floorf(x); }

// What a GPU computes by approximation: to two units in the last place by CUDA's tables, where a host's are correct to
// one. With SHIM_APPROXIMATE they are off by as much, up or down by the bits of the result, the same for the same
// number.
#ifdef SHIM_APPROXIMATE
namespace shim {
static inline float off(float exact) {
    if (!(fabsf(exact) >= 1e-37f && fabsf(exact) < 1e38f)) return exact;
    const unsigned bits = bits_as<unsigned>(exact);
    return bits_as<float>(bits + (bits * 2654435761u >> 29) % 5 - 2);
}
static inline float exp2_off(float x) { return off(exp2f(x)); }
static inline float exp_off(float x) { return off(expf(x)); }
static inline float pow_off(float x, float y) { return off(powf(x, y)); }
static inline float expm1_off(float x) { return off(expm1f(x)); }
}  // namespace shim
#define exp2f shim::exp2_off
#define expf shim::exp_off
#define powf shim::pow_off
#define expm1f shim::expm1_off
#endif

// Never contracted there; here nothing ever is (host_runtime.py compiles with -ffp-contract=off).
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline float __fsqrt_rn(float a) { return sqrtf(a); }
static inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
static inline double __dadd_rn(double a, double b) { return a + b; }
static inline double __dsub_rn(double a, double b) { return a - b; }
static inline double __dmul_rn(double a, double b) { return a * b; }
static inline double __ddiv_rn(double a, double b) { return a / b; }
static inline double __dsqrt_rn(double a) { return sqrt(a); }
static inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
static inline double rsqrt(double x) { return 1.0 / sqrt(x); }

#define SHIM_MIN_MAX(type)                                           \
    static inline type min(type a, type b) { return b < a ? b : a; } \
    static inline type max(type a, type b) { return a < b ? b : a; }
SHIM_MIN_MAX(int)
SHIM_MIN_MAX(unsigned)
SHIM_MIN_MAX(long)
SHIM_MIN_MAX(unsigned long)
SHIM_MIN_MAX(long long)
SHIM_MIN_MAX(unsigned long long)
static inline float min(float a, float b) { return fminf(a, b); }
static inline float max(float a, float b) { return fmaxf(a, b); }
static inline double min(double a, double b) { return fmin(a, b); }
static inline double max(double a, double b) { return fmax(a, b); }
