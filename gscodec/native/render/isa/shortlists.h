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
        ws.boxes.half_x[g] = 0.5f * (x1 - x0);
        ws.boxes.half_y[g] = 0.5f * (y1 - y0);
    }
    ws.have_boxes = true;
}

// Below this, what a shortlist saves is less than what it costs.
constexpr int64_t kShortlistFrom = 24;

// Fills members, places and n_members, or makes the whole list everybody's.
void shortlists(Workspace& ws, const BlendArgs& args) {
    const int64_t n = args.n;
    int32_t* const members = ws.members;
    ws.shortlisted = n >= kShortlistFrom && n > args.top_k;
    if (!ws.shortlisted) {
        for (int64_t i = 0; i < n; ++i) members[i] = static_cast<int32_t>(i);
        return;
    }
    if (!ws.have_boxes) find_boxes(ws, args.n_points);
    const Boxes& boxes = ws.boxes;
    // One reach serves all groups: in a full tile their boxes are alike.
    float half_x = boxes.half_x[0], half_y = boxes.half_y[0];
    for (int g = 1; g < kGroups; ++g)
        half_x = larger(half_x, boxes.half_x[g]), half_y = larger(half_y, boxes.half_y[g]);
    for (int64_t i = 0; i < n; ++i) {
        const LocalAxes& a = ws.axes[i];
        const Vec ux = splat(a.u_x), uy = splat(a.u_y), u0 = splat(a.u_0);
        const Vec vx = splat(a.v_x), vy = splat(a.v_y), v0 = splat(a.v_0);
        const float u1 = a.u_x * half_x, u2 = a.u_y * half_y, v1 = a.v_x * half_x, v2 = a.v_y * half_y;
        const float across =
            larger((u1 + u2) * (u1 + u2) + (v1 + v2) * (v1 + v2), (u1 - u2) * (u1 - u2) + (v1 - v2) * (v1 - v2));
        // What rounding may do to U and V, here and where the points' own are computed.
        const float slope = fabsf(a.u_x) + fabsf(a.u_y) + fabsf(a.v_x) + fabsf(a.v_y);
        const float slack = 1e-6f * (fabsf(a.u_0) + fabsf(a.v_0) + 2 * kTileSide * slope);
        const Vec reach = splat(sqrtf(across) + slack);
        for (int g = 0; g < kGroups; g += kLanes) {
            const Vec x = load(boxes.x + g), y = load(boxes.y + g);
            const Vec u = fma(ux, x, fma(uy, y, u0)), v = fma(vx, x, fma(vy, y, v0));
            const Vec centre = root(fma(u, u, v * v));
            store(ws.lower + i * kGroupLanes + g, centre - reach);
            store(ws.upper + i * kGroupLanes + g, centre + reach);
        }
    }
    alignas(64) float limit[kGroupLanes];
    for (int g = 0; g < kGroups; g += kLanes)
        store(limit + g, find(ws.upper + g, kGroupLanes, n, args.top_k).kth * splat(1.000001f));
    const int n_groups = (args.n_points + kGroup - 1) / kGroup;
    int32_t* const places = ws.places;
    fill(ws.n_members, kGroups, int64_t{0});
    for (int64_t i = 0; i < n; ++i) {
        unsigned within = 0;
        for (int g = 0; g < kGroups; g += kLanes)
            within |= bits(less_equal(load(ws.lower + i * kGroupLanes + g), load(limit + g))) << g;
        for (int g = 0; g < n_groups; ++g) {
            int64_t& count = ws.n_members[g];
            const bool in = within >> g & 1;
            members[g * n + count] = static_cast<int32_t>(i);
            places[i * kGroups + g] = in ? static_cast<int32_t>(count) : -1;
            count += in;
        }
    }
}

}  // namespace
}  // namespace GSCODEC_ISA
}  // namespace gscodec
