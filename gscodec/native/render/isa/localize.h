// The Gaussians of a list, about a tile's corner.
#pragma once
#include "render/isa/group.h"

namespace gscodec {
namespace GSCODEC_ISA {
namespace {

#if defined(GSCODEC_ISA_avx2) || defined(GSCODEC_ISA_avx512)

inline void local_axes(const unsigned char* record, __m256d origin, LocalAxes* to) {
    const double* const values = reinterpret_cast<const double*>(record);
    const __m256d axes = _mm256_loadu_pd(values);
    const __m256d d = _mm256_sub_pd(origin, _mm256_broadcast_pd(reinterpret_cast<const __m128d*>(values + 4)));
    const __m256d products = _mm256_mul_pd(axes, d);
    const __m128 sums = _mm256_cvtpd_ps(_mm256_hadd_pd(products, products));  // U, U, V, V
    const __m128 mean = _mm_xor_ps(_mm256_cvtpd_ps(d), _mm_set1_ps(-0.0f));
    float* const out = reinterpret_cast<float*>(to);
    _mm_storeu_ps(out, _mm256_cvtpd_ps(axes));
    _mm_storeu_ps(out + 4, _mm_shuffle_ps(sums, mean, 0x48));
}

#endif

void localize(Workspace& ws, const RecordTable& records, const int32_t* indices, int64_t n, double origin_x,
              double origin_y) {
    const int channels = records.n_channels;
#if defined(GSCODEC_ISA_avx2) || defined(GSCODEC_ISA_avx512)
    const __m256d origin = _mm256_setr_pd(origin_x, origin_y, origin_x, origin_y);
#endif
    for (int64_t k = 0; k < n; ++k) {
        constexpr int64_t kAhead = 8;
        if (k + kAhead < n) prefetch(records.first + indices[k + kAhead] * records.stride);
        const unsigned char* const from = records.first + indices[k] * records.stride;
#if defined(GSCODEC_ISA_avx2) || defined(GSCODEC_ISA_avx512)
        local_axes(from, origin, ws.axes + k);
#else
        Record r;
        std::memcpy(&r, from, sizeof r);
        const double dx = origin_x - r.mean_x, dy = origin_y - r.mean_y;
        ws.axes[k] = {static_cast<float>(r.u_x),
                      static_cast<float>(r.u_y),
                      static_cast<float>(r.v_x),
                      static_cast<float>(r.v_y),
                      static_cast<float>(r.u_x * dx + r.u_y * dy),
                      static_cast<float>(r.v_x * dx + r.v_y * dy),
                      static_cast<float>(-dx),
                      static_cast<float>(-dy)};
#endif
        std::memcpy(ws.radii + k, from + kRecordFeatures - sizeof(float), sizeof(float));
        if (channels == 3)  // a size that is known costs no call
            std::memcpy(ws.features + k * 3, from + kRecordFeatures, 12);
        else
            std::memcpy(ws.features + k * channels, from + kRecordFeatures, 4 * static_cast<size_t>(channels));
    }
}

}  // namespace
}  // namespace GSCODEC_ISA
}  // namespace gscodec
