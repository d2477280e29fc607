// What every kernel shares: the arithmetic type and collectives over a warp. Joined in front of a kernel's text by
// sources.py, which also defines REAL (float; double for gradient checks).
//
// Engines promise the same bytes for the same file on the same device, and a sample that equals its pixel to the bit.
// So the operations behind a value are spelled out as multiply_add, which no compiler setting can contract otherwise,
// and every sum runs in an order that does not depend on timing.

typedef REAL real;

#define WARP 32
#define FULL_MASK 0xffffffffu

__device__ inline float multiply_add(float a, float b, float c) { return fmaf(a, b, c); }
__device__ inline double multiply_add(double a, double b, double c) { return fma(a, b, c); }
__device__ inline float smaller(float a, float b) { return fminf(a, b); }
__device__ inline double smaller(double a, double b) { return fmin(a, b); }
__device__ inline float larger(float a, float b) { return fmaxf(a, b); }
__device__ inline double larger(double a, double b) { return fmax(a, b); }
__device__ inline float power_of_two(float x) { return exp2f(x); }
__device__ inline double power_of_two(double x) { return exp2(x); }
__device__ inline float inverse_root(float x) { return rsqrtf(x); }
__device__ inline double inverse_root(double x) { return rsqrt(x); }
__device__ inline float root(float x) { return sqrtf(x); }
__device__ inline double root(double x) { return sqrt(x); }
__device__ inline float magnitude(float x) { return fabsf(x); }
__device__ inline double magnitude(double x) { return fabs(x); }

// Largest finite number: above every distance, below infinity.
__device__ inline real real_max() { return sizeof(real) == 4 ? (real)3.402823466e38 : (real)1.7976931348623157e308; }

// Sum over the warp, in every lane.
template <class T>
__device__ inline T warp_sum(T value) {
    for (int mask = WARP / 2; mask > 0; mask >>= 1) value += __shfl_xor_sync(FULL_MASK, value, mask);
    return value;
}

// The largest of the warp, in every lane.
__device__ inline real warp_largest(real value) {
    for (int mask = WARP / 2; mask > 0; mask >>= 1) value = larger(value, __shfl_xor_sync(FULL_MASK, value, mask));
    return value;
}

// Sum over the lanes up to this one, itself included.
__device__ inline int warp_sum_to(int value, int lane) {
#pragma unroll
    for (int step = 1; step < WARP; step *= 2) {
        const int other = __shfl_up_sync(FULL_MASK, value, step);
        if (lane >= step) value += other;
    }
    return value;
}

__device__ inline int warp_max(int value) {
    for (int mask = WARP / 2; mask > 0; mask >>= 1) {
        const int other = __shfl_xor_sync(FULL_MASK, value, mask);
        value = other > value ? other : value;
    }
    return value;
}

// The warp's values in ascending order of lanes (bitonic sort); none is NaN.
template <class T>
__device__ inline T warp_sort(T value, int lane) {
#pragma unroll
    for (int size = 2; size <= WARP; size *= 2) {
#pragma unroll
        for (int step = size / 2; step > 0; step /= 2) {
            const T other = __shfl_xor_sync(FULL_MASK, value, step);
            const bool least = ((lane & step) == 0) == ((lane & size) == 0);
            value = (value < other) == least ? value : other;
        }
    }
    return value;
}

__device__ constexpr int next_power_of_two(int n) {
    int p = 1;
    while (p < n) p *= 2;
    return p;
}

// Sums of V values over groups of G neighbouring lanes: lane g of a group gets those of EACH values from EACH g on, 0
// for what lies beyond V. Each exchange halves what a lane still carries.
template <int G, int V, int EACH>
__device__ inline void group_scatter_sum(const real (&values)[V], int lane, real (&sums)[EACH]) {
    static_assert(EACH * G >= V, "room for all");
    real carried[EACH * G];
#pragma unroll
    for (int i = 0; i < EACH * G; ++i) carried[i] = i < V ? values[i] : real(0);
#pragma unroll
    for (int half = G / 2; half > 0; half >>= 1) {
        const bool upper = (lane & half) != 0;
#pragma unroll
        for (int i = 0; i < half * EACH; ++i) {
            const real kept = upper ? carried[i + half * EACH] : carried[i];
            const real sent = upper ? carried[i] : carried[i + half * EACH];
            carried[i] = kept + __shfl_xor_sync(FULL_MASK, sent, half);
        }
    }
#pragma unroll
    for (int i = 0; i < EACH; ++i) sums[i] = carried[i];
}
