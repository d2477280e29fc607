// Copies between a tile's own layout, (C, kBatch) by groups of 4 x 4 pixels, and planar images.
#pragma once
#include "render/tile_task.h"

namespace gscodec {

// The pixels of a subset from planes (n_planes, height, width). Where the tile leaves the image it shows `outside`, of
// the tile's layout, or zero.
void tile_from_planes(const float* planes, int n_planes, const Model& m, const TileTask& task, const Subset& subset,
                      const float* outside, float* tile);

// The tile's pixels inside the image, to planes (C, height, width).
void tile_to_planes(const float* tile, const Model& m, const TileTask& task, float* planes);

// Rows of a tile lie a picture's width apart, which no processor foresees: ask for them while the tile is blended.
void prefetch_planes(const float* planes, int n_planes, const Model& m, const TileTask& task, const Subset& subset);

}  // namespace gscodec
