#include "render/tile_planes.h"

#include <algorithm>

namespace gscodec {
namespace {

// From a plane's pixels of a tile within the image, every Step-th of them; `plane` begins at the first.
template <int64_t Step>
void whole_from_plane(const float* plane, int64_t width, int64_t pixel, float* tile) {
    constexpr int kSide = static_cast<int>(kTile / Step);
    for (int run = 0; run < kSide * kSide / kRun; ++run) {
        const float* from = plane + (run_y(run, kSide) * width + run_x(run, kSide)) * Step * pixel;
        for (int k = 0; k < kRun; ++k) tile[run * kRun + k] = from[k * Step * pixel];
    }
}

}  // namespace

void from_plane(const float* plane, const PlaneTile& place, const Subset& subset, const float* outside, float* tile) {
    const float* const first = plane + (place.offset + subset.y * place.width + subset.x) * place.pixel;
    if (place.rows == kTile && place.columns == kTile) {
        switch (subset.step) {
            case 1: return whole_from_plane<1>(first, place.width, place.pixel, tile);
            case 2: return whole_from_plane<2>(first, place.width, place.pixel, tile);
            default: return whole_from_plane<4>(first, place.width, place.pixel, tile);
        }
    }
    const int side = static_cast<int>(kTile / subset.step);
    for (int p = 0; p < side * side; ++p) {
        const int64_t x = (run_x(p / kRun, side) + p % kRun) * subset.step, y = run_y(p / kRun, side) * subset.step;
        const bool inside = y + subset.y < place.rows && x + subset.x < place.columns;
        tile[p] = inside ? first[(y * place.width + x) * place.pixel] : outside ? outside[p] : 0.0f;
    }
}

void tile_from_planes(const float* planes, int n_planes, const Model& m, const TileTask& task, const Subset& subset,
                      const float* outside, float* tile) {
    const PlaneTile place = {m.width, task.plane_offset(), task.rows(), task.columns()};
    for (int c = 0; c < n_planes; ++c)
        from_plane(planes + c * m.height * m.width, place, subset, outside ? outside + c * kBatch : nullptr,
                   tile + c * kBatch);
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

}  // namespace gscodec
