// Blended values to codes.
#pragma once
#include "render/isa/group.h"

namespace gscodec {
namespace GSCODEC_ISA {
namespace {

inline Vec codes_of(Vec v, float peak) { return fma(min(max(v, splat(0)), splat(1)), splat(peak), splat(0.5f)); }

void quantize(const Workspace& ws, int n_channels, int n_points, float peak, int32_t* codes) {
    for (int c = 0; c < n_channels; ++c)
        for (int p = 0; p < n_points; p += kLanes)
            store_truncated(codes + c * kBatch + p, codes_of(load(ws.out + c * kBatch + p), peak));
}

// Of two runs of four pixels each, codes below 256 as 0x00bbggrr, the bytes one after the other.
#if defined(GSCODEC_ISA_avx2) || defined(GSCODEC_ISA_avx512)

inline void write_run(__m128i pixels, uint8_t* to) {
    const __m128i order = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    const __m128i bytes = _mm_shuffle_epi8(pixels, order);
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to), bytes);
    const int last = _mm_extract_epi32(bytes, 2);
    std::memcpy(to + 8, &last, sizeof last);
}

inline __m256i codes_at(const float* p) {
    const __m256 v = _mm256_min_ps(_mm256_max_ps(_mm256_loadu_ps(p), _mm256_setzero_ps()), _mm256_set1_ps(1));
    return _mm256_cvttps_epi32(_mm256_fmadd_ps(v, _mm256_set1_ps(255), _mm256_set1_ps(0.5f)));
}

inline void write_two_runs(const float* out, uint8_t* first, uint8_t* second) {
    const __m256i red = codes_at(out), green = codes_at(out + kBatch), blue = codes_at(out + 2 * kBatch);
    const __m256i pixels =
        _mm256_or_si256(red, _mm256_or_si256(_mm256_slli_epi32(green, 8), _mm256_slli_epi32(blue, 16)));
    write_run(_mm256_castsi256_si128(pixels), first);
    write_run(_mm256_extracti128_si256(pixels, 1), second);
}

#else

inline void write_two_runs(const float* out, uint8_t* first, uint8_t* second) {
    for (int c = 0; c < 3; ++c) {
        int32_t codes[2 * kRun];
        for (int p = 0; p < 2 * kRun; p += kLanes)
            store_truncated(codes + p, codes_of(load(out + c * kBatch + p), 255));
        for (int p = 0; p < kRun; ++p) {
            first[3 * p + c] = static_cast<uint8_t>(codes[p]);
            second[3 * p + c] = static_cast<uint8_t>(codes[kRun + p]);
        }
    }
}

#endif

void write_rgb8(const Workspace& ws, int64_t stride, uint8_t* to) {
    constexpr int kSide = static_cast<int>(kTileSide);
    for (int run = 0; run < kBatch / kRun; run += 2) {
        uint8_t* const first = to + run_y(run, kSide) * stride + run_x(run, kSide) * 3;
        write_two_runs(ws.out + run * kRun, first, first + stride);
    }
}

}  // namespace
}  // namespace GSCODEC_ISA
}  // namespace gscodec
