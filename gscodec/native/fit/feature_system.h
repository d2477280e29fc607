// The features of Gaussians whose shapes are fixed, as a problem of least squares.
//
// The blend of a pixel is linear in the features: v = sum_k a_k f_k, with weights a that add up to one. The weighted
// squared error of pictures is then f'Gf - 2 b'f + e, one such form for each channel, with G = sum w a a' over the
// pixels: N x N, symmetric, and sparse, since a pixel blends top_k Gaussians. Solving it and rounding it on a lattice
// need no rendering.
#pragma once
#include <cstdint>
#include <vector>

#include "render/block_means.h"
#include "render/loss.h"
#include "render/model.h"

namespace gscodec {

// The integers of features: transformed = offset + integer * step, features = transformed * transform.
struct FeatureLattice {
    const double* transform;  // (C, C)
    const double* steps;      // (n_free, C)
    const double* offsets;    // (n_free, C)
    const int32_t* lows;      // (C,) range of the integers, inclusive
    const int32_t* highs;     // (C,)
    const float* bits;        // cost of the integers low .. high of all channels, one after the other; null: 0
    double price;             // squared error that a bit is worth
};

class FeatureSystem {
public:
    // n_planes: 1 if all channels of a pixel count alike, else n_channels.
    FeatureSystem(int64_t n, int n_channels, int n_planes);

    // Adds `weight` times the squared error of a picture of the first model.geometry.n Gaussians to the form, that of a
    // pixel plus mean_weight times that of the mean of its block of kMeanSide x kMeanSide px.
    // target: planar (C, height, width). Tiles without Gaussians count nothing.
    void add(const Model& model, const float* target, const Importance& importance, double weight, double mean_weight,
             int threads);

    // In place (N, C): the first n_free Gaussians get the features of least error + damping |f - features|^2, from at most
    // `iterations` of the conjugate-gradient method; the others stay.
    void solve(double* features, int64_t n_free, double damping, int iterations, int threads);

    // In place: codes (n_free, C), and the features (N, C) they stand for. Goes through the Gaussians in `order` (n_free,) and
    // gives each integer the value near it of least error + price * bits, given all others; `sweeps` times, or until
    // nothing changes. Returns the changes of the last sweep.
    int64_t round(double* features, int32_t* codes, int64_t n_free, const int32_t* order, const FeatureLattice& lattice,
                  int sweeps) const;

    // The form's value at features (N, C): the weighted sum of squared errors.
    double error(const double* features) const;

    int64_t size() const { return n_; }
    int channels() const { return channels_; }

private:
    struct Entry {
        int32_t row, column;  // row <= column
        float value;
    };

    void merge(std::vector<std::vector<Entry>>&& parts);  // of each tile and plane, tile by tile
    const double* values(int channel) const { return values_.data() + (planes_ > 1 ? channel : 0) * columns_.size(); }

    int64_t n_;
    int channels_, planes_;
    std::vector<int64_t> starts_;   // (N + 1,)
    std::vector<int32_t> columns_;  // ascending in a row
    std::vector<double> values_;    // (planes, pairs)
    std::vector<double> rhs_;       // (N, C)
    double energy_ = 0;
};

}  // namespace gscodec
