#include "render/records.h"

#include <algorithm>
#include <cmath>

#include "threads/thread_pool.h"

namespace gscodec {

const double kAxisScale = std::sqrt(0.5 / std::log(2.0));

void Records::fill(const Model& model, int threads) {
    channels_ = model.n_channels;
    constexpr int64_t kLine = 64;
    stride_ = (static_cast<int64_t>(sizeof(Record)) + 4 * channels_ + kLine - 1) / kLine * kLine;
    const int64_t size = model.geometry.n * stride_ + kLine;
    if (static_cast<int64_t>(bytes_.size()) < size) bytes_.resize(size);
    first_ = bytes_.data() + (kLine - reinterpret_cast<uintptr_t>(bytes_.data()) % kLine) % kLine;
    const Geometry& g = model.geometry;
    constexpr int64_t kChunk = 1024;
    parallel_for((g.n + kChunk - 1) / kChunk, threads, [&](int64_t chunk) {
        for (int64_t i = chunk * kChunk; i < std::min(g.n, (chunk + 1) * kChunk); ++i) {
            const Record record = {make_axes(kAxisScale * g.inv_scales[2 * i], kAxisScale * g.inv_scales[2 * i + 1],
                                             std::cos(g.rotations[i]), std::sin(g.rotations[i])),
                                   g.means[2 * i], g.means[2 * i + 1]};
            std::memcpy(first_ + i * stride_, &record, sizeof record);
            std::memcpy(first_ + i * stride_ + sizeof record, model.features + i * channels_, 4 * channels_);
        }
    });
}

}  // namespace gscodec
