// Copies between a tile's own layout, (C, kBatch) by groups of 4 x 4 pixels, and planar images.
#pragma once
#include "render/tile_task.h"

namespace gscodec {

// Where a tile lies in a plane, or in one channel of an image of several.
struct PlaneTile {
    int64_t width;          // of the plane
    int64_t offset;         // of the tile's first pixel, in pixels
    int64_t rows, columns;  // part of the tile that lies in the image
    int64_t pixel = 1;      // values from a pixel to the next
};

// The pixels of a subset from a plane. Where the tile leaves the image it shows `outside`, of the tile's layout, or zero.
void from_plane(const float* plane, const PlaneTile& place, const Subset& subset, const float* outside, float* tile);

// The pixels of a subset from planes (n_planes, height, width). Where the tile leaves the image it shows `outside`, of
// the tile's layout, or zero.
void tile_from_planes(const float* planes, int n_planes, const Model& m, const TileTask& task, const Subset& subset,
                      const float* outside, float* tile);

// The tile's pixels inside the image, to planes (C, height, width).
void tile_to_planes(const float* tile, const Model& m, const TileTask& task, float* planes);

}  // namespace gscodec
