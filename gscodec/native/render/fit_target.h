// The picture of a fit and what its samples count, in the order in which the steps of the fit read them.
#pragma once
#include <cstdint>
#include <vector>

#include "render/loss.h"
#include "render/tile_planes.h"

namespace gscodec {

// Samples of a picture, and their copies by tiles: rows of a tile lie a picture's width apart, and every second or fourth
// pixel of a subset takes a whole line of the cache with it. Keeps the addresses of what it is made of. One step at a time
// may use it.
class FitTarget {
public:
    // samples: (C, height, width) where they are planar, else (height, width, C). Planar ones are those of a single step:
    // copies of all tiles are not worth it.
    FitTarget(const float* samples, bool is_planar, const Importance& importance, int n_channels, int64_t height,
              int64_t width);

    // Prepares the steps on a subset's pixels; copies of those of subsets of another step are dropped.
    void load(const Subset& subset, int threads);

    int64_t tile_at(double origin_x, double origin_y) const {
        return static_cast<int64_t>(origin_y) / kTile * columns() + static_cast<int64_t>(origin_x) / kTile;
    }

    // Asks for what a tile reads, while it is blended.
    void prefetch_tile(int64_t tile) const;

    // Of the subset loaded last: (C, points) samples of a tile in groups of 4 x 4 points, and behind them (n_weights(),
    // points) what they count. Outside the image both are 0. `buffer` is where they are put, if they are not there.
    const float* tile(int64_t tile, std::vector<float>& buffer) const;

    // 0 if all samples count 1, 1 if the channels of a pixel count alike, else C.
    int n_weights() const { return importance_ ? importance_.stride ? n_channels_ : 1 : 0; }
    // (C, height, width), copied if need be.
    const float* planes();
    const Importance& importance() const { return importance_; }

private:
    int64_t columns() const { return (width_ + kTile - 1) / kTile; }
    int64_t tile_size() const { return (n_channels_ + n_weights()) * points_; }
    PlaneTile place_of(int64_t tile) const;
    void copy_tile(int64_t tile, float* to) const;

    const float* samples_;
    bool is_planar_;
    std::vector<float> planes_;
    Importance importance_;
    int n_channels_;
    int64_t height_, width_;
    Subset subset_ = {0, 0, 0};
    int64_t points_ = 0;
    std::vector<std::vector<float>> parts_;  // of each place of the subset, row by row; empty: not copied yet
    const float* current_ = nullptr;
};

}  // namespace gscodec
