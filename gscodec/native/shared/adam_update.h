// Adam's update of one value (Kingma and Ba 2015, Algorithm 1), for the engines' training steps. Engines round its
// multiply-adds in their own ways, which a `Rounding` states: root(x), multiply_add(a, b, c) = a b + c, and
// add_square(a, b, c) = a b^2 + c.
// No includes: NVRTC compiles this text as it stands.
#pragma once

#ifndef GSCODEC_FN
#ifdef __CUDACC__
#define GSCODEC_FN __host__ __device__ inline
#else
#define GSCODEC_FN inline
#endif
#endif

namespace gscodec {

struct AdamFactors {
    float mean_weight, square_weight;  // 1 - beta1, 1 - beta2
    float beta2, epsilon;
};

// 1 - beta^steps of both moments, by which they are divided.
struct AdamCorrections {
    float mean, square;
};

// 1 - beta^steps. By expm1: 1 - pow would lose most digits of 1 - 0.999^t to cancellation.
template <class T, class Expm1>
GSCODEC_FN float adam_correction(T steps, T log_beta, Expm1 expm1_of) {
    return static_cast<float>(-expm1_of(steps * log_beta));
}

// Moves the moments, and returns what to take off the value, in units of the learning rate.
template <class Rounding>
GSCODEC_FN float adam_update(float grad, const AdamFactors& factors, const AdamCorrections& corrections, Rounding by,
                             float& mean, float& square) {
    mean = by.multiply_add(factors.mean_weight, grad - mean, mean);
    square = by.add_square(factors.square_weight, grad, factors.beta2 * square);
    return mean / corrections.mean / (by.root(square / corrections.square) + factors.epsilon);
}

}  // namespace gscodec
