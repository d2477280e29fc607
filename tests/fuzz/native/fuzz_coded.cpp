// libFuzzer target: the engine's codec of pages of profile `coded` (gscodec/native/codec/page_codec.cpp). The first
// bytes are a lattice and token tables, the rest a page, or integers that make one and then changes of it. Integers
// that encode must come back; a page that decodes must have finite Gaussians, and be the one that encodes the same
// integers.
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "bytes.h"
#include "codec/page_codec.h"

using namespace gscodec;

namespace {

// Shares that add up to 2^kTableBits, drawn from some bytes: a few tokens take most.
std::vector<uint16_t> counts_of(Bytes& bytes) {
    const int n = 1 + bytes.u16() % kMaxTokens;
    std::vector<uint16_t> counts(static_cast<size_t>(n), 0);
    int left = 1 << kTableBits;
    for (int i = 0; i < n && left; ++i) {
        const int share = i % 8 ? left / 4 : bytes.u16() % (left + 1);
        counts[static_cast<size_t>(i)] = static_cast<uint16_t>(share);
        left -= share;
    }
    counts[bytes.u8() % static_cast<size_t>(n)] += static_cast<uint16_t>(left);
    return counts;
}

// A page that the coder makes of integers drawn from some bytes, or none where a table lacks a value.
std::vector<uint8_t> made_page(const PageLattice& lattice, const PageShape& shape, Bytes& bytes) {
    const int n_columns = lattice.n_columns();
    std::vector<int32_t> rows(static_cast<size_t>(shape.count * n_columns), 0);  // offsets and rotations stay 0
    int32_t cell = shape.cell_bits ? bytes.u8() % 4 % (1 << std::min(2, shape.cell_bits)) : 0;
    for (int64_t i = 0; i < shape.count; ++i) {
        int32_t* row = rows.data() + i * n_columns;
        const auto value = [&](int stream) {
            return static_cast<int32_t>(lattice.tables[stream].low + bytes.u8() % 16);
        };
        row[0] = cell;
        cell += value(0);
        row[3] = value(1);
        row[4] = value(2);
        for (int c = 0; c < lattice.n_channels(); ++c) row[6 + c] = value(3 + c);
        if (cell < 0 || row[4] < 0 || row[4] > 1 << 15 || row[3] < -(1 << 15) || row[3] > 1 << 15) return {};
    }
    std::vector<uint8_t> page;
    try {
        encode_page(lattice, shape, rows.data(), page);
    } catch (const std::invalid_argument&) {
        return {};
    }
    std::vector<int32_t> again(rows.size());
    if (!PageDecoder(lattice).decode(shape, page.data(), static_cast<int64_t>(page.size()), again.data()) ||
        again != rows)
        std::abort();
    while (bytes.left()) page[bytes.u16() % page.size()] ^= static_cast<uint8_t>(1 << bytes.u8() % 8);
    return page;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    Bytes bytes(data, size);
    uint8_t rotation_from[12];
    int least = 0;
    for (uint8_t& from : rotation_from) from = static_cast<uint8_t>(least = std::min(255, least + bytes.u8() % 32));
    const int n_channels = 1 + bytes.u8() % 4;
    PageLattice lattice;
    lattice.scale_step = 1 + bytes.u8() % 64;
    lattice.position_offset = static_cast<int16_t>(bytes.u16());
    lattice.rotation_from = rotation_from;
    const bool make = bytes.u8() % 4;
    std::vector<std::vector<uint16_t>> counts;
    for (int t = 0; t < 3 + n_channels; ++t) counts.push_back(counts_of(bytes));
    for (const auto& table : counts)
        lattice.tables.push_back({static_cast<int32_t>(make || bytes.u8() % 4 ? bytes.u8() % 32 : bytes.u32()),
                                  table.data(), static_cast<int32_t>(table.size())});
    const PageShape shape{1 + bytes.u8() % 64, bytes.u8() % 21, 2 * (bytes.u8() % 16)};

    std::vector<uint8_t> page = make ? made_page(lattice, shape, bytes) : bytes.rest();
    page.shrink_to_fit();  // so that its end is watched
    std::vector<int32_t> rows(static_cast<size_t>(shape.count * lattice.n_columns()));
    if (!PageDecoder(lattice).decode(shape, page.data(), static_cast<int64_t>(page.size()), rows.data())) return 0;
    const size_t n = static_cast<size_t>(shape.count);
    std::vector<double> means(2 * n), inv_scales(2 * n), rotations(n);
    place_page(lattice, shape, rows.data(), means.data(), inv_scales.data(), rotations.data());
    for (const double mean : means)
        if (!std::isfinite(mean) || mean < 0) std::abort();
    for (const double scale : inv_scales)
        if (std::isnan(scale) || scale < 0) std::abort();
    std::vector<uint8_t> again;
    try {
        encode_page(lattice, shape, rows.data(), again);
    } catch (const std::invalid_argument&) {
        return 0;  // a value beyond 2^31 of its table's low, which decoders take and encoders do not make
    }
    if (again != page) std::abort();
    return 0;
}
