#include "render/adam.h"

#include <algorithm>
#include <cmath>

#include "threads/thread_pool.h"

namespace gscodec {
namespace {

// 1 - beta^steps of both moments. Rows that came together have taken as many steps, so the last answer mostly serves.
class Corrections {
public:
    Corrections(float beta1, float beta2)  // rounded as the moments' factors are
        : log1_(std::log(static_cast<double>(beta1))), log2_(std::log(static_cast<double>(beta2))) {}
    void at(float steps) {
        if (steps == steps_) return;
        steps_ = steps;
        // By expm1: 1 - pow would lose digits of 1 - 0.999^t to cancellation.
        mean = static_cast<float>(-std::expm1(steps * log1_));
        square = static_cast<float>(-std::expm1(steps * log2_));
    }
    float mean = 0, square = 0;

private:
    double log1_, log2_;
    float steps_ = -1;
};

}  // namespace

void adam_step(const AdamRows& rows, const AdamColumns& columns, const AdamConstants& constants, float grad_scale,
               float factor, const float* grad, int64_t n_moved, int threads) {
    const int64_t d = rows.n_columns;
    const float weight1 = static_cast<float>(1 - constants.beta1), weight2 = static_cast<float>(1 - constants.beta2);
    const float beta1 = static_cast<float>(constants.beta1), beta2 = static_cast<float>(constants.beta2);
    const float epsilon = static_cast<float>(constants.epsilon);
    constexpr int64_t kChunk = 4096;
    parallel_for((rows.n_rows + kChunk - 1) / kChunk, threads, [&](int64_t chunk) {
        Corrections corrections(beta1, beta2);
        for (int64_t i = chunk * kChunk; i < std::min(rows.n_rows, (chunk + 1) * kChunk); ++i) {
            float* const value = rows.values + i * d;
            if (i < n_moved) {
                corrections.at(rows.steps[i] += 1);
                float* const mean = rows.mean + i * d;
                float* const square = rows.square + i * d;
                for (int64_t k = 0; k < d; ++k) {
                    const float g = grad_scale * grad[i * d + k];
                    const float m = mean[k] + weight1 * (g - mean[k]), s = beta2 * square[k] + weight2 * (g * g);
                    mean[k] = m;
                    square[k] = s;
                    const float update = m / corrections.mean / (std::sqrt(s / corrections.square) + epsilon);
                    value[k] -= factor * columns.rates[k] * update * rows.units[i * d + k];
                    value[k] -= columns.drift[k];
                }
            }
            for (int64_t k = 0; k < d; ++k) {
                const float v = value[k];
                value[k] = v < columns.low[k] ? columns.low[k] : (v > columns.high[k] ? columns.high[k] : v);
            }
        }
    });
}

}  // namespace gscodec
