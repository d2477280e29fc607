#include "render/tile_planes.h"

#include <algorithm>
#include <cstring>

namespace gscodec {
namespace {

// Pixels of the image in one run of a tile.
int64_t run_length(const TileTask& task, int run) {
    if (run_y(run) >= task.rows()) return 0;
    return std::min<int64_t>(std::max<int64_t>(task.columns() - run_x(run), 0), kRun);
}

}  // namespace

void tile_from_planes(const float* planes, int n_planes, const Model& m, const TileTask& task, const float* outside,
                      float* tile) {
    for (int c = 0; c < n_planes; ++c) {
        const float* plane = planes + c * m.height * m.width + task.plane_offset();
        if (task.rows() == kTile && task.columns() == kTile) {
            for (int run = 0; run < kBatch / kRun; ++run)
                std::memcpy(tile + c * kBatch + run * kRun, plane + run_y(run) * m.width + run_x(run), 4 * kRun);
            continue;
        }
        for (int run = 0; run < kBatch / kRun; ++run) {
            const int64_t n = run_length(task, run), p = c * kBatch + run * kRun;
            std::copy_n(plane + run_y(run) * m.width + run_x(run), n, tile + p);
            if (outside)
                std::copy_n(outside + p + n, kRun - n, tile + p + n);
            else
                std::fill_n(tile + p + n, kRun - n, 0.0f);
        }
    }
}

void tile_to_planes(const float* tile, const Model& m, const TileTask& task, float* planes) {
    for (int c = 0; c < m.n_channels; ++c) {
        float* plane = planes + c * m.height * m.width + task.plane_offset();
        for (int run = 0; run < kBatch / kRun; ++run)
            std::copy_n(tile + c * kBatch + run * kRun, run_length(task, run),
                        plane + run_y(run) * m.width + run_x(run));
    }
}

void subset_from_planes(const float* planes, int n_planes, const Model& m, const TileTask& task, const Subset& subset,
                        const float* outside, float* tile) {
    const int64_t rows = task.rows(), columns = task.columns();
    for (int c = 0; c < n_planes; ++c) {
        const float* plane = planes + c * m.height * m.width + task.plane_offset();
        int p = c * kBatch;
        for (int64_t y = subset.y; y < kTile; y += subset.step)
            for (int64_t x = subset.x; x < kTile; x += subset.step, ++p)
                tile[p] = y < rows && x < columns ? plane[y * m.width + x] : outside ? outside[p] : 0.0f;
    }
}

void prefetch_planes(const float* planes, const Model& m, const TileTask& task, const Subset& subset) {
    const int64_t rows = task.rows(), last = task.columns() - 1;
    for (int c = 0; c < m.n_channels; ++c) {
        const float* plane = planes + c * m.height * m.width + task.plane_offset();
        for (int64_t y = subset.y; y < rows; y += subset.step) {
            __builtin_prefetch(plane + y * m.width);
            __builtin_prefetch(plane + y * m.width + last);
        }
    }
}

}  // namespace gscodec
