#include "render/write_samples.h"

#include <vector>

namespace gscodec {
namespace {

template <class From, class To>
void scatter(const From* planar, int n, int channels, const int64_t* pixels, To* out) {
    for (int c = 0; c < channels; ++c)
        for (int p = 0; p < n; ++p) out[pixels[p] * channels + c] = static_cast<To>(planar[c * kBatch + p]);
}

// A whole tile of values or codes to rows of `stride` entries.
template <class From, class To>
void rows_from_tile(const From* planar, int channels, int64_t stride, To* out) {
    for (int run = 0; run < kBatch / kRun; ++run) {
        const From* from = planar + run * kRun;
        To* to = out + run_y(run, kTile) * stride + run_x(run, kTile) * channels;
        for (int p = 0; p < kRun; ++p)
            for (int c = 0; c < channels; ++c) to[p * channels + c] = static_cast<To>(from[c * kBatch + p]);
    }
}

// Room for a batch's codes.
int32_t* codes_of(TileTask& task) {
    std::vector<int32_t>& codes = task.worker().codes;
    const size_t size = static_cast<size_t>(task.args.n_channels) * kBatch;
    if (codes.size() < size) codes.resize(size);
    return codes.data();
}

}  // namespace

void write_points(const Context& context, TileTask& task, int n, const int64_t* pixels, Sample type, void* out) {
    const int channels = task.args.n_channels;
    if (type == Sample::kFloat32) return scatter(task.ws().out, n, channels, pixels, static_cast<float*>(out));
    int32_t* codes = codes_of(task);
    context.kernels.quantize(task.ws(), channels, kBatch, type == Sample::kUint8 ? 255.0f : 65535.0f, codes);
    if (type == Sample::kUint8) return scatter(codes, n, channels, pixels, static_cast<uint8_t*>(out));
    scatter(codes, n, channels, pixels, static_cast<uint16_t*>(out));
}

void write_tile(const Context& context, TileTask& task, int64_t first, int64_t stride, Sample type, void* out) {
    const int channels = task.args.n_channels;
    if (type == Sample::kFloat32)
        return rows_from_tile(task.ws().out, channels, stride, static_cast<float*>(out) + first);
    if (type == Sample::kUint8 && channels == 3)
        return context.kernels.write_rgb8(task.ws(), stride, static_cast<uint8_t*>(out) + first);
    int32_t* codes = codes_of(task);
    context.kernels.quantize(task.ws(), channels, kBatch, type == Sample::kUint8 ? 255.0f : 65535.0f, codes);
    if (type == Sample::kUint8) return rows_from_tile(codes, channels, stride, static_cast<uint8_t*>(out) + first);
    rows_from_tile(codes, channels, stride, static_cast<uint16_t*>(out) + first);
}

}  // namespace gscodec
