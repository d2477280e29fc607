// Per Gaussian, the moments that its gradient needs (render/reference.py, backward).
#pragma once
#include <cstring>

#include "render/isa/group.h"

namespace gscodec {
namespace GSCODEC_ISA {
namespace {

// Per point what accumulate multiplies weights with, x and y about the tile's centre.
struct PointTerms {
    alignas(64) float along[kBatch];  // minus the dot product of gradient and blend, by total
    alignas(64) float x[kBatch], y[kBatch], xx[kBatch], xy[kBatch], yy[kBatch];
};

// The moments about the tile's centre that gradients need, lane by lane, and what they are about a Gaussian's mean.
struct LaneSums {
    Vec h = splat(0), hx = splat(0), hy = splat(0), hxx = splat(0), hxy = splat(0), hyy = splat(0);

    void about(float mean_x, float mean_y, Vec (&moments)[kMoments]) const {
        const Vec x = splat(-mean_x), y = splat(-mean_y);
        const Vec mx = fma(x, h, hx), my = fma(y, h, hy);
        moments[0] = mx;
        moments[1] = my;
        moments[2] = fma(x, hx + mx, hxx);
        moments[3] = fma(y, mx, fma(x, hy, hxy));
        moments[4] = fma(y, hy + my, hyy);
    }
};

template <int C>
void accumulate_channels(Workspace& ws, const BlendArgs& args, const int32_t* slots, float* moments) {
    const int n_channels = C ? C : args.n_channels;
    const int width = kMoments + n_channels;
    float* const grads = ws.grad;
    const Vec middle = splat(kTileSide / 2);
    PointTerms terms;
    // Gradients by total, so that unnormalised weights serve.
    for (int p = 0; p < args.n_points; p += kLanes) {
        const Vec inverse = splat(1) / load(ws.total + p);
        Vec sum = splat(0);
        for (int c = 0; c < n_channels; ++c) {
            const Vec g = load(grads + c * kBatch + p) * inverse;
            sum = fma(g, load(ws.out + c * kBatch + p), sum);
            store(grads + c * kBatch + p, g);
        }
        store(terms.along + p, splat(0) - sum);
        const Vec x = load(ws.x + p) - middle, y = load(ws.y + p) - middle;
        store(terms.x + p, x);
        store(terms.y + p, y);
        store(terms.xx + p, x * x);
        store(terms.xy + p, x * y);
        store(terms.yy + p, y * y);
    }
    const int64_t stride = row_stride(args.n_points), group_size = args.n * stride;
    float* const feature_sums = ws.feature_sums;
    for (int64_t i = 0; i < args.n; ++i) {
        const int32_t* const places = ws.places + i * kGroups;
        const float* const feature = ws.features + i * n_channels;
        LaneSums sums;
        Vec f[C ? C : 1];
        for (int c = 0; c < (C ? C : 1); ++c) f[c] = splat(0);
        if (!C) fill(feature_sums, (n_channels + kSumBlock) * kLanes, 0.0f);
        for (uint64_t left = ws.touched[i]; left; left &= left - 1) {
            const int p = __builtin_ctzll(left) * kLanes, g = p / kGroup;
            const int64_t place = ws.shortlisted ? places[g] : i;
            const Vec w = load(ws.weights + g * group_size + place * stride + p % kGroup);
            Vec h = load(terms.along + p);
            for (int c = 0; c < n_channels; ++c) {
                const Vec g_c = load(grads + c * kBatch + p);
                h = fma(g_c, splat(feature[c]), h);
                if (C) {
                    f[C ? c : 0] = fma(w, g_c, f[C ? c : 0]);
                } else {
                    float* sum = feature_sums + c * kLanes;
                    store(sum, fma(w, g_c, load(sum)));
                }
            }
            h = h * w;
            sums.h = sums.h + h;
            sums.hx = fma(h, load(terms.x + p), sums.hx);
            sums.hy = fma(h, load(terms.y + p), sums.hy);
            sums.hxx = fma(h, load(terms.xx + p), sums.hxx);
            sums.hxy = fma(h, load(terms.xy + p), sums.hxy);
            sums.hyy = fma(h, load(terms.yy + p), sums.hyy);
        }
        Vec about[kMoments], block[kSumBlock];
        sums.about(ws.axes[i].mean_x - kTileSide / 2, ws.axes[i].mean_y - kTileSide / 2, about);
        float* const row = moments + slots[i] * int64_t{width};
        float sum[kSumBlock];
        constexpr int kFirst = kSumBlock - kMoments;  // channels in the first block
        for (int k = 0; k < kMoments; ++k) block[k] = about[k];
        for (int c = 0; c < kFirst; ++c)
            block[kMoments + c] = C ? (c < C ? f[c < C ? c : 0] : splat(0)) : load(feature_sums + c * kLanes);
        sum_lanes(block, sum);
        if (C + kMoments == kSumBlock)
            std::memcpy(row, sum, sizeof sum);
        else
            copy(sum, smaller(width, kSumBlock), row);
        for (int first = kFirst; first < n_channels; first += kSumBlock) {
            for (int c = 0; c < kSumBlock; ++c)
                block[c] = C ? (first + c < C ? f[first + c < C ? first + c : 0] : splat(0))
                             : load(feature_sums + (first + c) * kLanes);
            sum_lanes(block, sum);
            copy(sum, smaller(n_channels - first, kSumBlock), row + kMoments + first);
        }
    }
}

void accumulate(Workspace& ws, const BlendArgs& args, const int32_t* slots, float* moments) {
    switch (args.n_channels) {
        case 1: return accumulate_channels<1>(ws, args, slots, moments);
        case 3: return accumulate_channels<3>(ws, args, slots, moments);
        case 4: return accumulate_channels<4>(ws, args, slots, moments);
        default: return accumulate_channels<0>(ws, args, slots, moments);
    }
}

}  // namespace
}  // namespace GSCODEC_ISA
}  // namespace gscodec
