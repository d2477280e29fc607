// Blending at the points of one tile, shared by the forward and the backward kernel (spec/igs.md, section 3.5).
//
// A block of THREADS threads works on a 16 x 16 lattice of points, PIXELS neighbours of a row a thread: each warp has
// an 8 x 8 part, so that its points are near to the same Gaussians. The tile's list goes through shared memory in
// batches of BATCH; a list that fits is loaded once.
//   shorten     what of the list may be among the K nearest of some point of the warp. sqrt(q) has a least and a
//               greatest value over the box around the points; whoever's least is above the K-th smallest of the
//               greatest is out. Lanes are Gaussians. The CPU engine does the same (native/render/isa/shortlists.h)
//   select      the K-th smallest q of each point and the least: blocks of K values, sorted by a network (Batcher) and
//               merged with the K smallest so far, of which only the last merge need not leave an order
//   blend       weights 2^(q_min - q) of those within the K-th value, 0 for the others, without a branch. Where some
//               point of the warp found more than K within it, distances are equal, and the walk is repeated by the
//               rule that the lower indices are taken
// Values of a point do not depend on the other points of its warp: what the shortlist leaves out adds exact zeros.
// q is in units in which exp(-q / 2) = 2^-q; the axes carry the factor. Channels go in passes of PASS.

#define BLOCK_SIDE 8
#define WARPS (THREADS / WARP)
#define PIXELS (TILE_SIZE * TILE_SIZE / THREADS)
#define ROW_LANES (BLOCK_SIDE / PIXELS)
// Blocks that a multiprocessor should hold. Registers are rationed for six where that keeps spills out of the loops; a
// greater K, or double precision, takes what it needs.
#define BLOCKS (TOP_K * sizeof(real) <= 40 ? 6 : 2)

static_assert(WARPS * BLOCK_SIDE * BLOCK_SIDE == TILE_SIZE * TILE_SIZE, "one 8 x 8 part a warp");

// A Gaussian's affine map (x, y) -> (U, V) in px relative to a tile's corner.
struct alignas(2 * sizeof(real)) LocalAxes {
    real u_x, u_y, u_0, v_x, v_y, v_0;
};

// Of a Gaussian that is infinitely far from every point.
__device__ inline LocalAxes out_of_reach() { return {0, 0, real_max(), 0, 0, 0}; }

__device__ inline LocalAxes local_axes(const double* means, const double* axes, int i, double corner_x,
                                       double corner_y) {
    const double dx = corner_x - means[2LL * i], dy = corner_y - means[2LL * i + 1];
    const double* a = axes + 4LL * i;
    const LocalAxes made = {(real)a[0], (real)a[1], (real)fma(a[0], dx, a[1] * dy),
                            (real)a[2], (real)a[3], (real)fma(a[2], dx, a[3] * dy)};
    const real size = magnitude(made.u_x) + magnitude(made.u_y) + magnitude(made.u_0) + magnitude(made.v_x) +
                      magnitude(made.v_y) + magnitude(made.v_0);
    return size <= real(1e-3) * real_max() ? made : out_of_reach();  // no U, V or q is NaN
}

struct Mapped {
    real u, v;
    __device__ real q() const { return multiply_add(u, u, v * v); }
};

__device__ inline Mapped map_point(const LocalAxes& a, real x, real y) {
    return {multiply_add(a.u_x, x, multiply_add(a.u_y, y, a.u_0)),
            multiply_add(a.v_x, x, multiply_add(a.v_y, y, a.v_0))};
}

// Exchanges of entries `distance` apart, those whose place agrees with `bit`.
template <int N>
__device__ inline void exchange(real (&v)[N], int bit, int at, int distance) {
#pragma unroll
    for (int i = 0; i < N; ++i) {
        if (i + distance >= N || (i & bit) != at) continue;
        const real low = smaller(v[i], v[i + distance]);
        v[i + distance] = larger(v[i], v[i + distance]);
        v[i] = low;
    }
}

// Sorts ascending by Batcher's merge exchange, a network for any length (Knuth, TAOCP vol. 3, 5.2.2, Algorithm M).
template <int N>
__device__ inline void sort_network(real (&v)[N]) {
    constexpr int half = next_power_of_two(N) / 2;
#pragma unroll
    for (int bit = half; bit > 0; bit >>= 1) {
        exchange(v, bit, 0, bit);
#pragma unroll
        for (int q = half; q > bit; q >>= 1) exchange(v, bit, bit, q - bit);
    }
}

// Which candidates a point blends: those within `threshold`, or of several that equal it the first `room`.
struct Choice {
    real nearest, threshold;

    __device__ bool takes(real q) const { return q <= threshold; }
    __device__ bool takes(real q, int& room) const { return q < threshold || (q == threshold && room-- > 0); }
    __device__ real weight(real q) const { return power_of_two(nearest - q); }
};

// A Gaussian of the list as shared memory holds it: whole vectors, so that few loads fetch it.
struct alignas(16) Member {
    LocalAxes axes;
    real features[PASS];
};

// A thread's points, in px relative to the tile's corner: neighbours of one row.
struct Points {
    real x[PIXELS], y;
};

// Where the warp's part begins.
__device__ inline int block_column() { return threadIdx.x / WARP % (TILE_SIZE / BLOCK_SIDE) * BLOCK_SIDE; }
__device__ inline int block_row() { return threadIdx.x / WARP / (TILE_SIZE / BLOCK_SIDE) * BLOCK_SIDE; }

__device__ inline int point_column(int p) { return block_column() + threadIdx.x % ROW_LANES * PIXELS + p; }
__device__ inline int point_row() { return block_row() + threadIdx.x % WARP / ROW_LANES; }

// What a warp's points lie in.
struct Box {
    real x, y, half_x, half_y, far_x, far_y;

    // Columns and rows ascend over a warp.
    __device__ static Box around(const Points& at) {
        const real left = __shfl_sync(FULL_MASK, at.x[0], 0),
                   right = __shfl_sync(FULL_MASK, at.x[PIXELS - 1], WARP - 1);
        const real top = __shfl_sync(FULL_MASK, at.y, 0), bottom = __shfl_sync(FULL_MASK, at.y, WARP - 1);
        return {real(0.5) * (left + right),
                real(0.5) * (top + bottom),
                real(0.5) * (right - left),
                real(0.5) * (bottom - top),
                larger(magnitude(left), magnitude(right)),
                larger(magnitude(top), magnitude(bottom))};
    }
};

// Bounds of sqrt(q) over a box; NaN where there is none.
struct Bounds {
    real least, greatest;

    // (U, V) of the box is a parallelogram with centre c and half sides a, b: its corners have the greatest distance
    // from the origin, and no point is nearer than c less what a and b reach along c.
    __device__ static Bounds of(const LocalAxes& g, const Box& box) {
        const Mapped c = map_point(g, box.x, box.y);
        const Mapped a = {g.u_x * box.half_x, g.v_x * box.half_x}, b = {g.u_y * box.half_y, g.v_y * box.half_y};
        const real ac = multiply_add(a.u, c.u, a.v * c.v), bc = multiply_add(b.u, c.u, b.v * c.v);
        const real ab = multiply_add(a.u, b.u, a.v * b.v), cc = c.q();
        const real corner = larger(magnitude(ac + bc) + ab, magnitude(ac - bc) - ab);
        const real furthest = multiply_add(real(2), corner, cc + a.q() + b.q());
        // What rounding may do to U and V, here and where the points' own are computed: about 64 units in the last
        // place of float, far more in double.
        const real sum = multiply_add(
            box.far_x, magnitude(g.u_x) + magnitude(g.v_x),
            multiply_add(box.far_y, magnitude(g.u_y) + magnitude(g.v_y), magnitude(g.u_0) + magnitude(g.v_0)));
        const real slack = multiply_add(sum, real(4e-6), real(1e-18));
        return {multiply_add(cc - magnitude(ac) - magnitude(bc), inverse_root(cc), -slack),
                multiply_add(furthest, inverse_root(furthest), slack)};
    }
};

// The tile's list, where it is staged, and what of the staged batch concerns this warp.
struct TileList {
    const int* indices;  // of this tile
    int length;
    int tile_x, tile_y;
    const double* means;
    const double* axes;
    const float* features;
    int feature_stride, n_channels;
    Member* staged;          // shared (BATCH + 1,); the last is out of reach
    unsigned char* members;  // shared (BATCH + TOP_K,), this warp's: places in the batch, ascending
    int staged_first, staged_channel, shortened_first, n_members;
    real limit;

    // Makes entries first .. first + BATCH of the list and PASS channels from `channel` ready in shared memory. All
    // threads of the block call it with the same arguments.
    __device__ int stage(int first, int channel) {
        const int n = length - first < BATCH ? length - first : BATCH;
        if (first != staged_first || channel != staged_channel) {
            __syncthreads();  // all reads of the old values are complete
            if (const int j = threadIdx.x; j < n) {
                const int i = indices[first + j];
                if (first != staged_first)
                    staged[j].axes = local_axes(means, axes, i, tile_x * TILE_SIZE, tile_y * TILE_SIZE);
                const float* feature = features + (long long)i * feature_stride + channel;
#pragma unroll
                for (int c = 0; c < PASS; ++c)
                    staged[j].features[c] = channel + c < n_channels ? (real)feature[c] : real(0);
            }
            if (threadIdx.x == 0 && staged_first < 0) staged[BATCH].axes = out_of_reach();
            staged_first = first;
            staged_channel = channel;
            __syncthreads();
        }
        return n;
    }

    // Whether a shortlist saves more than it costs.
    __device__ bool is_long() const { return length > TOP_K + TOP_K / 2; }

    // For new points: the value that sqrt(q) of no Gaussian that counts exceeds everywhere in the box. The smallest of
    // each lane's are enough: leaving some out makes the K-th smallest no smaller.
    __device__ void bound(const Box& box) {
        const int lane = threadIdx.x % WARP;
        shortened_first = -1;
        limit = real_max();
        if (!is_long()) return;
        for (int first = 0; first < length; first += BATCH) {
            const int n = stage(first, 0);
            for (int j = lane; j < n; j += WARP) limit = smaller(limit, Bounds::of(staged[j].axes, box).greatest);
        }
        limit = __shfl_sync(FULL_MASK, warp_sort(limit, lane), TOP_K - 1);
    }

    // As `bound`, where thresholds of the new points are known: no q above the greatest of them counts. `of_lane` is
    // that of this lane's points. What rounding does to the root is small beside the slack in Bounds.
    __device__ void bound(real of_lane) {
        shortened_first = -1;
        limit = root(warp_largest(of_lane));
    }

    // Stages a batch as above and makes its shortlist: n_members places, then TOP_K that are out of reach.
    __device__ void open(const Box& box, int first, int channel) {
        const int n = stage(first, channel), lane = threadIdx.x % WARP;
        if (first == shortened_first) return;
        __syncwarp();  // all reads of the old values are complete
        n_members = 0;
        for (int base = 0; base < n; base += WARP) {
            const int j = base + lane;
            const bool counts = j < n && !(is_long() && Bounds::of(staged[j].axes, box).least > limit);
            const unsigned those = __ballot_sync(FULL_MASK, counts);
            if (counts) members[n_members + __popc(those & ((1u << lane) - 1))] = (unsigned char)j;
            n_members += __popc(those);
        }
        if (lane < TOP_K) members[n_members + lane] = BATCH;
        shortened_first = first;
        __syncwarp();
    }
};

static_assert(BATCH <= 255, "a place in a batch is a byte");
static_assert(BATCH <= THREADS, "a thread stages one");
static_assert(TOP_K <= WARP, "as many as a warp sorts");

// The K-th smallest and the least of a list's q at each point.
__device__ inline void select(TileList& list, const Box& box, const Points& at, Choice (&choice)[PIXELS]) {
    real kept[PIXELS][TOP_K];
#pragma unroll
    for (int p = 0; p < PIXELS; ++p) choice[p] = {real_max(), real_max()};
    int n_blocks = 0;
    for (int first = 0; first < list.length; first += BATCH) {
        list.open(box, first, 0);
        for (int k = 0; k < list.n_members; k += TOP_K, ++n_blocks) {
            real block[PIXELS][TOP_K];
#pragma unroll
            for (int i = 0; i < TOP_K; ++i) {
                const LocalAxes a = list.staged[list.members[k + i]].axes;
#pragma unroll
                for (int p = 0; p < PIXELS; ++p) block[p][i] = map_point(a, at.x[p], at.y).q();
            }
#pragma unroll
            for (int p = 0; p < PIXELS; ++p) {
                if (list.length > TOP_K) {
                    sort_network(block[p]);
                    choice[p].nearest = smaller(choice[p].nearest, block[p][0]);
                    if (n_blocks == 0) {
#pragma unroll
                        for (int i = 0; i < TOP_K; ++i) kept[p][i] = block[p][i];
                    } else {
                        if (n_blocks > 1) sort_network(kept[p]);
#pragma unroll
                        for (int i = 0; i < TOP_K; ++i) kept[p][i] = smaller(kept[p][i], block[p][TOP_K - 1 - i]);
                    }
                } else {
#pragma unroll
                    for (int i = 0; i < TOP_K; ++i) choice[p].nearest = smaller(choice[p].nearest, block[p][i]);
                }
            }
        }
    }
    if (list.length <= TOP_K) return;
#pragma unroll
    for (int p = 0; p < PIXELS; ++p) {
        real largest = kept[p][0];
#pragma unroll
        for (int i = 1; i < TOP_K; ++i) largest = larger(largest, kept[p][i]);
        choice[p].threshold = smaller(largest, real_max());
    }
}

// How many of the candidates that equal the threshold are taken.
__device__ inline void count_room(TileList& list, const Box& box, const Points& at, const Choice (&choice)[PIXELS],
                                  int channel, int (&room)[PIXELS]) {
#pragma unroll
    for (int p = 0; p < PIXELS; ++p) room[p] = TOP_K;
    for (int first = 0; first < list.length; first += BATCH) {
        list.open(box, first, channel);
        for (int k = 0; k < list.n_members; ++k) {
            const LocalAxes a = list.staged[list.members[k]].axes;
#pragma unroll
            for (int p = 0; p < PIXELS; ++p) room[p] -= map_point(a, at.x[p], at.y).q() < choice[p].threshold;
        }
    }
}

// Whether a warp says yes; all threads of the block come here.
__device__ inline bool block_any(bool warp_says) {
    __shared__ bool votes[WARPS];
    if (threadIdx.x % WARP == 0) votes[threadIdx.x / WARP] = warp_says;
    __syncthreads();
    bool any = false;
#pragma unroll
    for (int w = 0; w < WARPS; ++w) any = any || votes[w];
    __syncthreads();
    return any;
}

// Sums of weights, and of weighted features. With TIES not more than `room` of those that equal the threshold; returns
// whether a point of the warp, or with a list of several batches of the block, took more than K.
template <bool TIES>
__device__ inline bool add_up(TileList& list, const Box& box, const Points& at, const Choice (&choice)[PIXELS],
                              int channel, int (&room)[PIXELS], real (&values)[PIXELS][PASS], real (&total)[PIXELS]) {
    int taken[PIXELS];
#pragma unroll
    for (int p = 0; p < PIXELS; ++p) {
        taken[p] = 0;
        total[p] = 0;
#pragma unroll
        for (int c = 0; c < PASS; ++c) values[p][c] = 0;
    }
    for (int first = 0; first < list.length; first += BATCH) {
        list.open(box, first, channel);
#pragma unroll 2
        for (int k = 0; k < list.n_members; ++k) {
            const Member m = list.staged[list.members[k]];
#pragma unroll
            for (int p = 0; p < PIXELS; ++p) {
                const real q = map_point(m.axes, at.x[p], at.y).q();
                const bool take = TIES ? choice[p].takes(q, room[p]) : choice[p].takes(q);
                taken[p] += take;
                const real w = take ? choice[p].weight(q) : real(0);
                total[p] += w;
#pragma unroll
                for (int c = 0; c < PASS; ++c) values[p][c] = multiply_add(w, m.features[c], values[p][c]);
            }
        }
    }
    bool more = false;
#pragma unroll
    for (int p = 0; p < PIXELS; ++p) more = more || taken[p] > TOP_K;
    // Where batches are loaded anew, all warps must walk the list again together.
    more = __any_sync(FULL_MASK, more);
    return list.length > BATCH ? block_any(more) : more;
}

// Blended values of PASS channels from `channel` on, and 1 / sum of the weights. Returns whether some of the Gaussians
// that equal a threshold had to be left out.
__device__ inline bool blend(TileList& list, const Box& box, const Points& at, const Choice (&choice)[PIXELS],
                             int channel, real (&values)[PIXELS][PASS], real (&inverse_total)[PIXELS]) {
    real total[PIXELS];
    int room[PIXELS];
    const bool ties = add_up<false>(list, box, at, choice, channel, room, values, total);
    if (ties) {
        count_room(list, box, at, choice, channel, room);
        add_up<true>(list, box, at, choice, channel, room, values, total);
    }
#pragma unroll
    for (int p = 0; p < PIXELS; ++p) {
        inverse_total[p] = real(1) / total[p];
#pragma unroll
        for (int c = 0; c < PASS; ++c) values[p][c] *= inverse_total[p];
    }
    return ties;
}

// The values of an empty tile.
__device__ inline void fill(const float* background, int n_channels, int channel, real (&values)[PIXELS][PASS]) {
#pragma unroll
    for (int p = 0; p < PIXELS; ++p)
#pragma unroll
        for (int c = 0; c < PASS; ++c)
            values[p][c] = channel + c < n_channels ? (real)background[channel + c] : real(0);
}

// What a tile's threads leave for a later look at the same points: choices real (T, 3, TILE_SIZE^2), of each tile the
// nearest, the thresholds, and 1 / sum of the weights, negative where `blend` had to leave equals out; in the order of
// threads, PIXELS each. A point outside of the picture has a threshold that nothing is within.
struct alignas(PIXELS * sizeof(real)) Neighbours {
    real value[PIXELS];
};

__device__ inline Neighbours* place_of_choices(real* choices, int tile) {
    return reinterpret_cast<Neighbours*>(choices) + (long long)3 * THREADS * tile + threadIdx.x;
}

__device__ inline void leave_choices(real* choices, int tile, const Choice (&choice)[PIXELS],
                                     const real (&inverse_total)[PIXELS], bool ties, const bool (&inside)[PIXELS]) {
    Neighbours nearest, threshold, inverse;
#pragma unroll
    for (int p = 0; p < PIXELS; ++p) {
        nearest.value[p] = choice[p].nearest;
        threshold.value[p] = inside[p] ? choice[p].threshold : real(-1);
        inverse.value[p] = ties ? -inverse_total[p] : inverse_total[p];
    }
    Neighbours* to = place_of_choices(choices, tile);
    to[0] = nearest;
    to[THREADS] = threshold;
    to[2 * THREADS] = inverse;
}

// Returns what `blend` returned.
__device__ inline bool take_choices(const real* choices, int tile, Choice (&choice)[PIXELS],
                                    real (&inverse_total)[PIXELS]) {
    const Neighbours* from = place_of_choices(const_cast<real*>(choices), tile);
    const Neighbours nearest = from[0], threshold = from[THREADS], inverse = from[2 * THREADS];
    bool ties = false;
#pragma unroll
    for (int p = 0; p < PIXELS; ++p) {
        choice[p] = {nearest.value[p], threshold.value[p]};
        inverse_total[p] = magnitude(inverse.value[p]);
        ties = ties || inverse.value[p] < 0;
    }
    return __any_sync(FULL_MASK, ties);
}
