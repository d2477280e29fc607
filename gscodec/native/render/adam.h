// The optimiser's update of a fit, in one pass over its rows. Same bytes whatever the thread count.
#pragma once
#include <cstdint>

namespace gscodec {

struct AdamRows {
    int64_t n_rows, n_columns;
    float* values;       // (N, D) parameters
    float* mean;         // (N, D) moments of the gradients
    float* square;       // (N, D)
    float* steps;        // (N,) updates that a row has had
    const float* units;  // (N, D) multiply each value's update
};

struct AdamColumns {
    const float* rates;  // (D,)
    const float* drift;  // (D,) taken off every value that moves, after its update
    const float* low;    // (D,) valid range, into which all rows are brought back; NaN stays NaN
    const float* high;   // (D,)
};

// The fields of AdamConstants in model/adam.py, in its order.
struct AdamConstants {
    double beta1, beta2, epsilon;
};

// One update of the first n_moved rows by grad (n_moved, D), as Kingma and Ba 2015, Algorithm 1, has it. grad_scale and
// factor multiply all gradients and all rates.
void adam_step(const AdamRows&, const AdamColumns&, const AdamConstants&, float grad_scale, float factor,
               const float* grad, int64_t n_moved, int threads);

}  // namespace gscodec
