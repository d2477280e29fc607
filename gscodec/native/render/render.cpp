#include "render/render.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "render/records.h"
#include "render/tile_of.h"
#include "threads/thread_pool.h"

namespace gscodec {
namespace {

// For each tile of [begin, end): the first lattice index whose coordinate lies in it; one more entry ends the last.
std::vector<int64_t> lattice_starts(double start, double step, int64_t n, int64_t begin, int64_t end) {
    std::vector<int64_t> starts(end - begin + 1, n);
    int64_t filled = 0;
    for (int64_t k = 0; k < n; ++k) {
        const int64_t tile = tile_of(start + (static_cast<double>(k) + 0.5) * step, begin, end) - begin;
        while (filled <= tile) starts[filled++] = k;
    }
    return starts;
}

}  // namespace

void render(const Context& context, const Model& model, const Lattice& lattice, Sample type, void* out) {
    Records records;
    records.fill(model, context.threads);
    const TileRect& rect = model.rect;
    const int64_t tile_columns = rect.x1 - rect.x0;
    const auto column_starts = lattice_starts(lattice.x, lattice.step_x, lattice.width, rect.x0, rect.x1);
    const auto row_starts = lattice_starts(lattice.y, lattice.step_y, lattice.height, rect.y0, rect.y1);
    // Points are pixels: a tile that has all of its own needs no list of them.
    const bool is_plain = lattice.step_x == 1 && lattice.step_y == 1 && lattice.x == std::floor(lattice.x) &&
                          lattice.y == std::floor(lattice.y);
    parallel_for(rect.count(), context.threads, [&](int64_t tile) {
        const int64_t c0 = column_starts[tile % tile_columns], c1 = column_starts[tile % tile_columns + 1];
        const int64_t r0 = row_starts[tile / tile_columns], r1 = row_starts[tile / tile_columns + 1];
        if (c0 >= c1 || r0 >= r1) return;
        TileTask task(context, model, records, tile);
        if (is_plain && c1 - c0 == kTile && r1 - r0 == kTile) {
            const int64_t channels = model.n_channels, stride = lattice.width * channels;
            task.load_pixels(kWholeTile);
            task.blend(kBatch);
            write_tile(context, task, r0 * stride + c0 * channels, stride, type, out);
            return;
        }
        int64_t pixels[kBatch];
        int n = 0;
        // Blocks of 4 x 4 points, so that each shares one shortlist.
        for (int64_t top = r0; top < r1; top += kGroup / kRun) {
            for (int64_t left = c0; left < c1; left += kRun) {
                for (int64_t r = top; r < std::min(top + kGroup / kRun, r1); ++r) {
                    const double y = lattice.y + (static_cast<double>(r) + 0.5) * lattice.step_y - task.origin_y;
                    for (int64_t c = left; c < std::min<int64_t>(left + kRun, c1); ++c) {
                        const double x = lattice.x + (static_cast<double>(c) + 0.5) * lattice.step_x - task.origin_x;
                        task.ws().x[n] = static_cast<float>(x);
                        task.ws().y[n] = static_cast<float>(y);
                        pixels[n++] = r * lattice.width + c;
                    }
                }
                if (n + kGroup > kBatch || (top + kGroup / kRun >= r1 && left + kRun >= c1)) {
                    task.forget_layout();
                    task.blend(n);
                    write_points(context, task, n, pixels, type, out);
                    n = 0;
                }
            }
        }
    });
}

}  // namespace gscodec
