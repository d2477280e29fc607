// Values at single points, a thread each (oracle: render/reference.py, sample).
//
// Every operation behind a value is that of blend.cuh in the same order, so a sample at a pixel's centre has the
// pixel's bits. Neighbouring threads may have points in different tiles; lists are read through the caches.
//
// Buffers as in raster_forward.cu, and: points (M, 2) f64 px; out (M, C) f32. Tiles that the index covers are columns
// tile_x0 .. tile_x0 + tile_columns and rows likewise; a point outside belongs to the nearest one.

__device__ inline int nearest_tile(double position, int begin, int count) {
    const double tile = floor(position / TILE_SIZE);
    if (!(tile > begin)) return 0;
    return tile < begin + count - 1 ? (int)tile - begin : count - 1;
}

// The K smallest distances offered, of equals those offered first, in the order in which they were: that of the list,
// in which weights are summed.
struct Kept {
    real q[TOP_K];
    int place[TOP_K];  // in the lists; -1 where there is none
    real largest;

    __device__ void clear() {
#pragma unroll
        for (int k = 0; k < TOP_K; ++k) {
            q[k] = real_max();
            place[k] = -1;
        }
        largest = real_max();
    }
    // Of those that equal the largest the last one goes, what came after it moves up.
    __device__ void offer(real new_q, int new_place) {
        if (!(new_q < largest)) return;
        int going = 0;
#pragma unroll
        for (int k = 1; k < TOP_K; ++k) going = q[k] == largest ? k : going;
#pragma unroll
        for (int k = 0; k + 1 < TOP_K; ++k) {
            if (k < going) continue;
            q[k] = q[k + 1];
            place[k] = place[k + 1];
        }
        q[TOP_K - 1] = new_q;
        place[TOP_K - 1] = new_place;
        largest = q[0];
#pragma unroll
        for (int k = 1; k < TOP_K; ++k) largest = larger(largest, q[k]);
    }
    __device__ real nearest() const {
        real least = q[0];
#pragma unroll
        for (int k = 1; k < TOP_K; ++k) least = smaller(least, q[k]);
        return least;
    }
};

extern "C" __global__ void __launch_bounds__(SAMPLE_THREADS)
    sample_points(const int* offsets, const int* indices, const double* means, const double* axes,
                  const float* features, int feature_stride, const float* background, int n_channels, int tile_x0,
                  int tile_y0, int tile_columns, int tile_rows, const double* points, int n_points, float* out) {
    const int m = blockIdx.x * SAMPLE_THREADS + threadIdx.x;
    if (m >= n_points) return;
    const int tile_x = nearest_tile(points[2LL * m], tile_x0, tile_columns);
    const int tile_y = nearest_tile(points[2LL * m + 1], tile_y0, tile_rows);
    const double corner_x = (double)(tile_x0 + tile_x) * TILE_SIZE, corner_y = (double)(tile_y0 + tile_y) * TILE_SIZE;
    const real x = (real)(points[2LL * m] - corner_x), y = (real)(points[2LL * m + 1] - corner_y);
    const int tile = tile_y * tile_columns + tile_x;
    const int begin = offsets[tile], end = offsets[tile + 1];
    float* to = out + (long long)m * n_channels;
    if (begin == end) {
        for (int c = 0; c < n_channels; ++c) to[c] = background[c];
        return;
    }
    Kept kept;
    kept.clear();
    for (int k = begin; k < end; ++k)
        kept.offer(map_point(local_axes(means, axes, indices[k], corner_x, corner_y), x, y).q(), k);
    const real nearest = kept.nearest();
    for (int channel = 0; channel < n_channels; channel += PASS) {
        real total = 0, values[PASS];
#pragma unroll
        for (int c = 0; c < PASS; ++c) values[c] = 0;
#pragma unroll
        for (int k = 0; k < TOP_K; ++k) {
            if (kept.place[k] < 0) continue;
            const real w = power_of_two(nearest - kept.q[k]);
            total += w;
            const float* feature = features + (long long)indices[kept.place[k]] * feature_stride + channel;
#pragma unroll
            for (int c = 0; c < PASS; ++c)
                values[c] = multiply_add(w, channel + c < n_channels ? (real)feature[c] : real(0), values[c]);
        }
        const real inverse_total = real(1) / total;
#pragma unroll
        for (int c = 0; c < PASS; ++c)
            if (channel + c < n_channels) to[channel + c] = (float)(values[c] * inverse_total);
    }
}
