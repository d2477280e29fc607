// L1 and L2 of two runs of samples, and their gradient.
#pragma once
#include "render/isa/kernels.h"
#include "render/isa/memory.h"
#include "render/isa/simd.h"

namespace gscodec {
namespace GSCODEC_ISA {
namespace {

inline void pointwise_step(Vec a, Vec b, Vec l1, Vec l2, Vec& grad, Vec& absolute, Vec& square) {
    const Vec zero = splat(0), d = a - b;
    const Vec sign = keep(less(zero, d), l1) - keep(less(d, zero), l1);
    grad = fma(l2, d, sign);
    absolute = absolute + max(d, zero - d);
    square = fma(d, d, square);
}

void pointwise(const float* a, const float* b, int64_t n, const LossWeights& weights, float* grad, double* sums) {
    const Vec w1 = splat(weights.l1), w2 = splat(2 * weights.l2);
    Vec absolute = splat(0), square = splat(0), g;
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
        pointwise_step(load(a + i), load(b + i), w1, w2, g, absolute, square);
        store(grad + i, g);
    }
    if (i < n) {
        float tail_a[kLanes] = {}, tail_b[kLanes] = {}, tail_g[kLanes];
        copy(a + i, n - i, tail_a);
        copy(b + i, n - i, tail_b);
        pointwise_step(load(tail_a), load(tail_b), w1, w2, g, absolute, square);
        store(tail_g, g);
        copy(tail_g, n - i, grad + i);
    }
    sums[0] += sum_lanes(absolute);
    sums[1] += sum_lanes(square);
}

inline void weighted_step(Vec a, Vec b, Vec w, Vec l1, Vec l2, Vec& grad, Vec (&sums)[3]) {
    const Vec zero = splat(0), d = a - b, square = d * d;
    const Vec sign = keep(less(zero, d), l1) - keep(less(d, zero), l1);
    grad = w * fma(l2, d, sign);
    sums[0] = fma(w, max(d, zero - d), sums[0]);
    sums[1] = fma(w, square, sums[1]);
    sums[2] = sums[2] + square;
}

void pointwise_weighted(const float* a, const float* b, const float* weight, int64_t n, const LossWeights& weights,
                        float* grad, double* sums) {
    const Vec w1 = splat(weights.l1), w2 = splat(2 * weights.l2);
    Vec totals[3] = {splat(0), splat(0), splat(0)}, g;
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
        weighted_step(load(a + i), load(b + i), load(weight + i), w1, w2, g, totals);
        store(grad + i, g);
    }
    if (i < n) {
        float tail_a[kLanes] = {}, tail_b[kLanes] = {}, tail_w[kLanes] = {}, tail_g[kLanes];
        copy(a + i, n - i, tail_a);
        copy(b + i, n - i, tail_b);
        copy(weight + i, n - i, tail_w);
        weighted_step(load(tail_a), load(tail_b), load(tail_w), w1, w2, g, totals);
        store(tail_g, g);
        copy(tail_g, n - i, grad + i);
    }
    for (int k = 0; k < 3; ++k) sums[k] += sum_lanes(totals[k]);
}

}  // namespace
}  // namespace GSCODEC_ISA
}  // namespace gscodec
