#include "render/engine.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <stdexcept>

#include "shared/gaussian_math.h"
#include "threads/thread_pool.h"

namespace gscodec {
namespace {

// exp(-q / 2) = 2^-(k^2 q) with this k, so the kernels' axes carry the change of base.
const double kAxisScale = std::sqrt(0.5 / std::log(2.0));

// What tiles need of a Gaussian, its features behind it: up to four share a cache line with the rest, so that a list
// costs one miss a Gaussian.
struct Record {
    Axes axes;
    double mean_x, mean_y;
};

class Records {
public:
    // Throws nothing but std::bad_alloc. Memory of an earlier call is used again.
    void fill(const Model& model, int threads) {
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

    Record at(int64_t i) const {
        Record record;
        std::memcpy(&record, first_ + i * stride_, sizeof record);
        return record;
    }
    void features(int64_t i, float* to) const {
        const unsigned char* from = first_ + i * stride_ + sizeof(Record);
        if (channels_ == 3)  // a size that is known costs no call
            std::memcpy(to, from, 12);
        else
            std::memcpy(to, from, 4 * channels_);
    }
    void prefetch(int64_t i) const { __builtin_prefetch(first_ + i * stride_); }

private:
    std::vector<unsigned char> bytes_;
    unsigned char* first_ = nullptr;
    int64_t stride_ = 0;
    int channels_ = 0;
};

int64_t grow(int64_t n) { return std::max<int64_t>(64, n + n / 2); }

// One worker's scratch; kept from call to call.
struct Worker {
    Workspace ws;
    std::vector<int32_t> codes;
    std::vector<float> ssim;
    std::vector<float> importance;  // (planes, kBatch)
};

Worker& this_worker() {
    thread_local Worker worker;
    return worker;
}

void fit_size(std::vector<float>& buffer, int64_t n) {
    if (static_cast<int64_t>(buffer.size()) < n) buffer.resize(n);
}

constexpr Subset kWholeTile = {1, 0, 0};

// The list of one tile, loaded into a workspace.
class TileTask {
public:
    TileTask(const Context& context, const Model& model, const Records& records, int64_t tile)
        : context_(context), model_(model), worker_(this_worker()), tile_(tile) {
        const int64_t columns = model.rect.x1 - model.rect.x0;
        origin_x = static_cast<double>((model.rect.x0 + tile % columns) * kTile);
        origin_y = static_cast<double>((model.rect.y0 + tile / columns) * kTile);
        const int64_t first = model.offsets[tile], n = model.offsets[tile + 1] - first;
        args = {n, model.n_channels, kBatch, model.top_k, false};
        Workspace& ws = worker_.ws;
        const int channels = model.n_channels;
        if (static_cast<int64_t>(ws.axes.size()) < n) ws.axes.resize(grow(n));
        if (static_cast<int64_t>(ws.weights.size()) < n * kBatch) ws.weights.resize(grow(n) * kBatch);
        if (static_cast<int64_t>(ws.members.size()) < n * kGroups) {
            ws.members.resize(grow(n) * kGroups);
            ws.places.resize(grow(n) * kGroups);
            ws.active.resize(grow(n));
            ws.touched.resize(grow(n));
            ws.lower.resize(grow(n) * kGroupLanes);
            ws.upper.resize(grow(n) * kGroupLanes);
        }
        if (static_cast<int64_t>(ws.features.size()) < n * channels) ws.features.resize(grow(n) * channels);
        if (static_cast<int>(ws.out.size()) < channels * kBatch) {
            ws.out.resize(channels * kBatch);
            ws.grad.resize(channels * kBatch);
            worker_.codes.resize(channels * kBatch);
        }
        for (int64_t k = 0; k < n; ++k) {
            constexpr int64_t kAhead = 8;
            if (k + kAhead < n) records.prefetch(model.indices[first + k + kAhead]);
            const int64_t i = model.indices[first + k];
            const Record record = records.at(i);
            const Axes& a = record.axes;
            const double dx = origin_x - record.mean_x, dy = origin_y - record.mean_y;
            ws.axes[k] = {static_cast<float>(a.u_x), static_cast<float>(a.u_y),
                          static_cast<float>(a.u_x * dx + a.u_y * dy), static_cast<float>(a.v_x),
                          static_cast<float>(a.v_y), static_cast<float>(a.v_x * dx + a.v_y * dy),
                          static_cast<float>(-dx), static_cast<float>(-dy)};
            records.features(i, ws.features.data() + k * channels);
        }
    }

    Workspace& ws() { return worker_.ws; }
    Worker& worker() { return worker_; }

    // Blends the first n points of ws().x, ws().y into ws().out.
    void blend(int n, bool keep_weights = false, bool have_threshold = false) {
        Workspace& w = worker_.ws;
        if (args.n == 0) {
            for (int c = 0; c < args.n_channels; ++c)
                std::fill_n(w.out.data() + c * kBatch, n, model_.background[c]);
            return;
        }
        const int lanes = context_.kernels.lanes;
        args.n_points = (n + lanes - 1) / lanes * lanes;
        for (int p = n; p < args.n_points; ++p) w.x[p] = w.x[n - 1], w.y[p] = w.y[n - 1];
        args.have_threshold = have_threshold;
        context_.kernels.blend(w, args, keep_weights);
    }

    // Centres of the tile's pixels that a subset has; returns how many. Every tile's are the same.
    int load_pixels(const Subset& subset) {
        Workspace& w = worker_.ws;
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

    // For points of their own.
    void forget_layout() {
        worker_.ws.layout = 0;
        worker_.ws.have_boxes = false;
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

int64_t tile_of(double position, int64_t begin, int64_t end) {
    const double t = std::floor(position / kTile);
    return static_cast<int64_t>(std::min(std::max(t, static_cast<double>(begin)), static_cast<double>(end - 1)));
}

// For each tile of [begin, end): the first lattice index whose coordinate lies in it; one more entry ends the last.
std::vector<int64_t> lattice_starts(double start, double step, int64_t n, int64_t begin, int64_t end) {
    std::vector<int64_t> starts(end - begin + 1, n);
    int64_t filled = 0;
    for (int64_t k = 0; k < n; ++k) {
        const int64_t tile = tile_of(start + (static_cast<double>(k) + 0.5) * step, begin, end) - begin;
        while (filled <= tile) starts[filled++] = k;
    }
    return starts;
}

template <class T>
void scatter(const T* planar, int n, int channels, const int64_t* pixels, void* out) {
    using Out = typename std::conditional<std::is_same<T, float>::value, float, T>::type;
    Out* to = static_cast<Out*>(out);
    for (int c = 0; c < channels; ++c)
        for (int p = 0; p < n; ++p) to[pixels[p] * channels + c] = planar[c * kBatch + p];
}

template <class Code>
void scatter_codes(const int32_t* codes, int n, int channels, const int64_t* pixels, void* out) {
    Code* to = static_cast<Code*>(out);
    for (int c = 0; c < channels; ++c)
        for (int p = 0; p < n; ++p) to[pixels[p] * channels + c] = static_cast<Code>(codes[c * kBatch + p]);
}

void emit(const Context& context, TileTask& task, int n, const int64_t* pixels, Sample type, void* out) {
    const int channels = task.args.n_channels;
    if (type == Sample::kFloat32) return scatter(task.ws().out.data(), n, channels, pixels, out);
    int32_t* codes = task.worker().codes.data();
    context.kernels.quantize(task.ws(), channels, kBatch, type == Sample::kUint8 ? 255.0f : 65535.0f, codes);
    if (type == Sample::kUint8) return scatter_codes<uint8_t>(codes, n, channels, pixels, out);
    scatter_codes<uint16_t>(codes, n, channels, pixels, out);
}

// Eight pixels of three codes below 256 each, one after the other.
void pack_run(const int32_t* codes, uint8_t* to) {
    uint64_t pixel[kRun];
    for (int p = 0; p < kRun; ++p)
        pixel[p] = static_cast<uint32_t>(codes[p] | codes[kBatch + p] << 8 | codes[2 * kBatch + p] << 16);
    const uint64_t words[3] = {pixel[0] | pixel[1] << 24 | pixel[2] << 48,
                               pixel[2] >> 16 | pixel[3] << 8 | pixel[4] << 32 | pixel[5] << 56,
                               pixel[5] >> 8 | pixel[6] << 16 | pixel[7] << 40};
    std::memcpy(to, words, sizeof words);
}

constexpr bool kLittleEndian = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;

// A whole tile of values or codes to rows of `stride` entries.
template <class From, class To>
void rows_from_tile(const From* planar, int channels, int64_t stride, To* out) {
    for (int run = 0; run < kBatch / kRun; ++run) {
        const From* from = planar + run * kRun;
        To* to = out + run_y(run) * stride + run_x(run) * channels;
        if constexpr (kLittleEndian && std::is_same<To, uint8_t>::value) {
            if (channels == 3) {
                pack_run(from, to);
                continue;
            }
        }
        for (int p = 0; p < kRun; ++p)
            for (int c = 0; c < channels; ++c) to[p * channels + c] = static_cast<To>(from[c * kBatch + p]);
    }
}

// As emit, for all pixels of a tile; first is the place of the tile's corner in out.
void emit_tile(const Context& context, TileTask& task, int64_t first, int64_t stride, Sample type, void* out) {
    const int channels = task.args.n_channels;
    if (type == Sample::kFloat32)
        return rows_from_tile(task.ws().out.data(), channels, stride, static_cast<float*>(out) + first);
    int32_t* codes = task.worker().codes.data();
    context.kernels.quantize(task.ws(), channels, kBatch, type == Sample::kUint8 ? 255.0f : 65535.0f, codes);
    if (type == Sample::kUint8) return rows_from_tile(codes, channels, stride, static_cast<uint8_t*>(out) + first);
    rows_from_tile(codes, channels, stride, static_cast<uint16_t*>(out) + first);
}

// Where the moments of each pair go: by Gaussian, and by tile for each. Neighbouring tiles then write to neighbouring
// places, and a Gaussian's sums are read in one go. ends (N + 1,) delimits the Gaussians.
void assign_slots(const Model& m, std::vector<int32_t>& slots, std::vector<int64_t>& ends) {
    const int64_t n_pairs = m.offsets[m.rect.count()], n = m.geometry.n;
    if (static_cast<int64_t>(slots.size()) < n_pairs) slots.resize(n_pairs);
    ends.assign(n + 1, 0);
    for (int64_t pair = 0; pair < n_pairs; ++pair) ++ends[m.indices[pair] + 1];
    for (int64_t i = 0; i < n; ++i) ends[i + 1] += ends[i];
    std::vector<int32_t> cursor(ends.begin(), ends.end() - 1);
    for (int64_t pair = 0; pair < n_pairs; ++pair) slots[pair] = cursor[m.indices[pair]]++;
}

// Sums the moments of every pair, which lie by Gaussian, into parameter gradients.
void gather_grads(const Context& context, const Model& m, const Records& records, const std::vector<int64_t>& ends,
                  const float* moments, const Grads& grads) {
    const int width = kMoments + m.n_channels;
    const int64_t n = m.geometry.n;
    constexpr int64_t kChunk = 256;
    parallel_for((n + kChunk - 1) / kChunk, context.threads, [&](int64_t chunk) {
        std::vector<double> sum(width);
        for (int64_t i = chunk * kChunk; i < std::min(n, (chunk + 1) * kChunk); ++i) {
            std::fill(sum.begin(), sum.end(), 0.0);
            for (int64_t at = ends[i]; at < ends[i + 1]; ++at) {
                const float* row = moments + at * width;
                for (int k = 0; k < width; ++k) sum[k] += row[k];
            }
            const Axes a = records.at(i).axes;
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

// Pixels of the image in one run of a tile.
int64_t run_length(const TileTask& task, int run) {
    if (run_y(run) >= task.rows()) return 0;
    return std::min<int64_t>(std::max<int64_t>(task.columns() - run_x(run), 0), kRun);
}

// Copies between the (C, 256) layout of a tile and a planar image. Where the tile leaves the image it shows `outside`,
// of the same layout, or zero.
void tile_from_planes(const float* planes, int n_planes, const Model& m, const TileTask& task, const float* outside,
                      float* tile) {
    for (int c = 0; c < n_planes; ++c) {
        const float* plane = planes + c * m.height * m.width + task.plane_offset();
        if (task.rows() == kTile && task.columns() == kTile) {
            for (int run = 0; run < kBatch / kRun; ++run)
                std::memcpy(tile + c * kBatch + run * kRun, plane + run_y(run) * m.width + run_x(run), 4 * kRun);
            continue;
        }
        for (int run = 0; run < kBatch / kRun; ++run) {
            const int64_t n = run_length(task, run), p = c * kBatch + run * kRun;
            std::copy_n(plane + run_y(run) * m.width + run_x(run), n, tile + p);
            if (outside)
                std::copy_n(outside + p + n, kRun - n, tile + p + n);
            else
                std::fill_n(tile + p + n, kRun - n, 0.0f);
        }
    }
}

void tile_to_planes(const float* tile, const Model& m, const TileTask& task, float* planes) {
    for (int c = 0; c < m.n_channels; ++c) {
        float* plane = planes + c * m.height * m.width + task.plane_offset();
        for (int run = 0; run < kBatch / kRun; ++run)
            std::copy_n(tile + c * kBatch + run * kRun, run_length(task, run),
                        plane + run_y(run) * m.width + run_x(run));
    }
}

// As tile_from_planes for the pixels of a subset.
void subset_from_planes(const float* planes, int n_planes, const Model& m, const TileTask& task, const Subset& subset,
                        const float* outside, float* tile) {
    const int64_t rows = task.rows(), columns = task.columns();
    for (int c = 0; c < n_planes; ++c) {
        const float* plane = planes + c * m.height * m.width + task.plane_offset();
        int p = c * kBatch;
        for (int64_t y = subset.y; y < kTile; y += subset.step)
            for (int64_t x = subset.x; x < kTile; x += subset.step, ++p)
                tile[p] = y < rows && x < columns ? plane[y * m.width + x] : outside ? outside[p] : 0.0f;
    }
}

// Rows of a tile lie a picture's width apart, which no processor foresees: ask for them while the tile is blended.
void prefetch_planes(const float* planes, const Model& m, const TileTask& task, const Subset& subset) {
    const int64_t rows = task.rows(), last = task.columns() - 1;
    for (int c = 0; c < m.n_channels; ++c) {
        const float* plane = planes + c * m.height * m.width + task.plane_offset();
        for (int64_t y = subset.y; y < rows; y += subset.step) {
            __builtin_prefetch(plane + y * m.width);
            __builtin_prefetch(plane + y * m.width + last);
        }
    }
}

// Puts a tile's points into the order of the blocks of 8 x 4 px they lie in, so that those that share a shortlist are
// near each other. Values do not depend on it.
void gather_neighbours(const double* points, int64_t* order, int64_t n, const TileTask& task) {
    if (n <= kGroup) return;
    thread_local std::vector<int64_t> sorted;
    sorted.resize(n);
    const auto block = [&](int64_t p) {
        const int column = static_cast<int>((points[2 * p] - task.origin_x) / kRun);
        const int row = static_cast<int>((points[2 * p + 1] - task.origin_y) / (kGroup / kRun));
        return std::clamp(row, 0, kGroups / 2 - 1) * 2 + std::clamp(column, 0, 1);
    };
    int64_t ends[kGroups] = {};
    for (int64_t k = 0; k < n; ++k) ++ends[block(order[k])];
    for (int b = 1; b < kGroups; ++b) ends[b] += ends[b - 1];
    for (int64_t k = n - 1; k >= 0; --k) sorted[--ends[block(order[k])]] = order[k];
    std::copy(sorted.begin(), sorted.end(), order);
}

struct Sums {
    double pointwise[3] = {0, 0, 0};  // |d|, d^2; where pixels have weights, these by them, and d^2 plain
    double ssim = 0;
    double weight = 0;  // of all samples, where SSIM has weights
};

LossValue finish(const std::vector<Sums>& parts, const Weights& w, double count, bool is_weighted) {
    Sums all;
    for (const Sums& part : parts) {
        for (int k = 0; k < 3; ++k) all.pointwise[k] += part.pointwise[k];
        all.ssim += part.ssim;
        all.weight += part.weight;
    }
    const double whole = is_weighted ? all.weight / count : 1;
    const double ssim_term = w.ssim != 0 ? w.ssim * (whole - all.ssim / count) : 0;
    const double square = all.pointwise[1] / count;
    return {w.l1 * all.pointwise[0] / count + w.l2 * square + ssim_term,
            is_weighted ? all.pointwise[2] / count : square};
}

}  // namespace

void render(const Context& context, const Model& model, const Lattice& lattice, Sample type, void* out) {
    Records records;
    records.fill(model, context.threads);
    const TileRect& rect = model.rect;
    const int64_t tile_columns = rect.x1 - rect.x0;
    const auto column_starts = lattice_starts(lattice.x, lattice.step_x, lattice.width, rect.x0, rect.x1);
    const auto row_starts = lattice_starts(lattice.y, lattice.step_y, lattice.height, rect.y0, rect.y1);
    // Points are pixels: a tile that has all of its own needs no list of them.
    const bool is_plain = lattice.step_x == 1 && lattice.step_y == 1 && lattice.x == std::floor(lattice.x) &&
                          lattice.y == std::floor(lattice.y);
    parallel_for(rect.count(), context.threads, [&](int64_t tile) {
        const int64_t c0 = column_starts[tile % tile_columns], c1 = column_starts[tile % tile_columns + 1];
        const int64_t r0 = row_starts[tile / tile_columns], r1 = row_starts[tile / tile_columns + 1];
        if (c0 >= c1 || r0 >= r1) return;
        TileTask task(context, model, records, tile);
        if (is_plain && c1 - c0 == kTile && r1 - r0 == kTile) {
            const int64_t channels = model.n_channels, stride = lattice.width * channels;
            task.load_pixels(kWholeTile);
            task.blend(kBatch);
            emit_tile(context, task, r0 * stride + c0 * channels, stride, type, out);
            return;
        }
        int64_t pixels[kBatch];
        int n = 0;
        // Blocks of 8 x 4 points, so that each shares one shortlist.
        for (int64_t top = r0; top < r1; top += kGroup / kRun) {
            for (int64_t left = c0; left < c1; left += kRun) {
                for (int64_t r = top; r < std::min(top + kGroup / kRun, r1); ++r) {
                    const double y = lattice.y + (static_cast<double>(r) + 0.5) * lattice.step_y - task.origin_y;
                    for (int64_t c = left; c < std::min<int64_t>(left + kRun, c1); ++c) {
                        const double x = lattice.x + (static_cast<double>(c) + 0.5) * lattice.step_x - task.origin_x;
                        task.ws().x[n] = static_cast<float>(x);
                        task.ws().y[n] = static_cast<float>(y);
                        pixels[n++] = r * lattice.width + c;
                    }
                }
                if (n + kGroup > kBatch || (top + kGroup / kRun >= r1 && left + kRun >= c1)) {
                    task.forget_layout();
                    task.blend(n);
                    emit(context, task, n, pixels, type, out);
                    n = 0;
                }
            }
        }
    });
}

void sample_points(const Context& context, const Model& model, const double* points, int64_t n_points, float* out) {
    Records records;
    records.fill(model, context.threads);
    const TileRect& rect = model.rect;
    const int64_t columns = rect.x1 - rect.x0;
    std::vector<int64_t> starts(rect.count() + 1, 0), order(n_points), tiles(n_points);
    for (int64_t p = 0; p < n_points; ++p) {
        tiles[p] = (tile_of(points[2 * p + 1], rect.y0, rect.y1) - rect.y0) * columns +
                   tile_of(points[2 * p], rect.x0, rect.x1) - rect.x0;
        ++starts[tiles[p] + 1];
    }
    for (int64_t t = 0; t < rect.count(); ++t) starts[t + 1] += starts[t];
    {
        std::vector<int64_t> cursor(starts.begin(), starts.end() - 1);
        for (int64_t p = 0; p < n_points; ++p) order[cursor[tiles[p]]++] = p;
    }
    parallel_for(rect.count(), context.threads, [&](int64_t tile) {
        if (starts[tile] == starts[tile + 1]) return;
        TileTask task(context, model, records, tile);
        gather_neighbours(points, order.data() + starts[tile], starts[tile + 1] - starts[tile], task);
        for (int64_t first = starts[tile]; first < starts[tile + 1]; first += kBatch) {
            const int n = static_cast<int>(std::min<int64_t>(kBatch, starts[tile + 1] - first));
            for (int p = 0; p < n; ++p) {
                task.ws().x[p] = static_cast<float>(points[2 * order[first + p]] - task.origin_x);
                task.ws().y[p] = static_cast<float>(points[2 * order[first + p] + 1] - task.origin_y);
            }
            task.forget_layout();
            task.blend(n);
            emit(context, task, n, order.data() + first, Sample::kFloat32, out);
        }
    });
}

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
        tile_from_planes(grad_image, model.n_channels, model, task, nullptr, task.ws().grad.data());
        context.kernels.accumulate(task.ws(), task.args, slots.data() + task.first_pair(), moments.data());
    });
    gather_grads(context, model, records, ends, moments.data(), grads);
}

LossValue photometric_loss(const Context& context, const float* image, const float* target,
                           const Importance& importance, int n_channels, int64_t height, int64_t width, const Weights& w, float* grad) {
    const int64_t plane = height * width;
    const double count = static_cast<double>(plane) * n_channels;
    constexpr int64_t kRows = 192, kColumns = kSsimColumns;
    const int64_t row_blocks = (height + kRows - 1) / kRows, column_blocks = (width + kColumns - 1) / kColumns;
    std::vector<Sums> parts(n_channels * row_blocks);
    const float l1 = static_cast<float>(w.l1 / count), l2 = static_cast<float>(w.l2 / count);
    const float ssim = static_cast<float>(w.ssim / count);
    parallel_for(static_cast<int64_t>(parts.size()), context.threads, [&](int64_t part) {
        const int64_t channel = part / row_blocks, offset = channel * plane, block = part % row_blocks;
        const float* const weights = importance ? importance.plane(channel) : nullptr;
        const int64_t row0 = block * kRows, row1 = std::min(height, row0 + kRows);
        Sums& sums = parts[part];
        for (int64_t r = row0; r < row1; ++r) {
            const int64_t i = offset + r * width;
            if (!weights) {
                context.kernels.pointwise(image + i, target + i, width, l1, l2, grad + i, sums.pointwise);
                continue;
            }
            const float* const weight = weights + r * width;
            context.kernels.pointwise_weighted(image + i, target + i, weight, width, l1, l2, grad + i, sums.pointwise);
            if (w.ssim != 0) sums.weight = std::accumulate(weight, weight + width, sums.weight);
        }
        if (w.ssim == 0) return;
        for (int64_t c = 0; c < column_blocks; ++c) {
            const SsimArgs args = {image + offset, target + offset, weights, grad + offset, height, width, row0, row1,
                                   c * kColumns, std::min(width, (c + 1) * kColumns), ssim};
            sums.ssim += context.kernels.ssim(args, this_worker().ssim);
        }
    });
    return finish(parts, w, count, static_cast<bool>(importance));
}

struct StepScratch::Buffers {
    Records records;
    std::vector<int32_t> slots;
    std::vector<int64_t> ends;
    std::vector<float> moments, image, grad, thresholds;
};

StepScratch::StepScratch() : buffers_(std::make_unique<Buffers>()) {}
StepScratch::~StepScratch() = default;

LossValue fit_step(const Context& context, const Model& model, const float* target, const Importance& importance,
                   const Weights& w, const Subset& subset, StepScratch& kept, const Grads& grads) {
    const int width = kMoments + model.n_channels;
    const int64_t n_tiles = model.rect.count(), plane = model.height * model.width;
    const int64_t sampled_rows = (model.height - subset.y + subset.step - 1) / subset.step;
    const int64_t sampled_columns = (model.width - subset.x + subset.step - 1) / subset.step;
    const double count = static_cast<double>(sampled_rows * sampled_columns) * model.n_channels;
    const int64_t size = w.ssim == 0 ? 0 : plane * model.n_channels;
    StepScratch::Buffers& scratch = kept.buffers();
    const Records& records = scratch.records;
    scratch.records.fill(model, context.threads);
    assign_slots(model, scratch.slots, scratch.ends);
    const int32_t* const slots = scratch.slots.data();
    fit_size(scratch.moments, model.offsets[n_tiles] * width);
    fit_size(scratch.image, size);
    fit_size(scratch.grad, size);
    fit_size(scratch.thresholds, w.ssim == 0 ? 0 : n_tiles * kBatch);
    float* const moments = scratch.moments.data();
    LossValue value;
    if (w.ssim == 0) {
        // Every pixel's gradient is known as soon as the pixel is: one pass over the tiles.
        std::vector<Sums> parts(n_tiles);
        const float l1 = static_cast<float>(w.l1 / count), l2 = static_cast<float>(w.l2 / count);
        parallel_for(n_tiles, context.threads, [&](int64_t tile) {
            TileTask task(context, model, records, tile);
            prefetch_planes(target, model, task, subset);
            const int n = task.load_pixels(subset);
            task.blend(n, true);
            Workspace& ws = task.ws();
            const auto load_planes = [&](const float* planes, int n_planes, const float* outside, float* to) {
                if (n == kBatch)
                    tile_from_planes(planes, n_planes, model, task, outside, to);
                else
                    subset_from_planes(planes, n_planes, model, task, subset, outside, to);
            };
            load_planes(target, model.n_channels, ws.out.data(), ws.grad.data());
            std::vector<float>& weights = task.worker().importance;
            const int weight_planes = importance.stride ? model.n_channels : 1;
            if (importance) {
                fit_size(weights, static_cast<int64_t>(weight_planes) * kBatch);
                load_planes(importance.data, weight_planes, nullptr, weights.data());
            }
            for (int c = 0; c < model.n_channels; ++c) {
                const float* const out = ws.out.data() + c * kBatch;
                float* const grad = ws.grad.data() + c * kBatch;
                double* const sums = parts[tile].pointwise;
                const float* const weight = weights.data() + (weight_planes > 1 ? c * kBatch : 0);
                if (importance)
                    context.kernels.pointwise_weighted(out, grad, weight, n, l1, l2, grad, sums);
                else
                    context.kernels.pointwise(out, grad, n, l1, l2, grad, sums);
            }
            if (task.args.n == 0) return;
            context.kernels.accumulate(ws, task.args, slots + task.first_pair(), moments);
        });
        value = finish(parts, w, count, static_cast<bool>(importance));
    } else {
        float* const image = scratch.image.data();
        float* const grad = scratch.grad.data();
        float* const thresholds = scratch.thresholds.data();
        parallel_for(n_tiles, context.threads, [&](int64_t tile) {
            TileTask task(context, model, records, tile);
            task.load_pixels(kWholeTile);
            task.blend(kBatch);
            tile_to_planes(task.ws().out.data(), model, task, image);
            std::copy_n(task.ws().threshold, kBatch, thresholds + tile * kBatch);
        });
        value = photometric_loss(context, image, target, importance, model.n_channels, model.height, model.width, w, grad);
        parallel_for(n_tiles, context.threads, [&](int64_t tile) {
            TileTask task(context, model, records, tile);
            if (task.args.n == 0) return;
            task.load_pixels(kWholeTile);
            std::copy_n(thresholds + tile * kBatch, kBatch, task.ws().threshold);
            task.blend(kBatch, true, true);
            tile_from_planes(grad, model.n_channels, model, task, nullptr, task.ws().grad.data());
            context.kernels.accumulate(task.ws(), task.args, slots + task.first_pair(), moments);
        });
    }
    gather_grads(context, model, records, scratch.ends, moments, grads);
    return value;
}

}  // namespace gscodec
