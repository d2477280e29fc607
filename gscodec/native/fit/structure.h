// The structure tensor of a picture at single positions.
#pragma once
#include <cstdint>

namespace gscodec {

struct Picture {
    const float* samples;  // (height, width, C)
    int64_t height, width;
    int n_channels;
};

// tensors (n, 3): means of gx^2, gx gy and gy^2 over the (2 radius + 1)^2 pixels around each of n pixels (n, 2) x, y, edges
// repeated. gx and gy are central differences of the channels' mean, one-sided at edges.
void structure_at(const Picture& picture, const int64_t* pixels, int64_t n, int64_t radius, int threads,
                  double* tensors);

}  // namespace gscodec
