// How far from its nearest Gaussian the picture's points lie.
#pragma once
#include "render/binning.h"

namespace gscodec {

// For each Gaussian, the farthest off of the tiles in which it is the nearest Gaussian of some point: U^2 and V^2 (q =
// U^2 + V^2, in the Gaussian's own frame) at the tile's closest point, or 0 where there is no such tile. Points are 16
// of each tile's pixel centres, its corners among them. out: (N, 2). The lists cover all tiles of a height x width px
// image.
void farthest_owned(const Geometry&, int64_t height, int64_t width, const int64_t* offsets, const int32_t* indices,
                    int threads, float* out);

}  // namespace gscodec
