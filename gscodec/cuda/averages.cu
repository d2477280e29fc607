// Pictures in smaller sizes, and in integers of any depth (oracle: decoding/scaled.py, image/averages.py,
// image/levels.py).
//
//   average_columns   thread a value of rows   rows of a lattice, each shrunk to m cells; grid: values, rows
//   add_rows          thread a sum of rows     what such rows add to the outputs that they meet; grid: values, outputs
//   finish_means      thread an output         means as samples again
//   to_codes          thread a sample          floats as uint8 or uint16
//
// An axis of n cells is shrunk to m outputs: output i covers cells from i n / m to (i + 1) n / m. In units of 1/m of a
// cell all edges are integers; a sum has those for weights, exact products, and is divided by n once. It runs over its
// cells in order, whatever strips they come in: its bits do not depend on how much memory there was.
//
// What is averaged are D values a cell, made of its C samples: value d is sample sources[d] within lows[d] .. highs[d],
// times value weights[d], which is an alpha, or -1 where there is none. The first C of the values become samples.
//
// Buffers: cells (rows, n, C) f32; columns (rows, m, D) f32; sums (outputs, m, D) f64, n times as much; samples
// (outputs, m, C) f32; sources, weights (D,) i32; lows, highs (D,) f32; is_alpha (C,) u8, an alpha that weighs others;
// steps (C,) i32.
//
// Floor: 2048 x 2048 RGB to a half each way, 50 MB in once, 17 us at 3.35 TB/s (predicted).

// The cells of an output, and how much of one counts, in units of 1/m of a cell: m but for the first and the last.
struct Footprint {
    int begin, end, first, inner, last;

    __device__ Footprint(long long i, int n, int m) {
        const long long low = i * n, high = (i + 1) * n;
        begin = quotient(low, m);
        end = quotient(high - 1, m) + 1;
        inner = m;
        const long long edge = (begin + 1LL) * m;
        first = (int)((edge < high ? edge : high) - low);
        last = (int)(high - (end - 1LL) * m);
    }
    // A double's quotient is off by one at most.
    __device__ static int quotient(long long value, int m) {
        const int near = (int)((double)value * (1.0 / m));
        return near + (((near + 1LL) * m <= value) - (near * (long long)m > value));
    }
    __device__ int share(int k) const { return k == begin ? first : k == end - 1 ? last : inner; }
};

struct Values {
    const int* sources;
    const float *lows, *highs;
    const int* weights;

    __device__ float bounded(const float* samples, int d) const {
        return fminf(fmaxf(samples[sources[d]], lows[d]), highs[d]);
    }
    __device__ float operator()(const float* samples, int d) const {
        const int weight = weights[d];
        const float value = bounded(samples, d);
        return weight < 0 ? value : value * bounded(samples, weight);
    }
};

extern "C" __global__ void __launch_bounds__(AVERAGE_THREADS)
    average_columns(const float* cells, int n_rows, int n, int m, int n_channels, int n_values, const int* sources,
                    const float* lows, const float* highs, const int* weights, float* columns) {
    const int at = blockIdx.x * AVERAGE_THREADS + threadIdx.x;
    if (at >= m * n_values) return;
    const int i = at / n_values, d = at % n_values;
    const Values values = {sources, lows, highs, weights};
    const Footprint footprint(i, n, m);
    for (int row = blockIdx.y; row < n_rows; row += gridDim.y) {
        const float* const first = cells + (long long)row * n * n_channels;
        float* const to = columns + (long long)row * m * n_values + at;
        if (n == m) {
            *to = values(first + (long long)i * n_channels, d);
            continue;
        }
        double sum = 0;
        for (int k = footprint.begin; k < footprint.end; ++k)
            sum += (double)values(first + (long long)k * n_channels, d) * footprint.share(k);
        *to = (float)(sum / n);
    }
}

// Rows first .. first + n_rows of n, and outputs output0 .. output0 + n_outputs of m.
extern "C" __global__ void __launch_bounds__(AVERAGE_THREADS)
    add_rows(const float* columns, int row_values, int first, int n_rows, int n, int m, int output0, int n_outputs,
             double* sums) {
    const int at = blockIdx.x * AVERAGE_THREADS + threadIdx.x;
    if (at >= row_values) return;
    for (int i = blockIdx.y; i < n_outputs; i += gridDim.y) {
        const Footprint footprint(output0 + i, n, m);
        const int begin = footprint.begin > first ? footprint.begin : first;
        const int end = footprint.end < first + n_rows ? footprint.end : first + n_rows;
        if (begin >= end) continue;
        double* const to = sums + (long long)i * row_values + at;
        double sum = *to;
        for (int k = begin; k < end; ++k)
            sum += (double)columns[(long long)(k - first) * row_values + at] * footprint.share(k);
        *to = sum;
    }
}

extern "C" __global__ void __launch_bounds__(AVERAGE_THREADS)
    finish_means(const double* sums, long long n_outputs, int n, int n_channels, int n_values, const int* weights,
                 const unsigned char* is_alpha, float clear, float* samples) {
    const long long place = (long long)blockIdx.x * AVERAGE_THREADS + threadIdx.x;
    if (place >= n_outputs) return;
    const double* const means = sums + place * n_values;
    float* const to = samples + place * n_channels;
    for (int c = 0; c < n_channels; ++c) {
        float value = (float)(means[c] / n);
        if (weights[c] >= 0) value = value / (float)(means[weights[c]] / n);
        if (is_alpha[c] && !(value > clear)) value = 0;
        to[c] = value;
    }
}

// SAMPLE codes 0 .. PEAK; a channel of `steps` levels above 0 has only the codes nearest to those.
extern "C" __global__ void __launch_bounds__(AVERAGE_THREADS)
    to_codes(const float* samples, long long n_samples, int n_channels, const int* steps, SAMPLE* codes) {
    const long long place = (long long)blockIdx.x * AVERAGE_THREADS + threadIdx.x;
    if (place >= n_samples) return;
    const int levels = steps[place % n_channels];
    const unsigned level = (unsigned)(fminf(fmaxf(samples[place], 0.0f), 1.0f) * (float)levels + 0.5f);
    codes[place] = (SAMPLE)(levels == PEAK ? level : (level * 2 * PEAK + levels) / (2 * levels));
}
