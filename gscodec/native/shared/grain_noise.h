// Film grain of a pixel (spec/igs.md, section 3.10), for the engines: the hash, the noise made of it, and what it adds.
// No includes: NVRTC compiles this text as it stands.
#pragma once

#ifndef GSCODEC_FN
#ifdef __CUDACC__
#define GSCODEC_FN __host__ __device__ inline
#else
#define GSCODEC_FN inline
#endif
#endif

namespace gscodec {

// Noise fields and strengths of one channel group.
struct GrainTerms {
    unsigned field;     // number of the field that its channels share; those of the channels follow
    int side;           // weight of the neighbours along each axis, of GRAIN_CENTRE
    float shared, own;  // what a unit of the sums of the shared field and of a channel's own adds, at a strength of 1
    float strengths[8];
};

enum { GRAIN_CENTRE = 16, GRAIN_STRENGTHS = 8 };

// The sum of the four bytes of a hash, less its mean: -510 to 510. Numbers of pixels wrap around.
GSCODEC_FN int grain_noise(unsigned x, unsigned y, unsigned field) {
    unsigned v = x * 0x9E3779B1u + y * 0x85EBCA77u + field * 0xC2B2AE3Du + 0x165667B1u;
    v = (v ^ (v >> 16)) * 0x7FEB352Du;
    v = (v ^ (v >> 15)) * 0x846CA68Bu;
    v = v ^ (v >> 16);
    v = (v & 0x00FF00FFu) + ((v >> 8) & 0x00FF00FFu);
    return (int)((v & 0xFFFFu) + (v >> 16)) - 510;
}

// The weighted sum over a pixel and its eight neighbours.
GSCODEC_FN int grain_sum(unsigned x, unsigned y, unsigned field, int side) {
    if (side == 0) return GRAIN_CENTRE * GRAIN_CENTRE * grain_noise(x, y, field);
    int total = 0;
    for (unsigned j = 0; j < 3; ++j) {
        const unsigned row = y + j - 1;
        const int across = GRAIN_CENTRE * grain_noise(x, row, field) +
                           side * (grain_noise(x - 1, row, field) + grain_noise(x + 1, row, field));
        total += (j == 1 ? GRAIN_CENTRE : side) * across;
    }
    return total;
}

// The strength at the luma of a pixel's one or three colours.
GSCODEC_FN float grain_strength(const float* colours, int n_colours, const float* strengths) {
    float luma = colours[0];
    if (n_colours == 3) luma = (luma + colours[2] + 2 * colours[1]) * 0.25f;
    const float place = (luma > 0 ? (luma < 1 ? luma : 1.0f) : 0.0f) * (GRAIN_STRENGTHS - 1);
    const int at = place < GRAIN_STRENGTHS - 2 ? (int)place : GRAIN_STRENGTHS - 2;
    return strengths[at] + (place - (float)at) * (strengths[at + 1] - strengths[at]);
}

// A value with noise, which neither leaves the range nor moves the mean at its ends.
GSCODEC_FN float grain_added(float value, float noise) {
    const float least = value < 1 - value ? value : 1 - value, room = least > 0 ? least : 0.0f;
    return value + (noise < -room ? -room : (noise > room ? room : noise));
}

}  // namespace gscodec
