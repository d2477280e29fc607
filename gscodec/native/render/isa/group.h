// A group of a batch's points, and the Gaussians that they choose from.
#pragma once
#include <limits>

#include "machine/bits.h"
#include "render/isa/kernels.h"
#include "render/isa/memory.h"
#include "render/isa/simd.h"

namespace gscodec {
namespace GSCODEC_ISA {
namespace {

constexpr float kTileSide = 16;
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kLargest = std::numeric_limits<float>::max();
constexpr int kVectors = kGroup / kLanes;  // of a whole group

// Words that have a bit for each of n Gaussians.
constexpr int64_t words_of(int64_t n) { return (n + 63) / 64; }

// A range of points and the Gaussians that they choose from.
struct Group {
    int index;
    int first, last;  // points
    int64_t n;        // members of the shortlist
    float* q;         // of point p and member j: q[j * kGroup + p - first]; later the weight

    float* column(int p) const { return q + p - first; }
};

// The group's points; its members are those that `distances` finds.
inline Group group_at(Workspace& ws, const BlendArgs& args, int g) {
    const int first = g * kGroup;
    return {g, first, smaller(first + kGroup, args.n_points), 0, ws.weights + g * args.n * kGroup};
}

}  // namespace
}  // namespace GSCODEC_ISA
}  // namespace gscodec
