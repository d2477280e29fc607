// Pages of profile `packed` -> Gaussians (spec/igs.md, section 8; CPU: native/codec/record_codec.cpp).
//
//   unpack_records   block a page, thread a record
//
// Records are read where they lie, as words of 32 bits: a value of up to 31 bits lies in two. A page that is none, or a
// value outside its range, raises `fault`; what is written then means nothing, and the host's decoder says what is
// wrong.
//
// Buffers: words () u32, the bytes of P pages and at least 8 more; firsts (P + 1,) i32 first Gaussian of each page;
// gains (P,) f64 on inverse scales; rotation_from (12,) u8; lows (2 + C,) i32, places (2 + C,) i32 first bit of each
// field in a record, bits (2 + C,) i32. Outputs: lattice.cuh.
//
// Floor: a million RGB records of 6 bytes, 6 MB in and 52 MB out, 17 us at 3.35 TB/s (predicted).

__device__ inline unsigned bits_at(const unsigned* words, long long at, int n_bits) {
    const long long word = at >> 5;
    const unsigned long long held = words[word] | (unsigned long long)words[word + 1] << 32;
    return (unsigned)(held >> (at & 31)) & ((1u << n_bits) - 1);
}

#define HEAD_BOX_BITS 80
#define HEAD_FIELD_BITS 24

extern "C" __global__ void __launch_bounds__(PAGE_THREADS)
    unpack_records(const unsigned* words, const int* firsts, const double* gains, const unsigned char* rotation_from,
                   const int* lows, const int* places, const int* bits, int scale_step, int place_bits, int stride,
                   int width, int height, int unit, int n_channels, int feature_slope, const double* steps,
                   const double* transform, const int* group_begins, const int* group_ends, double* means,
                   double* inv_scales, double* rotations, float* features, int* fault) {
    __shared__ long long field_lows[2 + MAX_CHANNELS];
    __shared__ int field_scales[2 + MAX_CHANNELS];
    const int page = blockIdx.x, first = firsts[page], count = firsts[page + 1] - first, n_fields = 2 + n_channels;
    const long long head_bits = HEAD_BOX_BITS + HEAD_FIELD_BITS * n_fields;
    const long long head = page * head_bits + 8LL * first * stride;
    for (int k = threadIdx.x; k < n_fields; k += PAGE_THREADS) {
        const long long at = head + HEAD_BOX_BITS + HEAD_FIELD_BITS * k;
        field_lows[k] = lows[k] + (long long)bits_at(words, at, 16);
        field_scales[k] = (int)bits_at(words, at + 16, 8);
        if (!field_scales[k]) atomicOr(fault, 1);
    }
    __syncthreads();
    const int x0 = (int)bits_at(words, head, 16) * unit, y0 = (int)bits_at(words, head + 16, 16) * unit;
    const int w = min((int)bits_at(words, head + 32, 16) * unit, width - x0);
    const int h = min((int)bits_at(words, head + 48, 16) * unit, height - y0);
    const long long slope = (long long)bits_at(words, head + 64, 16) * unit;
    if (w <= 0 || h <= 0) {
        if (threadIdx.x == 0) atomicOr(fault, 1);
        return;
    }
    const int wider = 16 * (floor_log2((unsigned long long)w * w) - floor_log2((unsigned long long)h * h));
    const int used = places[n_fields - 1] + bits[n_fields - 1];
    const int place_at = places[1] + bits[1], end = max(used, place_at + place_bits);
    const Unpacked out = {means, inv_scales, rotations, features, fault};
    const FeatureMix mix = {n_channels, feature_slope, steps, transform, group_begins, group_ends};
    for (int i = threadIdx.x; i < count; i += PAGE_THREADS) {
        const long long record = head + head_bits + 8LL * i * stride;
        const auto field = [&](int k) {
            return field_lows[k] + field_scales[k] * (long long)bits_at(words, record + places[k], bits[k]);
        };
        const long long narrow = field(0), elongation = field(1);
        if (bits_at(words, record + end, 8 * stride - end) || narrow < -(1 << 15) || narrow > 1 << 15 ||
            elongation < 0 || elongation > 255) {
            atomicOr(fault, 1);
            continue;
        }
        const unsigned place = bits_at(words, record + place_at, place_bits);
        const int rotation_bits = rotation_bits_of(rotation_from, (int)elongation);
        const int rotation = (int)(place & ((1u << rotation_bits) - 1));
        const Shape shape = shape_of(scale_step, (int)narrow, (int)elongation, rotation, rotation_bits);
        const int left = place_bits - rotation_bits;
        const int x_bits = clamped((32 * left + shape.x_units - shape.y_units + wider + 32) >> 6, 0, left);
        const unsigned x = place >> rotation_bits & ((1u << x_bits) - 1), y = place >> (rotation_bits + x_bits);
        const long long from = min(x0 + (i * slope >> 8), (long long)width - w);
        out.place((long long)first + i, (double)from + ((double)x + 0.5) * ((double)w * two_to(-x_bits)),
                  (double)y0 + ((double)y + 0.5) * ((double)h * two_to(x_bits - left)), shape, rotation, rotation_bits,
                  gains[page], width, height);
        mix.mix((long long)first + i, out, shape, [&](int c) { return field(2 + c); });
    }
}
