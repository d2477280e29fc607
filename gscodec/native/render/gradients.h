// From the moments of (tile, Gaussian) pairs to gradients of the parameters.
#pragma once
#include <cstdint>
#include <vector>

#include "render/records.h"

namespace gscodec {

struct Grads {
    double* means;       // (N, 2)
    double* inv_scales;  // (N, 2)
    double* rotations;   // (N,)
    float* features;     // (N, C)
};

// Where the moments of each pair go: by Gaussian, and by tile for each. Neighbouring tiles then write to neighbouring
// places, and a Gaussian's sums are read in one go. ends (N + 1,) delimits the Gaussians.
void assign_slots(const Model& m, std::vector<int32_t>& slots, std::vector<int64_t>& ends);

// Sums the moments of every pair, which lie by Gaussian, into parameter gradients.
void gather_grads(const Context& context, const Model& m, const Records& records, const std::vector<int64_t>& ends,
                  const float* moments, const Grads& grads);

}  // namespace gscodec
