// Weights of the K nearest, their sum, and the blend.
#pragma once
#include "render/isa/group.h"

namespace gscodec {
namespace GSCODEC_ISA {
namespace {

// Blends V vectors of points from p on. C fixed at compile time keeps the sums in registers. Members beyond a point's
// threshold get the weight 0: fewer of them are in a shortlist than a search for the others would cost.
template <int C, int V, bool KeepWeights>
inline void mix_vectors(Workspace& ws, const Group& group, int p) {
    float* q = group.column(p);
    Vec threshold[V], nearest[V], total[V], sum[V][C];
    for (int v = 0; v < V; ++v) {
        // Infinity marks what break_ties put out of reach, so it must stay above every threshold.
        threshold[v] = min(load(ws.threshold + p + v * kLanes), splat(kLargest));
        nearest[v] = load(ws.nearest + p + v * kLanes);
        total[v] = splat(0);
        for (int c = 0; c < C; ++c) sum[v][c] = splat(0);
    }
    const int32_t* const members = ws.members;
    const float* const features = ws.features;
    for (int64_t j = 0; j < group.n; ++j, q += kGroup) {
        const int64_t member = members[j];
        const float* const feature = features + member * C;
        unsigned near = 0;
        for (int v = 0; v < V; ++v) {
            const Vec distance = load(q + v * kLanes);
            const Mask is_near = less_equal(distance, threshold[v]);
            const Vec w = keep(is_near, exp2_nonpositive(nearest[v] - distance));
            if (KeepWeights) {
                store(q + v * kLanes, w);
                near |= bits(is_near);
            }
            total[v] = total[v] + w;
            for (int c = 0; c < C; ++c) sum[v][c] = fma(w, splat(feature[c]), sum[v][c]);
        }
        if (KeepWeights) {
            ws.touched[member] |= static_cast<uint32_t>(near != 0) << group.index;
            ws.places[member * kGroups + group.index] = static_cast<int32_t>(j);
        }
    }
    for (int v = 0; v < V; ++v) {
        store(ws.total + p + v * kLanes, total[v]);
        const Vec inverse = splat(1) / total[v];
        for (int c = 0; c < C; ++c) store(ws.out + c * kBatch + p + v * kLanes, sum[v][c] * inverse);
    }
}

// The same for any number of channels, one vector at a time.
template <bool KeepWeights>
void mix_any(Workspace& ws, const BlendArgs& args, const Group& group, int p) {
    const int n_channels = args.n_channels;
    const Vec threshold = min(load(ws.threshold + p), splat(kLargest)), nearest = load(ws.nearest + p);
    float* const out = ws.out + p;
    Vec total = splat(0);
    for (int c = 0; c < n_channels; ++c) store(out + c * kBatch, splat(0));
    for (int64_t j = 0; j < group.n; ++j) {
        const int64_t member = ws.members[j];
        const float* const feature = ws.features + member * n_channels;
        float* const at = group.column(p) + j * kGroup;
        const Vec distance = load(at);
        const Mask is_near = less_equal(distance, threshold);
        const Vec w = keep(is_near, exp2_nonpositive(nearest - distance));
        if (KeepWeights) {
            store(at, w);
            ws.touched[member] |= static_cast<uint32_t>(any(is_near)) << group.index;
            ws.places[member * kGroups + group.index] = static_cast<int32_t>(j);
        }
        total = total + w;
        for (int c = 0; c < n_channels; ++c) store(out + c * kBatch, fma(w, splat(feature[c]), load(out + c * kBatch)));
    }
    store(ws.total + p, total);
    const Vec inverse = splat(1) / total;
    for (int c = 0; c < n_channels; ++c) store(out + c * kBatch, load(out + c * kBatch) * inverse);
}

template <int C, bool KeepWeights>
void mix(Workspace& ws, const BlendArgs& args, const Group& group) {
    if constexpr (C == 0) {
        for (int p = group.first; p < group.last; p += kLanes) mix_any<KeepWeights>(ws, args, group, p);
    } else {
        constexpr int kTogether = kVectors < 2 ? kVectors : 2;  // what the registers hold
        if (group.last - group.first == kGroup) {
            for (int p = group.first; p < group.last; p += kTogether * kLanes)
                mix_vectors<C, kTogether, KeepWeights>(ws, group, p);
            return;
        }
        for (int p = group.first; p < group.last; p += kLanes) mix_vectors<C, 1, KeepWeights>(ws, group, p);
    }
}

template <bool KeepWeights>
void mix(Workspace& ws, const BlendArgs& args, const Group& group) {
    switch (args.n_channels) {
        case 1: return mix<1, KeepWeights>(ws, args, group);
        case 3: return mix<3, KeepWeights>(ws, args, group);
        case 4: return mix<4, KeepWeights>(ws, args, group);
        default: return mix<0, KeepWeights>(ws, args, group);
    }
}

}  // namespace
}  // namespace GSCODEC_ISA
}  // namespace gscodec
