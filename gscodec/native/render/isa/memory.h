// What the inner loops use in place of the standard library's templates. Those would be emitted as weak functions
// wherever a compiler does not inline them, and a linker keeps one of each for all instruction sets: whichever object
// came first.
#pragma once
#include <cstdint>
#include <cstring>

namespace gscodec {
namespace GSCODEC_ISA {
namespace {

template <class T>
inline T smaller(T a, T b) {
    return b < a ? b : a;
}

template <class T>
inline T larger(T a, T b) {
    return a < b ? b : a;
}

// n values from one place to another, which do not overlap.
inline void copy(const float* from, int64_t n, float* to) {
    if (n > 0) std::memcpy(to, from, static_cast<size_t>(n) * sizeof(float));
}

template <class T>
inline void fill(T* to, int64_t n, T value) {
    for (int64_t i = 0; i < n; ++i) to[i] = value;
}

}  // namespace
}  // namespace GSCODEC_ISA
}  // namespace gscodec
