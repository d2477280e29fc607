// What a fit asks between steps of the Gaussians it has (CPU: fit/upkeep.py, native/render/coverage.cpp).
//
//   removal_planes   thread a pixel    what the weights of Gaussians are summed with to tell what each one carries
//   owned_reach      warp a tile       for each pair of a tile and a Gaussian that is the nearest of one of the tile's
//                                      points: where the tile begins for it
//   widen_rows       warp a Gaussian   the farthest of those, and by how much it has to widen to keep that tile
//   limit_elongation thread a Gaussian what is too elongated for its place gets rounder
//   put_rows         thread a value    parameters and units of some Gaussians become others
//   take_rows        thread a value    parameters of some Gaussians, one after the other
//
// Buffers (P pairs of wide lists, N Gaussians of D columns):
//   image (C, H, W), importance (W, H, W) f32 with W = 1 or C, or null for ones
//   planes (W + C + 1, H, W) f32     weights, weighted picture, weighted sum of its squares
//   offsets, indices, slots, starts  as tile_bin.cu makes them, with a support that reaches farther than that of
//                                    blending
//   reach (P, 2) f32                 U^2 and V^2, 0 where a Gaussian is nearest to none of the tile's points
//   rows (N, D) f32                  two logarithms of inverse scales in columns 2 and 3
//
// Nothing here depends on the order of threads: every pair has a place of its own, and ties go to what comes first.

constexpr int kSide = 4, kPoints = kSide * kSide;  // of a tile: pixels 0, 5, 10 and 15 both ways
constexpr float kFar = 3.402823466e38f;

extern "C" __global__ void __launch_bounds__(UPKEEP_THREADS)
    removal_planes(const float* image, const float* importance, int n_channels, int n_weights, long long n_pixels,
                   float* planes) {
    const long long pixel = blockIdx.x * (long long)UPKEEP_THREADS + threadIdx.x;
    if (pixel >= n_pixels) return;
    float squares = 0;
    for (int c = 0; c < n_channels; ++c) {
        const int w = n_weights == 1 ? 0 : c;
        const float weight = importance ? importance[w * n_pixels + pixel] : 1.0f;
        const float value = image[c * n_pixels + pixel];
        if (c < n_weights) planes[c * n_pixels + pixel] = weight;
        planes[(n_weights + c) * n_pixels + pixel] = weight * value;
        squares = multiply_add(weight * value, value, squares);
    }
    planes[(n_weights + n_channels) * n_pixels + pixel] = squares;
}

// A Gaussian's affine map (x, y) -> (U, V) in px from a tile's corner.
struct Map {
    float u_x, u_y, u_0, v_x, v_y, v_0;

    __device__ static Map of(const double* means, const double* axes, int i, double corner_x, double corner_y) {
        const double dx = corner_x - means[2LL * i], dy = corner_y - means[2LL * i + 1];
        const double* a = axes + 4LL * i;
        constexpr double k = 1.0 / AXIS_SCALE;
        return {(float)(k * a[0]), (float)(k * a[1]), (float)(k * fma(a[0], dx, a[1] * dy)),
                (float)(k * a[2]), (float)(k * a[3]), (float)(k * fma(a[2], dx, a[3] * dy))};
    }
    __device__ float u(float x, float y) const { return multiply_add(u_x, x, multiply_add(u_y, y, u_0)); }
    __device__ float v(float x, float y) const { return multiply_add(v_x, x, multiply_add(v_y, y, v_0)); }
};

// Point p of 16 along one axis of a tile that begins at `corner`; beyond the picture's edge, the last pixel inside.
__device__ inline float place(int p, int corner, int size) {
    const int pixel = corner + 5 * p < size ? corner + 5 * p : size - 1;
    return (float)(pixel - corner) + 0.5f;
}

extern "C" __global__ void __launch_bounds__(UPKEEP_THREADS)
    owned_reach(int n_tiles, int tile_columns, int height, int width, const int* offsets, const int* indices,
                const double* means, const double* axes, float* reach) {
    const int tile = blockIdx.x * (UPKEEP_THREADS / WARP) + threadIdx.x / WARP, lane = threadIdx.x % WARP;
    if (tile >= n_tiles) return;  // all of a warp
    const int first = offsets[tile], n = offsets[tile + 1] - first;
    const int left = tile % tile_columns * TILE_SIZE, top = tile / tile_columns * TILE_SIZE;
    // Half of the warp takes every other entry of the list for the 16 points, the other half the rest.
    const int point = lane % kPoints;
    const float x = place(point % kSide, left, width), y = place(point / kSide, top, height);
    float least = kFar;
    int owner = -1;
    for (int k = lane / kPoints; k < n; k += WARP / kPoints) {
        const Map map = Map::of(means, axes, indices[first + k], left, top);
        const float u = map.u(x, y), v = map.v(x, y), q = multiply_add(u, u, v * v);
        if (q < least) {
            least = q;
            owner = k;
        }
    }
    const float least_there = __shfl_xor_sync(FULL_MASK, least, kPoints);
    const int owner_there = __shfl_xor_sync(FULL_MASK, owner, kPoints);
    const bool earlier = least_there == least && owner_there < owner;
    if (owner_there >= 0 && (owner < 0 || least_there < least || earlier)) owner = owner_there;
    // Of several points with one owner, the first writes.
    bool leads = lane < kPoints && owner >= 0;
    for (int other = 0; other < kPoints; ++other) {
        const int same = __shfl_sync(FULL_MASK, owner, other);
        leads = leads && (other >= lane || same != owner);
    }
    if (!leads) return;
    const Map map = Map::of(means, axes, indices[first + owner], left, top);
    float nearest = kFar, u2 = 0, v2 = 0;
    for (int p = 0; p < kPoints; ++p) {
        const float px = place(p % kSide, left, width), py = place(p / kSide, top, height);
        const float u = map.u(px, py), v = map.v(px, py);
        if (u * u + v * v >= nearest) continue;
        nearest = u * u + v * v;
        u2 = u * u;
        v2 = v * v;
    }
    reach[2LL * (first + owner)] = u2;
    reach[2LL * (first + owner) + 1] = v2;
}

extern "C" __global__ void __launch_bounds__(UPKEEP_THREADS)
    widen_rows(int n_gaussians, int n_columns, const int* starts, const int* slots, const float* reach, double kept_q,
               double most, float* rows) {
    const int i = blockIdx.x * (UPKEEP_THREADS / WARP) + threadIdx.x / WARP, lane = threadIdx.x % WARP;
    if (i >= n_gaussians) return;  // all of a warp
    float u2 = 0, v2 = 0;
    int from = 0x7fffffff;  // the pair it comes from
    for (int pair = starts[i] + lane; pair < starts[i + 1]; pair += WARP) {
        const float* there = reach + 2LL * slots[pair];
        if (there[0] + there[1] <= u2 + v2) continue;
        u2 = there[0];
        v2 = there[1];
        from = pair;
    }
    for (int mask = WARP / 2; mask > 0; mask >>= 1) {
        const float u2_there = __shfl_xor_sync(FULL_MASK, u2, mask), v2_there = __shfl_xor_sync(FULL_MASK, v2, mask);
        const int from_there = __shfl_xor_sync(FULL_MASK, from, mask);
        const float here = u2 + v2, there = u2_there + v2_there;
        if (there > here || (there == here && from_there < from)) {
            u2 = u2_there;
            v2 = v2_there;
            from = from_there;
        }
    }
    if (lane >= 2) return;
    const double a = u2, b = v2, excess = a + b - kept_q;
    if (!(excess > 0)) return;
    const double steepness = 2 * (a * a + b * b);
    const double move = excess / (steepness > 1e-12 ? steepness : 1e-12) * (lane == 0 ? a : b);
    rows[(long long)i * n_columns + 2 + lane] -= (float)(move < most ? move : most);
}

// fit/elongation.py, `limited`: limits (n_rows, n_cells) f32 of square cells.
extern "C" __global__ void __launch_bounds__(UPKEEP_THREADS)
    limit_elongation(int n, int n_columns, int n_rows, int n_cells, int cell, const float* limits, float* rows) {
    const int i = blockIdx.x * UPKEEP_THREADS + threadIdx.x;
    if (i >= n) return;
    float* row = rows + (long long)i * n_columns;
    const float x = row[0] / (float)cell, y = row[1] / (float)cell;
    const int column = x<0 ? 0 : x>(float)(n_cells - 1) ? n_cells - 1 : (int)x;
    const int line = y<0 ? 0 : y>(float)(n_rows - 1) ? n_rows - 1 : (int)y;
    const float most = limits[(long long)line * n_cells + column], ratio = row[2] - row[3];
    if (!(fabsf(ratio) > most)) return;
    const float middle = 0.5f * (row[2] + row[3]), half = ratio > 0 ? 0.5f * most : -0.5f * most;
    row[2] = middle + half;
    row[3] = middle - half;
}

// Row where[i] of `rows` and `units` becomes row i of the new ones; the moments and steps of those are cleared if any
// are given. No index comes twice.
extern "C" __global__ void __launch_bounds__(UPKEEP_THREADS)
    put_rows(int n, int n_columns, const long long* where, const float* new_rows, const float* new_units, float* rows,
             float* units, float* mean, float* square, int* row_steps) {
    const long long k = blockIdx.x * (long long)UPKEEP_THREADS + threadIdx.x;
    if (k >= (long long)n * n_columns) return;
    const long long row = where[k / n_columns], at = row * n_columns + k % n_columns;
    rows[at] = new_rows[k];
    units[at] = new_units[k];
    if (!mean) return;
    mean[at] = 0;
    square[at] = 0;
    if (k % n_columns == 0) row_steps[row] = 0;
}

extern "C" __global__ void __launch_bounds__(UPKEEP_THREADS)
    take_rows(int n, int n_columns, const long long* where, const float* rows, float* taken) {
    const long long k = blockIdx.x * (long long)UPKEEP_THREADS + threadIdx.x;
    if (k < (long long)n * n_columns) taken[k] = rows[where[k / n_columns] * n_columns + k % n_columns];
}
