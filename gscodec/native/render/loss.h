// The photometric loss of planes and its gradient.
#pragma once
#include <cstdint>
#include <vector>

#include "render/model.h"
#include "shared/loss_terms.h"

namespace gscodec {

struct LossValue {
    double loss;
    double mse;  // plain, whatever pixels count
};

// What samples count: planes of (height, width), one for all channels (stride 0) or one for each; null data: 1.
struct Importance {
    const float* data = nullptr;
    int64_t stride = 0;  // from a channel's plane to the next

    const float* plane(int64_t channel) const { return data + channel * stride; }
    explicit operator bool() const { return data != nullptr; }
};

// image, target, grad: planar (C, height, width).
LossValue photometric_loss(const Context&, const float* image, const float* target, const Importance& importance,
                           int n_channels, int64_t height, int64_t width, const LossWeights&, float* grad);

// What the loss is a mean of, over some of the samples.
struct Sums {
    double pointwise[3] = {0, 0, 0};  // |d|, d^2; where pixels have weights, these by them, and d^2 plain
    double means = 0;                 // of blocks, see block_means.h
    double ssim = 0;
    double weight = 0;  // of all samples, where SSIM has weights
};

// The loss of all `count` samples, of parts that are always summed in the same order.
LossValue finish(const std::vector<Sums>& parts, const LossWeights& w, double count, bool is_weighted);

}  // namespace gscodec
