// q_i(p) of the members of a shortlist at their points.
#pragma once
#include "render/isa/group.h"

namespace gscodec {
namespace GSCODEC_ISA {
namespace {

void distances(Workspace& ws, const Group& group, int first, int last) {
    for (int64_t j = 0; j < group.n; ++j) {
        const LocalAxes& a = ws.axes[group.members[j]];
        const Vec ux = splat(a.u_x), uy = splat(a.u_y), u0 = splat(a.u_0);
        const Vec vx = splat(a.v_x), vy = splat(a.v_y), v0 = splat(a.v_0);
        float* q = group.q + j * group.stride - group.first;
        for (int p = first; p < last; p += kLanes) {
            const Vec x = load(ws.x + p), y = load(ws.y + p);
            const Vec u = fma(ux, x, fma(uy, y, u0));
            const Vec v = fma(vx, x, fma(vy, y, v0));
            store(q + p, fma(u, u, v * v));
        }
    }
}

}  // namespace
}  // namespace GSCODEC_ISA
}  // namespace gscodec
