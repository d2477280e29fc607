#include "fit/structure.h"

#include <algorithm>
#include <vector>

#include "threads/thread_pool.h"

namespace gscodec {
namespace {

// Of the pixels first .. last of an axis of `size` pixels: the two that a difference at `at` is taken of, and its factor.
struct Difference {
    int64_t before, after;
    float factor;

    Difference(int64_t at, int64_t size)
        : before(std::max<int64_t>(at - 1, 0)),
          after(std::min(at + 1, size - 1)),
          factor(after - before == 2 ? 0.5f : 1) {}
};

// The channels' mean of a part of the picture.
class Gray {
public:
    void load(const Picture& picture, int64_t x0, int64_t y0, int64_t x1, int64_t y1) {
        x0_ = x0, y0_ = y0, width_ = x1 - x0;
        values_.resize(static_cast<size_t>(width_ * (y1 - y0)));
        float* to = values_.data();
        for (int64_t y = y0; y < y1; ++y) {
            const float* from = picture.samples + (y * picture.width + x0) * picture.n_channels;
            for (int64_t x = x0; x < x1; ++x, from += picture.n_channels) {
                float sum = from[0];
                for (int c = 1; c < picture.n_channels; ++c) sum += from[c];
                *to++ = sum / static_cast<float>(picture.n_channels);
            }
        }
    }
    float at(int64_t x, int64_t y) const { return values_[static_cast<size_t>((y - y0_) * width_ + x - x0_)]; }

private:
    int64_t x0_ = 0, y0_ = 0, width_ = 0;
    std::vector<float> values_;
};

}  // namespace

void structure_at(const Picture& picture, const int64_t* pixels, int64_t n, int64_t radius, int threads,
                  double* tensors) {
    const int64_t height = picture.height, width = picture.width;
    constexpr int64_t kChunk = 64;
    parallel_for((n + kChunk - 1) / kChunk, threads, [&](int64_t chunk) {
        Gray gray;
        for (int64_t i = chunk * kChunk; i < std::min(n, (chunk + 1) * kChunk); ++i) {
            const int64_t column = pixels[2 * i], row = pixels[2 * i + 1];
            const int64_t reach = radius + 1;
            gray.load(picture, std::max<int64_t>(column - reach, 0), std::max<int64_t>(row - reach, 0),
                      std::min(column + reach + 1, width), std::min(row + reach + 1, height));
            double xx = 0, xy = 0, yy = 0;
            for (int64_t dy = -radius; dy <= radius; ++dy) {
                const int64_t y = std::clamp<int64_t>(row + dy, 0, height - 1);
                const Difference down(y, height);
                for (int64_t dx = -radius; dx <= radius; ++dx) {
                    const int64_t x = std::clamp<int64_t>(column + dx, 0, width - 1);
                    const Difference across(x, width);
                    const double gx =
                        static_cast<double>((gray.at(across.after, y) - gray.at(across.before, y)) * across.factor);
                    const double gy =
                        static_cast<double>((gray.at(x, down.after) - gray.at(x, down.before)) * down.factor);
                    xx += gx * gx, xy += gx * gy, yy += gy * gy;
                }
            }
            const double count = static_cast<double>((2 * radius + 1) * (2 * radius + 1));
            tensors[3 * i] = xx / count, tensors[3 * i + 1] = xy / count, tensors[3 * i + 2] = yy / count;
        }
    });
}

}  // namespace gscodec
