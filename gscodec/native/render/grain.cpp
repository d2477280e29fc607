#include "render/grain.h"

#include <algorithm>
#include <vector>

#include "threads/thread_pool.h"

namespace gscodec {
namespace {

constexpr int64_t kRows = 32;      // of a task
constexpr int64_t kPoints = 4096;  // of a task

// Adds the noise of the sums to one pixel: sums[f] is of the shared field for f = 0, else of colour f - 1.
template <class SumOf>
void add_to_pixel(float* colours, int n_colours, const GrainTerms& terms, SumOf sum_of) {
    const float strength = grain_strength(colours, n_colours, terms.strengths);
    const float shared = terms.shared * static_cast<float>(sum_of(0));
    for (int c = 0; c < n_colours; ++c) {
        const float noise = terms.own == 0 ? shared : shared + terms.own * static_cast<float>(sum_of(1 + c));
        colours[c] = grain_added(colours[c], strength * noise);
    }
}

// Weighted sums of a row of one field. Noise is weighted along x first, so that each of its rows is made once.
class FieldRows {
public:
    FieldRows(uint32_t field, int side, uint32_t column, int64_t width)
        : field_(field),
          side_(side),
          column_(column),
          noise_(width + 2),
          across_(3, std::vector<int>(width)),
          sums_(width) {}

    // Sums of row `y`; rows must be asked for in order.
    const int* at(uint32_t y) {
        const int64_t width = static_cast<int64_t>(sums_.size());
        if (side_ == 0) {
            for (int64_t x = 0; x < width; ++x)
                sums_[x] = GRAIN_CENTRE * GRAIN_CENTRE * grain_noise(column_ + static_cast<uint32_t>(x), y, field_);
            return sums_.data();
        }
        for (uint32_t row = n_rows_ == 0 ? y - 1 : y + 1;; ++row) {
            make(row);
            if (row == y + 1) break;
        }
        const int *above = across_[(n_rows_ - 3) % 3].data(), *here = across_[(n_rows_ - 2) % 3].data(),
                  *below = across_[(n_rows_ - 1) % 3].data();
        for (int64_t x = 0; x < width; ++x) sums_[x] = GRAIN_CENTRE * here[x] + side_ * (above[x] + below[x]);
        return sums_.data();
    }

private:
    void make(uint32_t row) {
        const int64_t width = static_cast<int64_t>(sums_.size());
        for (int64_t x = 0; x < width + 2; ++x)
            noise_[x] = grain_noise(column_ + static_cast<uint32_t>(x) - 1, row, field_);
        int* const across = across_[n_rows_++ % 3].data();
        for (int64_t x = 0; x < width; ++x)
            across[x] = GRAIN_CENTRE * noise_[x + 1] + side_ * (noise_[x] + noise_[x + 2]);
    }

    uint32_t field_;
    int side_;
    uint32_t column_;
    int64_t n_rows_ = 0;
    std::vector<int> noise_;
    std::vector<std::vector<int>> across_;
    std::vector<int> sums_;
};

}  // namespace

void add_grain(const GrainedPixels& pixels, int64_t height, int64_t width, uint32_t column, uint32_t row,
               const GrainTerms& terms, int threads) {
    const int n_fields = terms.own == 0 ? 1 : 1 + pixels.n_colours;
    parallel_for((height + kRows - 1) / kRows, threads, [&](int64_t task) {
        std::vector<FieldRows> fields;
        for (int f = 0; f < n_fields; ++f) fields.emplace_back(terms.field + f, terms.side, column, width);
        const int* sums[4] = {};
        for (int64_t y = task * kRows; y < std::min(height, (task + 1) * kRows); ++y) {
            for (int f = 0; f < n_fields; ++f) sums[f] = fields[f].at(row + static_cast<uint32_t>(y));
            float* const line = pixels.values + y * width * pixels.n_channels + pixels.first;
            for (int64_t x = 0; x < width; ++x)
                add_to_pixel(line + x * pixels.n_channels, pixels.n_colours, terms, [&](int f) { return sums[f][x]; });
        }
    });
}

void add_grain_at(const GrainedPixels& pixels, int64_t n, const uint32_t* columns, const uint32_t* rows,
                  const GrainTerms& terms, int threads) {
    parallel_for((n + kPoints - 1) / kPoints, threads, [&](int64_t task) {
        for (int64_t i = task * kPoints; i < std::min(n, (task + 1) * kPoints); ++i)
            add_to_pixel(pixels.values + i * pixels.n_channels + pixels.first, pixels.n_colours, terms, [&](int f) {
                return grain_sum(columns[i], rows[i], terms.field + static_cast<unsigned>(f), terms.side);
            });
    });
}

}  // namespace gscodec
