#include "codec/record_codec.h"

#include <vector>

#include "codec/lattice_math.h"

namespace gscodec {
namespace {

uint32_t word(const uint8_t* at) { return at[0] | static_cast<uint32_t>(at[1]) << 8; }

// `n_bits`, at most 31, of a record from bit `at` on. The load stays within the page.
uint64_t bits_at(const uint8_t* record, const uint8_t* end, int64_t at, int n_bits) {
    const uint8_t* first = record + (at >> 3);
    uint64_t held = 0;
    if (end - first >= 8)
        std::memcpy(&held, first, 8);
    else if (end > first)
        std::memcpy(&held, first, static_cast<size_t>(end - first));
    return (held >> (at & 7)) & ((uint64_t{1} << n_bits) - 1);
}

struct Field {
    int64_t low, scale;
};

}  // namespace

int64_t RecordLattice::stride() const {
    int64_t total = place_bits;
    for (int k = 0; k < n_fields; ++k) total += bits[k];
    return (total + 7) / 8;
}

bool decode_records(const RecordLattice& lattice, const uint8_t* data, int64_t count, double* means, double* inv_scales,
                    double* rotations, int64_t* features) {
    const int n_fields = lattice.n_fields;
    const int64_t unit = lattice.unit, stride = lattice.stride(), slope = word(data + 8) * unit;
    const int64_t x0 = word(data) * unit, y0 = word(data + 2) * unit;
    const int64_t w = std::min(word(data + 4) * unit, lattice.width - x0),
                  h = std::min(word(data + 6) * unit, lattice.height - y0);
    if (w <= 0 || h <= 0) return false;
    std::vector<Field> fields(static_cast<size_t>(n_fields));
    for (int k = 0; k < n_fields; ++k) {
        const uint8_t* at = data + 10 + 3 * k;
        fields[k] = {static_cast<int64_t>(lattice.lows[k]) + word(at), at[2]};
        if (!at[2]) return false;
    }
    const int64_t wider = 16 * (floor_log2(static_cast<uint64_t>(w * w)) - floor_log2(static_cast<uint64_t>(h * h)));
    const uint8_t* record = data + lattice.head_bytes();
    const uint8_t* end = record + count * stride;
    for (int64_t i = 0; i < count; ++i, record += stride) {
        int64_t at = 0;
        const auto take = [&](int n_bits) {
            const uint64_t value = bits_at(record, end, at, n_bits);
            at += n_bits;
            return static_cast<int64_t>(value);
        };
        const auto field = [&](int k) { return fields[k].low + fields[k].scale * take(lattice.bits[k]); };
        const int64_t narrow = field(0), elongation = field(1), place = take(lattice.place_bits);
        for (int k = 2; k < n_fields; ++k) features[i * (n_fields - 2) + (k - 2)] = field(k);
        const int spare = static_cast<int>(8 * stride - at);
        if (take(spare) || narrow < -(1 << 15) || narrow > (1 << 15) || elongation < 0 || elongation > 255)
            return false;
        const int r_bits = rotation_bits(lattice.rotation_from, static_cast<int32_t>(elongation));
        const int64_t rotation = place & ((int64_t{1} << r_bits) - 1);
        const LatticeShape shape = shape_of(lattice.rotation_from, lattice.scale_step, static_cast<int32_t>(narrow),
                                            static_cast<int32_t>(elongation), static_cast<int32_t>(rotation));
        const int64_t left = lattice.place_bits - r_bits;
        const int64_t x_bits =
            std::clamp<int64_t>((32 * left + shape.x_units - shape.y_units + wider + 32) >> 6, 0, left);
        const int64_t x = (place >> r_bits) & ((int64_t{1} << x_bits) - 1), y = place >> (r_bits + x_bits);
        const int64_t from = std::min(x0 + ((i * slope) >> 8), lattice.width - w);
        means[2 * i] =
            static_cast<double>(from) + (static_cast<double>(x) + 0.5) * scaled(static_cast<double>(w), -x_bits);
        means[2 * i + 1] =
            static_cast<double>(y0) + (static_cast<double>(y) + 0.5) * scaled(static_cast<double>(h), x_bits - left);
        inv_scales[2 * i] = power(shape.high);
        inv_scales[2 * i + 1] = power(shape.low);
        rotations[i] = radians(rotation, r_bits);
    }
    return true;
}

}  // namespace gscodec
