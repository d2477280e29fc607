// Copies between a tile's own layout, (C, kBatch) by groups of 8 x 4 px, and planar images.
#pragma once
#include "render/tile_task.h"

namespace gscodec {

// From planes (n_planes, height, width). Where the tile leaves the image it shows `outside`, of the tile's layout, or
// zero.
void tile_from_planes(const float* planes, int n_planes, const Model& m, const TileTask& task, const float* outside,
                      float* tile);

// The tile's pixels inside the image, to planes (C, height, width).
void tile_to_planes(const float* tile, const Model& m, const TileTask& task, float* planes);

// As tile_from_planes for the pixels of a subset.
void subset_from_planes(const float* planes, int n_planes, const Model& m, const TileTask& task, const Subset& subset,
                        const float* outside, float* tile);

// Rows of a tile lie a picture's width apart, which no processor foresees: ask for them while the tile is blended.
void prefetch_planes(const float* planes, const Model& m, const TileTask& task, const Subset& subset);

}  // namespace gscodec
