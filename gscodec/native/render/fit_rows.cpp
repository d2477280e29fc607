#include "render/fit_rows.h"

#include <algorithm>
#include <vector>

#include "render/binning.h"

namespace gscodec {
namespace {

// Gaussians as the engine has them, and their gradients.
struct Arrays {
    std::vector<double> means, inv_scales, rotations;
    std::vector<float> features;

    Arrays(int64_t n, int n_channels) : means(2 * n), inv_scales(2 * n), rotations(n), features(n * n_channels) {}
};

Arrays joined(const ParameterRows& rows, const Geometry& beside, const float* beside_features) {
    Arrays all(rows.n + beside.n, rows.n_channels);
    for (int64_t i = 0; i < rows.n; ++i) {
        const float* const row = rows.values + i * rows.width();
        for (int64_t k = 0; k < 2; ++k) {
            all.means[2 * i + k] = static_cast<double>(row[k]);
            all.inv_scales[2 * i + k] = static_cast<double>(rows.inverse[2 * i + k]);
        }
        all.rotations[i] = static_cast<double>(row[4]);
        std::copy_n(row + 5, rows.n_channels, all.features.data() + i * rows.n_channels);
    }
    std::copy_n(beside.means, 2 * beside.n, all.means.data() + 2 * rows.n);
    std::copy_n(beside.inv_scales, 2 * beside.n, all.inv_scales.data() + 2 * rows.n);
    std::copy_n(beside.rotations, beside.n, all.rotations.data() + rows.n);
    std::copy_n(beside_features, beside.n * rows.n_channels, all.features.data() + rows.n * rows.n_channels);
    return all;
}

}  // namespace

LossValue fit_rows(const Context& context, const ParameterRows& rows, const Geometry& beside,
                   const float* beside_features, const RowsPicture& picture, FitTarget& target,
                   const LossWeights& weights, const Subset& subset, StepScratch& scratch, float* out) {
    const Arrays shown = joined(rows, beside, beside_features);
    const Geometry geometry = {rows.n + beside.n, shown.means.data(), shown.inv_scales.data(), shown.rotations.data()};
    const TileRect rect = {0, 0, (picture.width + kTile - 1) / kTile, (picture.height + kTile - 1) / kTile};
    const TileLists lists = bin_gaussians(geometry, rect, picture.support_q, picture.max_pairs, context.threads);
    const Model model = {geometry,
                         shown.features.data(),
                         rows.n_channels,
                         picture.background,
                         picture.top_k,
                         picture.height,
                         picture.width,
                         rect,
                         lists.offsets.data(),
                         lists.indices.data()};
    Arrays grads(geometry.n, rows.n_channels);
    const LossValue value =
        fit_step(context, model, target, weights, subset, scratch,
                 {grads.means.data(), grads.inv_scales.data(), grads.rotations.data(), grads.features.data()});
    for (int64_t i = 0; i < rows.n; ++i) {
        float* const row = out + i * rows.width();
        for (int64_t k = 0; k < 2; ++k) {
            row[k] = static_cast<float>(grads.means[2 * i + k]);
            row[2 + k] = static_cast<float>(grads.inv_scales[2 * i + k]);
        }
        row[4] = static_cast<float>(grads.rotations[i]);
        std::copy_n(grads.features.data() + i * rows.n_channels, rows.n_channels, row + 5);
    }
    return value;
}

}  // namespace gscodec
