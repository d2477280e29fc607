// A picture, or any window of it, at the points of a lattice.
#pragma once
#include <cstdint>

#include "render/write_samples.h"

namespace gscodec {

struct Lattice {
    double x, y, step_x, step_y;
    int64_t height, width;
};

// out: (height, width, C) of the sample type.
void render(const Context&, const Model&, const Lattice&, Sample type, void* out);

}  // namespace gscodec
