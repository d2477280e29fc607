// The tile that a coordinate belongs to.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "render/binning.h"

namespace gscodec {

// In [begin, end) tiles; a coordinate outside belongs to the nearest.
inline int64_t tile_of(double position, int64_t begin, int64_t end) {
    const double t = std::floor(position / kTile);
    return static_cast<int64_t>(std::min(std::max(t, static_cast<double>(begin)), static_cast<double>(end - 1)));
}

}  // namespace gscodec
