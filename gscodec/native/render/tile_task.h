// The list of one tile, loaded into its worker's workspace, and the kernels run on it.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "render/model.h"
#include "render/records.h"
#include "render/workspace.h"

namespace gscodec {

// One worker's scratch; kept from call to call, but for the memory of very long lists.
struct Worker {
    WorkspaceMemory memory;
    std::vector<int32_t> codes;
    std::vector<float> ssim;
    std::vector<float> importance;  // (planes, kBatch)
    std::vector<float> samples;     // of a tile, as FitTarget has them
};

Worker& this_worker();

inline void fit_size(std::vector<float>& buffer, int64_t n) {
    if (static_cast<int64_t>(buffer.size()) < n) buffer.resize(n);
}

// The list of one tile, loaded into a workspace.
class TileTask {
public:
    TileTask(const Context& context, const Model& model, const Records& records, int64_t tile);
    ~TileTask() { worker_.memory.trim(); }
    TileTask(const TileTask&) = delete;
    TileTask& operator=(const TileTask&) = delete;

    Workspace& ws() { return worker_.memory.view; }
    Worker& worker() { return worker_; }

    // Blends the first n points of ws().x, ws().y into ws().out.
    void blend(int n, bool keep_weights = false, bool have_threshold = false);

    // Centres of the tile's pixels that a subset has; returns how many. Every tile's are the same.
    int load_pixels(const Subset& subset);

    // Of the subset's points in the image `inside`, of the others `outside`.
    void inside_or(const float* inside, const float* outside, const Subset& subset, float* to) const;

    // For points of their own.
    void forget_layout() {
        Workspace& ws = worker_.memory.view;
        ws.layout = 0;
        ws.have_boxes = ws.have_moments = false;
    }

    // Part of the tile that lies in the image.
    int64_t rows() const { return std::min<int64_t>(kTile, model_.height - static_cast<int64_t>(origin_y)); }
    int64_t columns() const { return std::min<int64_t>(kTile, model_.width - static_cast<int64_t>(origin_x)); }
    int64_t plane_offset() const {
        return static_cast<int64_t>(origin_y) * model_.width + static_cast<int64_t>(origin_x);
    }
    int64_t first_pair() const { return model_.offsets[tile_]; }

    BlendArgs args;
    double origin_x, origin_y;

private:
    const Context& context_;
    const Model& model_;
    Worker& worker_;
    int64_t tile_;
};

}  // namespace gscodec
