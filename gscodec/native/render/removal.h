// What the squared error would gain if single Gaussians were removed (fit/upkeep.py).
#pragma once
#include "render/loss.h"
#include "render/model.h"

namespace gscodec {

// costs (N,): sum over the pixels and channels of w u (c - f)^2, with w what a sample counts, u the Gaussian's share of the
// blend c, and f its feature.
void removal_costs(const Context&, const Model&, const Importance& importance, double* costs);

}  // namespace gscodec
