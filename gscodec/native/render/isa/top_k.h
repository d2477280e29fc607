// The K-th smallest of many values, lane by lane.
#pragma once
#include <cstring>
#include <utility>

#include "render/isa/group.h"

namespace gscodec {
namespace GSCODEC_ISA {
namespace {

// What a search over n values a lane, some stride apart, comes to: the K-th smallest, the least, and what the one after
// the K-th is at least; minus infinity if that was not looked at.
struct Found {
    Vec kth, least, next;
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
    return {kept[Depth - 1], Smallest ? kept[0] : least, splat(-kInfinity)};
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
    return {load(lanes), least_of(q, stride, n), splat(-kInfinity)};
}

// Ten values sorted by 29 exchanges, the fewest possible (Knuth, TAOCP vol. 3, 5.3.4); without those of the last places
// it sorts fewer. Checked on all 0-1 inputs.
constexpr int kNetworkSize = 10;
constexpr int kExchanges[29][2] = {{0, 8}, {1, 9}, {2, 7}, {3, 5}, {4, 6}, {0, 2}, {1, 4}, {5, 8}, {7, 9}, {0, 3},
                                   {2, 4}, {5, 7}, {6, 9}, {0, 1}, {3, 6}, {8, 9}, {1, 5}, {2, 3}, {4, 8}, {6, 7},
                                   {1, 2}, {3, 5}, {4, 6}, {7, 8}, {2, 3}, {4, 5}, {6, 7}, {3, 4}, {5, 6}};
// The same for ten values that rise and then fall: a bitonic merge of sixteen whose first six are the least of all.
constexpr int kMergeExchanges[15][2] = {{0, 8}, {1, 9}, {2, 6}, {3, 7}, {4, 8}, {5, 9}, {2, 4}, {3, 5},
                                        {6, 8}, {7, 9}, {0, 1}, {2, 3}, {4, 5}, {6, 7}, {8, 9}};

template <int A, int B, int Size>
inline void exchange(Vec (&v)[Size]) {
    if constexpr (A < Size && B < Size) {
        const Vec low = min(v[A], v[B]);
        v[B] = max(v[A], v[B]);
        v[A] = low;
    }
}

template <int Size, size_t... I>
inline void sort_network(Vec (&v)[Size], std::index_sequence<I...>) {
    (exchange<kExchanges[I][0], kExchanges[I][1]>(v), ...);
}

template <int Size>
inline void sort_network(Vec (&v)[Size]) {
    sort_network(v, std::make_index_sequence<29>());
}

template <size_t... I>
inline void merge_network(Vec (&v)[kNetworkSize], std::index_sequence<I...>) {
    (exchange<kMergeExchanges[I][0], kMergeExchanges[I][1]>(v), ...);
}

// Reads Size values a lane, and sorts them.
template <int Size>
inline void sorted_block(const float* q, int64_t stride, Vec (&block)[Size]) {
    for (int k = 0; k < Size; ++k) block[k] = load(q + k * stride);
    sort_network(block);
}

// The search's end: the last Size values beside the ten smallest of the others, sorted. Of two sorted blocks a and b,
// the ten smallest are min(a[9 - i], b[i]), and the others max(a[9 - i], b[i]).
template <int Size>
inline Found finish_search(const Vec (&kept)[kNetworkSize], Vec least, Vec next, const float* q, int64_t stride) {
    Vec block[Size];
    sorted_block(q, stride, block);
    Vec kth = min(kept[kNetworkSize - 1], block[0]);
    if constexpr (Size < kNetworkSize) kth = max(kth, kept[kNetworkSize - 1 - Size]);
    next = min(next, max(kept[kNetworkSize - 1], block[0]));
    for (int k = 1; k < Size; ++k) {
        kth = max(kth, min(kept[kNetworkSize - 1 - k], block[k]));
        next = min(next, max(kept[kNetworkSize - 1 - k], block[k]));
    }
    return {kth, min(least, block[0]), next};
}

// Eleven to twenty values: the usual shortlist. One function for each length leaves out what its end does not ask for.
template <int Size>
Found search_two_blocks(const float* q, int64_t stride) {
    Vec kept[kNetworkSize];
    sorted_block(q, stride, kept);
    return finish_search<Size>(kept, kept[0], splat(kInfinity), q + kNetworkSize * stride, stride);
}

template <int Size>
Found search_last(const Vec (&kept)[kNetworkSize], Vec least, Vec next, const float* q, int64_t stride) {
    return finish_search<Size>(kept, least, next, q, stride);
}

template <size_t... I>
inline Found two_blocks(const float* q, int64_t stride, int64_t size, std::index_sequence<I...>) {
    using Search = Found (*)(const float*, int64_t);
    constexpr Search searches[] = {search_two_blocks<I + 1>...};
    return searches[size - 1](q, stride);
}

template <size_t... I>
inline Found last_block(const Vec (&kept)[kNetworkSize], Vec least, Vec next, const float* q, int64_t stride,
                        int64_t size, std::index_sequence<I...>) {
    using Search = Found (*)(const Vec(&)[kNetworkSize], Vec, Vec, const float*, int64_t);
    constexpr Search searches[] = {search_last<I + 1>...};
    return searches[size - 1](kept, least, next, q, stride);
}

// The search for K = 10, the usual K, by blocks of ten: half the operations of insertion, and no branches.
Found search_by_network(const float* q, int64_t stride, int64_t n) {
    constexpr auto sizes = std::make_index_sequence<kNetworkSize>();
    if (n <= 2 * kNetworkSize) return two_blocks(q, stride, n - kNetworkSize, sizes);
    Vec kept[kNetworkSize], next = splat(kInfinity);
    sorted_block(q, stride, kept);
    Vec least = kept[0];
    int64_t i = kNetworkSize;
    for (; i + kNetworkSize < n; i += kNetworkSize) {
        Vec block[kNetworkSize];
        sorted_block(q + i * stride, stride, block);
        least = min(least, block[0]);
        for (int k = 0; k < kNetworkSize; ++k) {
            Vec& own = kept[kNetworkSize - 1 - k];
            next = min(next, max(own, block[k]));
            own = min(own, block[k]);
        }
        merge_network(kept, std::make_index_sequence<15>());
    }
    return last_block(kept, least, next, q + i * stride, stride, n - i, sizes);
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
    if (top_k == kNetworkSize) return search_by_network(q, stride, n);
    const int64_t from_above = n - top_k + 1;
    const bool smallest = top_k <= from_above;
    return search_depth<1>(q, stride, n, top_k, static_cast<int>(smallest ? top_k : from_above), smallest);
}

}  // namespace
}  // namespace GSCODEC_ISA
}  // namespace gscodec
