// A group of a batch's points, and the Gaussians that they choose from.
#pragma once
#include <limits>

#include "render/isa/kernels.h"
#include "render/isa/memory.h"
#include "render/isa/simd.h"

namespace gscodec {
namespace GSCODEC_ISA {
namespace {

constexpr float kTileSide = 16;
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kLargest = std::numeric_limits<float>::max();

// A range of points and the Gaussians that they choose from.
struct Group {
    int first, last;         // points
    const int32_t* members;  // places in the tile's list, ascending
    int64_t n;
    float* q;  // of point p and member j: q[j * stride + p - first]; later the weight
    int64_t stride;
};

// Rows of a batch lie as close as its groups allow: a group then works within the first-level cache, where rows a full
// tile apart would share a few of its sets.
inline int64_t row_stride(int n_points) { return smaller(n_points, kGroup); }

inline Group group_at(Workspace& ws, const BlendArgs& args, int g) {
    const int64_t stride = row_stride(args.n_points);
    const int first = g * kGroup;
    const bool own = ws.shortlisted;
    return {first,
            smaller(first + kGroup, args.n_points),
            ws.members + (own ? g * args.n : 0),
            own ? ws.n_members[g] : args.n,
            ws.weights + g * args.n * stride,
            stride};
}

}  // namespace
}  // namespace GSCODEC_ISA
}  // namespace gscodec
