#include "render/loss.h"

#include <algorithm>
#include <numeric>

#include "render/block_means.h"
#include "render/tile_task.h"
#include "threads/thread_pool.h"

namespace gscodec {

LossValue finish(const std::vector<Sums>& parts, const LossWeights& w, double count, bool is_weighted) {
    Sums all;
    for (const Sums& part : parts) {
        for (int k = 0; k < 3; ++k) all.pointwise[k] += part.pointwise[k];
        all.means += part.means;
        all.ssim += part.ssim;
        all.weight += part.weight;
    }
    const double whole = is_weighted ? all.weight / count : 1;
    const double ssim_term = w.ssim != 0 ? w.ssim * (whole - all.ssim / count) : 0;
    const double square = all.pointwise[1] / count;
    return {w.l1 * all.pointwise[0] / count + w.l2 * square + w.means * all.means / count + ssim_term,
            is_weighted ? all.pointwise[2] / count : square};
}

LossValue photometric_loss(const Context& context, const float* image, const float* target,
                           const Importance& importance, int n_channels, int64_t height, int64_t width,
                           const LossWeights& w, float* grad) {
    const int64_t plane = height * width;
    const double count = static_cast<double>(plane) * n_channels;
    constexpr int64_t kRows = 192, kColumns = kSsimColumns;
    const int64_t row_blocks = (height + kRows - 1) / kRows, column_blocks = (width + kColumns - 1) / kColumns;
    std::vector<Sums> parts(n_channels * row_blocks);
    const LossWeights scaled = w.per_sample(count);
    parallel_for(static_cast<int64_t>(parts.size()), context.threads, [&](int64_t part) {
        const int64_t channel = part / row_blocks, offset = channel * plane, block = part % row_blocks;
        const float* const weights = importance ? importance.plane(channel) : nullptr;
        const int64_t row0 = block * kRows, row1 = std::min(height, row0 + kRows);
        Sums& sums = parts[part];
        for (int64_t r = row0; r < row1; ++r) {
            const int64_t i = offset + r * width;
            if (!weights) {
                context.kernels.pointwise(image + i, target + i, width, scaled, grad + i, sums.pointwise);
                continue;
            }
            const float* const weight = weights + r * width;
            context.kernels.pointwise_weighted(image + i, target + i, weight, width, scaled, grad + i, sums.pointwise);
            if (w.compares_neighbours()) sums.weight = std::accumulate(weight, weight + width, sums.weight);
        }
        if (w.means != 0)
            sums.means = add_block_means(image + offset, target + offset, weights, width, row0, row1, scaled.means,
                                         grad + offset);
        if (!w.compares_neighbours()) return;
        std::vector<float>& scratch = this_worker().ssim;
        fit_size(scratch, kSsimScratch);
        for (int64_t c = 0; c < column_blocks; ++c) {
            const SsimArgs args = {image + offset, target + offset,
                                   weights,        grad + offset,
                                   height,         width,
                                   row0,           row1,
                                   c * kColumns,   std::min(width, (c + 1) * kColumns),
                                   scaled.ssim};
            sums.ssim += context.kernels.ssim(args, scratch.data());
        }
    });
    return finish(parts, w, count, static_cast<bool>(importance));
}

}  // namespace gscodec
