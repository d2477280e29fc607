// Tile lists: which Gaussians' support ellipses meet which tiles (spec/igs.md, section 3.4), in float64.
#pragma once
#include <cstdint>
#include <vector>

namespace gscodec {

constexpr int kTile = 16;  // model/constants.py TILE_SIZE; bindings/module.cpp exports it and a test compares

struct TileRect {
    int64_t x0, y0, x1, y1;  // half-open, in tiles
    int64_t count() const { return (x1 - x0) * (y1 - y0); }
};

// Geometry of N Gaussians as the caller's arrays hold it.
struct Geometry {
    int64_t n;
    const double* means;       // (N, 2) px
    const double* inv_scales;  // (N, 2) 1/px
    const double* rotations;   // (N,) rad
};

struct TileLists {
    std::vector<int64_t> offsets;  // (tiles + 1,), tiles of the rectangle in row-major order
    std::vector<int32_t> indices;  // ascending within a tile
};

// Throws std::length_error when there are more than max_pairs (tile, Gaussian) pairs.
TileLists bin_gaussians(const Geometry& geometry, TileRect rect, double support_q, int64_t max_pairs, int threads);

}  // namespace gscodec
