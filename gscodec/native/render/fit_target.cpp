#include "render/fit_target.h"

#include <algorithm>

#include "machine/bits.h"
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
    if (subset.step != subset_.step) {
        points_ = (kTile / subset.step) * (kTile / subset.step);
        parts_.assign(static_cast<size_t>(subset.step * subset.step), {});
    }
    subset_ = subset;
    if (is_planar_) return;
    std::vector<float>& part = parts_[static_cast<size_t>(subset.y * subset.step + subset.x)];
    if (part.empty()) {
        const int64_t n_tiles = columns() * ((height_ + kTile - 1) / kTile);
        part.resize(static_cast<size_t>(n_tiles * tile_size()));
        parallel_for(n_tiles, threads, [&](int64_t tile) { copy_tile(tile, part.data() + tile * tile_size()); });
    }
    current_ = part.data();
}

PlaneTile FitTarget::place_of(int64_t tile) const {
    const int64_t x = tile % columns() * kTile, y = tile / columns() * kTile;
    return {width_, y * width_ + x, std::min<int64_t>(kTile, height_ - y), std::min<int64_t>(kTile, width_ - x)};
}

void FitTarget::copy_tile(int64_t tile, float* to) const {
    const int64_t plane = height_ * width_;
    const PlaneTile of_weights = place_of(tile);
    PlaneTile place = of_weights;
    if (!is_planar_) place.pixel = n_channels_;
    for (int c = 0; c < n_channels_; ++c, to += points_)
        from_plane(samples_ + (is_planar_ ? c * plane : c), place, subset_, nullptr, to);
    for (int c = 0; c < n_weights(); ++c, to += points_)
        from_plane(importance_.data + c * plane, of_weights, subset_, nullptr, to);
}

void FitTarget::prefetch_tile(int64_t tile) const {
    if (is_planar_) {
        const PlaneTile place = place_of(tile);
        for (int c = 0; c < n_channels_ + n_weights(); ++c) {
            const float* const plane = c < n_channels_ ? samples_ + c * height_ * width_
                                                       : importance_.data + (c - n_channels_) * height_ * width_;
            for (int64_t y = subset_.y; y < place.rows; y += subset_.step) {
                const float* const row = plane + place.offset + y * width_;
                prefetch(row);
                prefetch(row + place.columns - 1);
            }
        }
        return;
    }
    constexpr int64_t kLine = 64 / sizeof(float);
    const float* const first = current_ + tile * tile_size();
    for (int64_t i = 0; i < tile_size(); i += kLine) prefetch(first + i);
}

const float* FitTarget::tile(int64_t tile, std::vector<float>& buffer) const {
    if (!is_planar_) return current_ + tile * tile_size();
    fit_size(buffer, tile_size());
    copy_tile(tile, buffer.data());
    return buffer.data();
}

}  // namespace gscodec
