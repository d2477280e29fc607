// New Gaussians of a fit: drawn by a density over the pixels, and what they begin as (CPU: fit/growth.py).
//
//   gradient_density  thread a pixel       how steep the picture is there
//   error_density     thread a pixel       how far off it is
//   blur_along        thread a run         mean over a box, along one axis
//   weigh_density     thread a few pixels  times what pixels count; sums of blocks
//   draw_keys         thread a few pixels  logarithm of the probability plus a Gumbel number: the greatest are drawn
//                                          (Efraimidis and Spirakis 2006), and as many pixels have any
//   count_digits      thread a few keys    how many keys that begin like the least one drawn have which next digit
//   choose_digit      one block            that one's next digit
//   count_drawn       block a chunk        greater keys than the least drawn, and equal ones
//   list_drawn        block a chunk        pixels of the greatest keys in ascending order; of equal ones the first
//   weighted_error    thread a pixel       signed, times the root of what pixels count
//   add_gain          thread a pixel       what a blob gains there: a blurred error squared, of one more channel
//   keep_most         thread a pixel       the greatest gain of all sizes so far, and its size
//   peak_keys         thread a few pixels  gains that no neighbour exceeds, as keys, and how many; 0 elsewhere
//   gather_peaks      thread a peak        its gain and size
//   start_rows        warp a Gaussian      parameters and units
//
// Random numbers are Philox4x32-10 of (index, draw) under a seed (Salmon et al. 2011): the same on every device, in any
// order of threads. Everything else is the same too, since counts are whole numbers and sums have one order.
//
// Buffers (n = H W pixels, m Gaussians of D = 5 + C columns):
//   target, image (C, H, W) f32; each (C, H, W) f32 or null; counts (H, W) f32 or null; allowed (H, W) bool or null
//   density, other (H, W) f32; sums (SUM_BLOCKS,) f64; keys (H, W) u32
//   select (2 + DIGITS,) i32     what is known of the least key drawn, how many of its like are drawn, histogram
//   errors (C, H, W) f32; gain, most (H, W) f32; size (H, W) i32
//   drawn (m,) i64; scales (p,) f32 of the first p, which are placed; rows, units (m, D) f32

typedef unsigned int u32;
typedef unsigned long long u64;

struct Words {
    u32 w[4];
};

__device__ inline Words philox(u64 index, u32 draw, u64 seed) {
    u32 c[4] = {(u32)index, (u32)(index >> 32), draw, 0};
    u32 k0 = (u32)seed, k1 = (u32)(seed >> 32);
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        const u64 p0 = (u64)0xD2511F53u * c[0], p1 = (u64)0xCD9E8D57u * c[2];
        const u32 next[4] = {(u32)(p1 >> 32) ^ c[1] ^ k0, (u32)p1, (u32)(p0 >> 32) ^ c[3] ^ k1, (u32)p0};
        for (int i = 0; i < 4; ++i) c[i] = next[i];
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return {{c[0], c[1], c[2], c[3]}};
}

// 53 bits of two words, as a whole number.
__device__ inline double bits53(u32 high, u32 low) { return (double)(((u64)high << 21) | (low >> 11)); }
constexpr double kUnit = 1.0 / 9007199254740992.0;  // 2^-53
constexpr double kLargest = 1.7976931348623157e308;
constexpr float kLargestFloat = 3.402823466e38f;

// Central difference along an axis of n values, as numpy.gradient has it; 0 where there is one.
__device__ inline float slope(const float* at, int i, int n, long long stride) {
    if (n < 2) return 0;
    if (i == 0) return at[stride] - at[0];
    if (i == n - 1) return at[0] - at[-stride];
    return (at[stride] - at[-stride]) / 2;
}

extern "C" __global__ void __launch_bounds__(GROWTH_THREADS)
    gradient_density(const float* target, const float* each, int n_channels, int height, int width, float* density) {
    const long long n = (long long)height * width, pixel = blockIdx.x * (long long)GROWTH_THREADS + threadIdx.x;
    if (pixel >= n) return;
    const int x = (int)(pixel % width), y = (int)(pixel / width);
    double total = 0;
    for (int c = 0; c < n_channels; ++c) {
        const float* at = target + c * n + pixel;
        const double dx = slope(at, x, width, 1), dy = slope(at, y, height, width);
        total = multiply_add(each ? each[c * n + pixel] : 1.0, multiply_add(dx, dx, dy * dy), total);
    }
    density[pixel] = (float)sqrt(total);
}

extern "C" __global__ void __launch_bounds__(GROWTH_THREADS)
    error_density(const float* image, const float* target, const float* each, int n_channels, long long n, float power,
                  float* density) {
    const long long pixel = blockIdx.x * (long long)GROWTH_THREADS + threadIdx.x;
    if (pixel >= n) return;
    double total = 0;
    for (int c = 0; c < n_channels; ++c) {
        const double d = fabsf(image[c * n + pixel] - target[c * n + pixel]);
        const double error = power == 1 ? d : power == 2 ? d * d : pow(d, (double)power);
        total = multiply_add(each ? each[c * n + pixel] : 1.0, error, total);
    }
    density[pixel] = (float)total;
}

// Lines of `length` values, `step` apart, begin `line_step` apart; beyond their ends the last value goes on. A thread
// carries a sum along a run, so that what a value costs does not depend on the radius.
extern "C" __global__ void __launch_bounds__(GROWTH_THREADS)
    blur_along(const float* from, int n_lines, int length, long long line_step, long long step, int radius, float* to) {
    const long long thread = blockIdx.x * (long long)GROWTH_THREADS + threadIdx.x;
    const int runs = (length + BLUR_RUN - 1) / BLUR_RUN;
    if (thread >= (long long)n_lines * runs) return;
    // Neighbours share what the cache has: threads lie next to each other across lines where these are adjacent.
    const int line = (int)(line_step == 1 ? thread % n_lines : thread / runs);
    const int run = (int)(line_step == 1 ? thread / n_lines : thread % runs);
    const float* values = from + line * line_step;
    const int first = run * BLUR_RUN, last = first + BLUR_RUN < length ? first + BLUR_RUN : length;
    const auto at = [&](int i) { return (double)values[(i < 0 ? 0 : i >= length ? length - 1 : i) * step]; };
    double sum = 0;
    for (int i = first - radius; i <= first + radius; ++i) sum += at(i);
    for (int i = first; i < last; ++i) {
        to[line * line_step + i * step] = (float)(sum / (2 * radius + 1));
        sum += at(i + radius + 1) - at(i - radius);
    }
}

extern "C" __global__ void __launch_bounds__(GROWTH_THREADS)
    weigh_density(float* density, const float* counts, long long n, double* sums) {
    double sum[1] = {0};
    const long long stride = (long long)SUM_BLOCKS * GROWTH_THREADS;
    for (long long i = blockIdx.x * (long long)GROWTH_THREADS + threadIdx.x; i < n; i += stride) {
        if (counts) density[i] *= counts[i];
        sum[0] += density[i];
    }
    block_sum<GROWTH_THREADS>(sum);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum[0];
}

// Whole numbers in the order of the floats.
__device__ inline u32 ordered(float value) {
    const u32 bits = __float_as_uint(value);
    return bits >> 31 ? ~bits : bits | 0x80000000u;
}

extern "C" __global__ void __launch_bounds__(GROWTH_THREADS)
    draw_keys(const float* density, const double* sums, const bool* allowed, long long n, double uniform_share,
              u64 seed, u32 draw, u32* keys, int* possible) {
    double total[1] = {0};
    for (int b = threadIdx.x; b < SUM_BLOCKS; b += GROWTH_THREADS) total[0] += sums[b];
    block_sum<GROWTH_THREADS>(total);
    int some[1] = {0};
    const long long first = (long long)blockIdx.x * (GROWTH_THREADS * KEYS_EACH) + threadIdx.x;
    for (int k = 0; k < KEYS_EACH; ++k) {
        const long long pixel = first + k * GROWTH_THREADS;
        if (pixel >= n) continue;
        double p = 1.0 / n;
        if (total[0] > 0 && total[0] <= kLargest)
            p = (1 - uniform_share) * density[pixel] / total[0] + uniform_share / n;
        // A trace everywhere: the draw would come back empty-handed where the allowed part has no error left.
        if (allowed) p = allowed[pixel] ? p + 1e-12 : 0;
        const Words words = philox((u64)pixel, draw, seed);
        const double gumbel = -log(-log((bits53(words.w[0], words.w[1]) + 0.5) * kUnit));
        some[0] += p > 0;
        keys[pixel] = p > 0 ? ordered((float)(log(p) + gumbel)) : 0;
    }
    block_sum<GROWTH_THREADS>(some);
    if (threadIdx.x == 0 && some[0]) atomicAdd(possible, some[0]);
}

extern "C" __global__ void __launch_bounds__(GROWTH_THREADS)
    count_digits(const u32* keys, long long n, int shift, int* select) {
    __shared__ int histogram[DIGITS];
    for (int d = threadIdx.x; d < DIGITS; d += GROWTH_THREADS) histogram[d] = 0;
    __syncthreads();
    const u32 like = (u32)select[0];
    const int above = shift + DIGIT_BITS;
    const long long first = (long long)blockIdx.x * (GROWTH_THREADS * KEYS_EACH) + threadIdx.x;
    for (int k = 0; k < KEYS_EACH; ++k) {
        const long long i = first + k * GROWTH_THREADS;
        if (i >= n) continue;
        const u32 key = keys[i];
        if (above >= 32 || key >> above == like >> above) atomicAdd(&histogram[key >> shift & (DIGITS - 1)], 1);
    }
    __syncthreads();
    for (int d = threadIdx.x; d < DIGITS; d += GROWTH_THREADS)
        if (histogram[d]) atomicAdd(&select[2 + d], histogram[d]);
}

// Leaves the histogram empty.
extern "C" __global__ void __launch_bounds__(GROWTH_THREADS) choose_digit(int shift, int* select) {
    static_assert(DIGITS == GROWTH_THREADS, "a digit a thread");
    __shared__ int histogram[DIGITS];
    const int digit = threadIdx.x, own = select[2 + digit], wanted = select[1];
    histogram[digit] = own;
    select[2 + digit] = 0;
    __syncthreads();  // what all have read, one changes
    int greater = 0;
    for (int d = digit + 1; d < DIGITS; ++d) greater += histogram[d];
    if (greater < wanted && wanted <= greater + own) {
        select[0] = (int)((u32)select[0] | (u32)digit << shift);
        select[1] = wanted - greater;
    }
}

// Keys of a thread's part of a chunk that are greater than the least one drawn, and equal to it.
__device__ inline void compare_keys(const u32* keys, long long n, u32 least, int (&found)[2]) {
    const long long begin = ((long long)blockIdx.x * GROWTH_THREADS + threadIdx.x) * KEYS_EACH;
    for (int k = 0; k < KEYS_EACH && begin + k < n; ++k) {
        found[0] += keys[begin + k] > least;
        found[1] += keys[begin + k] == least;
    }
}

extern "C" __global__ void __launch_bounds__(GROWTH_THREADS)
    count_drawn(const u32* keys, long long n, const int* select, int* chunks) {
    int found[2] = {0, 0};
    compare_keys(keys, n, (u32)select[0], found);
    block_sum<GROWTH_THREADS>(found);
    if (threadIdx.x < 2) chunks[2 * blockIdx.x + threadIdx.x] = found[threadIdx.x];
}

extern "C" __global__ void __launch_bounds__(GROWTH_THREADS)
    list_drawn(const u32* keys, long long n, const int* select, const int* chunks, long long* drawn) {
    const u32 least = (u32)select[0];
    const int equal = select[1], lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    int before[2] = {0, 0};
    for (int b = threadIdx.x; b < (int)blockIdx.x; b += GROWTH_THREADS)
        for (int k = 0; k < 2; ++k) before[k] += chunks[2 * b + k];
    block_sum<GROWTH_THREADS>(before);
    int own[2] = {0, 0};
    compare_keys(keys, n, least, own);
    __shared__ int totals[GROWTH_THREADS / WARP][2];
    for (int k = 0; k < 2; ++k) {
        const int upto = warp_sum_to(own[k], lane);
        before[k] += upto - own[k];
        if (lane == WARP - 1) totals[warp][k] = upto;
    }
    __syncthreads();
    for (int k = 0; k < 2; ++k)
        for (int w = 0; w < warp; ++w) before[k] += totals[w][k];
    const long long begin = ((long long)blockIdx.x * GROWTH_THREADS + threadIdx.x) * KEYS_EACH;
    for (int k = 0; k < KEYS_EACH && begin + k < n; ++k) {
        const u32 key = keys[begin + k];
        const bool takes = key > least || (key == least && before[1] < equal);
        if (takes) drawn[before[0] + (before[1] < equal ? before[1] : equal)] = begin + k;
        before[0] += key > least;
        before[1] += key == least;
    }
}

extern "C" __global__ void __launch_bounds__(GROWTH_THREADS)
    weighted_error(const float* image, const float* target, const float* each, const float* counts, int n_channels,
                   long long n, float* errors) {
    const long long pixel = blockIdx.x * (long long)GROWTH_THREADS + threadIdx.x;
    if (pixel >= n) return;
    for (int c = 0; c < n_channels; ++c) {
        const float error = image[c * n + pixel] - target[c * n + pixel];
        errors[c * n + pixel] = each     ? error * sqrtf(each[c * n + pixel])
                                : counts ? error * sqrtf(counts[pixel])
                                         : error;
    }
}

extern "C" __global__ void __launch_bounds__(GROWTH_THREADS)
    add_gain(const float* blurred, long long n, float factor, int is_first, float* gain) {
    const long long pixel = blockIdx.x * (long long)GROWTH_THREADS + threadIdx.x;
    if (pixel >= n) return;
    const float own = factor * blurred[pixel] * blurred[pixel];
    gain[pixel] = is_first ? own : gain[pixel] + own;
}

extern "C" __global__ void __launch_bounds__(GROWTH_THREADS)
    keep_most(const float* gain, long long n, int index, float* most, int* size) {
    const long long pixel = blockIdx.x * (long long)GROWTH_THREADS + threadIdx.x;
    if (pixel >= n || (index > 0 && !(gain[pixel] > most[pixel]))) return;
    most[pixel] = gain[pixel];
    size[pixel] = index;
}

// Of equal neighbours the first is the peak. Gains above 0 are in the order of their bits.
extern "C" __global__ void __launch_bounds__(GROWTH_THREADS)
    peak_keys(const float* most, const bool* allowed, int height, int width, u32* keys, int* possible) {
    const long long n = (long long)height * width;
    const long long first = (long long)blockIdx.x * (GROWTH_THREADS * KEYS_EACH) + threadIdx.x;
    int some[1] = {0};
    for (int k = 0; k < KEYS_EACH; ++k) {
        const long long pixel = first + k * GROWTH_THREADS;
        if (pixel >= n) continue;
        const int x = (int)(pixel % width), y = (int)(pixel / width);
        const float own = most[pixel];
        bool is_peak = own > 0 && own <= kLargestFloat && (!allowed || allowed[pixel]);
        for (int v = y > 0 ? y - 1 : 0; is_peak && v <= y + 1 && v < height; ++v)
            for (int u = x > 0 ? x - 1 : 0; u <= x + 1 && u < width; ++u) {
                const long long at = (long long)v * width + u;
                if (most[at] > own || (most[at] == own && at < pixel)) is_peak = false;
            }
        keys[pixel] = is_peak ? __float_as_uint(own) : 0;
        some[0] += is_peak;
    }
    block_sum<GROWTH_THREADS>(some);
    if (threadIdx.x == 0 && some[0]) atomicAdd(possible, some[0]);
}

extern "C" __global__ void __launch_bounds__(GROWTH_THREADS)
    gather_peaks(const long long* drawn, int n_drawn, const float* most, const int* size, float* gains, int* sizes) {
    const int k = blockIdx.x * GROWTH_THREADS + threadIdx.x;
    if (k >= n_drawn) return;
    gains[k] = most[drawn[k]];
    sizes[k] = size[drawn[k]];
}

__device__ inline float gray(const float* target, int n_channels, long long n, long long pixel) {
    float sum = 0;
    for (int c = 0; c < n_channels; ++c) sum += target[c * n + pixel];
    return sum / n_channels;
}

// Central difference of the channels' mean along an axis.
__device__ inline double gray_slope(const float* target, int n_channels, long long n, long long pixel, int i, int size,
                                    long long stride) {
    if (size < 2) return 0;
    const bool low = i == 0, high = i == size - 1;
    const float d = gray(target, n_channels, n, high ? pixel : pixel + stride) -
                    gray(target, n_channels, n, low ? pixel : pixel - stride);
    return low || high ? d : d / 2;
}

extern "C" __global__ void __launch_bounds__(GROWTH_THREADS)
    start_rows(const float* target, int n_channels, int height, int width, const long long* drawn, int n_drawn,
               const float* scales, int n_placed, int jitter, u64 seed, u32 draw, float scale, float unit_x,
               float unit_y, double stretch, int radius, float* rows, float* units) {
    const int i = blockIdx.x * (GROWTH_THREADS / WARP) + threadIdx.x / WARP, lane = threadIdx.x % WARP;
    if (i >= n_drawn) return;  // all of a warp
    const long long n = (long long)height * width, pixel = drawn[i];
    const int x = (int)(pixel % width), y = (int)(pixel / width), columns = 5 + n_channels;
    double angle = 0, coherence = 0;
    if (stretch != 0) {
        double xx = 0, xy = 0, yy = 0;
        const int side = 2 * radius + 1;
        for (int k = lane; k < side * side; k += WARP) {
            const int at_x = x + k % side - radius, at_y = y + k / side - radius;
            const int px = at_x < 0 ? 0 : at_x >= width ? width - 1 : at_x;
            const int py = at_y < 0 ? 0 : at_y >= height ? height - 1 : at_y;
            const long long at = (long long)py * width + px;
            const double gx = gray_slope(target, n_channels, n, at, px, width, 1);
            const double gy = gray_slope(target, n_channels, n, at, py, height, width);
            xx = multiply_add(gx, gx, xx);
            xy = multiply_add(gx, gy, xy);
            yy = multiply_add(gy, gy, yy);
        }
        const double share = 1.0 / ((double)side * side);
        xx = warp_sum(xx) * share;
        xy = warp_sum(xy) * share;
        yy = warp_sum(yy) * share;
        coherence = hypot(xx - yy, 2 * xy) / (xx + yy + 1e-6);
        angle = 0.5 * atan2(2 * xy, xx - yy);
    }
    double at[2] = {0.5, 0.5};
    if (i < n_placed) {
        scale = scales[i];
    } else if (jitter) {
        const Words words = philox((u64)(i - n_placed), draw, seed);
        for (int k = 0; k < 2; ++k) at[k] = bits53(words.w[2 * k], words.w[2 * k + 1]) * kUnit;
    }
    for (int k = lane; k < columns; k += WARP) {
        float value = scale, unit = 1;
        if (k < 2) {
            value = (float)((k == 0 ? x : y) + at[k]);
            unit = k == 0 ? unit_x : unit_y;
        } else if (k < 4) {
            value = (float)(scale + (k == 2 ? stretch : -stretch) * coherence);  // narrow across the edge
        } else if (k == 4) {
            value = (float)angle;
        } else {
            value = target[(k - 5) * n + pixel];
        }
        rows[(long long)i * columns + k] = value;
        units[(long long)i * columns + k] = unit;
    }
}
