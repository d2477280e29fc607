// Terms of the loss of single samples: their sums over samples, and their slope (oracle: render/reference_loss.py).
//
// sums[k] is of the k-th term of LossWeights, and the k-th column of partial sums (partial_sums.cuh). NaN stays NaN
// whatever the weights. Weights are passed by value: through a reference, NVRTC reads them inside of the branches that
// use them, and the raster kernels get longer.

static_assert(sizeof(gscodec::LossWeights) == LOSS_TERMS * sizeof(float), "LossWeights has other terms in Python");

template <class T>
struct Pointwise {
    T sums[POINTWISE_TERMS] = {};
    T plain_square = 0;  // where samples count differently: takes no notice of that

    // Derivative of the weighted terms to d = image - target.
    __device__ static T slope(T d, gscodec::LossWeights w) {
        return multiply_add((T)(2 * w.l2), d, d > 0 ? (T)w.l1 : (d < 0 ? (T)-w.l1 : T(0)));
    }
    // The slope at d; the terms are added to the sums.
    __device__ T add(T d, gscodec::LossWeights w) {
        sums[0] += magnitude(d);
        sums[1] = multiply_add(d, d, sums[1]);
        return slope(d, w);
    }
    // Of a sample that counts `weight` times. The slope comes without that factor, for a multiply-add.
    __device__ T add(T d, T weight, gscodec::LossWeights w) {
        sums[0] = multiply_add(weight, magnitude(d), sums[0]);
        sums[1] = multiply_add(weight * d, d, sums[1]);
        plain_square = multiply_add(d, d, plain_square);
        return slope(d, w);
    }
};
