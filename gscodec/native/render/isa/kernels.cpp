// The inner loops, compiled once per instruction set (simd.h).
//
// A batch is up to 256 points of one tile and the list of the n Gaussians whose support meets that tile. Stages:
//   localize    the list's Gaussians about the tile's corner
//   shortlists  per group of 4 x 4 points, the Gaussians that may be among the K nearest of one of them. sqrt(q) is a
//               distance in (U, V), so over the box around the points it stays within the box's reach of its value at
//               the centre; whoever's least is above the K-th smallest of the largest is out. Lanes are groups
//   distances   q_i(p) for the members of p's shortlist, scaled so that a weight is 2^-q
//   thresholds  the K-th smallest q of each point, by networks that sort ten values; for another K, the cheaper of two
//               equal searches: keep the K smallest, or keep the n - K + 1 largest
//   mix         2^(q_min - q_i), or 0 at points whose threshold is nearer, in place of q_i; their sum; the blend
//   accumulate  per Gaussian, the moments that its gradient needs (render/reference.py, backward)
// Every point goes through the same operations in the same order whatever batch it is in, but for terms that are
// exactly zero: that is what makes a sample equal its pixel to the bit.
#include "render/isa/kernels.h"

#include "render/isa/accumulate.h"
#include "render/isa/distances.h"
#include "render/isa/group_means.h"
#include "render/isa/localize.h"
#include "render/isa/mix.h"
#include "render/isa/pointwise.h"
#include "render/isa/quantize.h"
#include "render/isa/shortlists.h"
#include "render/isa/ssim.h"
#include "render/isa/thresholds.h"

namespace gscodec {
namespace GSCODEC_ISA {
namespace {

void blend(Workspace& ws, const BlendArgs& args, bool keep_weights) {
    shortlists(ws, args);
    if (keep_weights) fill(ws.touched, args.n, uint32_t{0});
    for (int g = 0; g * kGroup < args.n_points; ++g) {
        Group group = group_at(ws, args, g);
        distances(ws, args, group);
        thresholds(ws, args, group);
        if (keep_weights)
            mix<true>(ws, args, group);
        else
            mix<false>(ws, args, group);
    }
}

const KernelTable table = {
#define GSCODEC_STRING_(x) #x
#define GSCODEC_STRING(x) GSCODEC_STRING_(x)
    GSCODEC_STRING(GSCODEC_ISA), kLanes,      localize,   blend, accumulate, quantize, write_rgb8, pointwise,
    pointwise_weighted,          group_means, ssim_block,
};

}  // namespace
}  // namespace GSCODEC_ISA

#define GSCODEC_JOIN_(a, b) a##b
#define GSCODEC_JOIN(a, b) GSCODEC_JOIN_(a, b)
const KernelTable* GSCODEC_JOIN(kernels_, GSCODEC_ISA)() { return &GSCODEC_ISA::table; }

}  // namespace gscodec
