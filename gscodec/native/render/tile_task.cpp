#include "render/tile_task.h"

namespace gscodec {

Worker& this_worker() {
    thread_local Worker worker;
    return worker;
}

TileTask::TileTask(const Context& context, const Model& model, const Records& records, int64_t tile)
    : context_(context), model_(model), worker_(this_worker()), tile_(tile) {
    const int64_t columns = model.rect.x1 - model.rect.x0;
    origin_x = static_cast<double>((model.rect.x0 + tile % columns) * kTile);
    origin_y = static_cast<double>((model.rect.y0 + tile / columns) * kTile);
    const int64_t first = model.offsets[tile], n = model.offsets[tile + 1] - first;
    args = {n, model.n_channels, kBatch, model.top_k, false};
    Workspace& ws = worker_.memory.view;
    worker_.memory.reserve(n, model.n_channels);
    context.kernels.localize(ws, records.table(), model.indices + first, n, origin_x, origin_y);
}

void TileTask::blend(int n, bool keep_weights, bool have_threshold) {
    Workspace& w = worker_.memory.view;
    if (args.n == 0) {
        for (int c = 0; c < args.n_channels; ++c) std::fill_n(w.out + c * kBatch, n, model_.background[c]);
        return;
    }
    const int lanes = context_.kernels.lanes;
    args.n_points = (n + lanes - 1) / lanes * lanes;
    for (int p = n; p < args.n_points; ++p) w.x[p] = w.x[n - 1], w.y[p] = w.y[n - 1];
    args.have_threshold = have_threshold;
    context_.kernels.blend(w, args, keep_weights);
}

int TileTask::load_pixels(const Subset& subset) {
    Workspace& w = worker_.memory.view;
    const int side = static_cast<int>(kTile / subset.step), count = side * side;
    const int layout = 1 + static_cast<int>((subset.step * kTile + subset.y) * kTile + subset.x);
    if (w.layout == layout) return count;
    for (int p = 0; p < count; ++p) {
        const int column = run_x(p / kRun, side) + p % kRun, row = run_y(p / kRun, side);
        w.x[p] = static_cast<float>(subset.x + column * subset.step) + 0.5f;
        w.y[p] = static_cast<float>(subset.y + row * subset.step) + 0.5f;
    }
    w.layout = layout;
    w.have_boxes = w.have_moments = false;
    return count;
}

void TileTask::inside_or(const float* inside, const float* outside, const Subset& subset, float* to) const {
    const int side = static_cast<int>(kTile / subset.step);
    for (int p = 0; p < side * side; ++p) {
        const int64_t x = (run_x(p / kRun, side) + p % kRun) * subset.step + subset.x;
        const int64_t y = run_y(p / kRun, side) * subset.step + subset.y;
        to[p] = y < rows() && x < columns() ? inside[p] : outside[p];
    }
}

}  // namespace gscodec
