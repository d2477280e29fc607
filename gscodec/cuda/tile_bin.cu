// Tile lists: for each tile, by ascending index, the Gaussians whose support ellipse meets it (spec/igs.md, section 3.4;
// oracle: render/reference.py, bin; CPU: native/render/binning.cpp).
//
//   count_pairs             block of 32 Gaussians   axes, support ellipse, rows of tiles; how many tiles each meets,
//                                                   and how many Gaussians each tile: binning.cuh
//   scan_lists              block a chunk           exclusive sums of both counts: `starts` of Gaussians, `offsets` of
//                                                   tiles. Every block adds up all that comes before it by itself
//   sum_chunks, scan_chunks block a chunk           the same for one array in two launches, where there are too many
//                                                   for that
//   emit_pairs              8 lanes a Gaussian      its pairs into the lists of their tiles, in an order that timing
//                                                   decides
//   sort_lists              warp a tile             the list by owner, and each pair's slot for the backward pass
//   place_points            thread a point          a window's columns and rows by tile
//
// Nothing is read back to the host. Pairs have a capacity; when they need more, the sums are all 0, so that every list
// is empty, and `needed` notes how many there are.
//
// tile_counts is 0 before and after: count_pairs counts a tile's pairs up, emit_pairs hands out places by counting them
// down again, or, where there is no room, clears it.
//
// Buffers (N Gaussians, T tiles, P capacity):
//   means (N, 2) f64, inv_scales (N, 2) f64, rotations (N,) f64   in, px, 1/px, rad
//   axes (N, 4) f64            u_x, u_y, v_x, v_y, scaled so that exp(-q / 2) = 2^-(U^2 + V^2)
//   ellipses (N, 6) f64        a, b, d, det, half width, half height
//   rows (N, 2) i32            first and last row of tiles; first > last: none
//   counts (N,), starts (N + 1,), tile_counts (T,), offsets (T + 1,) i32
//   entries (P, 2) i32         by tile: number of the pair, and its owner; pairs are numbered Gaussian by Gaussian
//   indices, slots (P,) i32    the owners in order; where a pair stands in indices
//
// Compiled with --fmad=false: the lists are derived in float64 in the spec's order of operations, so that engines
// agree.

struct Stored {
    const int* n_shown;
    const double *means, *inv_scales, *rotations;

    __device__ bool operator()(int i, Shown& g) const {
        if (i >= *n_shown) return false;
        g = {means[2LL * i], means[2LL * i + 1], inv_scales[2LL * i], inv_scales[2LL * i + 1], rotations[i]};
        return true;
    }
};

extern "C" __global__ void __launch_bounds__(BIN_GAUSSIANS* ROW_LANES)
    count_pairs(const int* n_shown, int n_max, const double* means, const double* inv_scales, const double* rotations,
                double support_q, int x0, int y0, int x1, int y1, double* axes, double* ellipses, int* rows,
                int* counts, int* tile_counts) {
    const Stored load = {n_shown, means, inv_scales, rotations};
    count_block(n_max, load, support_q, {x0, y0, x1, y1}, axes, ellipses, rows, counts, tile_counts);
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
    const int inclusive = warp_sum_to(sum, lane);
    __shared__ int warp_totals[SCAN_THREADS / WARP];
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

// Sums of both counts, whose totals are the same. Blocks of the Gaussians come first. No block waits for another: each
// reads the whole of its array, 256 KB at most.
extern "C" __global__ void __launch_bounds__(LIST_THREADS)
    scan_lists(const int* counts, int n, const int* tile_counts, int n_tiles, long long capacity, int* starts,
               int* offsets, int* needed) {
    constexpr int kEach = LIST_CHUNK / LIST_THREADS, kWarps = LIST_THREADS / WARP;
    __shared__ long long sums[kWarps][2];
    __shared__ int warp_totals[kWarps];
    const int thread = threadIdx.x, lane = thread % WARP, warp = thread / WARP;
    const int chunks = n / LIST_CHUNK + 1;
    const bool of_tiles = (int)blockIdx.x >= chunks;
    const int chunk = of_tiles ? blockIdx.x - chunks : blockIdx.x;
    const int* const values = of_tiles ? tile_counts : counts;
    int* const to = of_tiles ? offsets : starts;
    if (of_tiles) n = n_tiles;
    const int begin = chunk * LIST_CHUNK;
    long long before = 0, total = 0;
#pragma unroll 4
    for (int k = thread; k < n; k += LIST_THREADS) {
        const int value = values[k];
        total += value;
        before += k < begin ? value : 0;
    }
    before = warp_sum(before);
    total = warp_sum(total);
    int mine[kEach], sum = 0;
    const int at = begin + thread * kEach;
#pragma unroll
    for (int k = 0; k < kEach; ++k) {
        mine[k] = at + k < n ? values[at + k] : 0;
        sum += mine[k];
    }
    const int inclusive = warp_sum_to(sum, lane);
    if (lane == WARP - 1) {
        warp_totals[warp] = inclusive;
        sums[warp][0] = before;
        sums[warp][1] = total;
    }
    __syncthreads();
    before = total = 0;
    for (int w = 0; w < kWarps; ++w) {
        before += sums[w][0];
        total += sums[w][1];
    }
    if (needed && blockIdx.x == 0 && thread == 0) {
        const int capped = total > 0x7fffffffLL ? 0x7fffffff : (int)total;
        if (capped > *needed) *needed = capped;
    }
    const bool fits = total <= capacity;
    int place = (int)before + inclusive - sum;
    for (int w = 0; w < warp; ++w) place += warp_totals[w];
#pragma unroll
    for (int k = 0; k < kEach; ++k) {
        if (at + k <= n) to[at + k] = fits ? place : 0;
        place += mine[k];
    }
}

extern "C" __global__ void emit_pairs(int n_max, const double* means, const double* ellipses, const int* rows,
                                      double support_q, int x0, int x1, int y0, const int* starts, const int* offsets,
                                      int n_tiles, int* tile_counts, int* entries) {
    const int thread = blockIdx.x * blockDim.x + threadIdx.x;
    if (starts[n_max] == 0) {  // nothing to list, or no room
        for (long long t = thread; t < n_tiles; t += (long long)gridDim.x * blockDim.x) tile_counts[t] = 0;
        return;
    }
    const int i = thread / ROW_LANES, lane = thread % ROW_LANES;
    const bool live = i < n_max;
    const int first = live ? rows[2LL * i] : 1, last = live ? rows[2LL * i + 1] : 0;
    gscodec::Ellipse ellipse = {};
    if (first <= last) ellipse = load_ellipse(ellipses, i, support_q);
    int at = live ? starts[i] : 0;
    int2* const pairs = reinterpret_cast<int2*>(entries);
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
            pairs[offsets[tile] + atomicSub(tile_counts + tile, 1) - 1] = {pair, i};
        }
        at += __shfl_sync(FULL_MASK, inclusive, ROW_LANES - 1, ROW_LANES);
    }
}

// Puts one entry where `rank` says.
__device__ inline void store_at(int2 entry, int at, int* indices, int* slots) {
    indices[at] = entry.y;
    slots[entry.x] = at;
}

// A list by counting: an entry's rank is the number of smaller owners, of which there are no two alike. LANES threads
// work on one list. `staged` has room for its owners, up to a multiple of four.
template <int LANES>
__device__ inline void sort_by_counting(const int2* list, int n, int first, int4* staged, int lane, int* indices,
                                        int* slots) {
    const int quads = (n + 3) / 4;
    int* const owners = reinterpret_cast<int*>(staged);
    for (int k = lane; k < 4 * quads; k += LANES) owners[k] = k < n ? list[k].y : 0x7fffffff;
    if (LANES == WARP)
        __syncwarp();
    else
        __syncthreads();
    for (int k = lane; k < n; k += 2 * LANES) {  // two at a time share what is read
        const bool second = k + LANES < n;
        const int a = owners[k], b = second ? owners[k + LANES] : 0;
        int rank_a = 0, rank_b = 0;
        for (int j = 0; j < quads; ++j) {
            const int4 four = staged[j];
            rank_a += (four.x < a) + (four.y < a) + (four.z < a) + (four.w < a);
            rank_b += (four.x < b) + (four.y < b) + (four.z < b) + (four.w < b);
        }
        store_at(list[k], first + rank_a, indices, slots);
        if (second) store_at(list[k + LANES], first + rank_b, indices, slots);
    }
}

// The least value of a block, in every thread. The caller has a barrier between two calls.
__device__ inline int block_min(int value) {
    __shared__ int least[SORT_THREADS / WARP];
    for (int mask = WARP / 2; mask > 0; mask >>= 1) {
        const int other = __shfl_xor_sync(FULL_MASK, value, mask);
        value = other < value ? other : value;
    }
    if (threadIdx.x % WARP == 0) least[threadIdx.x / WARP] = value;
    __syncthreads();
    for (int w = 0; w < SORT_THREADS / WARP; ++w) value = least[w] < value ? least[w] : value;
    return value;
}

// A list of any length: a bit for each owner in a range of SORT_BITS, whose rank is then the number of bits below it.
// Ranges without an owner are passed over, so that there are no more rounds than entries.
__device__ inline void sort_by_bits(const int2* list, int n, int first, unsigned* bits, int* below, int* indices,
                                    int* slots) {
    constexpr int kWords = SORT_BITS / 32, kEach = kWords / SORT_THREADS, kWarps = SORT_THREADS / WARP;
    __shared__ int warp_totals[kWarps];
    const int thread = threadIdx.x, lane = thread % WARP;
    int low = 0x7fffffff;
    for (int k = thread; k < n; k += SORT_THREADS) low = list[k].y < low ? list[k].y : low;
    low = block_min(low);
    for (int placed = 0; placed < n;) {
        for (int k = thread; k < kWords; k += SORT_THREADS) bits[k] = 0;
        __syncthreads();
        int next = 0x7fffffff;
#pragma unroll 4
        for (int k = thread; k < n; k += SORT_THREADS) {
            const int owner = list[k].y, bit = owner - low;
            if (bit < 0) continue;
            if (bit < SORT_BITS)
                atomicOr(bits + bit / 32, 1u << bit % 32);
            else
                next = owner < next ? owner : next;
        }
        __syncthreads();
        int sum = 0;
#pragma unroll
        for (int k = 0; k < kEach; ++k) sum += __popc(bits[thread * kEach + k]);
        const int inclusive = warp_sum_to(sum, lane);
        if (lane == WARP - 1) warp_totals[thread / WARP] = inclusive;
        __syncthreads();
        int at = placed + inclusive - sum;
        for (int w = 0; w < kWarps; ++w) {
            at += w < thread / WARP ? warp_totals[w] : 0;
            placed += warp_totals[w];
        }
#pragma unroll
        for (int k = 0; k < kEach; ++k) {
            below[thread * kEach + k] = at;
            at += __popc(bits[thread * kEach + k]);
        }
        __syncthreads();
#pragma unroll 4
        for (int k = thread; k < n; k += SORT_THREADS) {
            const int2 entry = list[k];
            const int bit = entry.y - low;
            if (bit < 0 || bit >= SORT_BITS) continue;
            const int rank = below[bit / 32] + __popc(bits[bit / 32] & ((1u << bit % 32) - 1));
            store_at(entry, first + rank, indices, slots);
        }
        low = block_min(next);  // its barrier also parts this round's bits from the next one's
    }
}

extern "C" __global__ void __launch_bounds__(SORT_THREADS)
    sort_lists(int n_tiles, const int* offsets, const int* entries, int* indices, int* slots) {
    constexpr int kTiles = SORT_THREADS / WARP, kWords = SORT_BITS / 32;
    static_assert(kTiles * SORT_SHORT <= SORT_MEDIUM && SORT_MEDIUM <= 2 * kWords,
                  "shared memory is used for all three");
    __shared__ int4 staged[2 * kWords / 4];
    const int2* const pairs = reinterpret_cast<const int2*>(entries);
    const int tile0 = blockIdx.x * kTiles, warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const int tile = tile0 + warp;
    if (tile < n_tiles) {
        const int first = offsets[tile], n = offsets[tile + 1] - first;
        if (n <= SORT_SHORT)
            sort_by_counting<WARP>(pairs + first, n, first, staged + warp * (SORT_SHORT / 4), lane, indices, slots);
    }
    for (int t = tile0; t < tile0 + kTiles && t < n_tiles; ++t) {
        const int first = offsets[t], n = offsets[t + 1] - first;
        if (n <= SORT_SHORT) continue;
        __syncthreads();  // all reads of the old values are complete
        if (n <= SORT_MEDIUM)
            sort_by_counting<SORT_THREADS>(pairs + first, n, first, staged, threadIdx.x, indices, slots);
        else
            sort_by_bits(pairs + first, n, first, reinterpret_cast<unsigned*>(staged),
                         reinterpret_cast<int*>(staged) + kWords, indices, slots);
    }
}

// The points start + (origin + i + 0.5) step of one axis, i = 0 .. n - 1: which lie in each of the tiles begin .. end -
// 1, those outside in the nearest, and where, from their tile's corner. Thread n writes the ends of what comes last.
__device__ inline void place_axis(double start, double step, int origin, int n, int begin, int end, int* starts,
                                  real* places) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i > n) return;
    int tiles[2] = {begin - 1, end};  // of the point before and of this one
    for (int k = 0; k < 2; ++k) {
        if (i - 1 + k < 0 || i - 1 + k >= n) continue;
        const double position = start + (origin + i - 1 + k + 0.5) * step;
        double tile = floor(position / TILE_SIZE);
        tile = tile < begin ? begin : (tile > end - 1 ? end - 1 : tile);
        tiles[k] = (int)tile;
        if (k == 1) places[i] = (real)(position - tile * TILE_SIZE);
    }
    for (int t = tiles[0] + 1; t <= tiles[1]; ++t) starts[t - begin] = i;
}

// Rows row0 .. row0 + height of a window. Grid: threads for the longer axis; x, y. column_starts (tile columns + 1,)
// i32 and columns (width,) real px, rows likewise.
extern "C" __global__ void place_points(double x, double step_x, int width, int x0, int x1, double y, double step_y,
                                        int row0, int height, int y0, int y1, int* column_starts, real* columns,
                                        int* row_starts, real* rows) {
    if (blockIdx.y == 0)
        place_axis(x, step_x, 0, width, x0, x1, column_starts, columns);
    else
        place_axis(y, step_y, row0, height, y0, y1, row_starts, rows);
}
