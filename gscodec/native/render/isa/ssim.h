// SSIM and its gradient for one block of one channel.
//
// With G the 11-tap Gaussian of sigma 1.5, zero outside the image: the five means G*x, G*y, G*xx, G*yy, G*xy of a row
// need eleven rows of horizontal blurs, and the gradient G*D1 + 2 x (G*D2) + y (G*D3), with D the derivatives of the
// pixel's SSIM to G*x, G*xx and G*xy, needs eleven rows of those. Both windows stream down the block through rings, so
// a block of 256 columns works inside the second-level cache whatever the size of the picture. Where pixels count
// differently, each pixel's SSIM, and with it D, is multiplied by its weight.
#pragma once
#include "render/isa/kernels.h"
#include "render/isa/memory.h"
#include "render/isa/simd.h"

namespace gscodec {
namespace GSCODEC_ISA {
namespace {

constexpr int kRadius = kSsimRadius, kTaps = kSsimTaps;

// exp(-i^2 / (2 * 1.5^2)), normalised to sum 1 over the eleven taps; index is the distance from the centre.
constexpr float kTap[kRadius + 1] = {2.6601171e-1f, 2.1300552e-1f, 1.0936069e-1f,
                                     3.6000773e-2f, 7.5987582e-3f, 1.0283801e-3f};

constexpr float kC1 = 0.01f * 0.01f, kC2 = 0.03f * 0.03f;

inline void blur_row(const float* in, float* out, int64_t n) {  // out[i] centred at in[i + kRadius]
    for (int64_t i = 0; i < n; i += kLanes) {
        Vec sum = splat(kTap[0]) * load(in + i + kRadius);
        for (int k = 1; k <= kRadius; ++k)
            sum = fma(splat(kTap[k]), load(in + i + kRadius - k) + load(in + i + kRadius + k), sum);
        store(out + i, sum);
    }
}

// The last eleven rows of something. Every row is kept twice, eleven apart, so that any eleven neighbours lie at fixed
// distances from one pointer.
constexpr int64_t kStride = kSsimStride;

struct Ring {
    float* data;  // (2 * kTaps, kStride)

    float* row(int64_t r) const { return data + ((r + 4 * kTaps) % kTaps) * kStride; }
    void repeat(int64_t r) const { copy(row(r), kStride, row(r) + kTaps * kStride); }
    // First of the rows r - 5 .. r + 5.
    const float* window(int64_t r) const { return row(r - kRadius); }
};

inline Vec blur_column(const float* window) {
    Vec sum = splat(kTap[0]) * load(window + kRadius * kStride);
    for (int k = 1; k <= kRadius; ++k)
        sum = fma(splat(kTap[k]), load(window + (kRadius - k) * kStride) + load(window + (kRadius + k) * kStride), sum);
    return sum;
}

double ssim_block(const SsimArgs& args, float* scratch) {
    const int64_t n = args.column1 - args.column0;  // columns of the result
    const int64_t n_maps = n + 2 * kRadius;         // columns of the derivative maps
    const int64_t n_image = n_maps + 2 * kRadius;   // columns of the image
    enum { kX, kY, kXX, kYY, kXY, kMeans };
    static_assert(kSsimScratch == kStride * (kMeans + 3 + 1 + 2 * kTaps * (kMeans + 3)),
                  "as the rows below are laid out");
    fill(scratch, kSsimScratch, 0.0f);
    float* cursor = scratch;
    float* input[kMeans];
    for (float*& row : input) row = cursor, cursor += kStride;
    Ring means[kMeans];
    for (Ring& ring : means) ring = {cursor}, cursor += 2 * kTaps * kStride;
    float* maps[3];
    for (float*& row : maps) row = cursor, cursor += kStride;
    Ring blurred[3];
    for (Ring& ring : blurred) ring = {cursor}, cursor += 2 * kTaps * kStride;

    float* inside = cursor;  // 1 where a map column belongs to the result
    fill(inside + kRadius, n, 1.0f);
    float weights[kStride] = {};  // of a row's pixels, by map column; 0 outside the image

    const int64_t first = args.column0 - 2 * kRadius;  // image column of input[.][0]
    const int64_t left = larger<int64_t>(0, first), right = smaller(args.width, first + n_image);
    const Vec c1 = splat(kC1), c2 = splat(kC2), two = splat(2);
    double total = 0;

    for (int64_t r = args.row0 - 2 * kRadius; r < args.row1 + 2 * kRadius; ++r) {
        // Horizontal blurs of image row r.
        if (r >= 0 && r < args.height) {
            copy(args.image + r * args.width + left, right - left, input[kX] + left - first);
            copy(args.target + r * args.width + left, right - left, input[kY] + left - first);
            for (int64_t i = 0; i < n_image; i += kLanes) {
                const Vec x = load(input[kX] + i), y = load(input[kY] + i);
                store(input[kXX] + i, x * x);
                store(input[kYY] + i, y * y);
                store(input[kXY] + i, x * y);
            }
            for (int m = 0; m < kMeans; ++m) blur_row(input[m], means[m].row(r), n_maps);
        } else {
            for (const Ring& ring : means) fill(ring.row(r), kStride, 0.0f);
        }
        for (const Ring& ring : means) ring.repeat(r);

        // Derivative maps of row s, whose eleven rows are now there.
        const int64_t s = r - kRadius;
        if (s < args.row0 - kRadius) continue;
        if (s >= 0 && s < args.height) {
            const float* window[kMeans];
            for (int m = 0; m < kMeans; ++m) window[m] = means[m].window(s);
            const bool counts = s >= args.row0 && s < args.row1;
            if (args.weight) {
                const int64_t map_first = args.column0 - kRadius;
                const int64_t from = larger<int64_t>(0, map_first), to = smaller(args.width, map_first + n_maps);
                copy(args.weight + s * args.width + from, to - from, weights + from - map_first);
            }
            Vec row_total = splat(0);
            for (int64_t i = 0; i < n_maps; i += kLanes) {
                const Vec ux = blur_column(window[kX] + i), uy = blur_column(window[kY] + i);
                const Vec uxy = ux * uy, squares = fma(ux, ux, uy * uy);
                const Vec a1 = fma(two, uxy, c1), a2 = fma(two, blur_column(window[kXY] + i) - uxy, c2);
                const Vec b1 = squares + c1,
                          b2 = (blur_column(window[kXX] + i) + blur_column(window[kYY] + i)) - squares + c2;
                const Vec inverse = splat(1) / (b1 * b2);
                const Vec ssim = a1 * a2 * inverse;
                const Vec to_a1 = a2 * inverse, to_a2 = a1 * inverse;
                const Vec to_b1 = ssim * (b2 * inverse), to_b2 = ssim * (b1 * inverse);  // both negated
                store(maps[0] + i, two * (uy * (to_a1 - to_a2) + ux * (to_b2 - to_b1)));
                store(maps[1] + i, splat(0) - to_b2);
                store(maps[2] + i, two * to_a2);
                if (!args.weight) {
                    if (counts) row_total = fma(ssim, load(inside + i), row_total);
                    continue;
                }
                const Vec w = load(weights + i);
                for (float* map : maps) store(map + i, w * load(map + i));
                if (counts) row_total = fma(ssim * w, load(inside + i), row_total);
            }
            total += sum_lanes(row_total);
            // Maps exist only inside the image.
            const int64_t origin = args.column0 - kRadius;
            for (float* row : maps) {
                for (int64_t i = 0; i < larger<int64_t>(0, -origin); ++i) row[i] = 0;
                for (int64_t i = larger<int64_t>(0, args.width - origin); i < kStride; ++i) row[i] = 0;
            }
            for (int m = 0; m < 3; ++m) blur_row(maps[m], blurred[m].row(s), n);
        } else {
            for (const Ring& ring : blurred) fill(ring.row(s), kStride, 0.0f);
        }
        for (const Ring& ring : blurred) ring.repeat(s);

        // Gradient of row t.
        const int64_t t = s - kRadius;
        if (t < args.row0) continue;
        const float *const d0 = blurred[0].window(t), *const d1 = blurred[1].window(t),
                           *const d2 = blurred[2].window(t);
        const int64_t at = t * args.width + args.column0;
        const Vec scale = splat(-args.scale);
        int64_t i = 0;
        for (; i + kLanes <= n; i += kLanes) {
            const Vec sum = fma(two * load(args.image + at + i), blur_column(d1 + i),
                                fma(load(args.target + at + i), blur_column(d2 + i), blur_column(d0 + i)));
            store(args.grad + at + i, fma(sum, scale, load(args.grad + at + i)));
        }
        if (i < n) {  // the last columns, through a padded copy
            float x[kLanes] = {}, y[kLanes] = {}, g[kLanes] = {};
            copy(args.image + at + i, n - i, x);
            copy(args.target + at + i, n - i, y);
            copy(args.grad + at + i, n - i, g);
            const Vec sum =
                fma(two * load(x), blur_column(d1 + i), fma(load(y), blur_column(d2 + i), blur_column(d0 + i)));
            store(g, fma(sum, scale, load(g)));
            copy(g, n - i, args.grad + at + i);
        }
    }
    return total;
}

}  // namespace
}  // namespace GSCODEC_ISA
}  // namespace gscodec
