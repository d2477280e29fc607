// What a training step does besides rendering (CPU: fit/trainee.py, fit/optimizer.py; the plan: fit/plan.py).
//
//   begin_step    one thread          the step's decisions from the plan into `now`; the cursor moves on
//   show          block of 32         parameters as they train -> Gaussians as they are shown, at the level's gains,
//                                     and the first part of their tile lists (binning.cuh); may take the decisions
//                                     itself
//   finish_loss   one block           partial sums -> loss, mean squared error; whether this state is the best so far;
//                                     how much the gradients of coarser levels weigh
//   finish_step   warp a Gaussian     moments -> gradients (gather.cuh); one more block does what finish_loss does, and
//                                     moves the cursor where `show` took the decisions
//   adam_rows     block of ADAM_ROWS  gradients of the Gaussians -> of the parameters; those of a coarser level are kept,
//                                     those of all go, with the ones kept, into Adam, widening, valid ranges
//   step_gains    block a generation  the log gains of a coarse level
//
// A step is the same launches every time, so that it can be a CUDA graph: whatever changes from step to step lies in
// device memory, and nothing is read back in between. A step that runs out of room for pairs is undone by the host.
//
// Buffers (N Gaussians, D = 5 + C columns, L levels, S steps):
//   rows (N, D) f32              x, y (px), two scale parameters, rotation, features
//   mean, square (N, D) f32      Adam's moments; row_steps (N,) i32 updates that a row has had
//   units (N, D) f32             unit of each value's learning rate; 0 holds it
//   generation (N,) i32, counts (L,) i32    generation of a Gaussian; Gaussians up to and with a generation
//   log_gains, gain_mean, gain_square (L, L) f32      row m: the gains of level step m
//   coarse_grads (sum of all counts but the last, D) f32    kept gradients of coarser levels, one level after another
//   coarse_losses, coarse_weights (L,) f32    their losses, infinite where none is kept; factors on their gradients
//   coarse_worths (L,) f32       of the next coarser level, of the one after it, and so on
//   best_rows (N, D), best_gains (L, L) f32           the state with the least error
//   gain_terms (N,) f32          a row's share of the gradient to its generation's gain
//   plan_ints (S, PLAN_INTS) i32 n_shown, level, shows_all, may_be_best; plan_factors (S,) f32 factor on all rates
//   now_ints, now_floats         the step at hand and what became of it; places are the NOW_ macros
//
// Floor: adam_rows reads five and writes three values of 4 bytes a parameter, 2.6 MB for 10K Gaussians of 8 columns. It
// all stays in the L2, so that each of these launches costs its start, about 2 us, and none is worth more cleverness.

constexpr float kLargest = 3.402823466e38f;

__device__ inline bool is_finite(float x) { return fabsf(x) <= kLargest; }

// NaN stays NaN: it must come to light, not turn into a limit.
__device__ inline float clamp(float x, float low, float high) { return x < low ? low : (x > high ? high : x); }

// The inverse scale that a scale parameter stands for, gain aside.
__device__ inline float inverse_scale(float parameter) { return LOG_SCALES ? expf(parameter) : parameter; }

// What the plan says of a step. Beyond its room it shows nothing, and so moves nothing.
struct Decisions {
    int n_shown, level, shows_all, may_be_best;
    float factor;

    __device__ static Decisions of(const int* plan_ints, const float* plan_factors, int n_steps, int step) {
        if (step >= n_steps) return {0, 0, 0, 0, 0.0f};
        const int* d = plan_ints + (long long)PLAN_INTS * step;
        return {d[0], d[1], d[2], d[3], plan_factors[step]};
    }
    __device__ void note(int* now_ints, float* now_floats) const {
        now_ints[NOW_SHOWN] = n_shown;
        now_ints[NOW_LEVEL] = level;
        now_ints[NOW_SHOWS_ALL] = shows_all;
        now_ints[NOW_MAY_BE_BEST] = may_be_best;
        now_ints[NOW_IMPROVED] = 0;
        now_floats[NOW_FACTOR] = factor;
    }
};

extern "C" __global__ void begin_step(const int* plan_ints, const float* plan_factors, int n_steps, int* now_ints,
                                      float* now_floats) {
    Decisions::of(plan_ints, plan_factors, n_steps, now_ints[NOW_CURSOR]).note(now_ints, now_floats);
    now_ints[NOW_CURSOR] += 1;
}

// What `show` makes of a row of parameters.
struct Activate {
    int n_shown, level, n_columns, n_levels;
    const float *rows, *log_gains;
    const int* generation;
    int* now_ints;
    double *means, *inv_scales, *rotations;

    __device__ bool operator()(int i, Shown& g) const {
        if (i >= n_shown) return false;
        const float* row = rows + (long long)i * n_columns;
        const float gain = expf(log_gains[level * n_levels + generation[i]]);
        const float s0 = inverse_scale(row[2]) * gain, s1 = inverse_scale(row[3]) * gain;
        g = {row[0], row[1], s0, s1, row[4]};
        means[2LL * i] = g.x;
        means[2LL * i + 1] = g.y;
        inv_scales[2LL * i] = g.s0;
        inv_scales[2LL * i + 1] = g.s1;
        rotations[i] = g.rotation;
        bool valid = s0 > 0 && s1 > 0 && is_finite(s0) && is_finite(s1);
        for (int k = 0; k < n_columns; ++k) valid = valid && is_finite(row[k]);
        // Tile lists silently leave out such a Gaussian. The lowest index is reported, whatever the order of threads.
        if (!valid) atomicMin(now_ints + NOW_INVALID, i);
        return true;
    }
};

// With `begins` this is also begin_step: every block reads the plan, and the cursor stays until finish_step, since
// others may still have to read it. Null axes: nothing but the Gaussians is made.
extern "C" __global__ void __launch_bounds__(BIN_GAUSSIANS* ROW_LANES)
    show(int n_present, int n_columns, int n_levels, int begins, const int* plan_ints, const float* plan_factors,
         int n_steps, int* now_ints, float* now_floats, const float* rows, const float* log_gains,
         const int* generation, double* means, double* inv_scales, double* rotations, double support_q, int x0, int y0,
         int x1, int y1, double* axes, double* ellipses, int* tile_rows, int* counts, int* tile_counts) {
    int n_shown, level;
    if (begins) {
        const Decisions step = Decisions::of(plan_ints, plan_factors, n_steps, now_ints[NOW_CURSOR]);
        n_shown = step.n_shown;
        level = step.level;
        if (blockIdx.x == 0 && threadIdx.x == 0) step.note(now_ints, now_floats);
    } else {
        n_shown = now_ints[NOW_SHOWN];
        level = now_ints[NOW_LEVEL];
    }
    const Activate load = {n_shown,    level,    n_columns, n_levels,   rows,     log_gains,
                           generation, now_ints, means,     inv_scales, rotations};
    count_block(n_present, load, support_q, {x0, y0, x1, y1}, axes, ellipses, tile_rows, counts, tile_counts);
}

// partials (n, width) f32, see partial_sums.cuh; the plain sum of d^2 is column `square`. The weights are divided by
// the number of samples. The best state is the one of the least error, or, `by_loss`, of the least loss.
__device__ inline void finish_block(const float* partials, int n, int width, int square,
                                    const gscodec::LossTerms<double>& weights, double per_sample, int by_loss,
                                    float renewed, int n_levels, const float* log_gains, float* best_gains,
                                    const float* coarse_worths, float* coarse_losses, float* coarse_weights,
                                    int* now_ints, float* now_floats) {
    double sums[LOSS_COLUMNS];
    sum_rows<FINISH_THREADS>(partials, n, width, sums);
    const float mse = (float)(sums[square] * per_sample), loss = (float)weights.of(sums);
    const float score = by_loss ? loss : mse;
    // Every thread decides alike, before one of them writes.
    const bool improved = now_ints[NOW_MAY_BE_BEST] && score < now_floats[NOW_BEST_SCORE];
    const bool shows_all = now_ints[NOW_SHOWS_ALL] != 0;
    __syncthreads();
    if (improved)
        for (int k = threadIdx.x; k < n_levels * n_levels; k += FINISH_THREADS) best_gains[k] = log_gains[k];
    if (threadIdx.x != 0) return;
    now_floats[NOW_LOSS] = loss;
    now_floats[NOW_MSE] = mse;
    if (shows_all) {
        now_floats[NOW_WHOLE_MSE] = mse;
        const int finest = now_ints[NOW_LEVEL];
        // The loss is infinite where no gradient is kept, and the weight then 0. Unrolled, it would spill registers.
#pragma unroll 1
        for (int level = 0; level < finest; ++level)
            coarse_weights[level] =
                coarse_worths[finest - 1 - level] * fminf(loss / fmaxf(coarse_losses[level], 1e-30f), 1.0f);
    } else if (now_ints[NOW_SHOWN] > 0) {
        float& kept = coarse_losses[now_ints[NOW_LEVEL]];
        const bool is_first = !is_finite(kept);
        now_floats[NOW_RENEWED] = is_first ? 1.0f : renewed;
        kept = is_first ? loss : multiply_add(renewed, loss - kept, kept);
    }
    if (improved) {
        now_floats[NOW_BEST_MSE] = mse;
        now_floats[NOW_BEST_SCORE] = score;
    }
    now_ints[NOW_IMPROVED] = improved;
}

extern "C" __global__ void __launch_bounds__(FINISH_THREADS)
    finish_loss(const float* partials, int n, int width, int square, gscodec::LossTerms<double> weights,
                double per_sample, int by_loss, float renewed, int n_levels, const float* log_gains, float* best_gains,
                const float* coarse_worths, float* coarse_losses, float* coarse_weights, int* now_ints,
                float* now_floats) {
    finish_block(partials, n, width, square, weights, per_sample, by_loss, renewed, n_levels, log_gains, best_gains,
                 coarse_worths, coarse_losses, coarse_weights, now_ints, now_floats);
}

// Block 0 comes first and has the most to do. The rest reads nothing that it writes.
extern "C" __global__ void __launch_bounds__(FINISH_THREADS)
    finish_step(const float* partials, int n, int width, int square, gscodec::LossTerms<double> weights,
                double per_sample, int by_loss, float renewed, int n_levels, const float* log_gains, float* best_gains,
                const float* coarse_worths, float* coarse_losses, float* coarse_weights, int* now_ints,
                float* now_floats, int n_present, const int* starts, const int* slots, const real* moments,
                int n_channels, const double* inv_scales, const double* axes, real* grads) {
    static_assert(FINISH_THREADS == GATHER_THREADS, "both parts have the same blocks");
    if (blockIdx.x == 0) {
        finish_block(partials, n, width, square, weights, per_sample, by_loss, renewed, n_levels, log_gains, best_gains,
                     coarse_worths, coarse_losses, coarse_weights, now_ints, now_floats);
        if (threadIdx.x == 0) now_ints[NOW_CURSOR] += 1;
        return;
    }
    const int i = (blockIdx.x - 1) * (GATHER_THREADS / WARP) + threadIdx.x / WARP;
    if (i < n_present && i < now_ints[NOW_SHOWN])
        gather_row(i, starts, slots, moments, n_channels, inv_scales, axes, grads);
}

// Constants of adam_rows: `row_constants` of fitting.py, in its order.
struct RowConstants {
    float grad_scale;                                                        // on all gradients
    float rate_mean, rate_scale, rate_rotation, rate_feature;                // learning rates
    float mean_weight, square_weight, beta2, log_beta1, log_beta2, epsilon;  // Adam's; the weights are 1 - beta
    float widening;                                                          // taken off scale parameters that move
    float width, height;                                                     // of the picture, px: ranges of means
    float scale_low, scale_high, feature_low, feature_high;                  // ranges of the others
};

struct Fused {  // how adam_update rounds
    __device__ static float root(float x) { return sqrtf(x); }
    __device__ static float multiply_add(float a, float b, float c) { return fmaf(a, b, c); }
    __device__ static float add_square(float a, float b, float c) { return fmaf(a * b, b, c); }
};

struct Expm1 {
    __device__ float operator()(float x) const { return expm1f(x); }
};

// The part of the levels coarser than `finest` in a gradient (fit/coarse.py): value k of row i of those kept, weighted.
__device__ inline float coarse_part(int i, int k, int n_columns, int finest, const int* counts,
                                    const float* coarse_weights, const float* coarse_grads) {
    float sum = 0;
    for (int level = 0, start = 0; level < finest; start += counts[level++])
        if (i < counts[level])
            sum = multiply_add(coarse_weights[level], coarse_grads[(long long)(start + i) * n_columns + k], sum);
    return sum;
}

// Adam as fit/optimizer.py has it. Rows that are not shown rest, but for clamping, since a new row may begin out of
// range. A value whose unit is 0 stands still, out of range too.
extern "C" __global__ void __launch_bounds__(ADAM_THREADS)
    adam_rows(int n_present, int n_columns, int n_levels, const int* now_ints, const float* now_floats,
              const real* grads, const float* units, const int* generation, const int* counts, const float* log_gains,
              const float* coarse_weights, RowConstants constants, float* rows, float* mean, float* square,
              int* row_steps, float* gain_terms, float* coarse_grads, float* best_rows) {
    __shared__ gscodec::AdamCorrections corrections[ADAM_ROWS];
    __shared__ float gains[ADAM_ROWS];
    __shared__ float terms[ADAM_ROWS][2];
    const int first = blockIdx.x * ADAM_ROWS, thread = threadIdx.x;
    const int count = n_present - first < ADAM_ROWS ? n_present - first : ADAM_ROWS;
    const gscodec::AdamFactors factors = {constants.mean_weight, constants.square_weight, constants.beta2,
                                          constants.epsilon};
    const int n_shown = now_ints[NOW_SHOWN], shown_level = now_ints[NOW_LEVEL];
    const bool improved = now_ints[NOW_IMPROVED] != 0, shows_all = now_ints[NOW_SHOWS_ALL] != 0;
    const float factor = now_floats[NOW_FACTOR];
    int start = 0;  // of the level's kept gradients
    for (int level = 0; level < shown_level; ++level) start += counts[level];
    if (thread < count && first + thread < n_shown) {
        const int i = first + thread, steps = row_steps[i] + shows_all;
        row_steps[i] = steps;
        corrections[thread] = {gscodec::adam_correction<float>(steps, constants.log_beta1, Expm1()),
                               gscodec::adam_correction<float>(steps, constants.log_beta2, Expm1())};
        gains[thread] = expf(log_gains[shown_level * n_levels + generation[i]]);
    }
    __syncthreads();
    for (int e = thread; e < count * n_columns; e += ADAM_THREADS) {
        const int j = e / n_columns, k = e - j * n_columns;
        const long long place = (long long)first * n_columns + e;
        const bool is_scale = k == 2 || k == 3;
        float value = rows[place];
        if (improved) best_rows[place] = value;
        if (first + j < n_shown) {
            float grad = (float)grads[place];
            if (is_scale) {
                const float inverse = inverse_scale(value);
                terms[j][k - 2] = grad * inverse;
                grad *= gains[j];
                if (LOG_SCALES) grad *= inverse;
            }
            if (!shows_all) {
                float& kept = coarse_grads[(long long)start * n_columns + place];
                kept = multiply_add(now_floats[NOW_RENEWED], grad - kept, kept);
                continue;
            }
            grad += coarse_part(first + j, k, n_columns, shown_level, counts, coarse_weights, coarse_grads);
            grad *= constants.grad_scale;
            const float update =
                gscodec::adam_update(grad, factors, corrections[j], Fused(), mean[place], square[place]);
            const float rate =
                k < 2 ? constants.rate_mean
                      : (is_scale ? constants.rate_scale : (k == 4 ? constants.rate_rotation : constants.rate_feature));
            value -= factor * rate * update * units[place];
            if (is_scale) value -= factor * constants.widening;
        }
        if (units[place] == 0) continue;
        if (k < 2)
            value = clamp(value, 0, k == 0 ? constants.width : constants.height);
        else if (is_scale)
            value = clamp(value, constants.scale_low, constants.scale_high);
        else if (k > 4)
            value = clamp(value, constants.feature_low, constants.feature_high);
        rows[place] = value;
    }
    __syncthreads();
    if (thread < count && first + thread < n_shown) gain_terms[first + thread] = terms[thread][0] + terms[thread][1];
}

// A sign-like step of the shown level's log gains. The finest level shows its Gaussians as they are.
extern "C" __global__ void __launch_bounds__(GAIN_THREADS)
    step_gains(int n_levels, const int* now_ints, const float* now_floats, const int* counts, const float* gain_terms,
               float grad_scale, float rate, float low, float high, float* log_gains, float* gain_mean,
               float* gain_square) {
    const int level = now_ints[NOW_LEVEL], n_shown = now_ints[NOW_SHOWN];
    if (level >= n_levels - 1 || n_shown == 0) return;
    const int begin = blockIdx.x ? counts[blockIdx.x - 1] : 0;
    const int end = counts[blockIdx.x] < n_shown ? counts[blockIdx.x] : n_shown;
    double sums[1] = {0};
    for (int i = begin + threadIdx.x; i < end; i += GAIN_THREADS) sums[0] += gain_terms[i];
    block_sum<GAIN_THREADS>(sums);
    if (threadIdx.x != 0) return;
    const int place = level * n_levels + blockIdx.x;
    const float log_gain = log_gains[place];
    const float grad = (float)sums[0] * expf(log_gain) * grad_scale;
    const float m = multiply_add(0.1f, grad - gain_mean[place], gain_mean[place]);
    const float s = multiply_add(0.01f, grad * grad - gain_square[place], gain_square[place]);
    gain_mean[place] = m;
    gain_square[place] = s;
    log_gains[place] = clamp(log_gain - now_floats[NOW_FACTOR] * rate * (m / (sqrtf(s) + 1e-12f)), low, high);
}
