// Tile lists: for each tile, by ascending index, the Gaussians whose support ellipse meets it (spec/igs.md, "Tiles";
// oracle: raster/reference.py, bin; CPU: cpu/binning.cpp).
//
//   prepare_gaussians   thread a Gaussian     axes, support ellipse, rows of tiles it reaches
//   count_pairs         8 lanes a Gaussian    how many tiles it meets: one lane a row of tiles
//   sum_chunks, scan    block a chunk         exclusive sums of counts: `starts` of Gaussians, later `offsets` of tiles
//   emit_pairs          8 lanes a Gaussian    its pairs, Gaussian by Gaussian: tile, owner, and the pair's rank among
//                                             those that reached the tile so far, which timing decides
//   place_pairs         thread a pair         pair numbers into their tile's list, in order of rank
//   sort_lists          block a tile          the list by pair number, which is the order of owners; then owners in
//                                             place of pair numbers, and each pair's slot for the backward pass
//
// Nothing is read back to the host. Pairs have a capacity; when they need more, `scan` leaves every list empty, notes
// how many there are, and the rest writes nothing.
//
// Buffers (N Gaussians, T tiles, P capacity):
//   means (N, 2) f64, inv_scales (N, 2) f64, rotations (N,) f64   in, px, 1/px, rad
//   axes (N, 4) f64            u_x, u_y, v_x, v_y, scaled so that exp(-q / 2) = 2^-(U^2 + V^2)
//   ellipses (N, 6) f64        a, b, d, det, half width, half height
//   rows (N, 2) i32            first and last row of tiles; first > last: none
//   counts (N,), starts (N + 1,), tile_counts (T,), offsets (T + 1,) i32
//   pair_tiles, pair_owners, pair_ranks, slots, indices (P,) i32
//
// Compiled with --fmad=false: the lists are derived in float64 in the spec's order of operations, so that engines agree.

struct Root {
    __device__ double operator()(double x) const { return sqrt(x); }
};

struct Span {
    int first, last;  // closed; empty when first > last
};

// Tiles whose closed interval meets the closed interval [low, high] px, clipped to [begin, end). NaN meets nothing.
__device__ inline Span touched_tiles(double low, double high, int begin, int end) {
    const double u = low / TILE_SIZE, v = high / TILE_SIZE;
    double first = floor(u), last = floor(v);
    if (first == u) first -= 1;  // a border belongs to both neighbours
    if (first < begin) first = begin;
    if (last > end - 1) last = end - 1;
    if (!(first <= last)) return {1, 0};
    return {(int)first, (int)last};
}

__device__ inline gscodec::Ellipse load_ellipse(const double* ellipses, int i, double support_q) {
    const double* e = ellipses + 6LL * i;
    return {e[0], e[1], e[2], e[3], support_q, e[4], e[5]};
}

// Columns of tiles that Gaussian i meets in one row of tiles.
__device__ inline Span columns_in_row(const gscodec::Ellipse& ellipse, const double* means, int i, int row, int x0,
                                      int x1) {
    const double top = (double)row * TILE_SIZE - means[2LL * i + 1];
    double left, right;
    gscodec::slab_extent(ellipse, top, top + TILE_SIZE, Root(), left, right);
    return touched_tiles(means[2LL * i] + left, means[2LL * i] + right, x0, x1);
}

extern "C" __global__ void prepare_gaussians(const int* n_shown, int n_max, const double* means,
                                             const double* inv_scales, const double* rotations, double support_q,
                                             int y0, int y1, double* axes, double* ellipses, int* rows) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n_max) return;
    if (i >= *n_shown) {
        rows[2LL * i] = 1;
        rows[2LL * i + 1] = 0;
        return;
    }
    const double s0 = inv_scales[2LL * i], s1 = inv_scales[2LL * i + 1];
    const double cosine = cos(rotations[i]), sine = sin(rotations[i]);
    const gscodec::Axes a = gscodec::make_axes(AXIS_SCALE * s0, AXIS_SCALE * s1, cosine, sine);
    const gscodec::Ellipse e = gscodec::make_ellipse(s0, s1, cosine, sine, support_q, Root());
    double* axis = axes + 4LL * i;
    axis[0] = a.u_x;
    axis[1] = a.u_y;
    axis[2] = a.v_x;
    axis[3] = a.v_y;
    double* ellipse = ellipses + 6LL * i;
    ellipse[0] = e.a;
    ellipse[1] = e.b;
    ellipse[2] = e.d;
    ellipse[3] = e.det;
    ellipse[4] = e.half_width;
    ellipse[5] = e.half_height;
    const double my = means[2LL * i + 1];
    const Span span = touched_tiles(my - e.half_height, my + e.half_height, y0, y1);
    rows[2LL * i] = span.first;
    rows[2LL * i + 1] = span.last;
}

extern "C" __global__ void count_pairs(int n_max, const double* means, const double* ellipses, const int* rows,
                                       double support_q, int x0, int x1, int* counts) {
    const int thread = blockIdx.x * blockDim.x + threadIdx.x;
    const int i = thread / ROW_LANES, lane = thread % ROW_LANES;
    int count = 0;
    if (i < n_max) {
        const int last = rows[2LL * i + 1];
        int row = rows[2LL * i] + lane;
        if (row <= last) {
            const gscodec::Ellipse ellipse = load_ellipse(ellipses, i, support_q);
            for (; row <= last; row += ROW_LANES) {
                const Span span = columns_in_row(ellipse, means, i, row, x0, x1);
                count += span.first <= span.last ? span.last - span.first + 1 : 0;
            }
        }
    }
#pragma unroll
    for (int mask = ROW_LANES / 2; mask > 0; mask >>= 1) count += __shfl_xor_sync(FULL_MASK, count, mask);
    if (i < n_max && lane == 0) counts[i] = count;
}

// Sum over the block of one value a thread, in every thread.
__device__ inline long long block_sum(long long value) {
    __shared__ long long parts[SCAN_THREADS / WARP];
    value = warp_sum(value);
    __syncthreads();
    if (threadIdx.x % WARP == 0) parts[threadIdx.x / WARP] = value;
    __syncthreads();
    long long sum = 0;
    for (int w = 0; w < SCAN_THREADS / WARP; ++w) sum += parts[w];
    return sum;
}

extern "C" __global__ void __launch_bounds__(SCAN_THREADS) sum_chunks(const int* values, int n, long long* partials) {
    const long long begin = (long long)blockIdx.x * SCAN_CHUNK;
    long long sum = 0;
    for (int k = threadIdx.x; k < SCAN_CHUNK && begin + k < n; k += SCAN_THREADS) sum += values[begin + k];
    sum = block_sum(sum);
    if (threadIdx.x == 0) partials[blockIdx.x] = sum;
}

// sums[k] = values[0] + ... + values[k - 1] for k = 0 .. n, all zero when the total is above `capacity`. `needed`, if
// given, keeps the largest total it has seen, capped at INT_MAX.
extern "C" __global__ void __launch_bounds__(SCAN_THREADS)
    scan_chunks(const int* values, int n, const long long* partials, int n_chunks, long long capacity, int* sums,
                int* needed) {
    constexpr int kEach = SCAN_CHUNK / SCAN_THREADS;
    const int thread = threadIdx.x, lane = thread % WARP;
    long long before = 0, total = 0;
    for (int b = thread; b < n_chunks; b += SCAN_THREADS) {
        total += partials[b];
        before += b < (int)blockIdx.x ? partials[b] : 0;
    }
    total = block_sum(total);
    before = block_sum(before);
    if (needed && blockIdx.x == 0 && thread == 0) {
        const int capped = total > 0x7fffffffLL ? 0x7fffffff : (int)total;
        if (capped > *needed) *needed = capped;
    }
    const bool fits = total <= capacity;
    const long long begin = (long long)blockIdx.x * SCAN_CHUNK + (long long)thread * kEach;
    int mine[kEach], sum = 0;
#pragma unroll
    for (int k = 0; k < kEach; ++k) {
        mine[k] = fits && begin + k < n ? values[begin + k] : 0;
        sum += mine[k];
    }
    // Exclusive sum over the block's threads: within warps by shuffles, across them through shared memory.
    int inclusive = sum;
#pragma unroll
    for (int step = 1; step < WARP; step *= 2) {
        const int other = __shfl_up_sync(FULL_MASK, inclusive, step);
        if (lane >= step) inclusive += other;
    }
    __shared__ int warp_totals[SCAN_THREADS / WARP];
    __syncthreads();
    if (lane == WARP - 1) warp_totals[thread / WARP] = inclusive;
    __syncthreads();
    int at = (fits ? (int)before : 0) + inclusive - sum;
    for (int w = 0; w < thread / WARP; ++w) at += warp_totals[w];
#pragma unroll
    for (int k = 0; k < kEach; ++k) {
        if (begin + k <= n) sums[begin + k] = at;
        at += mine[k];
    }
}

extern "C" __global__ void emit_pairs(int n_max, const double* means, const double* ellipses, const int* rows,
                                      double support_q, int x0, int x1, int y0, const int* starts, int* tile_counts,
                                      int* pair_tiles, int* pair_owners, int* pair_ranks) {
    const int thread = blockIdx.x * blockDim.x + threadIdx.x;
    const int i = thread / ROW_LANES, lane = thread % ROW_LANES;
    const bool live = i < n_max && starts[n_max] > 0;
    const int first = live ? rows[2LL * i] : 1, last = live ? rows[2LL * i + 1] : 0;
    gscodec::Ellipse ellipse = {};
    if (first <= last) ellipse = load_ellipse(ellipses, i, support_q);
    int at = live ? starts[i] : 0;
    // Every lane of the warp goes through the rounds of its tallest Gaussian, so that the shuffles meet.
    const int rounds = warp_max(first <= last ? (last - first) / ROW_LANES + 1 : 0);
    for (int round = 0; round < rounds; ++round) {
        const int row = first + round * ROW_LANES + lane;
        Span span = {1, 0};
        if (first <= last && row <= last) span = columns_in_row(ellipse, means, i, row, x0, x1);
        const int count = span.first <= span.last ? span.last - span.first + 1 : 0;
        int inclusive = count;
#pragma unroll
        for (int step = 1; step < ROW_LANES; step *= 2) {
            const int other = __shfl_up_sync(FULL_MASK, inclusive, step, ROW_LANES);
            if (lane >= step) inclusive += other;
        }
        int pair = at + inclusive - count;
        for (int x = span.first; x <= span.last; ++x, ++pair) {
            const int tile = (row - y0) * (x1 - x0) + x - x0;
            pair_tiles[pair] = tile;
            pair_owners[pair] = i;
            pair_ranks[pair] = atomicAdd(tile_counts + tile, 1);
        }
        at += __shfl_sync(FULL_MASK, inclusive, ROW_LANES - 1, ROW_LANES);
    }
}

// Threads stride over the pairs, whose number only the device knows.
extern "C" __global__ void place_pairs(const int* n_pairs, const int* pair_tiles, const int* pair_ranks,
                                       const int* offsets, int* lists) {
    const int n = *n_pairs;
    for (long long p = blockIdx.x * (long long)blockDim.x + threadIdx.x; p < n; p += (long long)gridDim.x * blockDim.x)
        lists[offsets[pair_tiles[p]] + pair_ranks[p]] = (int)p;
}

__device__ inline void order(int* list, int low, int high) {
    const int a = list[low], b = list[high];
    if (a > b) {
        list[low] = b;
        list[high] = a;
    }
}

// Bitonic sort whose exchanges all point upwards, so that a list of any length sorts as if padded with infinity.
__device__ inline void sort_in_block(int* list, int n) {
    int padded = 1;
    while (padded < n) padded *= 2;
    for (int size = 2; size <= padded; size *= 2) {
        for (int i = threadIdx.x; i < n; i += SORT_THREADS) {
            const int other = i ^ (size - 1);
            if (other > i && other < n) order(list, i, other);
        }
        __syncthreads();
        for (int reach = size / 4; reach > 0; reach /= 2) {
            for (int i = threadIdx.x; i < n; i += SORT_THREADS) {
                const int other = i ^ reach;
                if (other > i && other < n) order(list, i, other);
            }
            __syncthreads();
        }
    }
}

extern "C" __global__ void __launch_bounds__(SORT_THREADS)
    sort_lists(const int* offsets, const int* pair_owners, int* lists, int* slots) {
    __shared__ int staged[SORT_CAPACITY];
    const int first = offsets[blockIdx.x], n = offsets[blockIdx.x + 1] - first;
    if (n == 0) return;
    int* list = lists + first;
    const bool fits = n <= SORT_CAPACITY;
    if (fits) {
        for (int k = threadIdx.x; k < n; k += SORT_THREADS) staged[k] = list[k];
        list = staged;
    }
    __syncthreads();
    sort_in_block(list, n);
    for (int k = threadIdx.x; k < n; k += SORT_THREADS) {
        const int pair = list[k];
        lists[first + k] = pair_owners[pair];
        slots[pair] = first + k;
    }
}
