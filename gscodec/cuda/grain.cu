// Film grain added to rows of a decoded picture, or to values at points (host: native/render/grain.cpp; oracle:
// tests/support/grain_oracle.py).
//
//   add_grain     thread a pixel     values of one channel group, changed in place
//
// Buffers: values (n, C) f32; points (n, 2) f64, or none; strengths (8,) f32. Pixel i of rows of `width` has the number
// (column + i % width, row + i / width), a point that of the pixel that holds it.
//
// Floor: 2048 x 2048 RGB, 100 MB in and out, 30 us at 3.35 TB/s (predicted); the 36 hashes of a pixel with neighbours and
// three fields take about as long.

extern "C" __global__ void __launch_bounds__(GRAIN_THREADS)
    add_grain(float* values, long long n, int width, unsigned column, unsigned row, const double* points,
              int n_channels, int first, int n_colours, unsigned field, int side, float shared_factor, float own_factor,
              const float* strengths) {
    const long long i = (long long)blockIdx.x * GRAIN_THREADS + threadIdx.x;
    if (i >= n) return;
    const unsigned x = points ? (unsigned)points[2 * i] : column + (unsigned)(i % width);
    const unsigned y = points ? (unsigned)points[2 * i + 1] : row + (unsigned)(i / width);
    float* const colours = values + i * n_channels + first;
    const float strength = gscodec::grain_strength(colours, n_colours, strengths);
    const float shared_noise = shared_factor * (float)gscodec::grain_sum(x, y, field, side);
    for (int c = 0; c < n_colours; ++c) {
        float noise = shared_noise;
        if (own_factor != 0) noise += own_factor * (float)gscodec::grain_sum(x, y, field + 1 + (unsigned)c, side);
        colours[c] = gscodec::grain_added(colours[c], strength * noise);
    }
}
