// The K-th smallest q of each point, and the least.
#pragma once
#include "render/isa/top_k.h"

namespace gscodec {
namespace GSCODEC_ISA {
namespace {

// Whether one of the points p .. p + kLanes has more than K Gaussians within its threshold.
bool has_ties(const Workspace& ws, const BlendArgs& args, const Group& group, int p) {
    const float* const q = group.column(p);
    const Vec threshold = min(load(ws.threshold + p), splat(kLargest)), one = splat(1);
    Vec near = splat(0);
    for (int64_t j = 0; j < group.n; ++j) near = near + keep(less_equal(load(q + j * kGroup), threshold), one);
    return any(less(splat(static_cast<float>(args.top_k)), near));
}

// Of equal distances the lower indices stay, and the rest move to infinity.
void break_ties(Workspace& ws, const BlendArgs& args, const Group& group, int p) {
    for (; p < group.last; ++p) {
        float* const column = group.column(p);
        int room = args.top_k;
        for (int64_t j = 0; j < group.n; ++j) room -= column[j * kGroup] < ws.threshold[p];
        for (int64_t j = 0; j < group.n; ++j) {
            float& q = column[j * kGroup];
            if (q == ws.threshold[p] && room-- <= 0) q = kInfinity;
        }
    }
}

// Afterwards at most K members are within the threshold of a point.
void thresholds(Workspace& ws, const BlendArgs& args, const Group& group) {
    const bool chooses = group.n > args.top_k;
    for (int p = group.first; p < group.last; p += kLanes) {
        const float* q = group.column(p);
        Found found = {splat(kInfinity), splat(kInfinity), splat(-kInfinity)};
        if (chooses && !args.have_threshold)
            found = find(q, kGroup, group.n, args.top_k);
        else
            found.least = least_of(q, kGroup, group.n);
        if (!args.have_threshold) store(ws.threshold + p, found.kth);
        store(ws.nearest + p, found.least);
        if (chooses && any(less_equal(found.next, found.kth)) && has_ties(ws, args, group, p))
            break_ties(ws, args, group, p);
    }
}

}  // namespace
}  // namespace GSCODEC_ISA
}  // namespace gscodec
