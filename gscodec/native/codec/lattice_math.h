// Scales, rotations and the steps of means from the integers of a quantised Gaussian: profiles/lattice.py for one of
// them, in the same integers (spec/igs.md, section 6.7). Profiles `coded` and `packed` share it.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "machine/bits.h"

namespace gscodec {

// sin(pi / 2 * v / 2^15) * 2^15 by a polynomial.
inline int64_t sine(int64_t fifteenths) {
    const int64_t square = (fifteenths * fifteenths) >> 15;
    const int64_t inner = 21077 - ((square * 2382) >> 15);
    return std::min<int64_t>((fifteenths * (51465 - ((square * inner) >> 15))) >> 15, 1 << 15);
}

// round(2^(30 - i / 32))
inline constexpr std::array<int64_t, 32> kMantissa = {
    1073741824, 1050733751, 1028218693, 1006186087, 984625594, 963527098, 942880699, 922676710,
    902905651,  883558244,  864625413,  846098274,  827968132, 810226483, 792865000, 775875538,
    759250125,  742980960,  727060411,  711481005,  696235434, 681316545, 666717336, 652430958,
    638450708,  624770026,  611382493,  598281827,  585461881, 572916640, 560640218, 548626854};

// `rotation_from` has 12 entries.
inline int rotation_bits(const uint8_t* rotation_from, int32_t elongation) {
    int bits = 0;
    while (bits < 12 && rotation_from[bits] <= elongation) ++bits;
    return bits;
}

struct LatticeShape {
    int rotation_bits;
    int64_t high, low;         // of the inverse scales, in units of 1/32 octave
    int64_t x_units, y_units;  // what steps along x and y go with
};

inline LatticeShape shape_of(const uint8_t* rotation_from, int32_t scale_step, int32_t narrow, int32_t elongation,
                             int32_t rotation) {
    const int bits = rotation_bits(rotation_from, elongation);
    const int64_t high = static_cast<int64_t>(narrow) * scale_step;
    const int64_t low = (static_cast<int64_t>(narrow) - elongation) * scale_step;
    const int64_t angle = static_cast<int64_t>(rotation) << (16 - bits);
    const int64_t from_vertical = std::abs(angle - (1 << 15));
    const int64_t cos = sine(from_vertical), sin = sine((1 << 15) - from_vertical);
    const int64_t twice = 2 * (high - low);
    const int64_t ratio2 = kMantissa[twice & 31] >> std::min<int64_t>(twice >> 5, 62);
    const uint64_t variance = static_cast<uint64_t>(((ratio2 * (cos * cos)) >> 30) + sin * sin + 1);
    const int64_t leading = 16 * (30 - floor_log2(variance)) - 8;
    return {bits, high, low, low + leading, high - leading};
}

inline double radians(int64_t rotation, int bits) {
    constexpr double kPi = 3.14159265358979323846;
    return static_cast<double>(rotation << (16 - bits)) * (kPi / 65536);
}

// x 2^exponent, exact or what ldexp makes of it.
inline double scaled(double x, int64_t exponent) {
    if (exponent < -900 || exponent > 900) return std::ldexp(x, static_cast<int>(exponent));
    const uint64_t bits = static_cast<uint64_t>(1023 + exponent) << 52;
    double factor;
    std::memcpy(&factor, &bits, sizeof factor);
    return x * factor;
}

// power() of profiles/lattice.py.
inline double power(int64_t units) {
    const int64_t octaves = (units + 31) >> 5;
    return scaled(static_cast<double>(kMantissa[32 * octaves - units]), octaves - 30);
}

}  // namespace gscodec
