// Formulas of the rendering model, written once for every compiled engine (spec/igs.md, sections 3.2 and 3.4).
// No includes: NVRTC compiles this text as it stands. The oracle, render/reference.py, judges what comes out.
#pragma once

#ifdef __CUDACC__
#define GSCODEC_FN __host__ __device__ inline
#else
#define GSCODEC_FN inline
#endif

namespace gscodec {

// Rows of the affine map (dx, dy) -> (U, V), with q = U^2 + V^2.
struct Axes {
    double u_x, u_y, v_x, v_y;
};

// Support ellipse {a dx^2 + 2 b dx dy + d dy^2 <= q}, relative to the mean.
struct Ellipse {
    double a, b, d, det, q;
    double half_width, half_height;
};

GSCODEC_FN Axes make_axes(double inv_scale_0, double inv_scale_1, double cosine, double sine) {
    return {inv_scale_0 * cosine, inv_scale_0 * sine, -inv_scale_1 * sine, inv_scale_1 * cosine};
}

template <class Sqrt>
GSCODEC_FN Ellipse make_ellipse(double s0, double s1, double c, double s, double q, Sqrt root) {
    const double p0 = s0 * s0, p1 = s1 * s1;
    Ellipse e;
    e.a = p0 * c * c + p1 * s * s;
    e.b = (p0 - p1) * c * s;
    e.d = p0 * s * s + p1 * c * c;
    e.det = p0 * p1;
    e.q = q;
    e.half_width = root(q * e.d / e.det);
    e.half_height = root(q * e.a / e.det);
    return e;
}

// x extent, relative to the mean, of the ellipse within the slab y0 <= dy <= y1 (which it meets).
template <class Sqrt>
GSCODEC_FN void slab_extent(const Ellipse& e, double y0, double y1, Sqrt root, double& left, double& right) {
    const double lo = y0 > -e.half_height ? y0 : -e.half_height;
    const double hi = y1 < e.half_height ? y1 : e.half_height;
    const double tip = e.b * e.half_width / e.d;  // dy of the leftmost point; the rightmost lies at -tip
    double y = -tip < lo ? lo : (-tip > hi ? hi : -tip);
    double room = e.a * e.q - e.det * y * y;
    right = (-e.b * y + root(room > 0 ? room : 0)) / e.a;
    y = tip < lo ? lo : (tip > hi ? hi : tip);
    room = e.a * e.q - e.det * y * y;
    left = (-e.b * y - root(room > 0 ? room : 0)) / e.a;
}

}  // namespace gscodec
