// Records of a file's GAUS chunk -> Gaussians (spec/igs.md, section 7; CPU: profiles/f16.py).
//
//   unpack_f16   thread a 16-bit word   profile f16: x, y, two inverse scales, rotation, C features
//
// Neighbouring threads read neighbouring words, and each field's results lie side by side again. Every value has the
// bits that the CPU finds: conversions are exact, and what is left is one or two float64 operations in the spec's
// order. Other profiles: unpack_packed.cu, unpack_coded.cu. Records are checked on the host, where their checksums are.
//
// Buffers: words (N, 5 + C) u16 as stored; counts (L,) i32 and gains (L,) f64 of generations that are there: Gaussians
// up to and with each, and the factor on their inverse scales; means (N, 2), inv_scales (N, 2), rotations (N,) f64;
// features (N, C) f32.
//
// Floor: 200K RGB records, 3.2 MB in and 10.4 MB out, 4 us at 3.35 TB/s.

// The value of a half's bits; infinities and NaN as well, though no valid record has one.
__device__ inline float half_value(unsigned half) {
    const unsigned exponent = half >> 10 & 31, fraction = half & 1023, sign = half >> 15;
    if (exponent == 0) {  // a multiple of 2^-24, a normal float32: no setting that flushes denormals sees it
        const float value = (float)fraction * 5.9604644775390625e-8f;
        return sign ? -value : value;
    }
    return __uint_as_float(sign << 31 | (exponent == 31 ? 255u : exponent + 112) << 23 | fraction << 13);
}

extern "C" __global__ void __launch_bounds__(UNPACK_THREADS)
    unpack_f16(const unsigned short* words, int n, int n_channels, double height, double width, int n_generations,
               const int* counts, const double* gains, double* means, double* inv_scales, double* rotations,
               float* features) {
    const long long place = blockIdx.x * (long long)UNPACK_THREADS + threadIdx.x;
    const int n_words = 5 + n_channels;
    const int i = (int)(place / n_words), k = (int)(place - (long long)i * n_words);
    if (i >= n) return;
    const unsigned word = words[place];
    if (k < 2) {
        means[2LL * i + k] = (double)word / 65535.0 * (k == 0 ? width : height);
    } else if (k < 4) {
        int generation = 0;
        while (generation + 1 < n_generations && i >= counts[generation]) ++generation;
        inv_scales[2LL * i + k - 2] = (double)half_value(word) * gains[generation];
    } else if (k == 4) {
        rotations[i] = (double)word * (3.141592653589793 / 65536.0);
    } else {
        features[(long long)i * n_channels + k - 5] = half_value(word);
    }
}
