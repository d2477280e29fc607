#include "render/removal.h"

#include <algorithm>
#include <vector>

#include "machine/bits.h"
#include "render/tile_planes.h"
#include "render/tile_task.h"
#include "threads/thread_pool.h"

namespace gscodec {
namespace {

// What each sample of a tile counts, by the sum of its point's weights; none outside the image. (planes, kBatch)
void load_counts(const Model& model, const Importance& importance, int n_planes, TileTask& task,
                 std::vector<float>& counts) {
    fit_size(counts, static_cast<int64_t>(n_planes) * kBatch);
    const float* const total = task.ws().total;
    if (importance) {
        tile_from_planes(importance.data, n_planes, model, task, kWholeTile, nullptr, counts.data());
    } else {
        for (int p = 0; p < kBatch; ++p) {
            const bool inside =
                run_x(p / kRun, kTile) + p % kRun < task.columns() && run_y(p / kRun, kTile) < task.rows();
            counts[p] = inside ? 1.0f : 0.0f;
        }
    }
    for (int c = 0; c < n_planes; ++c)
        for (int p = 0; p < kBatch; ++p) counts[c * kBatch + p] /= total[p];
}

}  // namespace

void removal_costs(const Context& context, const Model& model, const Importance& importance, double* costs) {
    Records records;
    records.fill(model, context.threads);
    const int64_t n_tiles = model.rect.count();
    const int n_planes = importance.stride ? model.n_channels : 1;
    std::vector<float> parts(model.offsets[n_tiles]);  // of pairs
    parallel_for(n_tiles, context.threads, [&](int64_t tile) {
        TileTask task(context, model, records, tile);
        const int64_t n = task.args.n;
        if (n == 0) return;
        task.load_pixels(kWholeTile);
        task.blend(kBatch, true);
        std::vector<float>& counts = task.worker().importance;
        load_counts(model, importance, n_planes, task, counts);
        const Workspace& ws = task.ws();
        for (int64_t i = 0; i < n; ++i) {
            float sums[kGroup] = {};
            for (uint32_t left = ws.touched[i]; left; left &= left - 1) {
                const int g = lowest_bit(left);
                const float* const weights = ws.weights + (g * n + ws.places[i * kGroups + g]) * kGroup;
                for (int c = 0; c < model.n_channels; ++c) {
                    const float feature = ws.features[i * model.n_channels + c];
                    const float* const shown = ws.out + c * kBatch + g * kGroup;
                    const float* const count = counts.data() + (n_planes > 1 ? c : 0) * kBatch + g * kGroup;
                    for (int p = 0; p < kGroup; ++p) {
                        const float d = shown[p] - feature;
                        sums[p] += weights[p] * count[p] * (d * d);
                    }
                }
            }
            double sum = 0;
            for (const float part : sums) sum += static_cast<double>(part);
            parts[task.first_pair() + i] = static_cast<float>(sum);
        }
    });
    std::fill_n(costs, model.geometry.n, 0.0);
    for (int64_t pair = 0; pair < model.offsets[n_tiles]; ++pair)
        costs[model.indices[pair]] += static_cast<double>(parts[pair]);
}

}  // namespace gscodec
