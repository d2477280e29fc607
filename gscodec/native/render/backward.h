// Gradients of the parameters, of a given gradient of the picture.
#pragma once
#include "render/gradients.h"

namespace gscodec {

// grad_image: planar (C, height, width).
void backward(const Context&, const Model&, const float* grad_image, const Grads&);

}  // namespace gscodec
