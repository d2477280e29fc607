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
    const int channels = model.n_channels;
    worker_.memory.reserve(n, channels);
    if (static_cast<int>(worker_.codes.size()) < channels * kBatch) worker_.codes.resize(channels * kBatch);
    for (int64_t k = 0; k < n; ++k) {
        constexpr int64_t kAhead = 8;
        if (k + kAhead < n) records.prefetch(model.indices[first + k + kAhead]);
        const int64_t i = model.indices[first + k];
        const Record record = records.at(i);
        const Axes& a = record.axes;
        const double dx = origin_x - record.mean_x, dy = origin_y - record.mean_y;
        ws.axes[k] = {static_cast<float>(a.u_x), static_cast<float>(a.u_y), static_cast<float>(a.u_x * dx + a.u_y * dy),
                      static_cast<float>(a.v_x), static_cast<float>(a.v_y), static_cast<float>(a.v_x * dx + a.v_y * dy),
                      static_cast<float>(-dx),   static_cast<float>(-dy)};
        records.features(i, ws.features + k * channels);
    }
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
        const int column = side == kTile ? run_x(p / kRun) + p % kRun : p % side;
        const int row = side == kTile ? run_y(p / kRun) : p / side;
        w.x[p] = static_cast<float>(subset.x + column * subset.step) + 0.5f;
        w.y[p] = static_cast<float>(subset.y + row * subset.step) + 0.5f;
    }
    w.layout = layout;
    w.have_boxes = false;
    return count;
}

}  // namespace gscodec
