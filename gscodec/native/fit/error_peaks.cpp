#include "fit/error_peaks.h"

#include <algorithm>

#include "threads/thread_pool.h"

namespace gscodec {
namespace {

constexpr int64_t kStrip = 64;  // rows, or columns, of a task

// Means of 2 radius + 1 values along a line of `n` with its end values repeated.
void box_line(const float* in, float* out, int64_t n, int64_t radius) {
    const double n_values = static_cast<double>(2 * radius + 1);
    double sum = static_cast<double>(in[0]) * static_cast<double>(radius + 1);
    for (int64_t k = 1; k <= radius; ++k) sum += in[std::min(k, n - 1)];
    for (int64_t k = 0; k < n; ++k) {
        out[k] = static_cast<float>(sum / n_values);
        sum += static_cast<double>(in[std::min(k + radius + 1, n - 1)]) - in[std::max<int64_t>(k - radius, 0)];
    }
}

// The same down the columns x0 .. x1 of a plane, all of them together.
void box_columns(const float* in, float* out, int64_t height, int64_t width, int64_t x0, int64_t x1, int64_t radius) {
    const double n_values = static_cast<double>(2 * radius + 1);
    const int64_t n = x1 - x0;
    double sums[kStrip];
    const auto row = [&](int64_t y) { return in + std::clamp<int64_t>(y, 0, height - 1) * width + x0; };
    for (int64_t x = 0; x < n; ++x) sums[x] = static_cast<double>(row(0)[x]) * static_cast<double>(radius + 1);
    for (int64_t k = 1; k <= radius; ++k)
        for (int64_t x = 0; x < n; ++x) sums[x] += row(k)[x];
    for (int64_t y = 0; y < height; ++y) {
        const float *enters = row(y + radius + 1), *leaves = row(y - radius);
        float* to = out + y * width + x0;
        for (int64_t x = 0; x < n; ++x) {
            to[x] = static_cast<float>(sums[x] / n_values);
            sums[x] += static_cast<double>(enters[x]) - leaves[x];
        }
    }
}

// The plane of gains of one size, of the planes of errors.
class MatchedFilter {
public:
    MatchedFilter(const float* errors, int channels, int64_t height, int64_t width, int threads)
        : errors_(errors),
          channels_(channels),
          height_(height),
          width_(width),
          threads_(threads),
          across_(height * width),
          blurred_(height * width) {}

    void gains(const BlobSize& size, std::vector<float>& out) {
        out.assign(height_ * width_, 0.0f);
        for (int c = 0; c < channels_; ++c) {
            const float* plane = errors_ + c * height_ * width_;
            if (size.radius > 0) {
                blur(plane, size.radius);
                blur(blurred_.data(), size.radius);
                plane = blurred_.data();
            }
            by_strips(height_, [&](int64_t y0, int64_t y1) {
                for (int64_t k = y0 * width_; k < y1 * width_; ++k) out[k] += size.factor * plane[k] * plane[k];
            });
        }
    }

private:
    void blur(const float* plane, int64_t radius) {  // into blurred_, which may be the plane itself
        by_strips(height_, [&](int64_t y0, int64_t y1) {
            for (int64_t y = y0; y < y1; ++y) box_line(plane + y * width_, across_.data() + y * width_, width_, radius);
        });
        by_strips(width_, [&](int64_t x0, int64_t x1) {
            box_columns(across_.data(), blurred_.data(), height_, width_, x0, x1, radius);
        });
    }

    template <class Work>
    void by_strips(int64_t n, const Work& work) {
        parallel_for((n + kStrip - 1) / kStrip, threads_,
                     [&](int64_t strip) { work(strip * kStrip, std::min(n, (strip + 1) * kStrip)); });
    }

    const float* errors_;
    int channels_;
    int64_t height_, width_;
    int threads_;
    std::vector<float> across_, blurred_;
};

// Pixels whose gain is above 0 and not below any of the eight around; of equal neighbours the first.
std::vector<int64_t> local_maxima(const std::vector<float>& gain, int64_t height, int64_t width, const bool* allowed,
                                  int threads) {
    std::vector<std::vector<int64_t>> rows(height);
    parallel_for(height, threads, [&](int64_t y) {
        for (int64_t x = 0; x < width; ++x) {
            const int64_t pixel = y * width + x;
            const float own = gain[pixel];
            if (!(own > 0.0f) || (allowed && !allowed[pixel])) continue;
            bool is_most = true;
            for (int64_t v = std::max<int64_t>(y - 1, 0); v <= std::min(y + 1, height - 1) && is_most; ++v)
                for (int64_t u = std::max<int64_t>(x - 1, 0); u <= std::min(x + 1, width - 1); ++u) {
                    const float other = gain[v * width + u];
                    if (other > own || (other == own && v * width + u < pixel)) is_most = false;
                }
            if (is_most) rows[y].push_back(pixel);
        }
    });
    std::vector<int64_t> found;
    for (const std::vector<int64_t>& row : rows) found.insert(found.end(), row.begin(), row.end());
    return found;
}

}  // namespace

std::vector<ErrorPeak> error_peaks(const float* errors, int channels, int64_t height, int64_t width,
                                   const std::vector<BlobSize>& sizes, const bool* allowed, int64_t n_most,
                                   int threads) {
    MatchedFilter filter(errors, channels, height, width, threads);
    std::vector<float> most(height * width, 0.0f), gain;
    std::vector<uint8_t> size_of(height * width, 0);
    for (size_t s = 0; s < sizes.size(); ++s) {
        filter.gains(sizes[s], gain);
        parallel_for(height, threads, [&](int64_t y) {
            for (int64_t k = y * width; k < (y + 1) * width; ++k)
                if (gain[k] > most[k]) {
                    most[k] = gain[k];
                    size_of[k] = static_cast<uint8_t>(s);
                }
        });
    }
    std::vector<int64_t> order = local_maxima(most, height, width, allowed, threads);
    std::sort(order.begin(), order.end(),
              [&](int64_t a, int64_t b) { return most[a] > most[b] || (most[a] == most[b] && a < b); });
    std::vector<int32_t> indices(order.size());
    for (size_t k = 0; k < order.size(); ++k) indices[k] = size_of[order[k]];
    std::vector<ErrorPeak> peaks;
    const int64_t n = static_cast<int64_t>(order.size());
    for (const int64_t k : keep_apart(order.data(), indices.data(), n, height, width, sizes, n_most))
        peaks.push_back({order[k], indices[k]});
    return peaks;
}

std::vector<int64_t> keep_apart(const int64_t* pixels, const int32_t* indices, int64_t n, int64_t height, int64_t width,
                                const std::vector<BlobSize>& sizes, int64_t n_most) {
    std::vector<bool> taken(height * width, false);
    std::vector<int64_t> kept;
    for (int64_t k = 0; k < n && static_cast<int64_t>(kept.size()) < n_most; ++k) {
        if (taken[pixels[k]]) continue;
        const int64_t y = pixels[k] / width, x = pixels[k] % width, reach = sizes[indices[k]].reach;
        for (int64_t v = std::max<int64_t>(y - reach, 0); v <= std::min(y + reach, height - 1); ++v)
            for (int64_t u = std::max<int64_t>(x - reach, 0); u <= std::min(x + reach, width - 1); ++u)
                taken[v * width + u] = true;
        kept.push_back(k);
    }
    return kept;
}

}  // namespace gscodec
