// The gradient of one Gaussian from the moments of its pairs, by a warp: shared by raster_backward.cu and fit.cu.
//
// As many lanes as a pair has moments, up to a power of two, read them side by side, and so several pairs at a time.
// Sums run in float64, in an order that the Gaussian's pairs alone decide.

__device__ inline void gather_row(int i, const int* starts, const int* slots, const real* moments, int n_channels,
                                  const double* inv_scales, const double* axes, real* grads) {
    const int width = MOMENTS + n_channels, begin = starts[i], end = starts[i + 1];
    int lanes = 8;
    while (lanes < width && lanes < WARP) lanes *= 2;
    static_assert(MOMENTS <= 8, "the first lanes hold all of the geometry");
    const int groups = WARP / lanes, lane = threadIdx.x % WARP & (lanes - 1), group = threadIdx.x % WARP / lanes;
    real* const row = grads + (long long)i * width;
    double geometry[MOMENTS];
    for (int first = 0; first < width; first += lanes) {
        const int k = first + lane;
        double sum = 0;
        if (k < width) {
#pragma unroll 4
            for (int pair = begin + group; pair < end; pair += groups)
                sum += moments[(long long)slots[pair] * width + k];
        }
        for (int mask = lanes; mask < WARP; mask *= 2) sum += __shfl_xor_sync(FULL_MASK, sum, mask);
        if (first == 0) {
#pragma unroll
            for (int m = 0; m < MOMENTS; ++m) geometry[m] = __shfl_sync(FULL_MASK, sum, m);
        }
        if (group == 0 && k >= MOMENTS && k < width) row[k] = (real)sum;
    }
    if (threadIdx.x % WARP != 0) return;
    // dL/dq = -h / 2 and q = (U^2 + V^2) / k^2 in scaled axes, so every term carries -1 / k^2.
    constexpr double f = -1.0 / (AXIS_SCALE * AXIS_SCALE);
    const double* a = axes + 4LL * i;
    const double s0 = inv_scales[2LL * i], s1 = inv_scales[2LL * i + 1];
    row[0] = (real)(-f * (geometry[0] * a[0] + geometry[1] * a[2]));
    row[1] = (real)(-f * (geometry[0] * a[1] + geometry[1] * a[3]));
    row[2] = (real)(f * geometry[2] / s0);
    row[3] = (real)(f * geometry[4] / s1);
    row[4] = (real)(f * geometry[3] * (s0 / s1 - s1 / s0));
}
