// What every operation on a picture is given: the Gaussians with their tile lists, and how to run.
#pragma once
#include <cstdint>

#include "render/binning.h"
#include "render/isa/kernels.h"

namespace gscodec {

struct Model {
    Geometry geometry;
    const float* features;  // (N, C)
    int n_channels;
    const float* background;  // (C,)
    int top_k;
    int64_t height, width;   // px of the stored image
    TileRect rect;           // tiles that offsets cover
    const int64_t* offsets;  // (tiles + 1,)
    const int32_t* indices;  // (pairs,)
};

struct Context {
    const KernelTable& kernels;
    int threads;
};

// Every step-th pixel in both directions, from (x, y) on; step is 1, 2 or 4.
struct Subset {
    int64_t step, x, y;
};

inline constexpr Subset kWholeTile = {1, 0, 0};

}  // namespace gscodec
