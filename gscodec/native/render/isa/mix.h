// Weights of the K nearest, their sum, and the blend.
#pragma once
#include "render/isa/group.h"

namespace gscodec {
namespace GSCODEC_ISA {
namespace {

// More than K Gaussians are within the threshold of some point: equal distances. The lower indices stay, the rest
// move to infinity.
void break_ties(Workspace& ws, const BlendArgs& args, const Group& group, int first, int last) {
    for (int p = first; p < last; ++p) {
        int room = args.top_k;
        for (int64_t j = 0; j < group.n; ++j) room -= group.q[j * group.stride + p - group.first] < ws.threshold[p];
        for (int64_t j = 0; j < group.n; ++j) {
            float& q = group.q[j * group.stride + p - group.first];
            if (q == ws.threshold[p] && room-- <= 0) q = kInfinity;
        }
    }
}

// Blends the points p .. p + kLanes. C fixed at compile time keeps the sums in registers; C = 0 is any count. Returns
// whether some point took more than K Gaussians, which equal distances can bring about.
template <int C>
inline bool mix_vector(Workspace& ws, const BlendArgs& args, const Group& group, bool keep_weights, int p) {
    const int n_channels = C ? C : args.n_channels;
    float* const column = group.q + p - group.first;
    // Infinity marks what break_ties put out of reach, so it must stay above every threshold.
    const Vec threshold = min(load(ws.threshold + p), splat(kLargest));
    const Vec nearest = load(ws.nearest + p);
    // A branch that asks for each member whether some point is near is a coin toss; a list of those near is not.
    int32_t* const active = ws.active;
    int64_t n_active = 0;
    int n_near = 0;
    for (int64_t j = 0; j < group.n; ++j) {
        const unsigned near = bits(less_equal(load(column + j * group.stride), threshold));
        active[n_active] = static_cast<int32_t>(j);
        n_active += near != 0;
        n_near += __builtin_popcount(near);
    }
    // Every point has K within its threshold.
    if (group.n > args.top_k && n_near > args.top_k * kLanes) return true;
    Vec total = splat(0), sum[C ? C : 1];
    for (int c = 0; c < (C ? C : 1); ++c) sum[c] = splat(0);
    if (!C)
        for (int c = 0; c < n_channels; ++c) store(ws.out + c * kBatch + p, splat(0));
    const uint64_t bit = uint64_t{1} << p / kLanes;
    for (int64_t a = 0; a < n_active; ++a) {
        const int32_t member = group.members[active[a]];
        const float* const feature = ws.features + member * n_channels;
        float* const at = column + active[a] * group.stride;
        const Vec q = load(at);
        const Vec w = keep(less_equal(q, threshold), exp2_nonpositive(nearest - q));
        if (keep_weights) {
            store(at, w);
            ws.touched[member] |= bit;
        }
        total = total + w;
        if (C) {
            for (int c = 0; c < C; ++c) sum[c] = fma(w, splat(feature[c]), sum[c]);
        } else {
            for (int c = 0; c < n_channels; ++c) {
                float* out = ws.out + c * kBatch + p;
                store(out, fma(w, splat(feature[c]), load(out)));
            }
        }
    }
    store(ws.total + p, total);
    const Vec inverse = splat(1) / total;
    for (int c = 0; c < n_channels; ++c) {
        float* out = ws.out + c * kBatch + p;
        store(out, (C ? sum[C ? c : 0] : load(out)) * inverse);
    }
    return false;
}

template <int C>
void mix(Workspace& ws, const BlendArgs& args, const Group& group, bool keep_weights) {
    for (int p = group.first; p < group.last; p += kLanes) {
        if (mix_vector<C>(ws, args, group, keep_weights, p)) {
            break_ties(ws, args, group, p, p + kLanes);
            mix_vector<C>(ws, args, group, keep_weights, p);
        }
    }
}

}  // namespace
}  // namespace GSCODEC_ISA
}  // namespace gscodec
