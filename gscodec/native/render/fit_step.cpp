#include "render/fit_step.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "render/block_means.h"
#include "render/tile_planes.h"
#include "render/tile_task.h"
#include "threads/thread_pool.h"

namespace gscodec {

struct StepScratch::Buffers {
    Records records;
    std::vector<int32_t> slots;
    std::vector<int64_t> ends;
    std::vector<float> moments, image, grad, thresholds;
};

StepScratch::StepScratch() : buffers_(std::make_unique<Buffers>()) {}
StepScratch::~StepScratch() = default;

LossValue fit_step(const Context& context, const Model& model, FitTarget& target, const LossWeights& w,
                   const Subset& subset, StepScratch& kept, const Grads& grads) {
    const int width = kMoments + model.n_channels;
    const int64_t n_tiles = model.rect.count(), plane = model.height * model.width;
    const int64_t sampled_rows = (model.height - subset.y + subset.step - 1) / subset.step;
    const int64_t sampled_columns = (model.width - subset.x + subset.step - 1) / subset.step;
    const double count = static_cast<double>(sampled_rows * sampled_columns) * model.n_channels;
    const int64_t size = !w.compares_neighbours() ? 0 : plane * model.n_channels;
    StepScratch::Buffers& scratch = kept.buffers();
    const Records& records = scratch.records;
    scratch.records.fill(model, context.threads);
    assign_slots(model, scratch.slots, scratch.ends);
    const int32_t* const slots = scratch.slots.data();
    fit_size(scratch.moments, model.offsets[n_tiles] * width);
    fit_size(scratch.image, size);
    fit_size(scratch.grad, size);
    fit_size(scratch.thresholds, !w.compares_neighbours() ? 0 : n_tiles * kBatch);
    float* const moments = scratch.moments.data();
    LossValue value;
    if (!w.compares_neighbours()) {
        // Every pixel's gradient is known as soon as the pixel is: one pass over the tiles.
        std::vector<Sums> parts(n_tiles);
        const LossWeights scaled = w.per_sample(count);
        target.load(subset, context.threads);
        const int n_weights = target.n_weights();
        parallel_for(n_tiles, context.threads, [&](int64_t tile) {
            TileTask task(context, model, records, tile);
            const int64_t place = target.tile_at(task.origin_x, task.origin_y);
            target.prefetch_tile(place);
            const int n = task.load_pixels(subset);
            task.blend(n, true);
            Workspace& ws = task.ws();
            const float* const samples = target.tile(place, task.worker().samples);
            const float* const weights = samples + model.n_channels * n;
            const bool is_whole = task.rows() == kTile && task.columns() == kTile;
            const bool has_means = w.means != 0 && subset.step < kMeanSide;
            for (int c = 0; c < model.n_channels; ++c) {
                const float* const out = ws.out + c * kBatch;
                float* const grad = ws.grad + c * kBatch;
                double* const sums = parts[tile].pointwise;
                const float* const weight = n_weights ? weights + (n_weights > 1 ? c * n : 0) : nullptr;
                const float* sample = samples + c * n;
                if (has_means && is_whole) {
                    const int side = static_cast<int>(kMeanSide / subset.step);
                    context.kernels.group_means(out, sample, weight, n, side, scaled, grad, sums, &parts[tile].means);
                    continue;
                }
                if (!is_whole) {  // what is outside the image is as it is blended: without an error
                    task.inside_or(sample, out, subset, grad);
                    sample = grad;
                }
                std::optional<BlockMeans> means;
                if (has_means) means.emplace(out, sample, weight, subset, task.rows(), task.columns());
                if (weight)
                    context.kernels.pointwise_weighted(out, sample, weight, n, scaled, grad, sums);
                else
                    context.kernels.pointwise(out, sample, n, scaled, grad, sums);
                if (means) parts[tile].means += means->add_gradient(scaled.means, grad);
            }
            if (task.args.n == 0) return;
            context.kernels.accumulate(ws, task.args, slots + task.first_pair(), moments);
        });
        value = finish(parts, w, count, n_weights > 0);
    } else {
        float* const image = scratch.image.data();
        float* const grad = scratch.grad.data();
        float* const thresholds = scratch.thresholds.data();
        parallel_for(n_tiles, context.threads, [&](int64_t tile) {
            TileTask task(context, model, records, tile);
            task.load_pixels(kWholeTile);
            task.blend(kBatch);
            tile_to_planes(task.ws().out, model, task, image);
            std::copy_n(task.ws().threshold, kBatch, thresholds + tile * kBatch);
        });
        value = photometric_loss(context, image, target.planes(), target.importance(), model.n_channels, model.height,
                                 model.width, w, grad);
        parallel_for(n_tiles, context.threads, [&](int64_t tile) {
            TileTask task(context, model, records, tile);
            if (task.args.n == 0) return;
            task.load_pixels(kWholeTile);
            std::copy_n(thresholds + tile * kBatch, kBatch, task.ws().threshold);
            task.blend(kBatch, true, true);
            tile_from_planes(grad, model.n_channels, model, task, kWholeTile, nullptr, task.ws().grad);
            context.kernels.accumulate(task.ws(), task.args, slots + task.first_pair(), moments);
        });
    }
    gather_grads(context, model, records, scratch.ends, moments, grads);
    return value;
}

}  // namespace gscodec
