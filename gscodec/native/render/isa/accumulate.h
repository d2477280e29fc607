// Per Gaussian, the moments that its gradient needs (render/reference.py, backward).
#pragma once
#include <cstring>

#include "render/isa/group.h"

namespace gscodec {
namespace GSCODEC_ISA {
namespace {

void find_moments(Workspace& ws) {
    const Vec middle = splat(kTileSide / 2);
    for (int p = 0; p < kBatch; p += kLanes) {
        const Vec x = load(ws.x + p) - middle, y = load(ws.y + p) - middle;
        store(ws.mid_x + p, x);
        store(ws.mid_y + p, y);
        store(ws.mid_xx + p, x * x);
        store(ws.mid_yy + p, y * y);
    }
    ws.have_moments = true;
}

// The moments about the tile's centre that gradients need, lane by lane, and what they are about a Gaussian's mean.
struct LaneSums {
    Vec h = splat(0), hx = splat(0), hy = splat(0), hxx = splat(0), hxy = splat(0), hyy = splat(0);

    // Adds those of a group's points from p on. Its vectors have the same x, as rows of a square have.
    void add(const Workspace& ws, int p, const Vec (&each)[kVectors]) {
        Vec all = each[0], by_y = each[0] * load(ws.mid_y + p);
        hyy = fma(each[0], load(ws.mid_yy + p), hyy);
        for (int v = 1; v < kVectors; ++v) {
            all = all + each[v];
            by_y = fma(each[v], load(ws.mid_y + p + v * kLanes), by_y);
            hyy = fma(each[v], load(ws.mid_yy + p + v * kLanes), hyy);
        }
        const Vec x = load(ws.mid_x + p);
        h = h + all;
        hx = fma(all, x, hx);
        hxx = fma(all, load(ws.mid_xx + p), hxx);
        hy = hy + by_y;
        hxy = fma(by_y, x, hxy);
    }

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
    if (!ws.have_moments) find_moments(ws);
    // Gradients by total, so that unnormalised weights serve, and minus their dot product with the blend.
    alignas(64) float along[kBatch];
    for (int p = 0; p < args.n_points; p += kLanes) {
        const Vec inverse = splat(1) / load(ws.total + p);
        Vec sum = splat(0);
        for (int c = 0; c < n_channels; ++c) {
            const Vec g = load(grads + c * kBatch + p) * inverse;
            sum = fma(g, load(ws.out + c * kBatch + p), sum);
            store(grads + c * kBatch + p, g);
        }
        store(along + p, splat(0) - sum);
    }
    const int64_t group_size = args.n * kGroup;
    float* const feature_sums = ws.feature_sums;
    for (int64_t i = 0; i < args.n; ++i) {
        float* const row = moments + slots[i] * int64_t{width};
        constexpr int64_t kAhead = 4;
        if (i + kAhead < args.n) prefetch_to_write(moments + slots[i + kAhead] * int64_t{width});
        if (!ws.touched[i]) {
            fill(row, width, 0.0f);
            continue;
        }
        const int32_t* const places = ws.places + i * kGroups;
        const float* const feature = ws.features + i * n_channels;
        LaneSums sums;
        Vec f[C ? C : 1];
        for (int c = 0; c < (C ? C : 1); ++c) f[c] = splat(0);
        if (!C) fill(feature_sums, (n_channels + kSumBlock) * kLanes, 0.0f);
        for (uint32_t left = ws.touched[i]; left; left &= left - 1) {
            const int g = lowest_bit(left);
            const float* const weights = ws.weights + g * group_size + places[g] * int64_t{kGroup};
            Vec h[kVectors];
            for (int v = 0; v < kVectors; ++v) {
                const int p = g * kGroup + v * kLanes;
                const Vec w = load(weights + v * kLanes);
                Vec slope = load(along + p);
                for (int c = 0; c < n_channels; ++c) {
                    const Vec g_c = load(grads + c * kBatch + p);
                    slope = fma(g_c, splat(feature[c]), slope);
                    if (C) {
                        f[C ? c : 0] = fma(w, g_c, f[C ? c : 0]);
                    } else {
                        float* sum = feature_sums + c * kLanes;
                        store(sum, fma(w, g_c, load(sum)));
                    }
                }
                h[v] = slope * w;
            }
            sums.add(ws, g * kGroup, h);
        }
        Vec about[kMoments], block[kSumBlock];
        sums.about(ws.axes[i].mean_x - kTileSide / 2, ws.axes[i].mean_y - kTileSide / 2, about);
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
