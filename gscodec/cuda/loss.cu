// The photometric loss of planes and its gradient (oracle: render/reference_loss.py; CPU: native/render/isa/ssim.h).
//
//   pointwise_loss   thread a few samples    L1 and L2
//   block_loss       thread a few samples    L1, L2 and the means of blocks
//   ssim_loss        block a strip           L1, L2 and SSIM: the gradient of all three in one sweep over the picture
//   weighted_ssim_loss                       the same where pixels count differently: apart, since registers are short
//   compare_bytes, compare_words             d^2 alone, of codes of 8 and of 16 bits
//   sum_partials     one block               the blocks' partial sums, in float64
//
// ssim_loss. With G the 11-tap Gaussian, zero outside the image, SSIM of a pixel is a function of G*x, G*y and of the
// blurred second moments, and its gradient takes three derivative planes through G once more. Two things make that
// cheap:
//
// Sum and difference. With s = x + y and d = x - y the two variances enter SSIM only by their sum, so four blurs do the
// work of five, and 1 - SSIM becomes products of small numbers instead of a difference of large ones:
//     u, v = G*s, G*d;  z, w = G*s^2 - u^2, G*d^2 - v^2
//     SSIM = (1 - a) (1 - b),  a = v^2 / ((u^2 + v^2) / 2 + C1),  b = w / ((z + w) / 2 + C2)
//     gradient of 1 - SSIM = G*M + 2 s (G*Z) + 2 d (G*W)   with M, Z, W its derivatives to the mean, G*s^2 and G*d^2
// Near the end of a fit d is small and float32 keeps its digits, where G*xy - G*x G*y loses them.
//
// One sweep. A block owns kOutputs columns and `rows` rows and goes down them. A thread owns a column: each row is
// blurred along x out of shared memory and pushed into filters along y that live in registers. Such a filter holds what
// the next eleven rows will be; to move on a row is to write each sum one place further, which a multiply-add does for
// nothing. The derivative planes, five rows behind, pass through shared memory and three more filters, and the gradient
// comes out ten rows behind. No plane but the gradient is ever stored, and a sample's gradient does not depend, to the
// bit, on where blocks begin. Keeping the target's own blurs from step to step would not pay: it would save half of the
// first of the two blurs and cost two more planes to read.
//
// Floor at 2048 x 2048 x 3 (12.6 M samples of 4 bytes): x and y read, gradient written: 151 MB, 45 us at 3.35 TB/s;
// what blocks share is read again, 1.3 times in all, mostly from the L2. Two kernels with three planes in between would
// move 550 MB, 165 us there and 550 us at 1 TB/s, however fast they compute. This one issues about 320 instructions a
// row and warp (220 of them arithmetic) over 1.25 times the samples, 0.18 ms on 132 processors at 1.7 GHz, so it is
// bound by issue; shared memory, 7.7 KB a row and warp, comes to three quarters of that. It has no bank conflicts:
// lanes take neighbouring words. Registers limit it (128, four blocks a processor): two columns a thread would share
// reads and addresses, but need 210. Counted from the compiler's output, not measured.
//
// Arithmetic is float32 whatever REAL is, since so is all that goes in and comes out.
//
// Buffers: image, target, grad (C, H, W) f32; weight (1 or C, H, W) f32, what each sample counts, or null, whose planes
// are weight_stride apart, 0 where there is one for all channels; partials (blocks, 2 to LOSS_COLUMNS) f32, see
// partial_sums.cuh.

extern "C" __global__ void __launch_bounds__(POINT_THREADS)
    pointwise_loss(const float* image, const float* target, const float* weight, long long weight_stride,
                   long long size, long long plane, gscodec::LossWeights weights, float* grad, float* partials) {
    Pointwise<float> loss;
    const long long first = (long long)blockIdx.x * (POINT_THREADS * POINT_EACH) + threadIdx.x;
#pragma unroll
    for (int k = 0; k < POINT_EACH; ++k) {
        const long long i = first + k * POINT_THREADS;
        if (i >= size) continue;
        const float d = image[i] - target[i];
        if (weight) {
            const float counts = weight[weight_stride ? i : i % plane];
            grad[i] = counts * loss.add(d, counts, weights);
        } else {
            grad[i] = loss.add(d, weights);
        }
    }
    float sums[POINTWISE_TERMS + 1];
    for (int k = 0; k < POINTWISE_TERMS; ++k) sums[k] = loss.sums[k];
    sums[POINTWISE_TERMS] = loss.plain_square;
    block_sum<POINT_THREADS>(sums);
    const int columns = POINTWISE_TERMS + (weight ? 1 : 0);
    if (threadIdx.x == 0)
        for (int k = 0; k < columns; ++k) partials[(long long)columns * blockIdx.x + k] = sums[k];
}

// The same with the squared mean errors of blocks of MEAN_SIDE x MEAN_SIDE px, a block of one channel a thread.
extern "C" __global__ void __launch_bounds__(POINT_THREADS)
    block_loss(const float* image, const float* target, const float* weight, long long weight_stride, int n_channels,
               int height, int width, gscodec::LossWeights weights, float* grad, float* partials) {
    const int rows = (height + MEAN_SIDE - 1) / MEAN_SIDE, columns = (width + MEAN_SIDE - 1) / MEAN_SIDE;
    const long long i = (long long)blockIdx.x * POINT_THREADS + threadIdx.x;
    float sums[POINTWISE_TERMS + 1] = {};
    if (i < (long long)n_channels * rows * columns) {
        const int channel = (int)(i / ((long long)rows * columns));
        const int y0 = (int)(i / columns % rows) * MEAN_SIDE, x0 = (int)(i % columns) * MEAN_SIDE;
        const int y1 = y0 + MEAN_SIDE < height ? y0 + MEAN_SIDE : height;
        const int x1 = x0 + MEAN_SIDE < width ? x0 + MEAN_SIDE : width;
        const long long plane = (long long)channel * height * width, shared = channel * weight_stride;
        const float n = (float)((y1 - y0) * (x1 - x0));
        float error = 0, total = 0;
        for (int y = y0; y < y1; ++y) {
            for (int x = x0; x < x1; ++x) {
                const long long pixel = (long long)y * width + x;
                error += image[plane + pixel] - target[plane + pixel];
                total += weight ? weight[shared + pixel] : 1.0f;
            }
        }
        const float slope = error / n * (total / n);
        Pointwise<float> loss;
        for (int y = y0; y < y1; ++y) {
            for (int x = x0; x < x1; ++x) {
                const long long pixel = (long long)y * width + x;
                const float d = image[plane + pixel] - target[plane + pixel];
                const float counts = weight ? weight[shared + pixel] : 1.0f;
                grad[plane + pixel] = multiply_add(counts, loss.add(d, counts, weights), 2 * weights.means * slope);
            }
        }
        for (int k = 0; k < POINTWISE_TERMS; ++k) sums[k] = loss.sums[k];
        sums[MEANS_TERM] = slope * error;
        sums[POINTWISE_TERMS] = loss.plain_square;
    }
    block_sum<POINT_THREADS>(sums);
    const int n_sums = POINTWISE_TERMS + (weight ? 1 : 0);
    if (threadIdx.x == 0)
        for (int k = 0; k < n_sums; ++k) partials[(long long)n_sums * blockIdx.x + k] = sums[k];
}

// partials (blocks, 1) of d^2 between codes (H, W, C), which stand for code / peak, and target (C, H, W); a second
// column of what pixels count (H, W) times that, unless `counts` is null. POINT_EACH pixels a thread, and no gradient:
// what a finished file is off by.
template <class Code>
__device__ inline void compare_codes(const Code* codes, const float* target, const float* counts, int n_channels,
                                     long long plane, float peak, float* partials) {
    float sums[2] = {0, 0};
    const long long first = (long long)blockIdx.x * (POINT_THREADS * POINT_EACH) + threadIdx.x;
    for (int k = 0; k < POINT_EACH; ++k) {
        const long long pixel = first + k * POINT_THREADS;
        if (pixel >= plane) continue;
        float square = 0;
        for (int c = 0; c < n_channels; ++c) {
            // By way of double: --prec-div=false would make of a code that is the target's very value one that is not.
            const float d = (float)((double)codes[pixel * n_channels + c] / peak) - target[c * plane + pixel];
            square = multiply_add(d, d, square);
        }
        sums[0] += square;
        if (counts) sums[1] = multiply_add(counts[pixel], square, sums[1]);
    }
    block_sum<POINT_THREADS>(sums);
    if (threadIdx.x != 0) return;
    const int columns = counts ? 2 : 1;
    for (int k = 0; k < columns; ++k) partials[(long long)columns * blockIdx.x + k] = sums[k];
}

extern "C" __global__ void __launch_bounds__(POINT_THREADS)
    compare_bytes(const unsigned char* codes, const float* target, const float* counts, int n_channels, long long plane,
                  float peak, float* partials) {
    compare_codes(codes, target, counts, n_channels, plane, peak, partials);
}

extern "C" __global__ void __launch_bounds__(POINT_THREADS)
    compare_words(const unsigned short* codes, const float* target, const float* counts, int n_channels,
                  long long plane, float peak, float* partials) {
    compare_codes(codes, target, counts, n_channels, plane, peak, partials);
}

constexpr int kReach = SSIM_TAPS / 2;
constexpr int kOutputs = SSIM_THREADS - 2 * kReach;  // columns of the gradient
constexpr int kInputs = SSIM_THREADS + 2 * kReach;   // columns of the image; derivatives have a thread each

// Weight at a distance from the centre, in px.
__device__ constexpr float tap(int distance) {
    constexpr float taps[] = {SSIM_WEIGHTS};
    return taps[distance < 0 ? -distance : distance];
}

// A filter along y. sums[j] is what the rows so far add to the row j - kReach after the latest one.
struct Column {
    float sums[SSIM_TAPS];

    __device__ void clear() {
#pragma unroll
        for (int j = 0; j < SSIM_TAPS; ++j) sums[j] = 0;
    }
    // Takes the next row, and gives the blurred row that it completes.
    __device__ float push(float value) {
#pragma unroll
        for (int j = 0; j + 1 < SSIM_TAPS; ++j) sums[j] = multiply_add(tap(j - kReach), value, sums[j + 1]);
        sums[SSIM_TAPS - 1] = tap(kReach) * value;
        return sums[0];
    }
};

struct alignas(8) Pair {
    float first, second;
};

// Image and target of one row on their way to shared memory, where they stand as sum and difference: a column a thread,
// and the last columns for the first few threads.
struct Row {
    float x[2], y[2];

    __device__ void load(const float* image, const float* target, int row, int height, int column, int width) {
#pragma unroll
        for (int part = 0; part < 2; ++part) {
            const int c = column + part * SSIM_THREADS;
            const bool inside = row < height && c >= 0 && c < width && (part == 0 || threadIdx.x < 2 * kReach);
            x[part] = inside ? image[row * width + c] : 0.0f;
            y[part] = inside ? target[row * width + c] : 0.0f;
        }
    }
    __device__ void store(Pair* to) const {
        to[threadIdx.x] = {x[0] + y[0], x[0] - y[0]};
        if (threadIdx.x < 2 * kReach) to[threadIdx.x + SSIM_THREADS] = {x[1] + y[1], x[1] - y[1]};
    }
};

// 1 - SSIM, and its derivatives to the mean of s and d together and to their second moments.
struct Dissimilarity {
    float value, to_mean, to_sum_square, to_difference_square;

    __device__ static Dissimilarity of(float u, float v, float sum_square, float difference_square) {
        const float w = multiply_add(-v, v, difference_square);
        const float b1 = multiply_add(0.5f, multiply_add(u, u, v * v), (float)SSIM_C1);
        const float b2 = multiply_add(0.5f, multiply_add(-u, u, sum_square) + w, (float)SSIM_C2);
        const float inverse = 1 / (b1 * b2), inverse_1 = inverse * b2, inverse_2 = inverse * b1;
        const float a = v * v * inverse_1, b = w * inverse_2;
        const float half_b = 0.5f * b, scale = (1 - a) * inverse_2;
        Dissimilarity r;
        r.value = multiply_add(-a, b, a + b);
        r.to_sum_square = -half_b * scale;
        r.to_difference_square = (1 - half_b) * scale;
        const float through_a = (1 - b) * inverse_1 * multiply_add(-a, u, (2 - a) * v);
        r.to_mean = multiply_add(-2, multiply_add(u, r.to_sum_square, v * r.to_difference_square), through_a);
        return r;
    }
    __device__ void scale(float weight) {
        value *= weight;
        to_mean *= weight;
        to_sum_square *= weight;
        to_difference_square *= weight;
    }
};

// Grid: strips of columns, blocks of rows, channels. Partials: sum |d|, sum d^2, sum (1 - SSIM), and with weights d^2.
template <bool WEIGHTED>
__device__ inline void sweep(const float* image, const float* target, const float* weight, long long weight_stride,
                             int height, int width, int rows, const gscodec::LossWeights& weights, float* grad,
                             float* partials) {
    // Two of each, for even and odd rows: one is written while others still read the other, so a row takes one barrier.
    __shared__ Pair inputs[2][kInputs];
    __shared__ float means[2][kInputs];
    __shared__ Pair squares[2][kInputs];

    const int thread = threadIdx.x;
    const int column = blockIdx.x * kOutputs + thread;  // of the gradient; derivatives and image lie further left
    const int map_column = column - kReach, input_column = column - 2 * kReach;
    const int row0 = blockIdx.y * rows, row1 = row0 + rows < height ? row0 + rows : height;
    const int first = row0 > 2 * kReach ? row0 - 2 * kReach : 0, last = row1 + 2 * kReach;
    const bool has_map = map_column >= 0 && map_column < width, has_output = thread < kOutputs && column < width;
    const bool counts = has_map && thread >= kReach && thread < kReach + kOutputs;
    const long long plane = (long long)blockIdx.z * height * width;
    image += plane;
    target += plane;
    grad += plane;
    if (WEIGHTED) weight += blockIdx.z * weight_stride;

    Column sum, difference, sum_square, difference_square, mean, to_sum_square, to_difference_square;
    Column* const filters[] = {&sum,  &difference,    &sum_square,          &difference_square,
                               &mean, &to_sum_square, &to_difference_square};
#pragma unroll
    for (Column* filter : filters) filter->clear();
    Pointwise<float> loss;
    float dissimilarity = 0;

    if (thread < 2 * kReach) {  // read by the threads that have a derivative but no output
        for (int place = 0; place < 2; ++place) {
            means[place][SSIM_THREADS + thread] = 0;
            squares[place][SSIM_THREADS + thread] = {0, 0};
        }
    }
    Row next;
    next.load(image, target, first, height, input_column, width);
    next.store(inputs[0]);
    next.load(image, target, first + 1, height, input_column, width);
    __syncthreads();
    for (int even = first; even < last; even += 2) {  // two rows at a time, so that most filters move without copies
#pragma unroll
        for (int place = 0; place < 2; ++place) {
            const int row = even + place, map_row = row - kReach, output_row = row - 2 * kReach;
            next.store(inputs[place ^ 1]);
            next.load(image, target, row + 2, height, input_column, width);

            const Pair* const at = inputs[place] + thread + kReach;
            float s = tap(0) * at[0].first, ss = s * at[0].first;
            float d = tap(0) * at[0].second, dd = d * at[0].second;
#pragma unroll
            for (int k = 1; k <= kReach; ++k) {
                const Pair l = at[-k], r = at[k];
                s = multiply_add(tap(k), l.first + r.first, s);
                d = multiply_add(tap(k), l.second + r.second, d);
                ss = multiply_add(tap(k), multiply_add(l.first, l.first, r.first * r.first), ss);
                dd = multiply_add(tap(k), multiply_add(l.second, l.second, r.second * r.second), dd);
            }
            s = sum.push(s);
            d = difference.push(d);
            ss = sum_square.push(ss);
            dd = difference_square.push(dd);
            Dissimilarity map = Dissimilarity::of(s, d, ss, dd);
            const bool map_here = has_map && map_row >= 0 && map_row < height;  // there is none outside the image
            if (WEIGHTED) map.scale(map_here ? weight[map_row * width + map_column] : 0.0f);
            dissimilarity += counts && map_row >= row0 && map_row < row1 ? map.value : 0.0f;
            means[place][thread] = map_here ? map.to_mean : 0.0f;
            squares[place][thread] = {map_here ? map.to_sum_square : 0.0f, map_here ? map.to_difference_square : 0.0f};
            __syncthreads();

            const bool output_here = has_output && output_row >= row0 && output_row < row1;
            const int output = output_row * width + column;
            const float x = output_here ? image[output] : 0.0f;
            const float y = output_here ? target[output] : 0.0f;
            const float* const m = means[place] + thread + kReach;
            const Pair* const t = squares[place] + thread + kReach;
            float to_mean = tap(0) * m[0], to_s = tap(0) * t[0].first, to_d = tap(0) * t[0].second;
#pragma unroll
            for (int k = 1; k <= kReach; ++k) {
                to_mean = multiply_add(tap(k), m[-k] + m[k], to_mean);
                to_s = multiply_add(tap(k), t[-k].first + t[k].first, to_s);
                to_d = multiply_add(tap(k), t[-k].second + t[k].second, to_d);
            }
            to_mean = mean.push(to_mean);
            to_s = to_sum_square.push(to_s);
            to_d = to_difference_square.push(to_d);
            if (output_here) {
                const float by_ssim = multiply_add(2 * (x + y), to_s, multiply_add(2 * (x - y), to_d, to_mean));
                const float counts = WEIGHTED ? weight[output] : 1.0f;
                const float by_point = WEIGHTED ? counts * loss.add(x - y, counts, weights) : loss.add(x - y, weights);
                grad[output] = multiply_add(weights.ssim, by_ssim, by_point);
            }
        }
    }
    constexpr int kColumns = LOSS_TERMS + WEIGHTED;
    float sums[kColumns];
    for (int k = 0; k < POINTWISE_TERMS; ++k) sums[k] = loss.sums[k];
    sums[POINTWISE_TERMS] = dissimilarity;
    if (WEIGHTED) sums[kColumns - 1] = loss.plain_square;
    block_sum<SSIM_THREADS>(sums);
    const long long block = ((long long)blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    if (thread == 0)
        for (int k = 0; k < kColumns; ++k) partials[block * kColumns + k] = sums[k];
}

extern "C" __global__ void __launch_bounds__(SSIM_THREADS, SSIM_BLOCKS)
    ssim_loss(const float* image, const float* target, int height, int width, int rows, gscodec::LossWeights weights,
              float* grad, float* partials) {
    sweep<false>(image, target, nullptr, 0, height, width, rows, weights, grad, partials);
}

extern "C" __global__ void __launch_bounds__(SSIM_THREADS, SSIM_BLOCKS)
    weighted_ssim_loss(const float* image, const float* target, const float* weight, long long weight_stride,
                       int height, int width, int rows, gscodec::LossWeights weights, float* grad, float* partials) {
    sweep<true>(image, target, weight, weight_stride, height, width, rows, weights, grad, partials);
}

// sums (LOSS_COLUMNS,) f64 of the columns of partials (n, width).
extern "C" __global__ void __launch_bounds__(FINISH_THREADS)
    sum_partials(const float* partials, int n, int width, double* sums) {
    double totals[LOSS_COLUMNS];
    sum_rows<FINISH_THREADS>(partials, n, width, totals);
    if (threadIdx.x == 0)
        for (int k = 0; k < LOSS_COLUMNS; ++k) sums[k] = totals[k];
}
