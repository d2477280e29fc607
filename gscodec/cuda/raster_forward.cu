// The picture on a lattice of points (oracle: render/reference.py, forward; CPU: native/render/render.cpp).
//
// A block is one tile of the stored grid and makes all points of the lattice that lie in it, 16 x 16 at a time: 256
// pixels at the stored size, more when enlarged, some or none when points are sparse. No atomics, no order that timing
// decides. Method and shared memory: blend.cuh.
//
// Buffers: offsets (T + 1,), indices (P,) i32 tile lists; means (N, 2), axes (N, 4) f64 from tile_bin.cu; features
// (N, feature_stride) f32; background (C,) f32. The lattice: column_starts (tile columns + 1,) i32, the first column
// that lies in each column of tiles, and columns (width,) real, its x relative to that tile's corner; rows likewise.
// out: SAMPLE values at row * row_stride + column * pixel_stride + channel * channel_stride.
// choices, or null: what a gradient of the whole picture at its stored size needs not find again, see blend.cuh.
//
// PEAK 0 stores float32, 255 and 65535 store codes floor(clamp(v, 0, 1) * PEAK + 0.5).
//
// Floor at 2048 x 2048, 10K Gaussians, about 29 candidates a tile, C = 3: 12.6 or 50 MB out (4 or 15 us at 3.35 TB/s);
// two walks of 2 x 29 x 4.2M evaluations at 6 operations and 29 x 4.2M x about 10 in exchanges and sums make 2.7 G
// lane operations, 0.1 ms at 28 T/s. Arithmetic, not memory, is the limit.

__device__ inline void store(SAMPLE* to, real value) {
#if PEAK
    const float v = fminf(fmaxf((float)value, 0.0f), 1.0f);
    *to = (SAMPLE)(int)fmaf(v, (float)PEAK, 0.5f);
#else
    *to = (SAMPLE)value;
#endif
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    blend_tiles(const int* offsets, const int* indices, const double* means, const double* axes, const float* features,
                int feature_stride, const float* background, int n_channels, int tile_x0, int tile_y0, int tile_columns,
                const int* column_starts, const real* columns, const int* row_starts, const real* rows,
                long long row_stride, long long pixel_stride, long long channel_stride, SAMPLE* out, real* choices) {
    __shared__ Member staged[BATCH + 1];
    __shared__ unsigned char members[WARPS][BATCH + TOP_K];
    const int tile = blockIdx.x, tile_x = tile % tile_columns, tile_y = tile / tile_columns;
    const int column0 = column_starts[tile_x], column1 = column_starts[tile_x + 1];
    const int row0 = row_starts[tile_y], row1 = row_starts[tile_y + 1];
    if (column0 >= column1 || row0 >= row1) return;
    const int first = offsets[tile];
    TileList list = {indices + first,
                     offsets[tile + 1] - first,
                     tile_x0 + tile_x,
                     tile_y0 + tile_y,
                     means,
                     axes,
                     features,
                     feature_stride,
                     n_channels,
                     staged,
                     members[threadIdx.x / WARP],
                     -1,
                     -1,
                     -1,
                     0,
                     0};
    for (int top = row0; top < row1; top += TILE_SIZE) {
        for (int left = column0; left < column1; left += TILE_SIZE) {
            const int row = top + point_row();
            Points at;
            at.y = rows[row < row1 ? row : row1 - 1];
#pragma unroll
            for (int p = 0; p < PIXELS; ++p) {
                const int column = left + point_column(p);
                at.x[p] = columns[column < column1 ? column : column1 - 1];
            }
            Choice choice[PIXELS];
            const Box box = Box::around(at);
            if (list.length) {
                list.bound(box);
                select(list, box, at, choice);
            }
            for (int channel = 0; channel < n_channels; channel += PASS) {
                real values[PIXELS][PASS], inverse_total[PIXELS];
                bool ties = false, inside[PIXELS];
                if (list.length)
                    ties = blend(list, box, at, choice, channel, values, inverse_total);
                else
                    fill(background, n_channels, channel, values);
                // Addresses are worked out only now: registers are what limits the walks over the list.
#pragma unroll
                for (int p = 0; p < PIXELS; ++p) {
                    const int column = left + point_column(p);
                    inside[p] = column < column1 && row < row1;
                    if (!inside[p]) continue;
                    SAMPLE* to = out + row * row_stride + column * pixel_stride + channel * channel_stride;
#pragma unroll
                    for (int c = 0; c < PASS; ++c)
                        if (channel + c < n_channels) store(to + c * channel_stride, values[p][c]);
                }
                if (choices && list.length && channel == 0)
                    leave_choices(choices, tile, choice, inverse_total, ties, inside);
            }
        }
    }
}
