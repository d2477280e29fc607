// The inner loops, compiled once per instruction set (simd.h).
//
// A batch is up to 256 points of one tile and the list of the n Gaussians whose support meets that tile. Stages:
//   shortlists  per group of 32 points, the Gaussians that may be among the K nearest of one of them. sqrt(q) is a
//               distance in (U, V), so over the box around the points it stays within the box's reach of its value at
//               the centre; whoever's least is above the K-th smallest of the largest is out. Lanes are groups
//   distances   q_i(p) for the members of p's shortlist, scaled so that a weight is 2^-q
//   thresholds  the K-th smallest q of each point. With n > K lists only a little longer than K are the rule, so the
//               cheaper of two equal searches runs: keep the K smallest, or keep the n - K + 1 largest
//   mix         per vector of points, which members are within the threshold of one of them; of those 2^(q_min - q_i),
//               or 0 at points whose threshold is nearer, in place of q_i; their sum; the blend
//   accumulate  per Gaussian, the moments that its gradient needs (render/reference.py, backward)
// Every point goes through the same operations in the same order whatever batch it is in, but for terms that are
// exactly zero: that is what makes a sample equal its pixel to the bit.
#include "render/kernels.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <utility>

#include "render/simd.h"

namespace gscodec {
namespace GSCODEC_ISA {
namespace {

constexpr float kTileSide = 16;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// A range of points and the Gaussians that they choose from.
struct Group {
    int first, last;         // points
    const int32_t* members;  // places in the tile's list, ascending
    int64_t n;
    float* q;      // of point p and member j: q[j * stride + p - first]; later the weight
    int64_t stride;
};

// Rows of a batch lie as close as its groups allow: a group then works within the first-level cache, where rows a full
// tile apart would share a few of its sets.
inline int64_t row_stride(int n_points) { return std::min(n_points, kGroup); }

inline Group group_at(Workspace& ws, const BlendArgs& args, int g) {
    const int64_t stride = row_stride(args.n_points);
    const int first = g * kGroup;
    const bool own = ws.shortlisted;
    return {first, std::min(first + kGroup, args.n_points), ws.members.data() + (own ? g * args.n : 0),
            own ? ws.n_members[g] : args.n, ws.weights.data() + g * args.n * stride, stride};
}

void distances(Workspace& ws, const Group& group, int first, int last) {
    for (int64_t j = 0; j < group.n; ++j) {
        const LocalAxes& a = ws.axes[group.members[j]];
        const Vec ux = splat(a.u_x), uy = splat(a.u_y), u0 = splat(a.u_0);
        const Vec vx = splat(a.v_x), vy = splat(a.v_y), v0 = splat(a.v_0);
        float* q = group.q + j * group.stride - group.first;
        for (int p = first; p < last; p += kLanes) {
            const Vec x = load(ws.x + p), y = load(ws.y + p);
            const Vec u = fma(ux, x, fma(uy, y, u0));
            const Vec v = fma(vx, x, fma(vy, y, v0));
            store(q + p, fma(u, u, v * v));
        }
    }
}

// What a search over n values a lane, some stride apart, comes to.
struct Found {
    Vec kth, least;
};

// Inserts x into ascending kept[0 .. Depth): the largest falls out.
template <int Depth>
inline void insert_smallest(Vec (&kept)[Depth], Vec x) {
    for (int k = 0; k < Depth; ++k) {
        const Vec low = min(kept[k], x);
        x = max(kept[k], x);
        kept[k] = low;
    }
}

template <int Depth>
inline void insert_largest(Vec (&kept)[Depth], Vec x) {
    for (int k = 0; k < Depth; ++k) {
        const Vec high = max(kept[k], x);
        x = min(kept[k], x);
        kept[k] = high;
    }
}

// The Depth-th smallest (or largest) value of each lane.
template <int Depth, bool Smallest>
Found search(const float* q, int64_t stride, int64_t n) {
    Vec kept[Depth], least = splat(kInfinity);
    for (int k = 0; k < Depth; ++k) kept[k] = splat(Smallest ? kInfinity : -kInfinity);
    for (int64_t i = 0; i < n; ++i) {
        const Vec x = load(q + i * stride);
        if (!Smallest) least = min(least, x);
        if (Smallest) {
            if (any(less(x, kept[Depth - 1]))) insert_smallest(kept, x);
        } else {
            if (any(less(kept[Depth - 1], x))) insert_largest(kept, x);
        }
    }
    return {kept[Depth - 1], Smallest ? kept[0] : least};
}

// Any depth, without registers to speak of.
Found search_any(const float* q, int64_t stride, int64_t n, int top_k) {
    std::vector<float> column(n);
    float kth[kLanes], least[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) {
        for (int64_t i = 0; i < n; ++i) column[i] = q[i * stride + lane];
        std::nth_element(column.begin(), column.begin() + (top_k - 1), column.end());
        kth[lane] = column[top_k - 1];
        least[lane] = *std::min_element(column.begin(), column.begin() + top_k);
    }
    return {load(kth), load(least)};
}

// Ten values sorted by 29 exchanges, the fewest possible (Knuth, TAOCP vol. 3, 5.3.4). Checked on all 0-1 inputs.
constexpr int kNetworkSize = 10;
constexpr int kExchanges[29][2] = {
    {0, 8}, {1, 9}, {2, 7}, {3, 5}, {4, 6}, {0, 2}, {1, 4}, {5, 8}, {7, 9}, {0, 3}, {2, 4}, {5, 7}, {6, 9}, {0, 1}, {3, 6},
    {8, 9}, {1, 5}, {2, 3}, {4, 8}, {6, 7}, {1, 2}, {3, 5}, {4, 6}, {7, 8}, {2, 3}, {4, 5}, {6, 7}, {3, 4}, {5, 6}};

template <size_t... I>
inline void sort_network(Vec (&v)[kNetworkSize], std::index_sequence<I...>) {
    const auto exchange = [&v](int a, int b) {
        const Vec low = min(v[a], v[b]);
        v[b] = max(v[a], v[b]);
        v[a] = low;
    };
    (exchange(kExchanges[I][0], kExchanges[I][1]), ...);
}

inline void sort_network(Vec (&v)[kNetworkSize]) { sort_network(v, std::make_index_sequence<29>()); }

// The search for K = 10, the usual K, by blocks of ten: of two sorted blocks a and b, the ten smallest are
// min(a[i], b[9 - i]). Half the operations of insertion, and no branches.
Found search_by_network(const float* q, int64_t stride, int64_t n) {
    Vec kept[kNetworkSize];
    for (int k = 0; k < kNetworkSize; ++k) kept[k] = load(q + k * stride);
    sort_network(kept);
    Vec least = kept[0], kth = kept[kNetworkSize - 1];
    for (int64_t i = kNetworkSize; i < n; i += kNetworkSize) {
        const int m = static_cast<int>(std::min<int64_t>(kNetworkSize, n - i));
        Vec block[kNetworkSize];
        for (int k = 0; k < kNetworkSize; ++k) block[k] = k < m ? load(q + (i + k) * stride) : splat(kInfinity);
        sort_network(block);
        least = min(least, block[0]);
        for (int k = 0; k < kNetworkSize; ++k) kept[k] = min(kept[k], block[kNetworkSize - 1 - k]);
        if (i + kNetworkSize < n) {
            sort_network(kept);
            kth = kept[kNetworkSize - 1];
        } else {
            kth = kept[0];
            for (int k = 1; k < kNetworkSize; ++k) kth = max(kth, kept[k]);
        }
    }
    return {kth, least};
}

constexpr int kMaxDepth = 12;  // what stays in registers with 16 of them, give or take a spill

template <int Depth>
Found search_depth(const float* q, int64_t stride, int64_t n, int top_k, int depth, bool smallest) {
    if constexpr (Depth <= kMaxDepth) {
        if (depth == Depth) return smallest ? search<Depth, true>(q, stride, n) : search<Depth, false>(q, stride, n);
        return search_depth<Depth + 1>(q, stride, n, top_k, depth, smallest);
    } else {
        return search_any(q, stride, n, top_k);
    }
}

// The top_k-th smallest and the least of n > top_k values a lane.
inline Found find(const float* q, int64_t stride, int64_t n, int top_k) {
    if (top_k == kNetworkSize && n > kNetworkSize + 2) return search_by_network(q, stride, n);
    const int64_t from_above = n - top_k + 1;
    const bool smallest = top_k <= from_above;
    return search_depth<1>(q, stride, n, top_k, static_cast<int>(smallest ? top_k : from_above), smallest);
}

inline Vec least_of(const float* q, int64_t stride, int64_t n) {
    Vec least = splat(kInfinity);
    for (int64_t i = 0; i < n; ++i) least = min(least, load(q + i * stride));
    return least;
}

void thresholds(Workspace& ws, const BlendArgs& args, const Group& group) {
    for (int p = group.first; p < group.last; p += kLanes) {
        const float* q = group.q + p - group.first;
        Found found = {splat(kInfinity), splat(kInfinity)};
        if (group.n > args.top_k && !args.have_threshold)
            found = find(q, group.stride, group.n, args.top_k);
        else
            found.least = least_of(q, group.stride, group.n);
        if (!args.have_threshold) store(ws.threshold + p, found.kth);
        store(ws.nearest + p, found.least);
    }
}

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
        const int first = g * kGroup < n_points ? g * kGroup : 0, last = std::min(first + kGroup, n_points);
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
    int32_t* const members = ws.members.data();
    ws.shortlisted = n >= kShortlistFrom && n > args.top_k;
    if (!ws.shortlisted) {
        std::iota(members, members + n, 0);
        return;
    }
    if (!ws.have_boxes) find_boxes(ws, args.n_points);
    const Boxes& boxes = ws.boxes;
    // One reach serves all groups: in a full tile their boxes are alike.
    const float half_x = *std::max_element(boxes.half_x, boxes.half_x + kGroups);
    const float half_y = *std::max_element(boxes.half_y, boxes.half_y + kGroups);
    for (int64_t i = 0; i < n; ++i) {
        const LocalAxes& a = ws.axes[i];
        const Vec ux = splat(a.u_x), uy = splat(a.u_y), u0 = splat(a.u_0);
        const Vec vx = splat(a.v_x), vy = splat(a.v_y), v0 = splat(a.v_0);
        const float u1 = a.u_x * half_x, u2 = a.u_y * half_y, v1 = a.v_x * half_x, v2 = a.v_y * half_y;
        const float across = std::max((u1 + u2) * (u1 + u2) + (v1 + v2) * (v1 + v2),
                                      (u1 - u2) * (u1 - u2) + (v1 - v2) * (v1 - v2));
        // What rounding may do to U and V, here and where the points' own are computed.
        const float slope = std::abs(a.u_x) + std::abs(a.u_y) + std::abs(a.v_x) + std::abs(a.v_y);
        const float slack = 1e-6f * (std::abs(a.u_0) + std::abs(a.v_0) + 2 * kTileSide * slope);
        const Vec reach = splat(std::sqrt(across) + slack);
        for (int g = 0; g < kGroups; g += kLanes) {
            const Vec x = load(boxes.x + g), y = load(boxes.y + g);
            const Vec u = fma(ux, x, fma(uy, y, u0)), v = fma(vx, x, fma(vy, y, v0));
            const Vec centre = root(fma(u, u, v * v));
            store(ws.lower.data() + i * kGroupLanes + g, centre - reach);
            store(ws.upper.data() + i * kGroupLanes + g, centre + reach);
        }
    }
    alignas(64) float limit[kGroupLanes];
    for (int g = 0; g < kGroups; g += kLanes)
        store(limit + g, find(ws.upper.data() + g, kGroupLanes, n, args.top_k).kth * splat(1.000001f));
    const int n_groups = (args.n_points + kGroup - 1) / kGroup;
    int32_t* const places = ws.places.data();
    std::fill(ws.n_members, ws.n_members + kGroups, 0);
    for (int64_t i = 0; i < n; ++i) {
        unsigned within = 0;
        for (int g = 0; g < kGroups; g += kLanes)
            within |= bits(less_equal(load(ws.lower.data() + i * kGroupLanes + g), load(limit + g))) << g;
        for (int g = 0; g < n_groups; ++g) {
            int64_t& count = ws.n_members[g];
            const bool in = within >> g & 1;
            members[g * n + count] = static_cast<int32_t>(i);
            places[i * kGroups + g] = in ? static_cast<int32_t>(count) : -1;
            count += in;
        }
    }
}

// More than K Gaussians are within the threshold of some point: equal distances. The lower indices stay, the rest
// move to infinity.
void break_ties(Workspace& ws, const BlendArgs& args, const Group& group, int first, int last) {
    for (int p = first; p < last; ++p) {
        int room = args.top_k;
        for (int64_t j = 0; j < group.n; ++j) 
            room -= group.q[j * group.stride + p - group.first] < ws.threshold[p];
        for (int64_t j = 0; j < group.n; ++j) {
            float& q = group.q[j * group.stride + p - group.first];
            if (q == ws.threshold[p] && room-- <= 0) q = kInfinity;
        }
    }
}

// Blends the points p .. p + kLanes. C fixed at compile time keeps the sums in registers; C = 0 is any count. Returns
// whether some point took more than K Gaussians, which equal distances can bring about.
template <int C>
inline bool mix_vector(Workspace& ws, const BlendArgs& args, const Group& group, bool keep_weights, int p) {
    const int n_channels = C ? C : args.n_channels;
    float* const column = group.q + p - group.first;
    // Infinity marks what break_ties put out of reach, so it must stay above every threshold.
    const Vec threshold = min(load(ws.threshold + p), splat(std::numeric_limits<float>::max()));
    const Vec nearest = load(ws.nearest + p);
    // A branch that asks for each member whether some point is near is a coin toss; a list of those near is not.
    int32_t* const active = ws.active.data();
    int64_t n_active = 0;
    int n_near = 0;
    for (int64_t j = 0; j < group.n; ++j) {
        const unsigned near = bits(less_equal(load(column + j * group.stride), threshold));
        active[n_active] = static_cast<int32_t>(j);
        n_active += near != 0;
        n_near += __builtin_popcount(near);
    }
    // Every point has K within its threshold.
    if (group.n > args.top_k && n_near > args.top_k * kLanes) return true;
    Vec total = splat(0), sum[C ? C : 1];
    for (int c = 0; c < (C ? C : 1); ++c) sum[c] = splat(0);
    if (!C)
        for (int c = 0; c < n_channels; ++c) store(ws.out.data() + c * kBatch + p, splat(0));
    const uint64_t bit = uint64_t{1} << p / kLanes;
    for (int64_t a = 0; a < n_active; ++a) {
        const int32_t member = group.members[active[a]];
        const float* const feature = ws.features.data() + member * n_channels;
        float* const at = column + active[a] * group.stride;
        const Vec q = load(at);
        const Vec w = keep(less_equal(q, threshold), exp2_nonpositive(nearest - q));
        if (keep_weights) {
            store(at, w);
            ws.touched[member] |= bit;
        }
        total = total + w;
        if (C) {
            for (int c = 0; c < C; ++c) sum[c] = fma(w, splat(feature[c]), sum[c]);
        } else {
            for (int c = 0; c < n_channels; ++c) {
                float* out = ws.out.data() + c * kBatch + p;
                store(out, fma(w, splat(feature[c]), load(out)));
            }
        }
    }
    store(ws.total + p, total);
    const Vec inverse = splat(1) / total;
    for (int c = 0; c < n_channels; ++c) {
        float* out = ws.out.data() + c * kBatch + p;
        store(out, (C ? sum[C ? c : 0] : load(out)) * inverse);
    }
    return false;
}

template <int C>
void mix(Workspace& ws, const BlendArgs& args, const Group& group, bool keep_weights) {
    for (int p = group.first; p < group.last; p += kLanes) {
        if (mix_vector<C>(ws, args, group, keep_weights, p)) {
            break_ties(ws, args, group, p, p + kLanes);
            mix_vector<C>(ws, args, group, keep_weights, p);
        }
    }
}

void blend(Workspace& ws, const BlendArgs& args, bool keep_weights) {
    shortlists(ws, args);
    if (keep_weights) std::fill_n(ws.touched.begin(), args.n, uint64_t{0});
    for (int g = 0; g * kGroup < args.n_points; ++g) {
        const Group group = group_at(ws, args, g);
        distances(ws, group, group.first, group.last);
        thresholds(ws, args, group);
        switch (args.n_channels) {
            case 1: mix<1>(ws, args, group, keep_weights); break;
            case 3: mix<3>(ws, args, group, keep_weights); break;
            case 4: mix<4>(ws, args, group, keep_weights); break;
            default: mix<0>(ws, args, group, keep_weights); break;
        }
    }
}

// Per point what accumulate multiplies weights with, x and y about the tile's centre.
struct PointTerms {
    alignas(64) float along[kBatch];  // minus the dot product of gradient and blend, by total
    alignas(64) float x[kBatch], y[kBatch], xx[kBatch], xy[kBatch], yy[kBatch];
};

// The moments about the tile's centre that gradients need, lane by lane, and what they are about a Gaussian's mean.
struct LaneSums {
    Vec h = splat(0), hx = splat(0), hy = splat(0), hxx = splat(0), hxy = splat(0), hyy = splat(0);

    void about(float mean_x, float mean_y, Vec (&moments)[kMoments]) const {
        const Vec x = splat(-mean_x), y = splat(-mean_y);
        const Vec mx = fma(x, h, hx), my = fma(y, h, hy);
        moments[0] = mx;
        moments[1] = my;
        moments[2] = fma(x, hx + mx, hxx);
        moments[3] = fma(y, mx, fma(x, hy, hxy));
        moments[4] = fma(y, hy + my, hyy);
    }
};

template <int C>
void accumulate_channels(Workspace& ws, const BlendArgs& args, const int32_t* slots, float* moments) {
    const int n_channels = C ? C : args.n_channels;
    const int width = kMoments + n_channels;
    float* const grads = ws.grad.data();
    const Vec middle = splat(kTileSide / 2);
    PointTerms terms;
    // Gradients by total, so that unnormalised weights serve.
    for (int p = 0; p < args.n_points; p += kLanes) {
        const Vec inverse = splat(1) / load(ws.total + p);
        Vec sum = splat(0);
        for (int c = 0; c < n_channels; ++c) {
            const Vec g = load(grads + c * kBatch + p) * inverse;
            sum = fma(g, load(ws.out.data() + c * kBatch + p), sum);
            store(grads + c * kBatch + p, g);
        }
        store(terms.along + p, splat(0) - sum);
        const Vec x = load(ws.x + p) - middle, y = load(ws.y + p) - middle;
        store(terms.x + p, x);
        store(terms.y + p, y);
        store(terms.xx + p, x * x);
        store(terms.xy + p, x * y);
        store(terms.yy + p, y * y);
    }
    const int64_t stride = row_stride(args.n_points), group_size = args.n * stride;
    std::vector<float> feature_sums(C ? 0 : (n_channels + kSumBlock) * kLanes);
    for (int64_t i = 0; i < args.n; ++i) {
        const int32_t* const places = ws.places.data() + i * kGroups;
        const float* const feature = ws.features.data() + i * n_channels;
        LaneSums sums;
        Vec f[C ? C : 1];
        for (int c = 0; c < (C ? C : 1); ++c) f[c] = splat(0);
        std::fill(feature_sums.begin(), feature_sums.end(), 0.0f);
        for (uint64_t left = ws.touched[i]; left; left &= left - 1) {
            const int p = __builtin_ctzll(left) * kLanes, g = p / kGroup;
            const int64_t place = ws.shortlisted ? places[g] : i;
            const Vec w = load(ws.weights.data() + g * group_size + place * stride + p % kGroup);
            Vec h = load(terms.along + p);
            for (int c = 0; c < n_channels; ++c) {
                const Vec g_c = load(grads + c * kBatch + p);
                h = fma(g_c, splat(feature[c]), h);
                if (C) {
                    f[C ? c : 0] = fma(w, g_c, f[C ? c : 0]);
                } else {
                    float* sum = feature_sums.data() + c * kLanes;
                    store(sum, fma(w, g_c, load(sum)));
                }
            }
            h = h * w;
            sums.h = sums.h + h;
            sums.hx = fma(h, load(terms.x + p), sums.hx);
            sums.hy = fma(h, load(terms.y + p), sums.hy);
            sums.hxx = fma(h, load(terms.xx + p), sums.hxx);
            sums.hxy = fma(h, load(terms.xy + p), sums.hxy);
            sums.hyy = fma(h, load(terms.yy + p), sums.hyy);
        }
        Vec about[kMoments], block[kSumBlock];
        sums.about(ws.axes[i].mean_x - kTileSide / 2, ws.axes[i].mean_y - kTileSide / 2, about);
        float* const row = moments + slots[i] * int64_t{width};
        float sum[kSumBlock];
        constexpr int kFirst = kSumBlock - kMoments;  // channels in the first block
        for (int k = 0; k < kMoments; ++k) block[k] = about[k];
        for (int c = 0; c < kFirst; ++c)
            block[kMoments + c] = C ? (c < C ? f[c < C ? c : 0] : splat(0)) : load(feature_sums.data() + c * kLanes);
        sum_lanes(block, sum);
        if (C + kMoments == kSumBlock)
            std::memcpy(row, sum, sizeof sum);
        else
            std::copy_n(sum, std::min(width, kSumBlock), row);
        for (int first = kFirst; first < n_channels; first += kSumBlock) {
            for (int c = 0; c < kSumBlock; ++c)
                block[c] = C ? (first + c < C ? f[first + c < C ? first + c : 0] : splat(0))
                             : load(feature_sums.data() + (first + c) * kLanes);
            sum_lanes(block, sum);
            std::copy_n(sum, std::min(n_channels - first, kSumBlock), row + kMoments + first);
        }
    }
}

void accumulate(Workspace& ws, const BlendArgs& args, const int32_t* slots, float* moments) {
    switch (args.n_channels) {
        case 1: return accumulate_channels<1>(ws, args, slots, moments);
        case 3: return accumulate_channels<3>(ws, args, slots, moments);
        case 4: return accumulate_channels<4>(ws, args, slots, moments);
        default: return accumulate_channels<0>(ws, args, slots, moments);
    }
}

void quantize(const Workspace& ws, int n_channels, int n_points, float peak, int32_t* codes) {
    for (int c = 0; c < n_channels; ++c)
        for (int p = 0; p < n_points; p += kLanes) {
            const Vec v = min(max(load(ws.out.data() + c * kBatch + p), splat(0)), splat(1));
            store_truncated(codes + c * kBatch + p, fma(v, splat(peak), splat(0.5f)));
        }
}

inline void pointwise_step(Vec a, Vec b, Vec l1, Vec l2, Vec& grad, Vec& absolute, Vec& square) {
    const Vec zero = splat(0), d = a - b;
    const Vec sign = keep(less(zero, d), l1) - keep(less(d, zero), l1);
    grad = fma(l2, d, sign);
    absolute = absolute + max(d, zero - d);
    square = fma(d, d, square);
}

void pointwise(const float* a, const float* b, int64_t n, float l1, float l2, float* grad, double* sums) {
    const Vec w1 = splat(l1), w2 = splat(2 * l2);
    Vec absolute = splat(0), square = splat(0), g;
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
        pointwise_step(load(a + i), load(b + i), w1, w2, g, absolute, square);
        store(grad + i, g);
    }
    if (i < n) {
        float tail_a[kLanes] = {}, tail_b[kLanes] = {}, tail_g[kLanes];
        std::copy(a + i, a + n, tail_a);
        std::copy(b + i, b + n, tail_b);
        pointwise_step(load(tail_a), load(tail_b), w1, w2, g, absolute, square);
        store(tail_g, g);
        std::copy(tail_g, tail_g + (n - i), grad + i);
    }
    sums[0] += sum_lanes(absolute);
    sums[1] += sum_lanes(square);
}

inline void weighted_step(Vec a, Vec b, Vec w, Vec l1, Vec l2, Vec& grad, Vec (&sums)[3]) {
    const Vec zero = splat(0), d = a - b, square = d * d;
    const Vec sign = keep(less(zero, d), l1) - keep(less(d, zero), l1);
    grad = w * fma(l2, d, sign);
    sums[0] = fma(w, max(d, zero - d), sums[0]);
    sums[1] = fma(w, square, sums[1]);
    sums[2] = sums[2] + square;
}

void pointwise_weighted(const float* a, const float* b, const float* weight, int64_t n, float l1, float l2, float* grad,
                        double* sums) {
    const Vec w1 = splat(l1), w2 = splat(2 * l2);
    Vec totals[3] = {splat(0), splat(0), splat(0)}, g;
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
        weighted_step(load(a + i), load(b + i), load(weight + i), w1, w2, g, totals);
        store(grad + i, g);
    }
    if (i < n) {
        float tail_a[kLanes] = {}, tail_b[kLanes] = {}, tail_w[kLanes] = {}, tail_g[kLanes];
        std::copy(a + i, a + n, tail_a);
        std::copy(b + i, b + n, tail_b);
        std::copy(weight + i, weight + n, tail_w);
        weighted_step(load(tail_a), load(tail_b), load(tail_w), w1, w2, g, totals);
        store(tail_g, g);
        std::copy(tail_g, tail_g + (n - i), grad + i);
    }
    for (int k = 0; k < 3; ++k) sums[k] += sum_lanes(totals[k]);
}

#include "render/ssim.inl"

const KernelTable table = {
#define GSCODEC_STRING_(x) #x
#define GSCODEC_STRING(x) GSCODEC_STRING_(x)
    GSCODEC_STRING(GSCODEC_ISA), kLanes, blend, accumulate, quantize, pointwise, pointwise_weighted,
    ssim_block,
};

}  // namespace
}  // namespace GSCODEC_ISA

#define GSCODEC_JOIN_(a, b) a##b
#define GSCODEC_JOIN(a, b) GSCODEC_JOIN_(a, b)
const KernelTable* GSCODEC_JOIN(kernels_, GSCODEC_ISA)() { return &GSCODEC_ISA::table; }

}  // namespace gscodec
