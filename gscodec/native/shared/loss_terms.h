// Terms of the photometric loss: one number for each, such as its weight. The fields are those of LossWeights in
// model/rendering.py, in its order, terms of single samples first; tests/project/test_structs.py holds them equal.
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

template <class T>
struct LossTerms {
    T l1;     // |d|, d = image - target
    T l2;     // d^2
    T means;  // squared means of d over blocks of 4x4 px, a block's as many times as it has pixels
    T ssim;   // 1 - SSIM

    // Of the mean over `count` samples, where these are of the sum.
    GSCODEC_FN LossTerms per_sample(double count) const {
        return {static_cast<T>(l1 / count), static_cast<T>(l2 / count), static_cast<T>(means / count),
                static_cast<T>(ssim / count)};
    }
    // Whether a term looks beyond a sample's tile.
    GSCODEC_FN bool compares_neighbours() const { return ssim != 0; }
    // The loss, of the sums of its terms in the fields' order.
    GSCODEC_FN T of(const T* sums) const { return l1 * sums[0] + l2 * sums[1] + means * sums[2] + ssim * sums[3]; }
};

typedef LossTerms<float> LossWeights;

}  // namespace gscodec
