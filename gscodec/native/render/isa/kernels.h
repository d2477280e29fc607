// What one instruction set's build of kernels.cpp offers, as a table of functions. See kernels.cpp for the method.
#pragma once
#include <cstdint>

#include "shared/loss_terms.h"

namespace gscodec {

constexpr int kBatch = 256;  // points worked on together: one full tile
constexpr int kGroup = 32;   // points that share a shortlist
constexpr int kGroups = kBatch / kGroup;
constexpr int kGroupLanes = 16;  // kGroups, rounded up to the widest vector

// Of a full tile's points, run r of eight neighbours starts at (run_x(r), run_y(r)): a group is 8 x 4 pixels, so that
// its shortlist is short.
constexpr int kRun = 8;
constexpr int run_x(int run) { return run / 4 % 2 * kRun; }
constexpr int run_y(int run) { return run / 8 * 4 + run % 4; }

// A Gaussian's affine map (x, y) -> (U, V) in coordinates relative to a tile's corner. Scaled by sqrt(log2(e) / 2), so
// that exp(-q / 2) = 2^-(U^2 + V^2).
struct LocalAxes {
    float u_x, u_y, u_0, v_x, v_y, v_0;
    float mean_x, mean_y;
};

// Boxes around the points of each group: centres and half sides. Lanes without points repeat the first group's.
struct Boxes {
    alignas(64) float x[kGroupLanes], y[kGroupLanes], half_x[kGroupLanes], half_y[kGroupLanes];
};

// Scratch memory of one worker, for lists of up to n Gaussians (render/workspace.h). No containers: their functions
// would be compiled for every instruction set under one name.
struct Workspace {
    float* weights = nullptr;  // (kGroups, n, kGroup) q, then blending weights; a row is a place in a group's shortlist
    float* features = nullptr;      // (n, C)
    LocalAxes* axes = nullptr;      // (n,)
    float* out = nullptr;           // (C, kBatch)
    float* grad = nullptr;          // (C, kBatch)
    float* lower = nullptr;         // (n, kGroupLanes) bounds of sqrt(q) over a group's points
    float* upper = nullptr;         // (n, kGroupLanes)
    int32_t* members = nullptr;     // (kGroups, n) shortlists: places in the list, ascending
    int32_t* places = nullptr;      // (n, kGroups) where a Gaussian stands in a shortlist, -1: not there
    int32_t* active = nullptr;      // (n,) of a vector of points, the members near one of them
    uint64_t* touched = nullptr;    // (n,) vectors of points, a bit each, that a Gaussian has weights at
    float* feature_sums = nullptr;  // (C + kSumBlock, kGroupLanes)
    int64_t n_members[kGroups];
    bool shortlisted = false;  // false: members holds the whole list, for all groups
    Boxes boxes;
    bool have_boxes = false;  // boxes are those of x and y
    int layout = 0;           // what x and y hold: 0 points of their own, else a pattern that many tiles share
    alignas(64) float x[kBatch], y[kBatch], threshold[kBatch], nearest[kBatch], total[kBatch];
};

// Gradient sums of one (tile, Gaussian) pair: h dx, h dy, h dx^2, h dx dy, h dy^2 in px, then C feature gradients.
constexpr int kMoments = 5;
constexpr int kSumBlock = 8;  // sums over lanes that are made at once

struct BlendArgs {
    int64_t n;  // Gaussians in the list; axes and features of the workspace are filled
    int n_channels;
    int n_points;  // multiple of the lane count; x and y of the workspace are filled
    int top_k;
    bool have_threshold;  // the workspace's thresholds are those of an earlier call on the same points
};

constexpr int64_t kSsimColumns = 256;  // widest block of one SSIM call
constexpr int kSsimRadius = 5, kSsimTaps = 2 * kSsimRadius + 1;
constexpr int64_t kSsimStride = kSsimColumns + 4 * kSsimRadius + 2 * 16;               // of its rows
constexpr int64_t kSsimScratch = kSsimStride * (5 + 3 + 1 + 2 * kSsimTaps * (5 + 3));  // values it works on

struct SsimArgs {
    const float* image;   // (height, width) one channel
    const float* target;  // (height, width)
    const float* weight;  // (height, width) what each pixel counts, or null: 1
    float* grad;          // (height, width) the gradient of -scale * sum(weight SSIM) is added
    int64_t height, width;
    int64_t row0, row1, column0, column1;  // block to do, at most kSsimColumns wide
    float scale;
};

struct KernelTable {
    const char* name;
    int lanes;
    // Fills out (C, kBatch), total, threshold and, if keep_weights, leaves the unnormalised weights in the workspace.
    void (*blend)(Workspace&, const BlendArgs&, bool keep_weights);
    // After blend with keep_weights: sums from grad (C, kBatch) to out. Row slots[k] of moments (.., kMoments + C) gets
    // those of the list's k-th Gaussian.
    void (*accumulate)(Workspace&, const BlendArgs&, const int32_t* slots, float* moments);
    // floor(clamp(v, 0, 1) * peak + 0.5) of out, in place of it, as int32 (C, kBatch).
    void (*quantize)(const Workspace&, int n_channels, int n_points, float peak, int32_t* codes);
    // Of d = a - b: grad = l1 sign(d) + 2 l2 d; sum|d| and sum d^2 are added to sums[0] and sums[1].
    void (*pointwise)(const float* a, const float* b, int64_t n, const LossWeights&, float* grad, double* sums);
    // The same where each value counts `weight` times, in grad and both sums; the plain sum d^2 is added to sums[2].
    void (*pointwise_weighted)(const float* a, const float* b, const float* weight, int64_t n, const LossWeights&,
                               float* grad, double* sums);
    // SSIM of one block; returns the sum of SSIM over its pixels, by their weights. `scratch` has kSsimScratch values.
    double (*ssim)(const SsimArgs&, float* scratch);
};

const KernelTable* kernels_baseline();
const KernelTable* kernels_avx2();
const KernelTable* kernels_avx512();

}  // namespace gscodec
