#include "render/tile_planes.h"

#include <algorithm>
#include <cstring>

#include "machine/bits.h"

namespace gscodec {
namespace {

// From a plane's pixels of a tile within the image, every Step-th of them; `plane` begins at the first.
template <int64_t Step>
void whole_from_plane(const float* plane, int64_t width, float* tile) {
    constexpr int kSide = static_cast<int>(kTile / Step);
    for (int run = 0; run < kSide * kSide / kRun; ++run) {
        const float* from = plane + run_y(run, kSide) * Step * width + run_x(run, kSide) * Step;
        for (int k = 0; k < kRun; ++k) tile[run * kRun + k] = from[k * Step];
    }
}

}  // namespace

void tile_from_planes(const float* planes, int n_planes, const Model& m, const TileTask& task, const Subset& subset,
                      const float* outside, float* tile) {
    const int64_t rows = task.rows(), columns = task.columns();
    const int side = static_cast<int>(kTile / subset.step);
    for (int c = 0; c < n_planes; ++c) {
        const float* plane = planes + c * m.height * m.width + task.plane_offset() + subset.y * m.width + subset.x;
        float* const to = tile + c * kBatch;
        if (rows == kTile && columns == kTile) {
            switch (subset.step) {
                case 1: whole_from_plane<1>(plane, m.width, to); break;
                case 2: whole_from_plane<2>(plane, m.width, to); break;
                default: whole_from_plane<4>(plane, m.width, to); break;
            }
            continue;
        }
        for (int p = 0; p < side * side; ++p) {
            const int64_t x = (run_x(p / kRun, side) + p % kRun) * subset.step, y = run_y(p / kRun, side) * subset.step;
            const bool inside = y + subset.y < rows && x + subset.x < columns;
            to[p] = inside ? plane[y * m.width + x] : outside ? outside[c * kBatch + p] : 0.0f;
        }
    }
}

void tile_to_planes(const float* tile, const Model& m, const TileTask& task, float* planes) {
    constexpr int kSide = kTile;
    for (int c = 0; c < m.n_channels; ++c) {
        float* plane = planes + c * m.height * m.width + task.plane_offset();
        for (int run = 0; run < kBatch / kRun; ++run) {
            const int x = run_x(run, kSide), y = run_y(run, kSide);
            const int64_t n = y < task.rows() ? std::clamp<int64_t>(task.columns() - x, 0, kRun) : 0;
            std::copy_n(tile + c * kBatch + run * kRun, n, plane + y * m.width + x);
        }
    }
}

void prefetch_planes(const float* planes, int n_planes, const Model& m, const TileTask& task, const Subset& subset) {
    const int64_t rows = task.rows(), last = task.columns() - 1;
    for (int c = 0; c < n_planes; ++c) {
        const float* plane = planes + c * m.height * m.width + task.plane_offset();
        for (int64_t y = subset.y; y < rows; y += subset.step) {
            prefetch(plane + y * m.width);
            prefetch(plane + y * m.width + last);
        }
    }
}

}  // namespace gscodec
