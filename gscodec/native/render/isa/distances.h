// q_i(p) of the members of a shortlist at their points.
#pragma once
#include "render/isa/group.h"

namespace gscodec {
namespace GSCODEC_ISA {
namespace {

// Lists the group's members, and computes their q at V vectors of points from `first` on.
template <int V>
inline void distances_of(Workspace& ws, const BlendArgs& args, int first, Group& group) {
    const int64_t n_words = words_of(args.n);
    const uint64_t* const listed = ws.listed + (ws.shortlisted ? group.index * n_words : 0);
    int32_t* const members = ws.members;
    Vec x[V], y[V];
    for (int v = 0; v < V; ++v) x[v] = load(ws.x + first + v * kLanes), y[v] = load(ws.y + first + v * kLanes);
    float* q = group.column(first);
    int64_t n = 0;
    for (int64_t word = 0; word < n_words; ++word)
        for (uint64_t left = listed[word]; left; left &= left - 1) {
            const int64_t i = word * 64 + lowest_bit(left);
            members[n++] = static_cast<int32_t>(i);
            const LocalAxes& a = ws.axes[i];
            const Vec ux = splat(a.u_x), uy = splat(a.u_y), u0 = splat(a.u_0);
            const Vec vx = splat(a.v_x), vy = splat(a.v_y), v0 = splat(a.v_0);
            for (int v = 0; v < V; ++v) {
                const Vec u = fma(ux, x[v], fma(uy, y[v], u0));
                const Vec w = fma(vx, x[v], fma(vy, y[v], v0));
                store(q + v * kLanes, fma(u, u, w * w));
            }
            q += kGroup;
        }
    group.n = n;
}

void distances(Workspace& ws, const BlendArgs& args, Group& group) {
    if (group.last - group.first == kGroup) return distances_of<kVectors>(ws, args, group.first, group);
    for (int p = group.first; p < group.last; p += kLanes) distances_of<1>(ws, args, p, group);
}

}  // namespace
}  // namespace GSCODEC_ISA
}  // namespace gscodec
