// One vector type per instruction set behind the same few functions. The file that includes this is compiled once per
// set, with GSCODEC_ISA_<name> defined; the baseline uses vectors of four floats that GCC and clang have (SSE2, NEON), and
// plain loops where the compiler has none (MSVC), or where GSCODEC_PORTABLE asks for them.
#pragma once
#include <math.h>
#include <cstdint>
#include <cstring>

#include "render/isa/kernels.h"

#if defined(GSCODEC_ISA_avx2) || defined(GSCODEC_ISA_avx512)
#include <immintrin.h>
#endif

namespace gscodec {
namespace GSCODEC_ISA {

#if defined(GSCODEC_ISA_avx512)

using Vec = __m512;
using Mask = __mmask16;
constexpr int kLanes = 16;
inline Vec splat(float x) { return _mm512_set1_ps(x); }
inline Vec load(const float* p) { return _mm512_loadu_ps(p); }
inline void store(float* p, Vec v) { _mm512_storeu_ps(p, v); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
inline Vec min(Vec a, Vec b) { return _mm512_min_ps(a, b); }
inline Vec max(Vec a, Vec b) { return _mm512_max_ps(a, b); }
inline Mask less(Vec a, Vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
inline Mask less_equal(Vec a, Vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
inline bool any(Mask m) { return m != 0; }
inline unsigned bits(Mask m) { return m; }
inline Vec keep(Mask m, Vec v) { return _mm512_maskz_mov_ps(m, v); }
// At least the square root, and at most 1.001 times it.
inline Vec root_from_above(Vec v) {
    const Vec inverse = _mm512_rsqrt14_ps(_mm512_max_ps(v, _mm512_set1_ps(1e-30f)));
    return _mm512_mul_ps(_mm512_mul_ps(v, _mm512_set1_ps(1.0005f)), inverse);
}
inline Vec round_even(Vec v) { return _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
inline Vec scale_by_power(Vec v, Vec n) {
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(v), _mm512_slli_epi32(_mm512_cvtps_epi32(n), 23)));
}
inline void store_truncated(int32_t* p, Vec v) { _mm512_storeu_si512(p, _mm512_cvttps_epi32(v)); }

#elif defined(GSCODEC_ISA_avx2)

using Vec = __m256;
using Mask = __m256;
constexpr int kLanes = 8;
inline Vec splat(float x) { return _mm256_set1_ps(x); }
inline Vec load(const float* p) { return _mm256_loadu_ps(p); }
inline void store(float* p, Vec v) { _mm256_storeu_ps(p, v); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
inline Vec min(Vec a, Vec b) { return _mm256_min_ps(a, b); }
inline Vec max(Vec a, Vec b) { return _mm256_max_ps(a, b); }
inline Mask less(Vec a, Vec b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
inline Mask less_equal(Vec a, Vec b) { return _mm256_cmp_ps(a, b, _CMP_LE_OQ); }
inline bool any(Mask m) { return _mm256_movemask_ps(m) != 0; }
inline unsigned bits(Mask m) { return static_cast<unsigned>(_mm256_movemask_ps(m)); }
inline Vec keep(Mask m, Vec v) { return _mm256_and_ps(m, v); }
inline Vec root_from_above(Vec v) {
    const Vec inverse = _mm256_rsqrt_ps(_mm256_max_ps(v, _mm256_set1_ps(1e-30f)));
    return _mm256_mul_ps(_mm256_mul_ps(v, _mm256_set1_ps(1.0005f)), inverse);
}
inline Vec round_even(Vec v) { return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
inline Vec scale_by_power(Vec v, Vec n) {
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(v), _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23)));
}
inline void store_truncated(int32_t* p, Vec v) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_cvttps_epi32(v));
}

#elif (defined(__GNUC__) || defined(__clang__)) && !defined(GSCODEC_PORTABLE)

typedef float Vec __attribute__((vector_size(16)));
typedef int32_t Mask __attribute__((vector_size(16)));
constexpr int kLanes = 4;
inline Vec splat(float x) { return Vec{x, x, x, x}; }
inline Vec load(const float* p) {
    Vec v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
inline void store(float* p, Vec v) { std::memcpy(p, &v, sizeof v); }
inline Vec fma(Vec a, Vec b, Vec c) { return a * b + c; }
inline Vec min(Vec a, Vec b) { return a < b ? a : b; }
inline Vec max(Vec a, Vec b) { return a > b ? a : b; }
inline Mask less(Vec a, Vec b) { return a < b; }
inline Mask less_equal(Vec a, Vec b) { return a <= b; }
inline bool any(Mask m) {
    int64_t half[2];
    std::memcpy(half, &m, sizeof half);
    return (half[0] | half[1]) != 0;
}
inline unsigned bits(Mask m) { return (m[0] & 1) | (m[1] & 2) | (m[2] & 4) | (m[3] & 8); }
inline Vec keep(Mask m, Vec v) { return reinterpret_cast<Vec>(m & reinterpret_cast<Mask>(v)); }
inline Vec root_from_above(Vec v) { return Vec{sqrtf(v[0]), sqrtf(v[1]), sqrtf(v[2]), sqrtf(v[3])} * splat(1.0005f); }
// Nearest integer, ties to even, for |v| < 2^22: the sum's own rounding does it.
inline Vec round_even(Vec v) {
    const Vec magic = splat(12582912.0f);
    return (v + magic) - magic;
}
inline Vec scale_by_power(Vec v, Vec n) {
    const Mask bits = __builtin_convertvector(n, Mask) << 23;
    return reinterpret_cast<Vec>(reinterpret_cast<Mask>(v) + bits);
}
inline void store_truncated(int32_t* p, Vec v) {
    const Mask bits = __builtin_convertvector(v, Mask);
    std::memcpy(p, &bits, sizeof bits);
}

#else

constexpr int kLanes = 4;
struct Vec {
    float lane[kLanes];
    float operator[](int i) const { return lane[i]; }
};
struct Mask {
    bool lane[kLanes];
};
template <class Lane>
inline Vec vec_of(Lane lane) {
    return {{lane(0), lane(1), lane(2), lane(3)}};
}
inline Vec operator+(Vec a, Vec b) {
    return vec_of([&](int i) { return a[i] + b[i]; });
}
inline Vec operator-(Vec a, Vec b) {
    return vec_of([&](int i) { return a[i] - b[i]; });
}
inline Vec operator*(Vec a, Vec b) {
    return vec_of([&](int i) { return a[i] * b[i]; });
}
inline Vec operator/(Vec a, Vec b) {
    return vec_of([&](int i) { return a[i] / b[i]; });
}
inline Vec splat(float x) { return {{x, x, x, x}}; }
inline Vec load(const float* p) { return {{p[0], p[1], p[2], p[3]}}; }
inline void store(float* p, Vec v) { std::memcpy(p, v.lane, sizeof v.lane); }
inline Vec fma(Vec a, Vec b, Vec c) { return a * b + c; }
inline Vec min(Vec a, Vec b) {
    return vec_of([&](int i) { return a[i] < b[i] ? a[i] : b[i]; });
}
inline Vec max(Vec a, Vec b) {
    return vec_of([&](int i) { return a[i] > b[i] ? a[i] : b[i]; });
}
inline Mask less(Vec a, Vec b) { return {{a[0] < b[0], a[1] < b[1], a[2] < b[2], a[3] < b[3]}}; }
inline Mask less_equal(Vec a, Vec b) { return {{a[0] <= b[0], a[1] <= b[1], a[2] <= b[2], a[3] <= b[3]}}; }
inline bool any(Mask m) { return m.lane[0] || m.lane[1] || m.lane[2] || m.lane[3]; }
inline unsigned bits(Mask m) { return m.lane[0] | m.lane[1] << 1 | m.lane[2] << 2 | m.lane[3] << 3; }
inline Vec keep(Mask m, Vec v) {
    return vec_of([&](int i) { return m.lane[i] ? v[i] : 0.0f; });
}
inline Vec root_from_above(Vec v) {
    return vec_of([&](int i) { return sqrtf(v[i]) * 1.0005f; });
}
inline Vec round_even(Vec v) {
    const Vec magic = splat(12582912.0f);  // as above
    return (v + magic) - magic;
}
inline Vec scale_by_power(Vec v, Vec n) {
    return vec_of([&](int i) {
        int32_t bits;
        std::memcpy(&bits, &v.lane[i], sizeof bits);
        bits += static_cast<int32_t>(n[i]) * (1 << 23);
        float scaled;
        std::memcpy(&scaled, &bits, sizeof scaled);
        return scaled;
    });
}
inline void store_truncated(int32_t* p, Vec v) {
    for (int i = 0; i < kLanes; ++i) p[i] = static_cast<int32_t>(v[i]);
}

#endif

// The columns of 64 bytes, as words some stride apart: bit k of word b is bit b of byte k.
#if defined(GSCODEC_ISA_avx512)

inline void words_of_bits(const uint8_t* bytes, uint64_t* words, int64_t stride) {
    __m512i v = _mm512_loadu_si512(bytes);
    for (int b = 7; b >= 0; --b) {
        words[b * stride] = _mm512_movepi8_mask(v);
        v = _mm512_add_epi8(v, v);
    }
}

#elif defined(GSCODEC_ISA_avx2)

inline void words_of_bits(const uint8_t* bytes, uint64_t* words, int64_t stride) {
    __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes));
    __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes + 32));
    for (int b = 7; b >= 0; --b) {
        const uint64_t first = static_cast<uint32_t>(_mm256_movemask_epi8(low));
        words[b * stride] = first | static_cast<uint64_t>(static_cast<uint32_t>(_mm256_movemask_epi8(high))) << 32;
        low = _mm256_add_epi8(low, low);
        high = _mm256_add_epi8(high, high);
    }
}

#else

inline void words_of_bits(const uint8_t* bytes, uint64_t* words, int64_t stride) {
    uint64_t sums[8] = {};
    for (int k = 0; k < 64; ++k)
        for (int b = 0; b < 8; ++b) sums[b] |= static_cast<uint64_t>(bytes[k] >> b & 1) << k;
    for (int b = 0; b < 8; ++b) words[b * stride] = sums[b];
}

#endif

// Sums of the lanes of each, always in the same order.
#if defined(GSCODEC_ISA_avx512)

inline Vec fold(Vec a, Vec b) {  // quarters of a, then of b, summed by twos
    return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
}
inline void sum_lanes(const Vec (&v)[kSumBlock], float* sums) {
    const Vec a = fold(fold(v[0], v[1]), fold(v[2], v[3])), b = fold(fold(v[4], v[5]), fold(v[6], v[7]));
    // A quarter of a and of b now holds four partial sums of each vector.
    const Vec pairs = _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x88), _mm512_shuffle_ps(a, b, 0xdd));
    const Vec all = _mm512_add_ps(pairs, _mm512_permute_ps(pairs, 0xb1));
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 2, 6, 10, 14, 0, 0, 0, 0, 0, 0, 0, 0);
    _mm256_storeu_ps(sums, _mm512_castps512_ps256(_mm512_permutexvar_ps(order, all)));
}

#elif defined(GSCODEC_ISA_avx2)

inline void sum_lanes(const Vec (&v)[kSumBlock], float* sums) {
    const Vec a = _mm256_hadd_ps(_mm256_hadd_ps(v[0], v[1]), _mm256_hadd_ps(v[2], v[3]));
    const Vec b = _mm256_hadd_ps(_mm256_hadd_ps(v[4], v[5]), _mm256_hadd_ps(v[6], v[7]));
    _mm256_storeu_ps(sums, _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31)));
}

#else

inline void sum_lanes(const Vec (&v)[kSumBlock], float* sums) {
    for (int k = 0; k < kSumBlock; ++k) sums[k] = (v[k][0] + v[k][1]) + (v[k][2] + v[k][3]);
}

#endif

inline float sum_lanes(Vec v) {
    float lane[kLanes];
    store(lane, v);
    for (int width = kLanes / 2; width; width /= 2)
        for (int i = 0; i < width; ++i) lane[i] += lane[i + width];
    return lane[0];
}

// 2^x for x <= 0, within 2e-7 relative; 2^-126 below that. A degree-5 fit of 2^f on [-1/2, 1/2], least relative error.
inline Vec exp2_nonpositive(Vec x) {
    x = max(x, splat(-126.0f));
    const Vec n = round_even(x);
    const Vec f = x - n;
    Vec p = splat(1.327621992e-3f);
    p = fma(p, f, splat(9.675539305e-3f));
    p = fma(p, f, splat(5.550714053e-2f));
    p = fma(p, f, splat(2.402211977e-1f));
    p = fma(p, f, splat(6.931469666e-1f));
    p = fma(p, f, splat(1.000000072f));
    return scale_by_power(p, n);
}

}  // namespace GSCODEC_ISA
}  // namespace gscodec
