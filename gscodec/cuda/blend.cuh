// Blending at the points of one tile, shared by the forward and the backward kernel (spec/igs.md, "Blending").
//
// A block of THREADS threads works on a 16 x 16 lattice of points, PIXELS a thread: each warp has an 8 x 8 part, so
// that its points are near to the same Gaussians. The tile's list goes through shared memory in batches of BATCH; a
// list that fits is loaded once. Two walks over the list make a value:
//   select      the K smallest q of each point, values only, in registers: TOP_K exchanges for a candidate that is
//               nearer than the K-th so far for some point of the warp, none otherwise
//   blend       weights 2^(q_min - q) of those within the K-th value. Of several that equal it the lower indices are
//               taken: how many fit is known from the kept values
// q is in units in which exp(-q / 2) = 2^-q; the axes carry the factor. Channels go in passes of PASS.

#define BLOCK_SIDE 8
#define WARPS (THREADS / WARP)
#define PIXELS (TILE_SIZE * TILE_SIZE / THREADS)
#define ROW_STEP (BLOCK_SIDE / PIXELS)

static_assert(WARPS * BLOCK_SIDE * BLOCK_SIDE == TILE_SIZE * TILE_SIZE, "one 8 x 8 part a warp");

// A Gaussian's affine map (x, y) -> (U, V) in px relative to a tile's corner.
struct alignas(2 * sizeof(real)) LocalAxes {
    real u_x, u_y, u_0, v_x, v_y, v_0;
};

__device__ inline LocalAxes local_axes(const double* means, const double* axes, int i, double corner_x,
                                       double corner_y) {
    const double dx = corner_x - means[2LL * i], dy = corner_y - means[2LL * i + 1];
    const double* a = axes + 4LL * i;
    return {(real)a[0], (real)a[1], (real)fma(a[0], dx, a[1] * dy),
            (real)a[2], (real)a[3], (real)fma(a[2], dx, a[3] * dy)};
}

struct Mapped {
    real u, v;
    __device__ real q() const { return multiply_add(u, u, v * v); }
};

__device__ inline Mapped map_point(const LocalAxes& a, real x, real y) {
    return {multiply_add(a.u_x, x, multiply_add(a.u_y, y, a.u_0)),
            multiply_add(a.v_x, x, multiply_add(a.v_y, y, a.v_0))};
}

// The K smallest distances seen, ascending.
struct Kept {
    real q[TOP_K];

    __device__ void clear() {
#pragma unroll
        for (int k = 0; k < TOP_K; ++k) q[k] = real_max();
    }
    __device__ void insert(real x) {
#pragma unroll
        for (int k = 0; k < TOP_K; ++k) {
            const real low = smaller(q[k], x);
            x = larger(q[k], x);
            q[k] = low;
        }
    }
};

// Which candidates a point blends, walking its list in order: those below `threshold`, then the first `room` equal to it.
struct Choice {
    real nearest, threshold;
    int room;

    __device__ static Choice of(const Kept& kept) {
        Choice c = {kept.q[0], kept.q[TOP_K - 1], 0};
#pragma unroll
        for (int k = 0; k < TOP_K; ++k) c.room += kept.q[k] == c.threshold ? 1 : 0;
        return c;
    }
    // A list that K covers.
    __device__ static Choice all(real nearest) { return {nearest, real_max(), 0}; }

    __device__ bool takes(real q) {
        if (q != threshold) return q < threshold;
        return room-- > 0;
    }
    __device__ real weight(real q) const { return power_of_two(nearest - q); }
};

// The tile's list and where it is staged.
struct TileList {
    const int* indices;  // of this tile
    int length;
    double corner_x, corner_y;
    const double* means;
    const double* axes;
    const float* features;
    int feature_stride, n_channels;
    LocalAxes* staged_axes;  // shared (BATCH,)
    real* staged_features;   // shared (BATCH, PASS)
    int staged_first, staged_channel;

    // Makes entries first .. first + BATCH of the list and PASS channels from `channel` ready in shared memory. All
    // threads of the block call it with the same arguments.
    __device__ int stage(int first, int channel) {
        const int n = length - first < BATCH ? length - first : BATCH;
        if (first != staged_first || channel != staged_channel) {
            __syncthreads();  // nobody still reads what is replaced
            for (int j = threadIdx.x; j < n; j += THREADS) {
                const int i = indices[first + j];
                if (first != staged_first) staged_axes[j] = local_axes(means, axes, i, corner_x, corner_y);
                const float* feature = features + (long long)i * feature_stride + channel;
#pragma unroll
                for (int c = 0; c < PASS; ++c)
                    staged_features[j * PASS + c] = channel + c < n_channels ? (real)feature[c] : real(0);
            }
            staged_first = first;
            staged_channel = channel;
            __syncthreads();
        }
        return n;
    }
};

// A thread's points, in px relative to the tile's corner.
struct Points {
    real x[PIXELS], y[PIXELS];
};

__device__ inline int point_column() {
    return threadIdx.x / WARP % (TILE_SIZE / BLOCK_SIDE) * BLOCK_SIDE + threadIdx.x % BLOCK_SIDE;
}

__device__ inline int point_row(int p) {
    return threadIdx.x / WARP / (TILE_SIZE / BLOCK_SIDE) * BLOCK_SIDE + threadIdx.x % WARP / BLOCK_SIDE + p * ROW_STEP;
}

__device__ inline void select(TileList& list, const Points& at, Choice (&choice)[PIXELS]) {
    if (list.length <= TOP_K) {
        real nearest[PIXELS];
#pragma unroll
        for (int p = 0; p < PIXELS; ++p) nearest[p] = real_max();
        const int n = list.stage(0, 0);
        for (int j = 0; j < n; ++j) {
            const LocalAxes a = list.staged_axes[j];
#pragma unroll
            for (int p = 0; p < PIXELS; ++p) nearest[p] = smaller(nearest[p], map_point(a, at.x[p], at.y[p]).q());
        }
#pragma unroll
        for (int p = 0; p < PIXELS; ++p) choice[p] = Choice::all(nearest[p]);
        return;
    }
    Kept kept[PIXELS];
#pragma unroll
    for (int p = 0; p < PIXELS; ++p) kept[p].clear();
    for (int first = 0; first < list.length; first += BATCH) {
        const int n = list.stage(first, 0);
        for (int j = 0; j < n; ++j) {
            const LocalAxes a = list.staged_axes[j];
#pragma unroll
            for (int p = 0; p < PIXELS; ++p) {
                const real q = map_point(a, at.x[p], at.y[p]).q();
                if (__any_sync(FULL_MASK, q < kept[p].q[TOP_K - 1])) kept[p].insert(q);
            }
        }
    }
#pragma unroll
    for (int p = 0; p < PIXELS; ++p) choice[p] = Choice::of(kept[p]);
}

// Blended values of PASS channels from `channel` on, and 1 / sum of the weights.
__device__ inline void blend(TileList& list, const Points& at, const Choice (&choice)[PIXELS], int channel,
                             real (&values)[PIXELS][PASS], real (&inverse_total)[PIXELS]) {
    Choice left[PIXELS];
    real total[PIXELS];
#pragma unroll
    for (int p = 0; p < PIXELS; ++p) {
        left[p] = choice[p];
        total[p] = 0;
#pragma unroll
        for (int c = 0; c < PASS; ++c) values[p][c] = 0;
    }
    for (int first = 0; first < list.length; first += BATCH) {
        const int n = list.stage(first, channel);
        for (int j = 0; j < n; ++j) {
            const LocalAxes a = list.staged_axes[j];
#pragma unroll
            for (int p = 0; p < PIXELS; ++p) {
                const real q = map_point(a, at.x[p], at.y[p]).q();
                if (!left[p].takes(q)) continue;
                const real w = left[p].weight(q);
                total[p] += w;
#pragma unroll
                for (int c = 0; c < PASS; ++c)
                    values[p][c] = multiply_add(w, list.staged_features[j * PASS + c], values[p][c]);
            }
        }
    }
#pragma unroll
    for (int p = 0; p < PIXELS; ++p) {
        inverse_total[p] = real(1) / total[p];
#pragma unroll
        for (int c = 0; c < PASS; ++c) values[p][c] *= inverse_total[p];
    }
}

// The values of an empty tile.
__device__ inline void fill(const float* background, int n_channels, int channel, real (&values)[PIXELS][PASS]) {
#pragma unroll
    for (int p = 0; p < PIXELS; ++p)
#pragma unroll
        for (int c = 0; c < PASS; ++c)
            values[p][c] = channel + c < n_channels ? (real)background[channel + c] : real(0);
}
