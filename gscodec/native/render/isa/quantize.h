// Blended values to codes.
#pragma once
#include "render/isa/group.h"

namespace gscodec {
namespace GSCODEC_ISA {
namespace {

void quantize(const Workspace& ws, int n_channels, int n_points, float peak, int32_t* codes) {
    for (int c = 0; c < n_channels; ++c)
        for (int p = 0; p < n_points; p += kLanes) {
            const Vec v = min(max(load(ws.out + c * kBatch + p), splat(0)), splat(1));
            store_truncated(codes + c * kBatch + p, fma(v, splat(peak), splat(0.5f)));
        }
}

}  // namespace
}  // namespace GSCODEC_ISA
}  // namespace gscodec
