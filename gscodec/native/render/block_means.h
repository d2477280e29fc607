// A term of the loss: the squared mean errors of blocks of kMeanSide x kMeanSide px (oracle: render/reference_loss.py).
//
// A mean that is off is seen as a tint or a patch, where details that cancel out are not. A block counts n w e^2, with n
// its pixels, w their mean weight and e their mean error. Of a subset of the pixels, the block's pixels in it count; if that is one,
// there is no such term.
// Blocks lie within tiles, so that the term is known as soon as a tile is.
#pragma once
#include <cstdint>

#include "render/isa/kernels.h"
#include "render/model.h"

namespace gscodec {

// Side of a block, px; a divisor of the tile's.
constexpr int64_t kMeanSide = 4;
constexpr int64_t kMeanBlocks = kTile / kMeanSide;  // in a row of a tile

// The blocks of one channel of a tile that the image's edge cuts (others: KernelTable::group_means), whose first points are those that a subset of step 1 or 2 has.
class BlockMeans {
public:
    // rows, columns: part of the tile that lies in the image. Samples outside it must be equal, and weigh nothing.
    // weight: of the samples, or null: 1.
    BlockMeans(const float* image, const float* target, const float* weight, const Subset& subset, int64_t rows,
               int64_t columns);

    // Adds factor times the gradient of the term, of samples in the image, and returns the term.
    double add_gradient(float factor, float* grad) const;

private:
    Subset subset_;
    int64_t rows_, columns_;
    float slopes_[kMeanBlocks * kMeanBlocks];  // w e
    double sum_ = 0;
};

// The same of planes (height, width), for rows row0 to row1 - 1, of which row0 begins a block.
double add_block_means(const float* image, const float* target, const float* weight, int64_t width, int64_t row0,
                       int64_t row1, float factor, float* grad);

}  // namespace gscodec
