// Values at single points, a thread each (oracle: raster/reference.py, sample).
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
    real nearest = real_max();
    for (int k = begin; k < end; ++k) {
        const real q = map_point(local_axes(means, axes, indices[k], corner_x, corner_y), x, y).q();
        nearest = smaller(nearest, q);
        if (end - begin > TOP_K && q < kept.q[TOP_K - 1]) kept.insert(q);
    }
    Choice choice = {nearest, real_max()};
    int spare = 0;
    if (end - begin > TOP_K) {
        choice.threshold = kept.q[TOP_K - 1];
#pragma unroll
        for (int k = 0; k < TOP_K; ++k) spare += kept.q[k] == choice.threshold ? 1 : 0;
    } else {
        spare = TOP_K;
    }
    for (int channel = 0; channel < n_channels; channel += PASS) {
        int room = spare;
        real total = 0, values[PASS];
#pragma unroll
        for (int c = 0; c < PASS; ++c) values[c] = 0;
        for (int k = begin; k < end; ++k) {
            const int i = indices[k];
            const real q = map_point(local_axes(means, axes, i, corner_x, corner_y), x, y).q();
            if (!choice.takes(q, room)) continue;
            const real w = choice.weight(q);
            total += w;
            const float* feature = features + (long long)i * feature_stride + channel;
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
