// A step of the optimiser up to its gradients, of Gaussians that are rows of parameters.
#pragma once
#include "render/fit_step.h"

namespace gscodec {

// (n, 5 + C) values: x, y (px), two that are not read, rotation, C features.
struct ParameterRows {
    int64_t n;
    int n_channels;
    const float* values;
    const float* inverse;  // (n, 2) inverse scales, 1/px

    int64_t width() const { return 5 + n_channels; }
};

struct RowsPicture {
    const float* background;  // (C,)
    int64_t height, width;
    int top_k;
    double support_q;
    int64_t max_pairs;
};

// Lists, forward, loss and backward as fit_step has them, of the rows and of the Gaussians `beside` them. `out` (n, 5 + C)
// gets the gradient to the rows, with that to the inverse scales in the third and fourth column. Throws std::length_error
// when there are more than max_pairs (tile, Gaussian) pairs.
LossValue fit_rows(const Context&, const ParameterRows& rows, const Geometry& beside, const float* beside_features,
                   const RowsPicture& picture, FitTarget& target, const LossWeights&, const Subset&, StepScratch&,
                   float* out);

}  // namespace gscodec
