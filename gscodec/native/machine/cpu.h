// What the processor and the operating system offer beyond the baseline.
#pragma once

namespace gscodec {

struct CpuFeatures {
    bool avx2 = false;    // with FMA
    bool avx512 = false;  // F, BW, DQ and VL, and what avx2 says
};

// All false where the processor is no x86-64.
CpuFeatures cpu_features();

}  // namespace gscodec
