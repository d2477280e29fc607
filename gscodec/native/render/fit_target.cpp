#include "render/fit_target.h"

#include <algorithm>

#include "machine/bits.h"
#include "render/tile_planes.h"
#include "threads/thread_pool.h"

namespace gscodec {

FitTarget::FitTarget(const float* samples, bool is_planar, const Importance& importance, int n_channels, int64_t height,
                     int64_t width)
    : samples_(samples),
      is_planar_(is_planar),
      importance_(importance),
      n_channels_(n_channels),
      height_(height),
      width_(width) {}

const float* FitTarget::planes() {
    if (is_planar_) return samples_;
    if (planes_.empty()) {
        const int64_t n = height_ * width_;
        planes_.resize(static_cast<size_t>(n_channels_ * n));
        for (int64_t i = 0; i < n; ++i)
            for (int64_t c = 0; c < n_channels_; ++c) planes_[c * n + i] = samples_[i * n_channels_ + c];
    }
    return planes_.data();
}

void FitTarget::load(const Subset& subset, int threads) {
    if (subset.step != step_) {
        step_ = subset.step;
        points_ = (kTile / step_) * (kTile / step_);
        parts_.assign(static_cast<size_t>(step_ * step_), {});
    }
    std::vector<float>& part = parts_[static_cast<size_t>(subset.y * step_ + subset.x)];
    const int64_t columns = this->columns(), n_tiles = columns * ((height_ + kTile - 1) / kTile);
    const int n_weights = this->n_weights();
    if (part.empty()) {
        part.resize(static_cast<size_t>(n_tiles * (n_channels_ + n_weights) * points_));
        parallel_for(n_tiles, threads, [&](int64_t tile) {
            const int64_t x = tile % columns * kTile, y = tile / columns * kTile;
            PlaneTile place = {width_, y * width_ + x, std::min<int64_t>(kTile, height_ - y),
                               std::min<int64_t>(kTile, width_ - x)};
            const PlaneTile of_weights = place;
            if (!is_planar_) place.pixel = n_channels_;
            float* to = part.data() + tile * (n_channels_ + n_weights) * points_;
            for (int c = 0; c < n_channels_; ++c, to += points_)
                from_plane(samples_ + (is_planar_ ? c * height_ * width_ : c), place, subset, nullptr, to);
            for (int c = 0; c < n_weights; ++c, to += points_)
                from_plane(importance_.data + c * height_ * width_, of_weights, subset, nullptr, to);
        });
    }
    current_ = part.data();
}

void FitTarget::prefetch_tile(int64_t tile) const {
    constexpr int64_t kLine = 64 / sizeof(float);
    const float* const first = samples(tile);
    for (int64_t i = 0; i < (n_channels_ + n_weights()) * points_; i += kLine) prefetch(first + i);
}

}  // namespace gscodec
