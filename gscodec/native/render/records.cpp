#include "render/records.h"

#include <algorithm>
#include <cmath>

#include "shared/gaussian_math.h"
#include "threads/thread_pool.h"

namespace gscodec {
namespace {

double square(double x) { return x * x; }

}  // namespace

const double kAxisScale = std::sqrt(0.5 / std::log(2.0));

void Records::fill(const Model& model, int threads) {
    const int64_t channels = model.n_channels;
    constexpr int64_t kLine = 64;
    const int64_t stride = (kRecordFeatures + 4 * channels + kLine - 1) / kLine * kLine;
    const int64_t size = model.geometry.n * stride + kLine;
    if (static_cast<int64_t>(bytes_.size()) < size) bytes_.resize(size);
    unsigned char* const first = bytes_.data() + (kLine - reinterpret_cast<uintptr_t>(bytes_.data()) % kLine) % kLine;
    table_ = {first, stride, model.n_channels};
    const Geometry& g = model.geometry;
    constexpr int64_t kChunk = 1024;
    parallel_for((g.n + kChunk - 1) / kChunk, threads, [&](int64_t chunk) {
        for (int64_t i = chunk * kChunk; i < std::min(g.n, (chunk + 1) * kChunk); ++i) {
            const Axes a = make_axes(kAxisScale * g.inv_scales[2 * i], kAxisScale * g.inv_scales[2 * i + 1],
                                     std::cos(g.rotations[i]), std::sin(g.rotations[i]));
            const double sum = square(a.u_x + a.u_y) + square(a.v_x + a.v_y);
            const double difference = square(a.u_x - a.u_y) + square(a.v_x - a.v_y);
            const float radius = static_cast<float>(std::sqrt(std::max(sum, difference)));
            const Record record = {a.u_x, a.u_y, a.v_x, a.v_y, g.means[2 * i], g.means[2 * i + 1], radius};
            std::memcpy(first + i * stride, &record, kRecordFeatures);
            std::memcpy(first + i * stride + kRecordFeatures, model.features + i * channels, 4 * channels);
        }
    });
}

}  // namespace gscodec
