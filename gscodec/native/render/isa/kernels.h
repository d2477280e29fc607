// What one instruction set's build of kernels.cpp offers, as a table of functions. See kernels.cpp for the method.
#pragma once
#include <cstdint>

#include "shared/loss_terms.h"

namespace gscodec {

constexpr int kBatch = 256;  // points worked on together: one full tile
constexpr int kGroup = 16;   // points that share a shortlist
constexpr int kGroups = kBatch / kGroup;

// Of a square of side x side points of a tile, run r of four neighbours in a row starts at (run_x(r, side),
// run_y(r, side)): a group is 4 x 4 points, so that its shortlist is short.
constexpr int kRun = 4;
static inline constexpr int run_x(int run, int side) { return run / kRun % (side / kRun) * kRun; }
static inline constexpr int run_y(int run, int side) { return run / side * kRun + run % kRun; }

// What tiles need of a Gaussian, its features behind it: up to three share a cache line with the rest, so that a list
// costs one miss a Gaussian. The axes are scaled by sqrt(log2(e) / 2), so that exp(-q / 2) = 2^-(U^2 + V^2).
struct Record {
    double u_x, u_y, v_x, v_y;
    double mean_x, mean_y;
    float radius;  // the largest change of (U, V) from the centre of a square to its corners, of half a side of 1 px
};
constexpr int64_t kRecordFeatures =
    6 * sizeof(double) + sizeof(float);  // bytes from the record's start to its features

struct RecordTable {
    const unsigned char* first;
    int64_t stride;  // bytes
    int n_channels;
};

// A Gaussian's affine map (x, y) -> (U, V) in coordinates relative to a tile's corner; axes as in Record.
struct LocalAxes {
    float u_x, u_y, v_x, v_y, u_0, v_0;
    float mean_x, mean_y;
};

// Boxes around the points of each group: their centres, and half the longest of their sides. Lanes without points repeat
// the first group's.
struct Boxes {
    alignas(64) float x[kGroups], y[kGroups];
    float half;
};

// Scratch memory of one worker, for lists of up to n Gaussians (render/workspace.h). No containers: their functions
// would be compiled for every instruction set under one name.
struct Workspace {
    float* weights = nullptr;  // (kGroups, n, kGroup) q, then blending weights; a row is a place in a group's shortlist
    float* features = nullptr;      // (n, C)
    float* radii = nullptr;         // (n,) of the records
    LocalAxes* axes = nullptr;      // (n,)
    float* out = nullptr;           // (C, kBatch)
    float* grad = nullptr;          // (C, kBatch)
    float* centres = nullptr;       // (n, kGroups) q at the centre of a group's box
    float* farthest = nullptr;      // (n, kGroups) bounds of sqrt(q) over a group's points
    uint8_t* within = nullptr;      // (kGroups / 8, 64 n64) bit g % 8 of g / 8: a Gaussian is in group g's shortlist
    uint64_t* listed = nullptr;     // (kGroups, n64) the same by group: shortlists as bits, n64 = ceil(n / 64)
    int32_t* members = nullptr;     // (n,) of one group: places in the list, ascending
    int32_t* places = nullptr;      // (n, kGroups) where a Gaussian stands in a shortlist, if it has weights there
    uint32_t* touched = nullptr;    // (n,) groups, a bit each, at whose points a Gaussian has weights
    float* feature_sums = nullptr;  // (C + kSumBlock, kMostLanes)
    bool shortlisted = false;       // false: all groups share the first one's bits, the whole list
    Boxes boxes;
    bool have_boxes = false;    // boxes are those of x and y
    bool have_moments = false;  // and so are the moments
    int layout = 0;             // what x and y hold: 0 points of their own, else a pattern that many tiles share
    alignas(64) float x[kBatch], y[kBatch], threshold[kBatch], nearest[kBatch], total[kBatch];
    // x and y about the tile's centre, and their products.
    alignas(64) float mid_x[kBatch], mid_y[kBatch], mid_xx[kBatch], mid_yy[kBatch];
};

// Gradient sums of one (tile, Gaussian) pair: h dx, h dy, h dx^2, h dx dy, h dy^2 in px, then C feature gradients.
constexpr int kMoments = 5;
constexpr int kSumBlock = 8;    // sums over lanes that are made at once
constexpr int kMostLanes = 16;  // of the widest vector

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
    // Fills axes, radii and features with those of n records, about a tile's corner in px.
    void (*localize)(Workspace&, const RecordTable&, const int32_t* indices, int64_t n, double origin_x,
                     double origin_y);
    // Fills out (C, kBatch), total, threshold and, if keep_weights, leaves the unnormalised weights in the workspace.
    void (*blend)(Workspace&, const BlendArgs&, bool keep_weights);
    // After blend with keep_weights: sums from grad (C, kBatch) to out. Row slots[k] of moments (.., kMoments + C) gets
    // those of the list's k-th Gaussian. Groups are full, squares of 4 x 4 points in rows.
    void (*accumulate)(Workspace&, const BlendArgs&, const int32_t* slots, float* moments);
    // floor(clamp(v, 0, 1) * peak + 0.5) of out, in place of it, as int32 (C, kBatch).
    void (*quantize)(const Workspace&, int n_channels, int n_points, float peak, int32_t* codes);
    // A whole tile of three channels, as those codes with peak 255, to rows of `stride` bytes.
    void (*write_rgb8)(const Workspace&, int64_t stride, uint8_t* to);
    // Of d = a - b: grad = l1 sign(d) + 2 l2 d; sum|d| and sum d^2 are added to sums[0] and sums[1].
    void (*pointwise)(const float* a, const float* b, int64_t n, const LossWeights&, float* grad, double* sums);
    // The same where each value counts `weight` times, in grad and both sums; the plain sum d^2 is added to sums[2].
    void (*pointwise_weighted)(const float* a, const float* b, const float* weight, int64_t n, const LossWeights&,
                               float* grad, double* sums);
    // Of n points in whole groups: the same, and the gradient of the means of blocks of `side` x
    // `side` points, 2 or 4, whose term is added to *means (render/block_means.h). `weight` may be null: 1.
    void (*group_means)(const float* image, const float* target, const float* weight, int64_t n, int side,
                        const LossWeights&, float* grad, double* sums, double* means);
    // SSIM of one block; returns the sum of SSIM over its pixels, by their weights. `scratch` has kSsimScratch values.
    double (*ssim)(const SsimArgs&, float* scratch);
};

const KernelTable* kernels_baseline();
const KernelTable* kernels_avx2();
const KernelTable* kernels_avx512();

}  // namespace gscodec
