// Quantised Gaussians: their shapes, features and ranges from integers (spec/igs.md, section 6.7; CPU:
// native/codec/lattice_math.h, profiles/lattice.py). The kernels of profiles `packed` and `coded` share it.
//
// All that decides how many bits a value has is integer arithmetic. What is left are products of binary64 that are
// exact or rounded once, in the spec's order and never contracted (sources.py): means, inverse scales and rotations
// have the bits that the CPU finds. Features are sums of a few products, which may differ in the last place.
#pragma once

// round(2^(30 - i / 32))
__constant__ int MANTISSA[32] = {1073741824, 1050733751, 1028218693, 1006186087, 984625594, 963527098, 942880699,
                                 922676710,  902905651,  883558244,  864625413,  846098274, 827968132, 810226483,
                                 792865000,  775875538,  759250125,  742980960,  727060411, 711481005, 696235434,
                                 681316545,  666717336,  652430958,  638450708,  624770026, 611382493, 598281827,
                                 585461881,  572916640,  560640218,  548626854};

// 2^exponent of a normal number.
__device__ inline double two_to(int exponent) { return __longlong_as_double((long long)(1023 + exponent) << 52); }

// 2^(units / 32) with mantissas of 30 bits.
__device__ inline double power(int units) {
    const int octaves = (units + 31) >> 5;
    return (double)MANTISSA[32 * octaves - units] * two_to(octaves - 30);
}

// sin(pi / 2 * v / 2^15) * 2^15 by a polynomial, for v of 0 to 2^15: nothing in it has more than 31 bits.
__device__ inline int sine(int v) {
    const int square = v * v >> 15;
    const int inner = 21077 - (square * 2382 >> 15);
    const int result = v * (51465 - (square * inner >> 15)) >> 15;
    return result < 1 << 15 ? result : 1 << 15;
}

__device__ inline int floor_log2(unsigned long long value) { return 63 - __clzll((long long)value); }

__device__ inline int clamped(int value, int low, int high) { return value < low ? low : value > high ? high : value; }

// `rotation_from` has 12 entries.
__device__ inline int rotation_bits_of(const unsigned char* rotation_from, int elongation) {
    int bits = 0;
    while (bits < 12 && rotation_from[bits] <= elongation) ++bits;
    return bits;
}

struct Shape {
    int high, low;         // of the inverse scales, in units of 1/32 octave
    int x_units, y_units;  // what steps along x and y go with
};

// narrow -2^15 to 2^15, elongation 0 to 2^15, rotation of rotation_bits bits.
__device__ inline Shape shape_of(int scale_step, int narrow, int elongation, int rotation, int rotation_bits) {
    const int high = narrow * scale_step, low = (narrow - elongation) * scale_step;
    const int angle = rotation << (16 - rotation_bits);
    const int from_vertical = angle < 1 << 15 ? (1 << 15) - angle : angle - (1 << 15);
    const long long cos = sine(from_vertical), sin = sine((1 << 15) - from_vertical);
    const int twice = 2 * (high - low), octaves = twice >> 5;
    const long long ratio = octaves < 31 ? MANTISSA[twice & 31] >> octaves : 0;
    const long long variance = (ratio * (cos * cos) >> 30) + sin * sin + 1;
    const int leading = 16 * (30 - floor_log2((unsigned long long)variance)) - 8;
    return {high, low, low + leading, high - leading};
}

// Where Gaussians go: means (n, 2) px, inverse scales (n, 2) 1/px, rotations (n,) rad, features (n, C). `fault` is
// raised where one is outside the ranges of every profile: the host then finds out which.
struct Unpacked {
    double *means, *inv_scales, *rotations;
    float* features;
    int* fault;

    __device__ void place(long long i, double x, double y, const Shape& shape, int rotation, int rotation_bits,
                          double gain, int width, int height) const {
        if (x > width || y > height || shape.high > TOP_UNITS || shape.low < LEAST_UNITS) {
            atomicOr(fault, 1);
            return;
        }
        means[2 * i] = x;
        means[2 * i + 1] = y;
        inv_scales[2 * i] = power(shape.high) * gain;
        inv_scales[2 * i + 1] = power(shape.low) * gain;
        rotations[i] = (double)(rotation << (16 - rotation_bits)) * (3.141592653589793 / 65536.0);
    }
};

// From integers in steps to features: the row vector of a group's channels times the group's matrix.
struct FeatureMix {
    int n_channels;
    int slope;                // 0..64
    const double* steps;      // (C,) of a Gaussian of inverse scales 1 / px
    const double* transform;  // (C, C)
    const int* group_begins;  // (C,) of each column, the first number that is not zero, and one past the last
    const int* group_ends;

    // `code(k)` is the integer of channel k. Steps go with the area to the power of -slope / 64.
    template <class Code>
    __device__ void mix(long long i, const Unpacked& out, const Shape& shape, const Code& code) const {
        const double area = slope ? power(slope * (shape.high + shape.low) >> 6) : 1.0;
        for (int c = 0; c < n_channels; ++c) {
            double sum = 0;
            for (int k = group_begins[c]; k < group_ends[c]; ++k)
                sum += (double)code(k) * (area * steps[k]) * transform[k * n_channels + c];
            const float feature = (float)sum;
            if (!(fabsf(feature) <= MAX_FEATURE)) atomicOr(out.fault, 1);
            out.features[i * n_channels + c] = feature;
        }
    }
};
