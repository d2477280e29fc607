// The inner loops, compiled once per instruction set (simd.h).
//
// A batch is up to 256 points of one tile and the list of the n Gaussians whose support meets that tile. Stages:
//   distances   weights[i][p] = q_i(p), scaled so that a weight is 2^-q
//   thresholds  the K-th smallest q of each point. With n > K lists only a little longer than K are the rule, so the
//               cheaper of two equal searches runs: keep the K smallest, or keep the n - K + 1 largest
//   mix         weights[i][p] = 2^(q_min - q_i) where q_i is within the threshold, else 0; their sum; the blend
//   accumulate  per Gaussian, the moments that its gradient needs (raster/reference.py, backward)
// Every point goes through the same operations in the same order whatever batch it is in: that is what makes a sample
// equal its pixel to the bit.
#include "kernels.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "simd.h"

namespace gscodec {
namespace GSCODEC_ISA {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

void distances(Workspace& ws, const BlendArgs& args, int first, int last) {
    for (int64_t i = 0; i < args.n; ++i) {
        const LocalAxes a = ws.axes[i];
        const Vec ux = splat(a.u_x), uy = splat(a.u_y), u0 = splat(a.u_0);
        const Vec vx = splat(a.v_x), vy = splat(a.v_y), v0 = splat(a.v_0);
        float* q = ws.weights.data() + i * kBatch;
        for (int p = first; p < last; p += kLanes) {
            const Vec x = load(ws.x + p), y = load(ws.y + p);
            const Vec u = fma(ux, x, fma(uy, y, u0));
            const Vec v = fma(vx, x, fma(vy, y, v0));
            store(q + p, fma(u, u, v * v));
        }
    }
}

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

// The Depth-th smallest (or largest) q of each point.
template <int Depth, bool Smallest>
void search(Workspace& ws, const BlendArgs& args) {
    for (int p = 0; p < args.n_points; p += kLanes) {
        const float* q = ws.weights.data() + p;
        Vec kept[Depth], nearest = splat(kInfinity);
        for (int k = 0; k < Depth; ++k) kept[k] = splat(Smallest ? kInfinity : -kInfinity);
        for (int64_t i = 0; i < args.n; ++i) {
            const Vec x = load(q + i * kBatch);
            if (!Smallest) nearest = min(nearest, x);
            if (Smallest) {
                if (any(less(x, kept[Depth - 1]))) insert_smallest(kept, x);
            } else {
                if (any(less(kept[Depth - 1], x))) insert_largest(kept, x);
            }
        }
        store(ws.threshold + p, kept[Depth - 1]);
        store(ws.nearest + p, Smallest ? kept[0] : nearest);
    }
}

// Any depth, without registers to speak of.
void search_any(Workspace& ws, const BlendArgs& args) {
    std::vector<float> column(args.n);
    for (int p = 0; p < args.n_points; ++p) {
        for (int64_t i = 0; i < args.n; ++i) column[i] = ws.weights[i * kBatch + p];
        std::nth_element(column.begin(), column.begin() + (args.top_k - 1), column.end());
        ws.threshold[p] = column[args.top_k - 1];
        ws.nearest[p] = *std::min_element(column.begin(), column.begin() + args.top_k);
    }
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

// thresholds for K = 10, the usual K, by blocks of ten: of two sorted blocks a and b, the ten smallest are
// min(a[i], b[9 - i]). Half the operations of insertion, and no branches.
void search_by_network(Workspace& ws, const BlendArgs& args) {
    for (int p = 0; p < args.n_points; p += kLanes) {
        const float* q = ws.weights.data() + p;
        Vec kept[kNetworkSize];
        for (int k = 0; k < kNetworkSize; ++k) kept[k] = load(q + k * kBatch);
        sort_network(kept);
        Vec nearest = kept[0], threshold = kept[kNetworkSize - 1];
        for (int64_t i = kNetworkSize; i < args.n; i += kNetworkSize) {
            const int m = static_cast<int>(std::min<int64_t>(kNetworkSize, args.n - i));
            Vec block[kNetworkSize];
            for (int k = 0; k < kNetworkSize; ++k) block[k] = k < m ? load(q + (i + k) * kBatch) : splat(kInfinity);
            sort_network(block);
            nearest = min(nearest, block[0]);
            for (int k = 0; k < kNetworkSize; ++k) kept[k] = min(kept[k], block[kNetworkSize - 1 - k]);
            if (i + kNetworkSize < args.n) {
                sort_network(kept);
                threshold = kept[kNetworkSize - 1];
            } else {
                threshold = kept[0];
                for (int k = 1; k < kNetworkSize; ++k) threshold = max(threshold, kept[k]);
            }
        }
        store(ws.threshold + p, threshold);
        store(ws.nearest + p, nearest);
    }
}

constexpr int kMaxDepth = 12;  // what stays in registers with 16 of them, give or take a spill

template <int Depth>
void search_depth(Workspace& ws, const BlendArgs& args, int depth, bool smallest) {
    if constexpr (Depth <= kMaxDepth) {
        if (depth == Depth)
            smallest ? search<Depth, true>(ws, args) : search<Depth, false>(ws, args);
        else
            search_depth<Depth + 1>(ws, args, depth, smallest);
    } else {
        search_any(ws, args);
    }
}

void nearest_only(Workspace& ws, const BlendArgs& args) {
    for (int p = 0; p < args.n_points; p += kLanes) {
        Vec nearest = splat(kInfinity);
        for (int64_t i = 0; i < args.n; ++i) nearest = min(nearest, load(ws.weights.data() + i * kBatch + p));
        store(ws.nearest + p, nearest);
    }
}

void thresholds(Workspace& ws, const BlendArgs& args) {
    if (args.n <= args.top_k) {
        std::fill(ws.threshold, ws.threshold + args.n_points, kInfinity);
        return nearest_only(ws, args);
    }
    if (args.top_k == kNetworkSize && args.n > kNetworkSize + 2) return search_by_network(ws, args);
    const int64_t from_above = args.n - args.top_k + 1;
    const bool smallest = args.top_k <= from_above;
    search_depth<1>(ws, args, static_cast<int>(smallest ? args.top_k : from_above), smallest);
}

// More than K Gaussians are within the threshold of some point: equal distances. The lower indices stay, the rest
// move to infinity.
void break_ties(Workspace& ws, const BlendArgs& args, int first, int last) {
    for (int p = first; p < last; ++p) {
        int room = args.top_k;
        for (int64_t i = 0; i < args.n; ++i) room -= ws.weights[i * kBatch + p] < ws.threshold[p];
        for (int64_t i = 0; i < args.n; ++i) {
            float& q = ws.weights[i * kBatch + p];
            if (q == ws.threshold[p] && room-- <= 0) q = kInfinity;
        }
    }
}

// Long lists hold many Gaussians that no point of a vector is near to: there a branch saves the exponential. In short
// ones it is mostly taken, and mispredicted otherwise.
constexpr int64_t kBranchFrom = 28;

// Blends points p .. p + Vectors * kLanes. C fixed at compile time keeps the sums in registers; C = 0 is any count.
// Returns whether some point took more than K Gaussians, which equal distances can bring about.
template <int C, int Vectors>
inline bool mix_vectors(Workspace& ws, const BlendArgs& args, bool keep_weights, int p) {
    const int n_channels = C ? C : args.n_channels;
    float* column = ws.weights.data() + p;
    Vec threshold[Vectors], nearest[Vectors], total[Vectors], count[Vectors], sum[C ? C : 1][Vectors];
    for (int v = 0; v < Vectors; ++v) {
        // Infinity marks what break_ties put out of reach, so it must stay above every threshold.
        threshold[v] = min(load(ws.threshold + p + v * kLanes), splat(std::numeric_limits<float>::max()));
        nearest[v] = load(ws.nearest + p + v * kLanes);
        total[v] = count[v] = splat(0);
        for (int c = 0; c < (C ? C : 1); ++c) sum[c][v] = splat(0);
        if (!C)
            for (int c = 0; c < n_channels; ++c) store(ws.out.data() + c * kBatch + p + v * kLanes, splat(0));
    }
    const bool branch = args.n >= kBranchFrom;
    for (int64_t i = 0; i < args.n; ++i) {
        const float* feature = ws.features.data() + i * n_channels;
        for (int v = 0; v < Vectors; ++v) {
            float* at = column + i * kBatch + v * kLanes;
            const Vec q = load(at);
            const Mask near = less_equal(q, threshold[v]);
            if (branch && !any(near)) {
                if (keep_weights) store(at, splat(0));
                continue;
            }
            const Vec w = keep(near, exp2_nonpositive(nearest[v] - q));
            if (keep_weights) store(at, w);
            count[v] = count[v] + keep(near, splat(1));
            total[v] = total[v] + w;
            if (C) {
                for (int c = 0; c < C; ++c) sum[c][v] = fma(w, splat(feature[c]), sum[c][v]);
            } else {
                for (int c = 0; c < n_channels; ++c) {
                    float* out = ws.out.data() + c * kBatch + p + v * kLanes;
                    store(out, fma(w, splat(feature[c]), load(out)));
                }
            }
        }
    }
    bool crowded = false;
    for (int v = 0; v < Vectors; ++v) {
        store(ws.total + p + v * kLanes, total[v]);
        const Vec inverse = splat(1) / total[v];
        for (int c = 0; c < n_channels; ++c) {
            float* out = ws.out.data() + c * kBatch + p + v * kLanes;
            store(out, (C ? sum[C ? c : 0][v] : load(out)) * inverse);
        }
        crowded |= any(less(splat(static_cast<float>(args.top_k)), count[v]));
    }
    return crowded;
}

template <int C>
void mix(Workspace& ws, const BlendArgs& args, bool keep_weights) {
    for (int p = 0; p < args.n_points; p += kLanes) {
        // Weights overwrite distances, so a crowded vector starts over from the distances.
        if (mix_vectors<C, 1>(ws, args, keep_weights, p)) {
            distances(ws, args, p, p + kLanes);
            break_ties(ws, args, p, p + kLanes);
            mix_vectors<C, 1>(ws, args, keep_weights, p);
        }
    }
}

void blend(Workspace& ws, const BlendArgs& args, bool keep_weights) {
    distances(ws, args, 0, args.n_points);
    if (args.have_threshold)
        nearest_only(ws, args);
    else
        thresholds(ws, args);
    switch (args.n_channels) {
        case 1: return mix<1>(ws, args, keep_weights);
        case 3: return mix<3>(ws, args, keep_weights);
        case 4: return mix<4>(ws, args, keep_weights);
        default: return mix<0>(ws, args, keep_weights);
    }
}

template <int C>
void accumulate_channels(Workspace& ws, const BlendArgs& args, float* moments) {
    const int n_channels = C ? C : args.n_channels;
    // Per point: 1 / total in place of the total, and the dot product of gradient and blend.
    float dot[kBatch];
    for (int p = 0; p < args.n_points; p += kLanes) {
        Vec sum = splat(0);
        for (int c = 0; c < n_channels; ++c)
            sum = fma(load(ws.grad.data() + c * kBatch + p), load(ws.out.data() + c * kBatch + p), sum);
        store(dot + p, sum);
        store(ws.total + p, splat(1) / load(ws.total + p));
    }
    std::vector<float> feature_sums(C ? 0 : n_channels * kLanes);
    for (int64_t i = 0; i < args.n; ++i) {
        const LocalAxes a = ws.axes[i];
        const Vec ux = splat(a.u_x), uy = splat(a.u_y), u0 = splat(a.u_0);
        const Vec vx = splat(a.v_x), vy = splat(a.v_y), v0 = splat(a.v_0);
        const float* feature = ws.features.data() + i * n_channels;
        const float* weights = ws.weights.data() + i * kBatch;
        Vec mu = splat(0), mv = splat(0), muu = splat(0), muv = splat(0), mvv = splat(0);
        Vec mf[C ? C : 1];
        for (int c = 0; c < (C ? C : 1); ++c) mf[c] = splat(0);
        std::fill(feature_sums.begin(), feature_sums.end(), 0.0f);
        for (int p = 0; p < args.n_points; p += kLanes) {
            const Vec raw = load(weights + p);
            if (!any(less(splat(0), raw))) continue;
            const Vec w = raw * load(ws.total + p);
            Vec h = splat(0) - load(dot + p);
            if (C) {
                for (int c = 0; c < C; ++c) {
                    const Vec g = load(ws.grad.data() + c * kBatch + p);
                    h = fma(g, splat(feature[c]), h);
                    mf[c] = fma(w, g, mf[c]);
                }
            } else {
                for (int c = 0; c < n_channels; ++c) {
                    const Vec g = load(ws.grad.data() + c * kBatch + p);
                    h = fma(g, splat(feature[c]), h);
                    float* sum = feature_sums.data() + c * kLanes;
                    store(sum, fma(w, g, load(sum)));
                }
            }
            h = h * w;
            const Vec x = load(ws.x + p), y = load(ws.y + p);
            const Vec u = fma(ux, x, fma(uy, y, u0));
            const Vec v = fma(vx, x, fma(vy, y, v0));
            const Vec hu = h * u, hv = h * v;
            mu = mu + hu;
            mv = mv + hv;
            muu = fma(hu, u, muu);
            muv = fma(hu, v, muv);
            mvv = fma(hv, v, mvv);
        }
        float* row = moments + i * (kMoments + n_channels);
        row[0] = sum_lanes(mu);
        row[1] = sum_lanes(mv);
        row[2] = sum_lanes(muu);
        row[3] = sum_lanes(muv);
        row[4] = sum_lanes(mvv);
        for (int c = 0; c < n_channels; ++c)
            row[kMoments + c] = C ? sum_lanes(mf[C ? c : 0]) : sum_lanes(load(feature_sums.data() + c * kLanes));
    }
}

void accumulate(Workspace& ws, const BlendArgs& args, float* moments) {
    switch (args.n_channels) {
        case 1: return accumulate_channels<1>(ws, args, moments);
        case 3: return accumulate_channels<3>(ws, args, moments);
        case 4: return accumulate_channels<4>(ws, args, moments);
        default: return accumulate_channels<0>(ws, args, moments);
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

#include "ssim.inl"

const KernelTable table = {
#define GSCODEC_STRING_(x) #x
#define GSCODEC_STRING(x) GSCODEC_STRING_(x)
    GSCODEC_STRING(GSCODEC_ISA), kLanes, blend, accumulate, quantize, pointwise, ssim_block,
};

}  // namespace
}  // namespace GSCODEC_ISA

#define GSCODEC_JOIN_(a, b) a##b
#define GSCODEC_JOIN(a, b) GSCODEC_JOIN_(a, b)
const KernelTable* GSCODEC_JOIN(kernels_, GSCODEC_ISA)() { return &GSCODEC_ISA::table; }

}  // namespace gscodec
