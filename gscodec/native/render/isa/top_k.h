// The K-th smallest of many values, lane by lane.
#pragma once
#include <cstring>
#include <utility>

#include "render/isa/group.h"

namespace gscodec {
namespace GSCODEC_ISA {
namespace {

// What a search over n values a lane, some stride apart, comes to.
struct Found {
    Vec kth, least;
};

inline Vec least_of(const float* q, int64_t stride, int64_t n) {
    Vec least = splat(kInfinity);
    for (int64_t i = 0; i < n; ++i) least = min(least, load(q + i * stride));
    return least;
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

// Any depth: bit by bit, the largest number that fewer than top_k of the values are below. Values are not negative, so
// that their bits order as they do.
Found search_any(const float* q, int64_t stride, int64_t n, int top_k) {
    constexpr uint32_t kInfinityBits = 0x7f800000;
    uint32_t found[kLanes] = {};
    float lanes[kLanes], counts[kLanes];
    for (uint32_t bit = 1u << 30; bit; bit >>= 1) {
        uint32_t trial[kLanes];
        for (int lane = 0; lane < kLanes; ++lane) trial[lane] = smaller(found[lane] | bit, kInfinityBits);
        std::memcpy(lanes, trial, sizeof lanes);
        const Vec limit = load(lanes), one = splat(1);
        Vec below = splat(0);
        for (int64_t i = 0; i < n; ++i) below = below + keep(less(load(q + i * stride), limit), one);
        store(counts, below);
        for (int lane = 0; lane < kLanes; ++lane)
            if (counts[lane] < static_cast<float>(top_k)) found[lane] = trial[lane];
    }
    std::memcpy(lanes, found, sizeof lanes);
    return {load(lanes), least_of(q, stride, n)};
}

// Ten values sorted by 29 exchanges, the fewest possible (Knuth, TAOCP vol. 3, 5.3.4). Checked on all 0-1 inputs.
constexpr int kNetworkSize = 10;
constexpr int kExchanges[29][2] = {{0, 8}, {1, 9}, {2, 7}, {3, 5}, {4, 6}, {0, 2}, {1, 4}, {5, 8}, {7, 9}, {0, 3},
                                   {2, 4}, {5, 7}, {6, 9}, {0, 1}, {3, 6}, {8, 9}, {1, 5}, {2, 3}, {4, 8}, {6, 7},
                                   {1, 2}, {3, 5}, {4, 6}, {7, 8}, {2, 3}, {4, 5}, {6, 7}, {3, 4}, {5, 6}};

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
        const int m = static_cast<int>(smaller<int64_t>(kNetworkSize, n - i));
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

}  // namespace
}  // namespace GSCODEC_ISA
}  // namespace gscodec
