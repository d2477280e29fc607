#include "render/sample_points.h"

#include <algorithm>
#include <vector>

#include "render/records.h"
#include "render/tile_of.h"
#include "render/write_samples.h"
#include "threads/thread_pool.h"

namespace gscodec {
namespace {

// Puts a tile's points into the order of the blocks of 4 x 4 px they lie in, so that those that share a shortlist are
// near each other. Values do not depend on it.
void gather_neighbours(const double* points, int64_t* order, int64_t n, const TileTask& task) {
    if (n <= kGroup) return;
    std::vector<int64_t> sorted(n);
    constexpr int kColumns = static_cast<int>(kTile) / kRun;  // of blocks
    const auto block = [&](int64_t p) {
        const int column = static_cast<int>((points[2 * p] - task.origin_x) / kRun);
        const int row = static_cast<int>((points[2 * p + 1] - task.origin_y) / (kGroup / kRun));
        return std::clamp(row, 0, kColumns - 1) * kColumns + std::clamp(column, 0, kColumns - 1);
    };
    int64_t ends[kGroups] = {};
    for (int64_t k = 0; k < n; ++k) ++ends[block(order[k])];
    for (int b = 1; b < kGroups; ++b) ends[b] += ends[b - 1];
    for (int64_t k = n - 1; k >= 0; --k) sorted[--ends[block(order[k])]] = order[k];
    std::copy(sorted.begin(), sorted.end(), order);
}

}  // namespace

void sample_points(const Context& context, const Model& model, const double* points, int64_t n_points, float* out) {
    Records records;
    records.fill(model, context.threads);
    const TileRect& rect = model.rect;
    const int64_t columns = rect.x1 - rect.x0;
    std::vector<int64_t> starts(rect.count() + 1, 0), order(n_points), tiles(n_points);
    for (int64_t p = 0; p < n_points; ++p) {
        tiles[p] = (tile_of(points[2 * p + 1], rect.y0, rect.y1) - rect.y0) * columns +
                   tile_of(points[2 * p], rect.x0, rect.x1) - rect.x0;
        ++starts[tiles[p] + 1];
    }
    for (int64_t t = 0; t < rect.count(); ++t) starts[t + 1] += starts[t];
    {
        std::vector<int64_t> cursor(starts.begin(), starts.end() - 1);
        for (int64_t p = 0; p < n_points; ++p) order[cursor[tiles[p]]++] = p;
    }
    parallel_for(rect.count(), context.threads, [&](int64_t tile) {
        if (starts[tile] == starts[tile + 1]) return;
        TileTask task(context, model, records, tile);
        gather_neighbours(points, order.data() + starts[tile], starts[tile + 1] - starts[tile], task);
        for (int64_t first = starts[tile]; first < starts[tile + 1]; first += kBatch) {
            const int n = static_cast<int>(std::min<int64_t>(kBatch, starts[tile + 1] - first));
            for (int p = 0; p < n; ++p) {
                task.ws().x[p] = static_cast<float>(points[2 * order[first + p]] - task.origin_x);
                task.ws().y[p] = static_cast<float>(points[2 * order[first + p] + 1] - task.origin_y);
            }
            task.forget_layout();
            task.blend(n);
            write_points(context, task, n, order.data() + first, Sample::kFloat32, out);
        }
    });
}

}  // namespace gscodec
