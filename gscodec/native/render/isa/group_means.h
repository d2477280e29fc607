// L1, L2 and squared means of blocks (render/block_means.h) of whole groups of 4 x 4 points, and their gradient.
#pragma once
#include "render/isa/group.h"
#include "render/isa/pointwise.h"

namespace gscodec {
namespace GSCODEC_ISA {
namespace {

// Of a group's values, in each lane the sum over the lane's block of Side x Side points: one block, or four.
template <int Side>
inline void sum_blocks(Vec (&v)[kVectors]) {
    static_assert(Side == 4 || Side == 2, "a group is one block or four");
#if defined(GSCODEC_ISA_avx512)
    if constexpr (Side == 4) v[0] = v[0] + _mm512_shuffle_f32x4(v[0], v[0], 0x4e);
    v[0] = v[0] + _mm512_shuffle_f32x4(v[0], v[0], 0xb1);
    if constexpr (Side == 4) v[0] = v[0] + _mm512_permute_ps(v[0], 0x4e);
    v[0] = v[0] + _mm512_permute_ps(v[0], 0xb1);
#elif defined(GSCODEC_ISA_avx2)
    if constexpr (Side == 4) v[0] = v[0] + v[1];
    for (int k = 0; k < (Side == 4 ? 1 : 2); ++k) {
        v[k] = v[k] + _mm256_permute2f128_ps(v[k], v[k], 1);
        if constexpr (Side == 4) v[k] = v[k] + _mm256_permute_ps(v[k], 0x4e);
        v[k] = v[k] + _mm256_permute_ps(v[k], 0xb1);
    }
    if constexpr (Side == 4) v[1] = v[0];
#else
    for (int k = 0; k < kVectors; k += Side) {
        Vec all = v[k];
        for (int row = 1; row < Side; ++row) all = all + v[k + row];
        if constexpr (Side == 4) all = all + Vec{all[2], all[3], all[0], all[1]};
        all = all + Vec{all[1], all[0], all[3], all[2]};
        for (int row = 0; row < Side; ++row) v[k + row] = all;
    }
#endif
}

template <int Side, bool Weighted>
void group_means_of(const float* image, const float* target, const float* weight, int64_t n, const LossWeights& weights,
                    float* grad, double* sums, double* means) {
    const Vec w1 = splat(weights.l1), w2 = splat(2 * weights.l2), wm = splat(2 * weights.means), zero = splat(0);
    const Vec part = splat(1.0f / (Side * Side));
    Vec totals[3] = {zero, zero, zero}, of_means = zero;
    for (int64_t first = 0; first < n; first += kGroup) {
        Vec d[kVectors], w[kVectors], mean[kVectors], count[kVectors];
        for (int v = 0; v < kVectors; ++v) {
            const int64_t i = first + v * kLanes;
            mean[v] = d[v] = load(image + i) - load(target + i);
            if constexpr (Weighted) count[v] = w[v] = load(weight + i);
        }
        sum_blocks<Side>(mean);
        if constexpr (Weighted) sum_blocks<Side>(count);
        for (int v = 0; v < kVectors; ++v) {
            const Vec square = d[v] * d[v], absolute = max(d[v], zero - d[v]);
            const Vec sign = keep(less(zero, d[v]), w1) - keep(less(d[v], zero), w1);
            const Vec own = fma(w2, d[v], sign), error = mean[v] * part;
            const Vec slope = Weighted ? error * (count[v] * part) : error;
            of_means = fma(slope, error, of_means);
            totals[0] = Weighted ? fma(w[v], absolute, totals[0]) : totals[0] + absolute;
            totals[1] = Weighted ? fma(w[v], square, totals[1]) : totals[1] + square;
            if constexpr (Weighted) totals[2] = totals[2] + square;
            store(grad + first + v * kLanes, fma(wm, slope, Weighted ? w[v] * own : own));
        }
    }
    for (int k = 0; k < (Weighted ? 3 : 2); ++k) sums[k] += sum_lanes(totals[k]);
    *means += sum_lanes(of_means);
}

void group_means(const float* image, const float* target, const float* weight, int64_t n, int side,
                 const LossWeights& weights, float* grad, double* sums, double* means) {
    if (side == 4)
        weight ? group_means_of<4, true>(image, target, weight, n, weights, grad, sums, means)
               : group_means_of<4, false>(image, target, weight, n, weights, grad, sums, means);
    else
        weight ? group_means_of<2, true>(image, target, weight, n, weights, grad, sums, means)
               : group_means_of<2, false>(image, target, weight, n, weights, grad, sums, means);
}

}  // namespace
}  // namespace GSCODEC_ISA
}  // namespace gscodec
