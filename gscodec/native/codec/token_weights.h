// Weights of a table of tokens that take few bits to describe (spec/igs.md, section 9.1).
#pragma once
#include <cstdint>

namespace gscodec {

constexpr int kMaxWeight = 64;

// Weights (n,) of 1..kMaxWeight for how often n tokens occur, constant over runs of tokens: those of least cost, in
// bits, of the tokens and of the changes from one weight to the next, `change` bits each. At least one token occurs.
void fit_weights(const double* histogram, int64_t n, double change, uint8_t* weights);

}  // namespace gscodec
