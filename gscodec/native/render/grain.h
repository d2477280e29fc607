// Film grain added to rows of a decoded picture, or to values at points.
#pragma once
#include <cstdint>

#include "shared/grain_noise.h"

namespace gscodec {

// Pixels of n_channels values, of which n_colours from `first` on get grain.
struct GrainedPixels {
    float* values;
    int64_t n_channels, first;
    int n_colours;  // 1 or 3
};

// height rows of width pixels, the first of which is number (column, row) of the whole picture.
void add_grain(const GrainedPixels& pixels, int64_t height, int64_t width, uint32_t column, uint32_t row,
               const GrainTerms& terms, int threads);

// n values, each of the pixel number (columns[i], rows[i]).
void add_grain_at(const GrainedPixels& pixels, int64_t n, const uint32_t* columns, const uint32_t* rows,
                  const GrainTerms& terms, int threads);

}  // namespace gscodec
