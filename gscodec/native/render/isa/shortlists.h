// For each group of points, the Gaussians that may be among the K nearest of one of them.
#pragma once
#include <math.h>

#include "render/isa/top_k.h"

namespace gscodec {
namespace GSCODEC_ISA {
namespace {

inline void extremes(Vec low, Vec high, float& least, float& largest) {
    float l[kLanes], h[kLanes];
    store(l, low);
    store(h, high);
    for (int width = kLanes / 2; width; width /= 2)
        for (int i = 0; i < width; ++i) {
            l[i] = l[i + width] < l[i] ? l[i + width] : l[i];
            h[i] = h[i + width] > h[i] ? h[i + width] : h[i];
        }
    least = l[0];
    largest = h[0];
}

void find_boxes(Workspace& ws, int n_points) {
    float side = 0;
    for (int g = 0; g < kGroups; ++g) {
        const int first = g * kGroup < n_points ? g * kGroup : 0, last = smaller(first + kGroup, n_points);
        Vec left = load(ws.x + first), right = left, top = load(ws.y + first), bottom = top;
        for (int p = first + kLanes; p < last; p += kLanes) {
            const Vec x = load(ws.x + p), y = load(ws.y + p);
            left = min(left, x), right = max(right, x);
            top = min(top, y), bottom = max(bottom, y);
        }
        float x0, x1, y0, y1;
        extremes(left, right, x0, x1);
        extremes(top, bottom, y0, y1);
        ws.boxes.x[g] = 0.5f * (x0 + x1);
        ws.boxes.y[g] = 0.5f * (y0 + y1);
        side = larger(side, larger(x1 - x0, y1 - y0));
    }
    ws.boxes.half = 0.5f * side;  // one serves all groups: in a full tile they are alike
    ws.have_boxes = true;
}

// Below this, what a shortlist saves is less than what it costs.
constexpr int64_t kShortlistFrom = 20;

// All Gaussians, for all groups.
void list_all(Workspace& ws, int64_t n) {
    for (int64_t word = 0; word < words_of(n); ++word) {
        const int64_t left = n - word * 64;
        ws.listed[word] = left >= 64 ? ~uint64_t{0} : (uint64_t{1} << left) - 1;
    }
}

// Fills the bits of each group's members, or makes the whole list everybody's. sqrt(q) is a distance in (U, V), so over
// the box around a group's points it stays within `reach` of its value at the centre: whoever's least is above the K-th
// smallest of the largest is out.
void shortlists(Workspace& ws, const BlendArgs& args) {
    const int64_t n = args.n;
    ws.shortlisted = n >= kShortlistFrom && n > args.top_k && args.n_points > kGroup;
    if (!ws.shortlisted) return list_all(ws, n);
    if (!ws.have_boxes) find_boxes(ws, args.n_points);
    const int n_groups = (args.n_points + kGroup - 1) / kGroup;
    // What rounding may do to U and V, here and where the points' own are computed: 1e-6 of their terms, which within a
    // tile are u_0 and v_0 and at most 64 radii.
    constexpr float kSlack = 1e-6f;
    const float half = ws.boxes.half + 64 * kSlack;
    const auto reach_of = [&](int64_t i) {
        const LocalAxes& a = ws.axes[i];
        return splat(half * ws.radii[i] + kSlack * (fabsf(a.u_0) + fabsf(a.v_0)));
    };
    for (int64_t i = 0; i < n; ++i) {
        const LocalAxes& a = ws.axes[i];
        const Vec ux = splat(a.u_x), uy = splat(a.u_y), u0 = splat(a.u_0);
        const Vec vx = splat(a.v_x), vy = splat(a.v_y), v0 = splat(a.v_0);
        const Vec reach = reach_of(i);
        for (int g = 0; g < n_groups; g += kLanes) {
            const Vec x = load(ws.boxes.x + g), y = load(ws.boxes.y + g);
            const Vec u = fma(ux, x, fma(uy, y, u0)), v = fma(vx, x, fma(vy, y, v0));
            const Vec q = fma(u, u, v * v);
            store(ws.centres + i * kGroups + g, q);
            store(ws.farthest + i * kGroups + g, root_from_above(q) + reach);
        }
    }
    alignas(64) float limit[kGroups];
    for (int g = 0; g < n_groups; g += kLanes)
        store(limit + g, find(ws.farthest + g, kGroups, n, args.top_k).kth * splat(1.000002f));
    const int64_t n_bytes = words_of(n) * 64;
    for (int64_t i = 0; i < n; ++i) {
        const Vec reach = reach_of(i);
        unsigned within = 0;
        for (int g = 0; g < n_groups; g += kLanes) {
            const Vec most = load(limit + g) + reach;
            within |= bits(less_equal(load(ws.centres + i * kGroups + g), most * most)) << g;
        }
        for (int byte = 0; byte * 8 < n_groups; ++byte)
            ws.within[byte * n_bytes + i] = static_cast<uint8_t>(within >> 8 * byte);
    }
    for (int byte = 0; byte * 8 < n_groups; ++byte) {
        uint8_t* const column = ws.within + byte * n_bytes;
        for (int64_t i = n; i < n_bytes; ++i) column[i] = 0;
        for (int64_t word = 0; word < words_of(n); ++word)
            words_of_bits(column + word * 64, ws.listed + byte * 8 * words_of(n) + word, words_of(n));
    }
}

}  // namespace
}  // namespace GSCODEC_ISA
}  // namespace gscodec
