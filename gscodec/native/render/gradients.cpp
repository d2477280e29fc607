#include "render/gradients.h"

#include <algorithm>

#include "threads/thread_pool.h"

namespace gscodec {
namespace {

// Sums of n rows of a width that is known at compile time, if it is not 0.
template <int Width>
void sum_rows(const float* rows, int64_t n, double* sum, int width = Width) {
    double sums[Width ? Width : 1] = {};
    if (!Width) std::fill_n(sum, width, 0.0);
    for (; n > 0; --n, rows += Width ? Width : width)
        for (int k = 0; k < (Width ? Width : width); ++k) (Width ? sums[Width ? k : 0] : sum[k]) += rows[k];
    if (Width) std::copy_n(sums, Width, sum);
}

}  // namespace

void assign_slots(const Model& m, std::vector<int32_t>& slots, std::vector<int64_t>& ends) {
    const int64_t n_pairs = m.offsets[m.rect.count()], n = m.geometry.n;
    if (static_cast<int64_t>(slots.size()) < n_pairs) slots.resize(n_pairs);
    ends.assign(n + 1, 0);
    for (int64_t pair = 0; pair < n_pairs; ++pair) ++ends[m.indices[pair] + 1];
    for (int64_t i = 0; i < n; ++i) ends[i + 1] += ends[i];
    std::vector<int32_t> cursor(ends.begin(), ends.end() - 1);
    for (int64_t pair = 0; pair < n_pairs; ++pair) slots[pair] = cursor[m.indices[pair]]++;
}

void gather_grads(const Context& context, const Model& m, const Records& records, const std::vector<int64_t>& ends,
                  const float* moments, const Grads& grads) {
    const int width = kMoments + m.n_channels;
    const int64_t n = m.geometry.n;
    constexpr int64_t kChunk = 256;
    parallel_for((n + kChunk - 1) / kChunk, context.threads, [&](int64_t chunk) {
        std::vector<double> sum(std::max<int>(width, kSumBlock));
        for (int64_t i = chunk * kChunk; i < std::min(n, (chunk + 1) * kChunk); ++i) {
            if (width == kSumBlock)  // three channels
                sum_rows<kSumBlock>(moments + ends[i] * width, ends[i + 1] - ends[i], sum.data());
            else
                sum_rows<0>(moments + ends[i] * width, ends[i + 1] - ends[i], sum.data(), width);
            const Record a = records.at(i);
            const double hu = a.u_x * sum[0] + a.u_y * sum[1], hv = a.v_x * sum[0] + a.v_y * sum[1];
            const double huu = a.u_x * a.u_x * sum[2] + 2 * a.u_x * a.u_y * sum[3] + a.u_y * a.u_y * sum[4];
            const double hvv = a.v_x * a.v_x * sum[2] + 2 * a.v_x * a.v_y * sum[3] + a.v_y * a.v_y * sum[4];
            const double huv =
                a.u_x * a.v_x * sum[2] + (a.u_x * a.v_y + a.u_y * a.v_x) * sum[3] + a.u_y * a.v_y * sum[4];
            // dL/dq = -h / 2, q = (U^2 + V^2) / k^2 in the scaled axes, so every term carries -1 / k^2.
            const double f = -1.0 / (kAxisScale * kAxisScale);
            const double s0 = m.geometry.inv_scales[2 * i], s1 = m.geometry.inv_scales[2 * i + 1];
            grads.means[2 * i] = -f * (hu * a.u_x + hv * a.v_x);
            grads.means[2 * i + 1] = -f * (hu * a.u_y + hv * a.v_y);
            grads.inv_scales[2 * i] = f * huu / s0;
            grads.inv_scales[2 * i + 1] = f * hvv / s1;
            grads.rotations[i] = f * huv * (s0 / s1 - s1 / s0);
            for (int c = 0; c < m.n_channels; ++c)
                grads.features[i * m.n_channels + c] = static_cast<float>(sum[kMoments + c]);
        }
    });
}

}  // namespace gscodec
