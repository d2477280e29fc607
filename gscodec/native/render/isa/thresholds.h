// The K-th smallest q of each point, and the least.
#pragma once
#include "render/isa/top_k.h"

namespace gscodec {
namespace GSCODEC_ISA {
namespace {

void thresholds(Workspace& ws, const BlendArgs& args, const Group& group) {
    for (int p = group.first; p < group.last; p += kLanes) {
        const float* q = group.q + p - group.first;
        Found found = {splat(kInfinity), splat(kInfinity)};
        if (group.n > args.top_k && !args.have_threshold)
            found = find(q, group.stride, group.n, args.top_k);
        else
            found.least = least_of(q, group.stride, group.n);
        if (!args.have_threshold) store(ws.threshold + p, found.kth);
        store(ws.nearest + p, found.least);
    }
}

}  // namespace
}  // namespace GSCODEC_ISA
}  // namespace gscodec
