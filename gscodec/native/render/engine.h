// Whole-image operations over the kernels: what module.cpp binds. All run on parallel_for and give the same bytes
// whatever the thread count.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "render/binning.h"
#include "render/kernels.h"

namespace gscodec {

// Instruction sets this machine can run, slowest first; the last is the default.
std::vector<std::string> available_isas();
// Throws std::invalid_argument for a name not in available_isas(); "" is the default.
const KernelTable& kernels_for(const std::string& isa);

struct Model {
    Geometry geometry;
    const float* features;    // (N, C)
    int n_channels;
    const float* background;  // (C,)
    int top_k;
    int64_t height, width;    // px of the stored image
    TileRect rect;            // tiles that offsets cover
    const int64_t* offsets;   // (tiles + 1,)
    const int32_t* indices;   // (pairs,)
};

struct Context {
    const KernelTable& kernels;
    int threads;
};

struct Lattice {
    double x, y, step_x, step_y;
    int64_t height, width;
};

enum class Sample { kFloat32, kUint8, kUint16 };

// out: (height, width, C) of the sample type.
void render(const Context&, const Model&, const Lattice&, Sample type, void* out);
// points (M, 2) px; out (M, C).
void sample_points(const Context&, const Model&, const double* points, int64_t n_points, float* out);

struct Grads {
    double* means;       // (N, 2)
    double* inv_scales;  // (N, 2)
    double* rotations;   // (N,)
    float* features;     // (N, C)
};

// grad_image: planar (C, height, width).
void backward(const Context&, const Model&, const float* grad_image, const Grads&);

struct Weights {
    float l1, l2, ssim;
};

struct LossValue {
    double loss;
    double mse;  // plain, whatever pixels count
};

// What samples count: planes of (height, width), one for all channels (stride 0) or one for each; null data: 1.
struct Importance {
    const float* data = nullptr;
    int64_t stride = 0;  // from a channel's plane to the next

    const float* plane(int64_t channel) const { return data + channel * stride; }
    explicit operator bool() const { return data != nullptr; }
};

// image, target, grad: planar (C, height, width).
LossValue photometric_loss(const Context&, const float* image, const float* target, const Importance& importance,
                           int n_channels, int64_t height, int64_t width, const Weights&, float* grad);

// Every step-th pixel in both directions, from (x, y) on; step is 1, 2 or 4.
struct Subset {
    int64_t step, x, y;
};

// Image-sized buffers of fit_step, kept from step to step: fresh pages from the system every time cost as much as a pass over
// the picture. One step at a time may use them.
class StepScratch {
public:
    struct Buffers;
    StepScratch();
    ~StepScratch();
    Buffers& buffers() { return *buffers_; }

private:
    std::unique_ptr<Buffers> buffers_;
};

// Forward over the subset's pixels, loss against the planar target there, and backward, in one go. The SSIM weight must
// be 0 unless the subset is the whole image.
LossValue fit_step(const Context&, const Model&, const float* target, const Importance& importance, const Weights&,
                   const Subset&, StepScratch&, const Grads&);

}  // namespace gscodec
