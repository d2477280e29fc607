// The Gaussians of a picture as tiles read them: axes, mean and features in one place.
#pragma once
#include <cstdint>
#include <cstring>
#include <vector>

#include "render/model.h"
#include "shared/gaussian_math.h"

namespace gscodec {

// exp(-q / 2) = 2^-(k^2 q) with this k, so the kernels' axes carry the change of base.
extern const double kAxisScale;

// What tiles need of a Gaussian, its features behind it: up to four share a cache line with the rest, so that a list
// costs one miss a Gaussian.
struct Record {
    Axes axes;
    double mean_x, mean_y;
};

class Records {
public:
    // Throws nothing but std::bad_alloc. Memory of an earlier call is used again.
    void fill(const Model& model, int threads);

    Record at(int64_t i) const {
        Record record;
        std::memcpy(&record, first_ + i * stride_, sizeof record);
        return record;
    }
    void features(int64_t i, float* to) const {
        const unsigned char* from = first_ + i * stride_ + sizeof(Record);
        if (channels_ == 3)  // a size that is known costs no call
            std::memcpy(to, from, 12);
        else
            std::memcpy(to, from, 4 * channels_);
    }
    void prefetch(int64_t i) const { __builtin_prefetch(first_ + i * stride_); }

private:
    std::vector<unsigned char> bytes_;
    unsigned char* first_ = nullptr;
    int64_t stride_ = 0;
    int channels_ = 0;
};

}  // namespace gscodec
