// SSIM and its gradient for one block of one channel (included by kernels.cpp, inside its namespace).
//
// With G the 11-tap Gaussian of sigma 1.5, zero outside the image: the five means G*x, G*y, G*xx, G*yy, G*xy of a row
// need eleven rows of horizontal blurs, and the gradient G*D1 + 2 x (G*D2) + y (G*D3), with D the derivatives of the
// pixel's SSIM to G*x, G*xx and G*xy, needs eleven rows of those. Both windows stream down the block through rings, so
// a block of 256 columns works inside the second-level cache whatever the size of the picture.

constexpr int kRadius = 5, kTaps = 11;

// exp(-i^2 / (2 * 1.5^2)), normalised to sum 1 over the eleven taps; index is the distance from the centre.
constexpr float kTap[kRadius + 1] = {2.6601171e-1f, 2.1300552e-1f, 1.0936069e-1f, 3.6000773e-2f, 7.5987582e-3f,
                                     1.0283801e-3f};

constexpr float kC1 = 0.01f * 0.01f, kC2 = 0.03f * 0.03f;

inline void blur_row(const float* in, float* out, int64_t n) {  // out[i] centred at in[i + kRadius]
    for (int64_t i = 0; i < n; i += kLanes) {
        Vec sum = splat(kTap[0]) * load(in + i + kRadius);
        for (int k = 1; k <= kRadius; ++k)
            sum = fma(splat(kTap[k]), load(in + i + kRadius - k) + load(in + i + kRadius + k), sum);
        store(out + i, sum);
    }
}

// Rows r - 5 .. r + 5 of a ring of eleven, blurred down at column i.
struct Ring {
    float* data;
    int64_t stride;
    float* row(int64_t r) const { return data + ((r + 4 * kTaps) % kTaps) * stride; }
};

struct RingRows {
    const float* rows[kTaps];
    RingRows(const Ring& ring, int64_t r) {
        for (int k = 0; k < kTaps; ++k) rows[k] = ring.row(r + k - kRadius);
    }
    Vec blur(int64_t i) const {
        Vec sum = splat(kTap[0]) * load(rows[kRadius] + i);
        for (int k = 1; k <= kRadius; ++k)
            sum = fma(splat(kTap[k]), load(rows[kRadius - k] + i) + load(rows[kRadius + k] + i), sum);
        return sum;
    }
};

double ssim_block(const SsimArgs& args, std::vector<float>& scratch) {
    const int64_t n = args.column1 - args.column0;       // columns of the result
    const int64_t n_maps = n + 2 * kRadius;              // columns of the derivative maps
    const int64_t n_image = n_maps + 2 * kRadius;        // columns of the image
    const int64_t stride = (n_image + 2 * kLanes) / kLanes * kLanes + kTaps + kLanes;
    enum { kX, kY, kXX, kYY, kXY, kMeans };
    scratch.assign(stride * (kMeans + kMeans * kTaps + 3 + 3 * kTaps + 1), 0.0f);
    float* cursor = scratch.data();
    float* input[kMeans];
    for (float*& row : input) row = cursor, cursor += stride;
    Ring means[kMeans];
    for (Ring& ring : means) ring = {cursor, stride}, cursor += kTaps * stride;
    float* maps[3];
    for (float*& row : maps) row = cursor, cursor += stride;
    Ring blurred[3];
    for (Ring& ring : blurred) ring = {cursor, stride}, cursor += kTaps * stride;

    float* inside = cursor;                              // 1 where a map column belongs to the result
    std::fill_n(inside + kRadius, n, 1.0f);

    const int64_t first = args.column0 - 2 * kRadius;    // image column of input[.][0]
    const int64_t left = std::max<int64_t>(0, first), right = std::min(args.width, first + n_image);
    const Vec c1 = splat(kC1), c2 = splat(kC2), two = splat(2);
    double total = 0;

    for (int64_t r = args.row0 - 2 * kRadius; r < args.row1 + 2 * kRadius; ++r) {
        // Horizontal blurs of image row r.
        if (r >= 0 && r < args.height) {
            std::copy(args.image + r * args.width + left, args.image + r * args.width + right, input[kX] + left - first);
            std::copy(args.target + r * args.width + left, args.target + r * args.width + right, input[kY] + left - first);
            for (int64_t i = 0; i < n_image; i += kLanes) {
                const Vec x = load(input[kX] + i), y = load(input[kY] + i);
                store(input[kXX] + i, x * x);
                store(input[kYY] + i, y * y);
                store(input[kXY] + i, x * y);
            }
            for (int m = 0; m < kMeans; ++m) blur_row(input[m], means[m].row(r), n_maps);
        } else {
            for (const Ring& ring : means) std::fill_n(ring.row(r), stride, 0.0f);
        }

        // Derivative maps of row s, whose eleven rows are now there.
        const int64_t s = r - kRadius;
        if (s < args.row0 - kRadius) continue;
        if (s >= 0 && s < args.height) {
            const RingRows mx(means[kX], s), my(means[kY], s), xx(means[kXX], s), yy(means[kYY], s), xy(means[kXY], s);
            const bool counts = s >= args.row0 && s < args.row1;
            Vec row_total = splat(0);
            for (int64_t i = 0; i < n_maps; i += kLanes) {
                const Vec ux = mx.blur(i), uy = my.blur(i);
                const Vec uxy = ux * uy, squares = fma(ux, ux, uy * uy);
                const Vec a1 = fma(two, uxy, c1), a2 = fma(two, xy.blur(i) - uxy, c2);
                const Vec b1 = squares + c1, b2 = (xx.blur(i) + yy.blur(i)) - squares + c2;
                const Vec inverse = splat(1) / (b1 * b2);
                const Vec ssim = a1 * a2 * inverse;
                const Vec to_a1 = a2 * inverse, to_a2 = a1 * inverse;
                const Vec to_b1 = ssim * (b2 * inverse), to_b2 = ssim * (b1 * inverse);  // both negated
                store(maps[0] + i, two * (uy * (to_a1 - to_a2) + ux * (to_b2 - to_b1)));
                store(maps[1] + i, splat(0) - to_b2);
                store(maps[2] + i, two * to_a2);
                if (counts) row_total = fma(ssim, load(inside + i), row_total);
            }
            total += sum_lanes(row_total);
            // Maps exist only inside the image.
            const int64_t origin = args.column0 - kRadius;
            for (float* row : maps) {
                for (int64_t i = 0; i < std::max<int64_t>(0, -origin); ++i) row[i] = 0;
                for (int64_t i = std::max<int64_t>(0, args.width - origin); i < stride; ++i) row[i] = 0;
            }
            for (int m = 0; m < 3; ++m) blur_row(maps[m], blurred[m].row(s), n);
        } else {
            for (const Ring& ring : blurred) std::fill_n(ring.row(s), stride, 0.0f);
        }

        // Gradient of row t.
        const int64_t t = s - kRadius;
        if (t < args.row0) continue;
        const RingRows d0(blurred[0], t), d1(blurred[1], t), d2(blurred[2], t);
        const int64_t at = t * args.width + args.column0;
        const Vec scale = splat(-args.scale);
        int64_t i = 0;
        for (; i + kLanes <= n; i += kLanes) {
            const Vec sum = fma(two * load(args.image + at + i), d1.blur(i),
                                fma(load(args.target + at + i), d2.blur(i), d0.blur(i)));
            store(args.grad + at + i, fma(sum, scale, load(args.grad + at + i)));
        }
        if (i < n) {  // the last columns, through a padded copy
            float x[kLanes] = {}, y[kLanes] = {}, g[kLanes] = {};
            std::copy(args.image + at + i, args.image + at + n, x);
            std::copy(args.target + at + i, args.target + at + n, y);
            std::copy(args.grad + at + i, args.grad + at + n, g);
            const Vec sum = fma(two * load(x), d1.blur(i), fma(load(y), d2.blur(i), d0.blur(i)));
            store(g, fma(sum, scale, load(g)));
            std::copy(g, g + (n - i), args.grad + at + i);
        }
    }
    return total;
}
