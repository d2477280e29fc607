// Pages of profile `coded`: integers of quantised Gaussians <-> bytes (spec/igs.md, section 9). Mirrors
// profiles/lattice.py, which says what the integers mean; tests hold both to a coder in plain Python.
#pragma once
#include <cstdint>
#include <vector>

namespace gscodec {

constexpr int kTableBits = 12;
constexpr int kMaxTokens = 352;

// Frequencies of one stream's tokens; they add up to 2^kTableBits.
struct TokenTable {
    int32_t low;             // what value 0 of the stream stands for
    const uint16_t* counts;  // (n_tokens,)
    int32_t n_tokens;
};

struct PageLattice {
    int32_t scale_step, position_offset;
    const uint8_t* rotation_from;    // (12,)
    std::vector<TokenTable> tables;  // gap, narrow, elongation, one per feature
    int n_channels() const { return static_cast<int>(tables.size()) - 3; }
    int n_columns() const { return 6 + n_channels(); }  // cell, offset x, y, narrow, elongation, rotation, features
};

// One page: `count` rows of n_columns integers.
struct PageShape {
    int64_t count;
    int32_t cell_log2, cell_bits;
};

class PageDecoder {
public:
    explicit PageDecoder(const PageLattice& lattice);

    // False where the bytes are no page of that shape; nothing outside `rows` and `data` is touched either way.
    bool decode(const PageShape& shape, const uint8_t* data, int64_t size, int32_t* rows) const;

    struct Slot {
        uint16_t token, count, start;
    };

private:
    const PageLattice& lattice_;
    std::vector<std::vector<Slot>> lookups_;  // (2^kTableBits,) of each stream
};

// Means (n, 2) px, inverse scales (n, 2) 1/px, rotations (n,) rad that a page's rows stand for: dequantize() of
// profiles/lattice.py, to the bit.
void place_page(const PageLattice& lattice, const PageShape& shape, const int32_t* rows, double* means,
                double* inv_scales, double* rotations);

// Appends the page's bytes. Throws std::invalid_argument for a value that its table does not hold.
void encode_page(const PageLattice& lattice, const PageShape& shape, const int32_t* rows, std::vector<uint8_t>& out);

}  // namespace gscodec
