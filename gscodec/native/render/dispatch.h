// Which instruction sets this machine has, and the kernels built for each.
#pragma once
#include <string>
#include <vector>

#include "render/isa/kernels.h"

namespace gscodec {

// Instruction sets this machine can run, slowest first; the last is the default.
std::vector<std::string> available_isas();
// Throws std::invalid_argument for a name not in available_isas(); "" is the default.
const KernelTable& kernels_for(const std::string& isa);

}  // namespace gscodec
