// Pages of profile `packed` to Gaussians (spec/igs.md, section 8). What profiles/packed.py writes, tests hold to a
// decoder in plain Python.
#pragma once
#include <cstdint>

namespace gscodec {

struct RecordLattice {
    const uint8_t* rotation_from;              // (12,)
    const int32_t* lows;                       // (n_fields,) narrow, elongation, features
    const uint8_t* bits;                       // (n_fields,) 0 to 24 each
    int32_t n_fields, scale_step, place_bits;  // place_bits 12 to 31
    int64_t width, height, unit;               // px
    int64_t head_bytes() const { return 10 + 3 * n_fields; }
    int64_t stride() const;
};

// The Gaussians of a page of `count` records: means (count, 2) px, inverse scales (count, 2), rotations (count,),
// transformed features in their steps (count, n_fields - 2). `data` has head_bytes() + count * stride() bytes. False
// for no such page.
bool decode_records(const RecordLattice& lattice, const uint8_t* data, int64_t count, double* means, double* inv_scales,
                    double* rotations, int64_t* features);

}  // namespace gscodec
