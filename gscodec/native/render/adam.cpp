#include "render/adam.h"

#include <algorithm>
#include <cmath>

#include "shared/adam_update.h"
#include "threads/thread_pool.h"

namespace gscodec {
namespace {

struct Separately {  // no multiply-add is fused
    static float root(float x) { return std::sqrt(x); }
    static float multiply_add(float a, float b, float c) { return a * b + c; }
    static float add_square(float a, float b, float c) { return a * (b * b) + c; }
};

// Rows that came together have taken as many steps, so the last answer mostly serves.
class Corrections {
public:
    Corrections(float beta1, float beta2)  // rounded as the moments' factors are
        : log1_(std::log(static_cast<double>(beta1))), log2_(std::log(static_cast<double>(beta2))) {}
    const AdamCorrections& at(float steps) {
        if (steps == steps_) return last_;
        const auto expm1 = [](double x) { return std::expm1(x); };
        steps_ = steps;
        last_ = {adam_correction<double>(steps, log1_, expm1), adam_correction<double>(steps, log2_, expm1)};
        return last_;
    }

private:
    double log1_, log2_;
    float steps_ = -1;
    AdamCorrections last_ = {0, 0};
};

}  // namespace

void adam_step(const AdamRows& rows, const AdamColumns& columns, const AdamConstants& constants, float grad_scale,
               float factor, const float* grad, int64_t n_moved, int threads) {
    const int64_t d = rows.n_columns;
    const float beta1 = static_cast<float>(constants.beta1), beta2 = static_cast<float>(constants.beta2);
    const AdamFactors factors = {static_cast<float>(1 - constants.beta1), static_cast<float>(1 - constants.beta2),
                                 beta2, static_cast<float>(constants.epsilon)};
    constexpr int64_t kChunk = 4096;
    parallel_for((rows.n_rows + kChunk - 1) / kChunk, threads, [&](int64_t chunk) {
        Corrections corrections(beta1, beta2);
        for (int64_t i = chunk * kChunk; i < std::min(rows.n_rows, (chunk + 1) * kChunk); ++i) {
            float* const value = rows.values + i * d;
            if (i < n_moved) {
                const AdamCorrections& correction = corrections.at(rows.steps[i] += 1);
                float* const mean = rows.mean + i * d;
                float* const square = rows.square + i * d;
                for (int64_t k = 0; k < d; ++k) {
                    const float update = adam_update(grad_scale * grad[i * d + k], factors, correction, Separately(),
                                                     mean[k], square[k]);
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
