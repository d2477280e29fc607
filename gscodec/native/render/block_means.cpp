#include "render/block_means.h"

#include <algorithm>

namespace gscodec {
namespace {

constexpr int64_t kBlocks = kMeanBlocks * kMeanBlocks;

// Of a tile's points, kEach in a row of a block: a group of kRun x kRun points is one block, or four.
template <int kEach>
struct Groups {
    static constexpr int kSide = kEach * static_cast<int>(kMeanBlocks);  // points in a row of the tile
    static constexpr int kCount = kSide * kSide / kGroup;

    static constexpr int row(int group, int j) { return run_y(group * kRun + j, kSide); }
    static constexpr int column(int group, int k) { return run_x(group * kRun, kSide) + k; }
    static constexpr int block(int group, int j, int k) {
        return row(group, j) / kEach * static_cast<int>(kMeanBlocks) + column(group, k) / kEach;
    }
};

template <int kEach>
void sum_groups(const float* image, const float* target, const float* weight, float (&errors)[kBlocks],
                float (&weights)[kBlocks]) {
    using Of = Groups<kEach>;
    for (int group = 0; group < Of::kCount; ++group) {
        for (int j0 = 0; j0 < kRun; j0 += kEach) {
            float error[kRun] = {}, counts[kRun] = {};
            for (int j = j0; j < j0 + kEach; ++j) {
                const int p = group * kGroup + j * kRun;
                for (int k = 0; k < kRun; ++k) error[k] += image[p + k] - target[p + k];
                if (!weight) continue;
                for (int k = 0; k < kRun; ++k) counts[k] += weight[p + k];
            }
            for (int k = 0; k < kRun; ++k) {
                errors[Of::block(group, j0, k)] += error[k];
                weights[Of::block(group, j0, k)] += counts[k];
            }
        }
    }
}

template <int kEach>
void add_groups(const float (&slopes)[kBlocks], const Subset& subset, int64_t rows, int64_t columns, float factor,
                float* grad) {
    using Of = Groups<kEach>;
    for (int group = 0; group < Of::kCount; ++group) {
        for (int j0 = 0; j0 < kRun; j0 += kEach) {
            float slope[kRun];
            for (int k = 0; k < kRun; ++k) {
                const bool inside = Of::column(group, k) * subset.step + subset.x < columns;
                slope[k] = inside ? factor * slopes[Of::block(group, j0, k)] : 0.0f;
            }
            for (int j = j0; j < j0 + kEach && Of::row(group, j) * subset.step + subset.y < rows; ++j)
                for (int k = 0; k < kRun; ++k) grad[group * kGroup + j * kRun + k] += slope[k];
        }
    }
}

// Samples from `first` on, `step` apart, of the part [begin, begin + kMeanSide) that lies below `end`.
int64_t n_samples(int64_t begin, int64_t first, int64_t step, int64_t end) {
    const int64_t last = std::min(begin + kMeanSide, end);
    return last <= begin + first ? 0 : (last - begin - first + step - 1) / step;
}

}  // namespace

BlockMeans::BlockMeans(const float* image, const float* target, const float* weight, const Subset& subset, int64_t rows,
                       int64_t columns)
    : subset_(subset), rows_(rows), columns_(columns) {
    const int64_t each = kMeanSide / subset.step;
    float errors[kBlocks] = {}, weights[kBlocks] = {};
    if (each == 4)
        sum_groups<4>(image, target, weight, errors, weights);
    else
        sum_groups<2>(image, target, weight, errors, weights);
    for (int64_t b = 0; b < kBlocks; ++b) {
        const int64_t y = b / kMeanBlocks * kMeanSide, x = b % kMeanBlocks * kMeanSide;
        const int64_t n = n_samples(y, subset.y, subset.step, rows) * n_samples(x, subset.x, subset.step, columns);
        const float part = n == 0 ? 0.0f : 1.0f / static_cast<float>(n);
        const float mean = errors[b] * part;
        slopes_[b] = weight ? mean * (weights[b] * part) : mean;
        sum_ += static_cast<double>(n) * static_cast<double>(slopes_[b]) * static_cast<double>(mean);
    }
}

double BlockMeans::add_gradient(float factor, float* grad) const {
    const int64_t each = kMeanSide / subset_.step;
    if (each == 4)
        add_groups<4>(slopes_, subset_, rows_, columns_, 2 * factor, grad);
    else
        add_groups<2>(slopes_, subset_, rows_, columns_, 2 * factor, grad);
    return sum_;
}

double add_block_means(const float* image, const float* target, const float* weight, int64_t width, int64_t row0,
                       int64_t row1, float factor, float* grad) {
    double total = 0;
    for (int64_t y = row0; y < row1; y += kMeanSide) {
        for (int64_t x = 0; x < width; x += kMeanSide) {
            const int64_t y1 = std::min(y + kMeanSide, row1), x1 = std::min(x + kMeanSide, width);
            const double n = static_cast<double>((y1 - y) * (x1 - x));
            double error = 0, counts = 0;
            for (int64_t i = y; i < y1; ++i) {
                for (int64_t j = x; j < x1; ++j) {
                    error += static_cast<double>(image[i * width + j]) - static_cast<double>(target[i * width + j]);
                    counts += weight ? static_cast<double>(weight[i * width + j]) : 1.0;
                }
            }
            const double slope = error / n * counts / n;
            total += slope * error;
            for (int64_t i = y; i < y1; ++i)
                for (int64_t j = x; j < x1; ++j) grad[i * width + j] += static_cast<float>(2 * factor * slope);
        }
    }
    return total;
}

}  // namespace gscodec
