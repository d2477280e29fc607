// Sums over a block, and over the rows of partial sums that blocks leave behind, in an order that timing cannot change.
//
// Whoever compares pictures writes one row a block, float32: a sum for each term of LossWeights, or for those of single
// samples where that is all there are; where pixels have weights, each of these by them, and after them the plain sum
// d^2. One block then adds the rows up in float64. There are few (864 at 2048 x 2048 x 3 with SSIM, 16,384 tiles
// without: 131 KB), so the cost is that of a launch.

// Each of V values summed over a block of THREADS threads, in all of them. At most once in a kernel for each V and T.
template <int THREADS, int V, class T>
__device__ inline void block_sum(T (&values)[V]) {
    __shared__ T parts[THREADS / WARP][V];
#pragma unroll
    for (int k = 0; k < V; ++k) {
        values[k] = warp_sum(values[k]);
        if (threadIdx.x % WARP == 0) parts[threadIdx.x / WARP][k] = values[k];
    }
    __syncthreads();
#pragma unroll
    for (int k = 0; k < V; ++k) {
        values[k] = 0;
        for (int w = 0; w < THREADS / WARP; ++w) values[k] += parts[w][k];
    }
}

// Column sums of partials (n, width), width at most LOSS_COLUMNS; columns that are not there sum to 0.
template <int THREADS>
__device__ inline void sum_rows(const float* partials, int n, int width, double (&sums)[LOSS_COLUMNS]) {
#pragma unroll
    for (int k = 0; k < LOSS_COLUMNS; ++k) {
        sums[k] = 0;
        if (k >= width) continue;
        for (int i = threadIdx.x; i < n; i += THREADS) sums[k] += partials[(long long)i * width + k];
    }
    block_sum<THREADS>(sums);
}
