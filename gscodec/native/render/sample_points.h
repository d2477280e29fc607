// The picture at single points.
#pragma once
#include <cstdint>

#include "render/model.h"

namespace gscodec {

// points (M, 2) px; out (M, C).
void sample_points(const Context&, const Model&, const double* points, int64_t n_points, float* out);

}  // namespace gscodec
