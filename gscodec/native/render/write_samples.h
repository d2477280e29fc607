// Blended values of a tile to the caller's array, as floats or codes.
#pragma once
#include <cstdint>

#include "render/tile_task.h"

namespace gscodec {

enum class Sample { kFloat32, kUint8, kUint16 };

// Writes the first n points of a task; point p goes to place pixels[p] of out (.., C).
void write_points(const Context& context, TileTask& task, int n, const int64_t* pixels, Sample type, void* out);

// As write_points, for all pixels of a tile; first is the place of the tile's corner in out, whose rows have `stride`
// entries.
void write_tile(const Context& context, TileTask& task, int64_t first, int64_t stride, Sample type, void* out);

}  // namespace gscodec
