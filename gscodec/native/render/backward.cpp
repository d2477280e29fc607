#include "render/backward.h"

#include <vector>

#include "render/tile_planes.h"
#include "render/tile_task.h"
#include "threads/thread_pool.h"

namespace gscodec {

void backward(const Context& context, const Model& model, const float* grad_image, const Grads& grads) {
    Records records;
    records.fill(model, context.threads);
    const int width = kMoments + model.n_channels;
    std::vector<float> moments(model.offsets[model.rect.count()] * width);
    std::vector<int32_t> slots;
    std::vector<int64_t> ends;
    assign_slots(model, slots, ends);
    parallel_for(model.rect.count(), context.threads, [&](int64_t tile) {
        TileTask task(context, model, records, tile);
        if (task.args.n == 0) return;
        task.load_pixels(kWholeTile);
        task.blend(kBatch, true);
        tile_from_planes(grad_image, model.n_channels, model, task, kWholeTile, nullptr, task.ws().grad);
        context.kernels.accumulate(task.ws(), task.args, slots.data() + task.first_pair(), moments.data());
    });
    gather_grads(context, model, records, ends, moments.data(), grads);
}

}  // namespace gscodec
