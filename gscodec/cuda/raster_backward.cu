// Gradients (oracle: raster/reference.py, backward; CPU: cpu/kernels.cpp, accumulate, and cpu/engine.cpp, gather_grads).
//
//   backward_tiles     block a tile        blends the tile's pixels again, takes the gradient to them (given, or that of
//                                          the L1 and L2 loss to a target, or both), and sums for every Gaussian of the
//                                          list the moments that its gradient needs
//   weighted_backward_tiles             the same where pixels count differently: apart, since registers are short
//   gather_gradients   warp a Gaussian     its moments over all tiles, in the order of its pairs; then parameters
//
// With w_i the normalised weight, h_i = w_i (sum_c g_c f_ic - sum_c g_c v_c) is -2 dL/dq_i, and the chain to mean,
// scales and rotation needs only the sums of h U, h V, h U^2, h U V, h V^2: no pixel touches a parameter. They are
// summed over a thread's pixels in registers, over a warp by halving exchanges (device.cuh), over warps through shared
// memory, each in a fixed order: no atomics, the same bytes every time. A Gaussian that no pixel of a warp blends costs
// that warp the distances and one vote. h is linear in the channels, so passes over channels add up.
//
// Buffers as in raster_forward.cu, and: grad_image, target f32 at row * row_stride + column * pixel_stride + channel *
// channel_stride, either may be null; weight (1 or C, H, W) f32, what each sample's loss counts, or null, whose planes are
// weight_stride apart, 0 where there is one for all channels; loss_partials (T, 2) f32
// sums of |v - target| and its square over the tile, with weights (T, 3), see partial_sums.cuh, or null; moments (P, MOMENTS + C) real; starts (N + 1,), slots (P,) i32 from tile_bin.cu; grads (N, MOMENTS + C) real:
// mean x, y (per px), inverse scales, rotation, features.
//
// Floor at 2048 x 2048, 10K Gaussians, C = 3: target and loss 50 MB, moments 16 MB written and read (25 us at 3.35
// TB/s); three walks over the lists plus about 10 blended Gaussians a pixel at 30 operations, about 5 G lane operations,
// 0.2 ms at 28 T/s.

constexpr int kValues = MOMENTS + PASS;

struct PixelLoss {
    real absolute, square;
};

template <bool WEIGHTED>
__device__ inline void backward_tile(const int* offsets, const int* indices, const double* means, const double* axes,
                                     const float* features, int feature_stride, const float* background,
                                     int n_channels, int tile_x0, int tile_y0, int tile_columns, int height, int width,
                                     const float* grad_image, const float* target, long long row_stride,
                                     long long pixel_stride, long long channel_stride, float l1, float l2,
                                     const float* weight, long long weight_stride, float* loss_partials, real* moments) {
    constexpr int kSums = 2 + WEIGHTED;
    __shared__ Member staged[BATCH + 1];
    __shared__ unsigned char members[WARPS][BATCH + TOP_K];
    __shared__ real warp_sums[WARPS][BATCH][kValues];
    __shared__ real warp_losses[WARPS][kSums];
    const int tile = blockIdx.x, tile_x = tile_x0 + tile % tile_columns, tile_y = tile_y0 + tile / tile_columns;
    const int thread = threadIdx.x, warp = thread / WARP, lane = thread % WARP;
    const int pair0 = offsets[tile];
    TileList list = {indices + pair0, offsets[tile + 1] - pair0, (double)tile_x * TILE_SIZE,
                     (double)tile_y * TILE_SIZE, means, axes, features, feature_stride, n_channels,
                     staged, members[warp], -1, -1, -1, 0, 0};
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
    real absolute = 0, square = 0, plain_square = 0;
    for (int channel = 0; channel < n_channels; channel += PASS) {
        real values[PIXELS][PASS], inverse_total[PIXELS];
        bool ties = false;
        if (list.length)
            ties = blend(list, box, at, choice, channel, values, inverse_total);
        else
            fill(background, n_channels, channel, values);
        // Gradient to each value, and its product with the value.
        real grad[PIXELS][PASS], along[PIXELS];
#pragma unroll
        for (int p = 0; p < PIXELS; ++p) {
            const long long column = (long long)tile_x * TILE_SIZE + point_column(p);
            const long long row = (long long)tile_y * TILE_SIZE + point_row();
            const bool inside = column < width && row < height;
            const long long pixel = row * row_stride + column * pixel_stride;
            along[p] = 0;
#pragma unroll
            for (int c = 0; c < PASS; ++c) {
                real g = 0;
                if (inside && channel + c < n_channels) {
                    const long long place = pixel + (channel + c) * channel_stride;
                    if (grad_image) g = (real)grad_image[place];
                    if (target) {
                        const real d = values[p][c] - (real)target[place];
                        const real slope =
                            multiply_add((real)(2 * l2), d, d > 0 ? (real)l1 : (d < 0 ? (real)-l1 : real(0)));
                        if (WEIGHTED) {
                            const real counts = (real)weight[(channel + c) * weight_stride + row * width + column];
                            absolute = multiply_add(counts, magnitude(d), absolute);
                            square = multiply_add(counts * d, d, square);
                            plain_square = multiply_add(d, d, plain_square);
                            g = multiply_add(counts, slope, g);
                        } else {
                            absolute += magnitude(d);
                            square = multiply_add(d, d, square);
                            g += slope;
                        }
                    }
                }
                grad[p][c] = g;
                along[p] = multiply_add(g, values[p][c], along[p]);
            }
        }
        int room[PIXELS];
        if (ties) count_room(list, box, at, choice, channel, room);
        for (int first = 0; first < list.length; first += BATCH) {
            list.open(box, first, channel);
            const int n = list.length - first < BATCH ? list.length - first : BATCH;
            for (int e = lane; e < n * kValues; e += WARP) (&warp_sums[warp][0][0])[e] = 0;
            __syncwarp();
            for (int k = 0; k < list.n_members; ++k) {
                const int j = list.members[k];
                const Member m = list.staged[j];
                Mapped mapped[PIXELS];
                real q[PIXELS];
                bool taken[PIXELS], any = false;
#pragma unroll
                for (int p = 0; p < PIXELS; ++p) {
                    mapped[p] = map_point(m.axes, at.x[p], at.y);
                    q[p] = mapped[p].q();
                    taken[p] = ties ? choice[p].takes(q[p], room[p]) : choice[p].takes(q[p]);
                    any = any || taken[p];
                }
                if (!__any_sync(FULL_MASK, any)) continue;
                real sums[kValues];
#pragma unroll
                for (int s = 0; s < kValues; ++s) sums[s] = 0;
#pragma unroll
                for (int p = 0; p < PIXELS; ++p) {
                    const real w = taken[p] ? choice[p].weight(q[p]) * inverse_total[p] : real(0);
                    real h = -along[p];
#pragma unroll
                    for (int c = 0; c < PASS; ++c) {
                        h = multiply_add(grad[p][c], m.features[c], h);
                        sums[MOMENTS + c] = multiply_add(w, grad[p][c], sums[MOMENTS + c]);
                    }
                    h *= w;
                    const real u = mapped[p].u, v = mapped[p].v;
                    const real hu = h * u, hv = h * v;
                    sums[0] += hu;
                    sums[1] += hv;
                    sums[2] = multiply_add(hu, u, sums[2]);
                    sums[3] = multiply_add(hu, v, sums[3]);
                    sums[4] = multiply_add(hv, v, sums[4]);
                }
                const real sum = warp_scatter_sum(sums, lane);
                if (lane < kValues) warp_sums[warp][j][lane] = sum;
            }
            __syncthreads();
            for (int e = thread; e < n * kValues; e += THREADS) {
                const int j = e / kValues, k = e % kValues;
                real sum = 0;
#pragma unroll
                for (int w = 0; w < WARPS; ++w) sum += warp_sums[w][j][k];
                real* row = moments + (long long)(pair0 + first + j) * (MOMENTS + n_channels);
                if (k >= MOMENTS) {
                    if (channel + k - MOMENTS < n_channels) row[channel + k] = sum;
                } else {
                    row[k] = channel ? row[k] + sum : sum;
                }
            }
            __syncthreads();
        }
    }
    if (!loss_partials) return;
    absolute = warp_sum(absolute);
    square = warp_sum(square);
    if (WEIGHTED) plain_square = warp_sum(plain_square);
    if (lane == 0) {
        warp_losses[warp][0] = absolute;
        warp_losses[warp][1] = square;
        if (WEIGHTED) warp_losses[warp][kSums - 1] = plain_square;
    }
    __syncthreads();
    if (thread < kSums) {
        real sum = 0;
        for (int w = 0; w < WARPS; ++w) sum += warp_losses[w][thread];
        loss_partials[(long long)kSums * tile + thread] = (float)sum;
    }
}

extern "C" __global__ void __launch_bounds__(THREADS)
    backward_tiles(const int* offsets, const int* indices, const double* means, const double* axes,
                   const float* features, int feature_stride, const float* background, int n_channels, int tile_x0,
                   int tile_y0, int tile_columns, int height, int width, const float* grad_image, const float* target,
                   long long row_stride, long long pixel_stride, long long channel_stride, float l1, float l2,
                   float* loss_partials, real* moments) {
    backward_tile<false>(offsets, indices, means, axes, features, feature_stride, background, n_channels, tile_x0,
                         tile_y0, tile_columns, height, width, grad_image, target, row_stride, pixel_stride,
                         channel_stride, l1, l2, nullptr, 0, loss_partials, moments);
}

extern "C" __global__ void __launch_bounds__(THREADS)
    weighted_backward_tiles(const int* offsets, const int* indices, const double* means, const double* axes,
                            const float* features, int feature_stride, const float* background, int n_channels,
                            int tile_x0, int tile_y0, int tile_columns, int height, int width, const float* grad_image,
                            const float* target, long long row_stride, long long pixel_stride,
                            long long channel_stride, float l1, float l2, const float* weight,
                            long long weight_stride, float* loss_partials, real* moments) {
    backward_tile<true>(offsets, indices, means, axes, features, feature_stride, background, n_channels, tile_x0,
                        tile_y0, tile_columns, height, width, grad_image, target, row_stride, pixel_stride,
                        channel_stride, l1, l2, weight, weight_stride, loss_partials, moments);
}

extern "C" __global__ void __launch_bounds__(GATHER_THREADS)
    gather_gradients(const int* n_shown, int n_max, const int* starts, const int* slots, const real* moments,
                     int n_channels, const double* inv_scales, const double* axes, real* grads) {
    const int i = blockIdx.x * (GATHER_THREADS / WARP) + threadIdx.x / WARP;
    if (i < n_max && i < *n_shown) gather_row(i, starts, slots, moments, n_channels, inv_scales, axes, grads);
}
