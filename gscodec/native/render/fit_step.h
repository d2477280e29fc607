// One step of the optimiser up to its gradients: forward, loss and backward.
#pragma once
#include <memory>

#include "render/fit_target.h"
#include "render/gradients.h"

namespace gscodec {

// Image-sized buffers of fit_step, kept from step to step: fresh pages from the system every time cost as much as a
// pass over the picture. One step at a time may use them.
class StepScratch {
public:
    struct Buffers;
    StepScratch();
    ~StepScratch();
    Buffers& buffers() { return *buffers_; }

private:
    std::unique_ptr<Buffers> buffers_;
};

// Forward over the subset's pixels, loss against the target there, and backward, in one go, of all tiles of the image. The SSIM weight must
// be 0 unless the subset is the whole image.
LossValue fit_step(const Context&, const Model&, FitTarget& target, const LossWeights&, const Subset&, StepScratch&,
                   const Grads&);

}  // namespace gscodec
