// Gradients (oracle: render/reference.py, backward; CPU: native/render/isa/accumulate.h and gradients.cpp).
//
//   backward_tiles     block a tile        blends the tile's pixels again, takes the gradient to them (given, or that
//                                          of the L1 and L2 loss to a target, or both), and sums for every Gaussian of
//                                          the list the moments that its gradient needs
//   weighted_backward_tiles             the same where pixels count differently: apart, since registers are short
//   means_backward_tiles                the same of a loss with the means of blocks, whether pixels count differently
//                                       or not
//   chosen_backward_tiles               the same from the picture and the choices that blend_tiles left, and a
//                                       gradient:
//                                          nothing is selected or blended again
//   gather_gradients   warp a Gaussian     its moments over all tiles, in the order of its pairs; then parameters
//
// With w_i the normalised weight, h_i = w_i (sum_c g_c f_ic - sum_c g_c v_c) is -2 dL/dq_i, and the chain to mean,
// scales and rotation needs only the sums of h U, h V, h U^2, h U V, h V^2: no pixel touches a parameter. h is linear
// in the channels, so passes over channels add up.
//
// A warp sums over its 64 pixels for CHUNK Gaussians at a time. First lanes are pixels: weights go to shared memory,
// for Gaussians that some pixel blends. Then GROUPS lanes are one Gaussian, each with every GROUPS-th pixel, and sums
// grow in registers; they meet in a few exchanges a chunk, not a Gaussian. Sums over warps go through shared memory.
// Each order is fixed: no atomics, the same bytes every time.
//
// Buffers as in raster_forward.cu, and: grad_image, target, picture f32 at row * row_stride + column * pixel_stride +
// channel * channel_stride, either of the first two may be null; weight (1 or C, H, W) f32, what each sample's loss
// counts, or null, whose planes are weight_stride apart, 0 where there is one for all channels; loss_partials (T,
// POINTWISE_TERMS) f32 sums of the terms over the tile, with weights one more, see partial_sums.cuh, or
// null; moments (P, MOMENTS + C) real; starts (N + 1,), slots (P,) i32 from tile_bin.cu; grads (N, MOMENTS + C) real:
// mean x, y (per px), inverse scales, rotation, features.
//
// Floor at 2048 x 2048, 10K Gaussians, C = 3: target and loss 50 MB, moments 16 MB written and read (25 us at 3.35
// TB/s); three walks over the lists plus about 10 blended Gaussians a pixel at 30 operations, about 5 G lane
// operations, 0.2 ms at 28 T/s. From choices: 150 MB of them, picture and gradient (45 us), and one walk.

constexpr int kValues = MOMENTS + PASS;

#define BLOCK_POINTS (BLOCK_SIDE * BLOCK_SIDE)
#define CHUNK (sizeof(real) == 4 ? 8 : 4)
#define GROUPS (WARP / CHUNK)

static_assert(BLOCK_SIDE % GROUPS == 0, "a lane's pixels are in every row, or in every other");

// Sum over the lanes whose pixels lie in the same block of MEAN_SIDE x MEAN_SIDE px.
__device__ inline real block_sum_of_lanes(real value) {
#pragma unroll
    for (int apart = 1; apart < MEAN_SIDE / PIXELS; apart *= 2) value += __shfl_xor_sync(FULL_MASK, value, apart);
#pragma unroll
    for (int apart = 1; apart < MEAN_SIDE; apart *= 2) value += __shfl_xor_sync(FULL_MASK, value, apart * ROW_LANES);
    return value;
}

// The gradient to a pixel's values, and its product with these.
struct alignas(16) Slope {
    real grad[PASS], along;
};

struct Workspace {
    Slope slopes[WARPS][BLOCK_POINTS];
    real weights[WARPS][CHUNK][BLOCK_POINTS + GROUPS];  // lanes of a warp meet 32 banks
    real sums[WARPS][BATCH][kValues];
};

// A lane's share of a Gaussian's moments: of every GROUPS-th pixel of the warp, `group` the first.
__device__ inline void sum_pixels(const Member& m, const Slope* slopes, const real* weights, int group,
                                  real (&sums)[kValues]) {
    const real left = (real)(block_column() + group) + real(0.5), top = (real)block_row() + real(0.5);
#pragma unroll
    for (int s = 0; s < kValues; ++s) sums[s] = 0;
#pragma unroll
    for (int at = 0; at < BLOCK_POINTS; at += GROUPS) {
        const Mapped mapped = map_point(m.axes, left + at % BLOCK_SIDE, top + at / BLOCK_SIDE);
        const Slope slope = slopes[at + group];
        const real w = weights[at + group];
        real h = -slope.along;
#pragma unroll
        for (int c = 0; c < PASS; ++c) {
            h = multiply_add(slope.grad[c], m.features[c], h);
            sums[MOMENTS + c] = multiply_add(w, slope.grad[c], sums[MOMENTS + c]);
        }
        h *= w;
        const real hu = h * mapped.u, hv = h * mapped.v;
        sums[0] += hu;
        sums[1] += hv;
        sums[2] = multiply_add(hu, mapped.u, sums[2]);
        sums[3] = multiply_add(hu, mapped.v, sums[3]);
        sums[4] = multiply_add(hv, mapped.v, sums[4]);
    }
}

// Puts weights into shared memory for the Gaussians of the shortlist from place k on that some pixel of the warp
// blends, until CHUNK are there or none is left. Returns how many, and where in the batch this lane's Gaussian is:
// BATCH if nowhere.
template <bool TIES>
__device__ inline int fill_chunk(const TileList& list, const Points& at, const Choice (&choice)[PIXELS],
                                 const real (&inverse_total)[PIXELS], int (&room)[PIXELS],
                                 real (*weights)[BLOCK_POINTS + GROUPS], int& k, int& mine) {
    const int lane = threadIdx.x % WARP;
    int filled = 0;
    mine = BATCH;
#pragma unroll 1
    for (; k < list.n_members && filled < CHUNK; ++k) {
        const int j = list.members[k];
        const LocalAxes a = list.staged[j].axes;
        Neighbours w;
        bool any = false;
#pragma unroll
        for (int p = 0; p < PIXELS; ++p) {
            const real q = map_point(a, at.x[p], at.y).q();
            const bool taken = TIES ? choice[p].takes(q, room[p]) : choice[p].takes(q);
            w.value[p] = taken ? choice[p].weight(q) * inverse_total[p] : real(0);
            any |= taken;
        }
        if (!__any_sync(FULL_MASK, any)) continue;
        *reinterpret_cast<Neighbours*>(weights[filled] + lane * PIXELS) = w;
        mine = lane / GROUPS == filled ? j : mine;
        ++filled;
    }
    return filled;
}

// Adds a pass of channels to the moments of the tile's pairs; slopes hold the gradient. All threads of the block come
// here, with the same `ties` in a warp, or with a list of several batches in all of them.
__device__ inline void sum_moments(TileList& list, const Box& box, const Points& at, const Choice (&choice)[PIXELS],
                                   const real (&inverse_total)[PIXELS], bool ties, int channel, Workspace& workspace,
                                   real* moments) {
    constexpr int kEach = next_power_of_two(kValues) / GROUPS;
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, group = lane % GROUPS;
    int room[PIXELS];
    if (ties) count_room(list, box, at, choice, channel, room);
    for (int first = 0; first < list.length; first += BATCH) {
        list.open(box, first, channel);
        const int n = list.length - first < BATCH ? list.length - first : BATCH;
#pragma unroll 1
        for (int e = lane; e < n * kValues; e += WARP) (&workspace.sums[warp][0][0])[e] = 0;
        for (int k = 0;;) {
            int mine;
            const int filled =
                ties ? fill_chunk<true>(list, at, choice, inverse_total, room, workspace.weights[warp], k, mine)
                     : fill_chunk<false>(list, at, choice, inverse_total, room, workspace.weights[warp], k, mine);
            if (!filled) break;
            __syncwarp();  // weights are there, and zeros and slopes
            real sums[kValues], share[kEach];
            sum_pixels(list.staged[mine], workspace.slopes[warp], workspace.weights[warp][lane / GROUPS], group, sums);
            group_scatter_sum<GROUPS>(sums, lane, share);
#pragma unroll
            for (int s = 0; s < kEach; ++s)
                if (mine < BATCH && group * kEach + s < kValues)
                    workspace.sums[warp][mine][group * kEach + s] = share[s];
            __syncwarp();  // weights may be replaced
        }
        __syncthreads();
#pragma unroll 1
        for (int e = threadIdx.x; e < n * kValues; e += THREADS) {
            const int j = e / kValues, k = e % kValues;
            real sum = 0;
#pragma unroll
            for (int w = 0; w < WARPS; ++w) sum += workspace.sums[w][j][k];
            real* row = moments + (long long)(first + j) * (MOMENTS + list.n_channels);
            if (k >= MOMENTS) {
                if (channel + k - MOMENTS < list.n_channels) row[channel + k] = sum;
            } else {
                row[k] = channel ? row[k] + sum : sum;
            }
        }
        // Another batch, or the same with other channels, is staged behind a barrier before sums are touched again.
    }
}

// Of each channel of the pass, the mean error of the block of MEAN_SIDE x MEAN_SIDE px around this lane's pixels, times
// the block's mean weight: w e. Returns the lane's share of the term of the loss, the sum of w e^2 over its pixels.
__device__ inline real sum_blocks(int tile_x, int tile_y, int height, int width, const real (&values)[PIXELS][PASS],
                                  int n_channels, const float* target, long long row_stride, long long pixel_stride,
                                  long long channel_stride, const float* weight, long long weight_stride,
                                  real (&slopes)[PASS]) {
    static_assert(MEAN_SIDE % PIXELS == 0 && BLOCK_SIDE % MEAN_SIDE == 0, "a lane's pixels lie in one block");
    const long long row = (long long)tile_y * TILE_SIZE + point_row();
    real n = 0, share = 0;
#pragma unroll
    for (int p = 0; p < PIXELS; ++p)
        n += row < height && (long long)tile_x * TILE_SIZE + point_column(p) < width ? real(1) : real(0);
    const real own = n;
    n = larger(block_sum_of_lanes(n), real(1));
#pragma unroll
    for (int c = 0; c < PASS; ++c) {
        real error = 0, counts = 0;
#pragma unroll
        for (int p = 0; p < PIXELS; ++p) {
            const long long column = (long long)tile_x * TILE_SIZE + point_column(p);
            if (column < width && row < height && c < n_channels) {
                error += values[p][c] - (real)target[row * row_stride + column * pixel_stride + c * channel_stride];
                counts += weight ? (real)weight[c * weight_stride + row * width + column] : real(1);
            }
        }
        const real mean = block_sum_of_lanes(error) / n;
        slopes[c] = mean * (block_sum_of_lanes(counts) / n);
        share = multiply_add(own * slopes[c], mean, share);
    }
    return share;
}

template <bool WEIGHTED, bool MEANS = false>
__device__ inline void backward_tile(const int* offsets, const int* indices, const double* means, const double* axes,
                                     const float* features, int feature_stride, const float* background, int n_channels,
                                     int tile_x0, int tile_y0, int tile_columns, int height, int width,
                                     const float* grad_image, const float* target, long long row_stride,
                                     long long pixel_stride, long long channel_stride,
                                     const gscodec::LossWeights& weights, const float* weight, long long weight_stride,
                                     float* loss_partials, real* moments) {
    constexpr int kSums = POINTWISE_TERMS + WEIGHTED;
    __shared__ Member staged[BATCH + 1];
    __shared__ unsigned char members[WARPS][BATCH + TOP_K];
    __shared__ Workspace workspace;
    __shared__ real warp_losses[WARPS][kSums];
    const int tile = blockIdx.x, tile_x = tile_x0 + tile % tile_columns, tile_y = tile_y0 + tile / tile_columns;
    const int thread = threadIdx.x, warp = thread / WARP, lane = thread % WARP;
    const int pair0 = offsets[tile];
    TileList list = {indices + pair0,
                     offsets[tile + 1] - pair0,
                     tile_x,
                     tile_y,
                     means,
                     axes,
                     features,
                     feature_stride,
                     n_channels,
                     staged,
                     members[warp],
                     -1,
                     -1,
                     -1,
                     0,
                     0};
    Points at;
    at.y = (real)point_row() + real(0.5);
#pragma unroll
    for (int p = 0; p < PIXELS; ++p) at.x[p] = (real)point_column(p) + real(0.5);
    Choice choice[PIXELS];
    const Box box = Box::around(at);
    if (list.length) {
        list.bound(box);
        select(list, box, at, choice);
    }
    Pointwise<real> loss;
    for (int channel = 0; channel < n_channels; channel += PASS) {
        real values[PIXELS][PASS], inverse_total[PIXELS];
        bool ties = false;
        if (list.length)
            ties = blend(list, box, at, choice, channel, values, inverse_total);
        else
            fill(background, n_channels, channel, values);
        Slope* slopes = workspace.slopes[warp] + lane * PIXELS;
        real mean_slopes[PASS];
        if (MEANS)
            loss.sums[MEANS_TERM] += sum_blocks(
                tile_x, tile_y, height, width, values, n_channels - channel, target + channel * channel_stride,
                row_stride, pixel_stride, channel_stride, weight + channel * weight_stride, weight_stride, mean_slopes);
#pragma unroll
        for (int p = 0; p < PIXELS; ++p) {
            const long long column = (long long)tile_x * TILE_SIZE + point_column(p);
            const long long row = (long long)tile_y * TILE_SIZE + point_row();
            const bool inside = column < width && row < height;
            const long long pixel = row * row_stride + column * pixel_stride;
            Slope made;
            made.along = 0;
#pragma unroll
            for (int c = 0; c < PASS; ++c) {
                real g = 0;
                if (inside && channel + c < n_channels) {
                    const long long place = pixel + (channel + c) * channel_stride;
                    if (grad_image) g = (real)grad_image[place];
                    if (target) {
                        const real d = values[p][c] - (real)target[place];
                        if (WEIGHTED) {
                            const long long where = (channel + c) * weight_stride + row * width + column;
                            const real counts = MEANS && !weight ? real(1) : (real)weight[where];
                            g = multiply_add(counts, loss.add(d, counts, weights), g);
                        } else {
                            g += loss.add(d, weights);
                        }
                        if (MEANS) g = multiply_add((real)(2 * weights.means), mean_slopes[c], g);
                    }
                }
                made.grad[c] = g;
                made.along = multiply_add(g, values[p][c], made.along);
            }
            slopes[p] = made;
        }
        sum_moments(list, box, at, choice, inverse_total, ties, channel, workspace,
                    moments + (long long)pair0 * (MOMENTS + n_channels));
    }
    if (!loss_partials) return;
#pragma unroll
    for (int k = 0; k < kSums; ++k) {
        const real sum = warp_sum(k < POINTWISE_TERMS ? loss.sums[k % POINTWISE_TERMS] : loss.plain_square);
        if (lane == 0) warp_losses[warp][k] = sum;
    }
    __syncthreads();
    const int n_sums = MEANS && !weight ? POINTWISE_TERMS : kSums;
    if (thread < n_sums) {
        real sum = 0;
        for (int w = 0; w < WARPS; ++w) sum += warp_losses[w][thread];
        loss_partials[(long long)n_sums * tile + thread] = (float)sum;
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    backward_tiles(const int* offsets, const int* indices, const double* means, const double* axes,
                   const float* features, int feature_stride, const float* background, int n_channels, int tile_x0,
                   int tile_y0, int tile_columns, int height, int width, const float* grad_image, const float* target,
                   long long row_stride, long long pixel_stride, long long channel_stride, gscodec::LossWeights weights,
                   float* loss_partials, real* moments) {
    backward_tile<false>(offsets, indices, means, axes, features, feature_stride, background, n_channels, tile_x0,
                         tile_y0, tile_columns, height, width, grad_image, target, row_stride, pixel_stride,
                         channel_stride, weights, nullptr, 0, loss_partials, moments);
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    weighted_backward_tiles(const int* offsets, const int* indices, const double* means, const double* axes,
                            const float* features, int feature_stride, const float* background, int n_channels,
                            int tile_x0, int tile_y0, int tile_columns, int height, int width, const float* grad_image,
                            const float* target, long long row_stride, long long pixel_stride, long long channel_stride,
                            gscodec::LossWeights weights, const float* weight, long long weight_stride,
                            float* loss_partials, real* moments) {
    backward_tile<true>(offsets, indices, means, axes, features, feature_stride, background, n_channels, tile_x0,
                        tile_y0, tile_columns, height, width, grad_image, target, row_stride, pixel_stride,
                        channel_stride, weights, weight, weight_stride, loss_partials, moments);
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    means_backward_tiles(const int* offsets, const int* indices, const double* means, const double* axes,
                         const float* features, int feature_stride, const float* background, int n_channels,
                         int tile_x0, int tile_y0, int tile_columns, int height, int width, const float* grad_image,
                         const float* target, long long row_stride, long long pixel_stride, long long channel_stride,
                         gscodec::LossWeights weights, const float* weight, long long weight_stride,
                         float* loss_partials, real* moments) {
    backward_tile<true, true>(offsets, indices, means, axes, features, feature_stride, background, n_channels, tile_x0,
                              tile_y0, tile_columns, height, width, grad_image, target, row_stride, pixel_stride,
                              channel_stride, weights, weight, weight_stride, loss_partials, moments);
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    chosen_backward_tiles(const int* offsets, const int* indices, const double* means, const double* axes,
                          const float* features, int feature_stride, int n_channels, int tile_x0, int tile_y0,
                          int tile_columns, int height, int width, const float* grad_image, const real* picture,
                          long long row_stride, long long pixel_stride, long long channel_stride, const real* choices,
                          real* moments) {
    __shared__ Member staged[BATCH + 1];
    __shared__ unsigned char members[WARPS][BATCH + TOP_K];
    __shared__ Workspace workspace;
    const int tile = blockIdx.x, tile_x = tile_x0 + tile % tile_columns, tile_y = tile_y0 + tile / tile_columns;
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, pair0 = offsets[tile];
    TileList list = {indices + pair0,
                     offsets[tile + 1] - pair0,
                     tile_x,
                     tile_y,
                     means,
                     axes,
                     features,
                     feature_stride,
                     n_channels,
                     staged,
                     members[warp],
                     -1,
                     -1,
                     -1,
                     0,
                     0};
    if (!list.length) return;
    Points at;
    at.y = (real)point_row() + real(0.5);
#pragma unroll
    for (int p = 0; p < PIXELS; ++p) at.x[p] = (real)point_column(p) + real(0.5);
    Choice choice[PIXELS];
    real inverse_total[PIXELS], furthest = 0;
    bool ties = take_choices(choices, tile, choice, inverse_total);
    if (list.length > BATCH) ties = block_any(ties);
#pragma unroll
    for (int p = 0; p < PIXELS; ++p) furthest = larger(furthest, choice[p].threshold);
    list.bound(furthest);
    const Box box = Box::around(at);
    for (int channel = 0; channel < n_channels; channel += PASS) {
        Slope* slopes = workspace.slopes[warp] + lane * PIXELS;
#pragma unroll
        for (int p = 0; p < PIXELS; ++p) {
            const long long column = (long long)tile_x * TILE_SIZE + point_column(p);
            const long long row = (long long)tile_y * TILE_SIZE + point_row();
            const long long pixel = row * row_stride + column * pixel_stride;
            Slope slope;
            slope.along = 0;
#pragma unroll
            for (int c = 0; c < PASS; ++c) {
                slope.grad[c] = 0;
                if (column < width && row < height && channel + c < n_channels) {
                    const long long place = pixel + (channel + c) * channel_stride;
                    slope.grad[c] = (real)grad_image[place];
                    slope.along = multiply_add(slope.grad[c], picture[place], slope.along);
                }
            }
            slopes[p] = slope;
        }
        sum_moments(list, box, at, choice, inverse_total, ties, channel, workspace,
                    moments + (long long)pair0 * (MOMENTS + n_channels));
    }
}

extern "C" __global__ void __launch_bounds__(GATHER_THREADS)
    gather_gradients(const int* n_shown, int n_max, const int* starts, const int* slots, const real* moments,
                     int n_channels, const double* inv_scales, const double* axes, real* grads) {
    const int i = blockIdx.x * (GATHER_THREADS / WARP) + threadIdx.x / WARP;
    if (i < n_max && i < *n_shown) gather_row(i, starts, slots, moments, n_channels, inv_scales, axes, grads);
}
