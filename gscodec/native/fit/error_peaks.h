// Where an error has most to gain from a Gaussian, and of what size.
//
// A blob u that is added with the best colour takes |sum u e|^2 / sum u^2 off the squared error e. For Gaussian blobs of
// standard deviation s that is |G_s * e|^2 times 4 pi s^2: the picture of errors under a matched filter. Peaks of it over
// place and size are the new Gaussians, the greatest first, none within reach of another.
#pragma once
#include <cstdint>
#include <vector>

namespace gscodec {

// One size of blob: the blur is two passes of a box of radius `radius`, the square of its result counts `factor`, and a
// peak keeps others out of the square of radius `reach` around it.
struct BlobSize {
    int32_t radius, reach;
    float factor;
};

struct ErrorPeak {
    int64_t pixel;
    int32_t size;  // index of its BlobSize
};

// At most n_most peaks of errors (C, height, width), the greatest first; the same for any number of threads.
// allowed: (height, width), pixels that may be peaks; null: all.
std::vector<ErrorPeak> error_peaks(const float* errors, int channels, int64_t height, int64_t width,
                                   const std::vector<BlobSize>& sizes, const bool* allowed, int64_t n_most,
                                   int threads);

// Those of n pixels, in the order given, that lie within the reach of none taken before, up to n_most: their indices.
// indices: (n,) of the pixels' sizes.
std::vector<int64_t> keep_apart(const int64_t* pixels, const int32_t* indices, int64_t n, int64_t height, int64_t width,
                                const std::vector<BlobSize>& sizes, int64_t n_most);

}  // namespace gscodec
