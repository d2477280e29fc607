// A page is a range-coded stream (rANS: Duda 2013, "Asymmetric numeral systems") of tokens, stream by stream, and then
// the bits that no table would shorten, Gaussian by Gaussian. The coder's state is 32 bits and moves 16 at a time:
// a symbol costs one table look-up and one multiplication.
#include "codec/page_codec.h"

#include "codec/lattice_math.h"
#include "machine/bits.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <stdexcept>

namespace gscodec {
namespace {

constexpr uint32_t kTotal = 1u << kTableBits;
constexpr uint32_t kLowest = 1u << 16;  // states are kept in kLowest .. 2^32 - 1
constexpr int kGap = 0, kNarrow = 1, kElongation = 2, kFeature = 3;
constexpr int kColumnCell = 0, kColumnX = 1, kColumnY = 2, kColumnNarrow = 3, kColumnElongation = 4,
              kColumnRotation = 5, kColumnFeature = 6;

int split_bits(int stream) { return stream == kGap ? 4 : 8; }

// A value below 2^split is its own token; others share one with those of the same octave and leading two bits.
struct Token {
    uint32_t token;
    int extra;  // bits
};

Token token_of(uint32_t value, int split) {
    if (value < (1u << split)) return {value, 0};
    const int octave = floor_log2(value);
    return {(1u << split) + (static_cast<uint32_t>(octave - split) << 2) + ((value >> (octave - 2)) & 3), octave - 2};
}

// The least value of a token, and how many bits follow it: -1 for values of 2^32 and more, which the splits' longest
// table has room for and no stream may hold.
Token base_of(uint32_t token, int split) {
    if (token < (1u << split)) return {token, 0};
    const uint32_t rest = token - (1u << split);
    const int octave = split + static_cast<int>(rest >> 2);
    if (octave > 31) return {0, -1};
    return {(4u | (rest & 3)) << (octave - 2), octave - 2};
}

std::vector<PageDecoder::Slot> lookup_of(const TokenTable& table) {
    std::vector<PageDecoder::Slot> slots(kTotal);
    uint32_t start = 0;
    for (int32_t token = 0; token < table.n_tokens; ++token) {
        const uint32_t count = table.counts[token];
        const PageDecoder::Slot slot{static_cast<uint16_t>(token), static_cast<uint16_t>(count),
                                     static_cast<uint16_t>(start)};
        std::fill(slots.begin() + start, slots.begin() + start + count, slot);
        start += count;
    }
    return slots;
}

class WordReader {
public:
    WordReader(const uint8_t* data, int64_t size) : at_(data), end_(data + size) {}
    uint32_t word() {
        if (end_ - at_ < 2) {
            failed_ = true;
            return 0;
        }
        const uint32_t value = at_[0] | (static_cast<uint32_t>(at_[1]) << 8);
        at_ += 2;
        return value;
    }
    bool failed() const { return failed_; }
    const uint8_t* at() const { return at_; }

private:
    const uint8_t *at_, *end_;
    bool failed_ = false;
};

// Least significant bit first.
class BitReader {
public:
    BitReader(const uint8_t* data, const uint8_t* end) : at_(data), end_(end) {}
    uint32_t take(int n) {
        while (have_ < n) {
            if (at_ == end_) {
                failed_ = true;
                return 0;
            }
            held_ |= static_cast<uint64_t>(*at_++) << have_;
            have_ += 8;
        }
        const uint32_t value = static_cast<uint32_t>(held_ & ((uint64_t{1} << n) - 1));
        held_ >>= n;
        have_ -= n;
        return value;
    }
    // Whether all bytes were used, and what is left of the last one is zero.
    bool finished() const { return !failed_ && at_ == end_ && held_ == 0 && have_ < 8; }
    bool failed() const { return failed_; }

private:
    const uint8_t *at_, *end_;
    uint64_t held_ = 0;
    int have_ = 0;
    bool failed_ = false;
};

class BitWriter {
public:
    explicit BitWriter(std::vector<uint8_t>& out) : out_(out) {}
    void put(uint32_t value, int n) {
        held_ |= static_cast<uint64_t>(value) << have_;
        have_ += n;
        while (have_ >= 8) flush_byte();
    }
    void finish() {
        if (have_ > 0) flush_byte();
    }

private:
    void flush_byte() {
        out_.push_back(static_cast<uint8_t>(held_));
        held_ >>= 8;
        have_ -= 8;
    }
    std::vector<uint8_t>& out_;
    uint64_t held_ = 0;
    int have_ = 0;
};

struct Bits {
    int rotation, x, y;
};

int clamp_bits(int64_t bits) { return static_cast<int>(std::clamp<int64_t>(bits, 0, 16)); }

Bits bits_of(const PageLattice& lattice, int32_t narrow, int32_t elongation, int32_t rotation, int32_t cell_log2) {
    const LatticeShape shape = shape_of(lattice.rotation_from, lattice.scale_step, narrow, elongation, rotation);
    const int64_t base = lattice.position_offset + 32 * static_cast<int64_t>(cell_log2);
    return {shape.rotation_bits, clamp_bits((base + shape.x_units) >> 5), clamp_bits((base + shape.y_units) >> 5)};
}

// The even bits of a number, together.
int64_t even_bits(uint32_t v) {
    v &= 0x55555555u;
    v = (v | v >> 1) & 0x33333333u;
    v = (v | v >> 2) & 0x0f0f0f0fu;
    v = (v | v >> 4) & 0x00ff00ffu;
    return (v | v >> 8) & 0x0000ffffu;
}

// Values no writer makes would overflow what follows: far beyond 2^-14 .. 64 per px at any step.
bool plausible(int64_t narrow, int64_t elongation) {
    return narrow >= -(1 << 15) && narrow <= (1 << 15) && elongation >= 0 && elongation <= (1 << 15);
}

}  // namespace

PageDecoder::PageDecoder(const PageLattice& lattice) : lattice_(lattice) {
    for (const TokenTable& table : lattice.tables) lookups_.push_back(lookup_of(table));
}

bool PageDecoder::decode(const PageShape& shape, const uint8_t* data, int64_t size, int32_t* rows) const {
    const PageLattice& lattice = lattice_;
    const int n_columns = lattice.n_columns();
    const int n_streams = static_cast<int>(lattice.tables.size());
    // Tokens first wait in the columns of their values.
    WordReader words(data, size);
    uint32_t state = words.word();
    state |= words.word() << 16;
    if (words.failed() || state < kLowest) return false;
    for (int stream = 0; stream < n_streams; ++stream) {
        const Slot* slots = lookups_[stream].data();
        const int column = stream == kGap ? kColumnCell : kColumnNarrow + (stream - kNarrow) + (stream >= kFeature);
        for (int64_t i = stream == kGap; i < shape.count; ++i) {  // the first cell has no gap before it
            const Slot slot = slots[state & (kTotal - 1)];
            state = slot.count * (state >> kTableBits) + (state & (kTotal - 1)) - slot.start;
            if (state < kLowest) state = (state << 16) | words.word();
            rows[i * n_columns + column] = slot.token;
        }
        if (words.failed()) return false;
    }
    if (state != kLowest) return false;  // where every writer begins
    BitReader bits(words.at(), data + size);
    bool beyond = false;
    const auto whole = [&](int32_t token, int stream) -> int64_t {
        const Token base = base_of(static_cast<uint32_t>(token), split_bits(stream));
        if (base.extra < 0) {
            beyond = true;
            return 0;
        }
        return static_cast<int64_t>(base.token) + bits.take(base.extra) + lattice.tables[stream].low;
    };
    int64_t cell = 0;
    for (int64_t i = 0; i < shape.count; ++i) {
        int32_t* row = rows + i * n_columns;
        const int64_t narrow = whole(row[kColumnNarrow], kNarrow);
        const int64_t elongation = whole(row[kColumnElongation], kElongation);
        if (!plausible(narrow, elongation)) return false;
        row[kColumnNarrow] = static_cast<int32_t>(narrow);
        row[kColumnElongation] = static_cast<int32_t>(elongation);
        row[kColumnRotation] =
            static_cast<int32_t>(bits.take(rotation_bits(lattice.rotation_from, row[kColumnElongation])));
        cell = i ? cell + whole(row[kColumnCell], kGap) : bits.take(shape.cell_bits);
        if (cell < 0 || cell >= (int64_t{1} << 30)) return false;
        row[kColumnCell] = static_cast<int32_t>(cell);
        const Bits length =
            bits_of(lattice, row[kColumnNarrow], row[kColumnElongation], row[kColumnRotation], shape.cell_log2);
        row[kColumnX] = static_cast<int32_t>(bits.take(length.x));
        row[kColumnY] = static_cast<int32_t>(bits.take(length.y));
        for (int c = 0; c < lattice.n_channels(); ++c) {
            const int64_t feature = whole(row[kColumnFeature + c], kFeature + c);
            if (feature != static_cast<int32_t>(feature)) return false;
            row[kColumnFeature + c] = static_cast<int32_t>(feature);
        }
        if (beyond || bits.failed()) return false;
    }
    return bits.finished();
}

void place_page(const PageLattice& lattice, const PageShape& shape, const int32_t* rows, double* means,
                double* inv_scales, double* rotations) {
    const int n_columns = lattice.n_columns();
    for (int64_t i = 0; i < shape.count; ++i) {
        const int32_t* row = rows + i * n_columns;
        const int32_t narrow = row[kColumnNarrow], elongation = row[kColumnElongation];
        const Bits bits = bits_of(lattice, narrow, elongation, row[kColumnRotation], shape.cell_log2);
        const uint32_t cell = static_cast<uint32_t>(row[kColumnCell]);
        const int64_t x = (even_bits(cell) << bits.x) + row[kColumnX],
                      y = (even_bits(cell >> 1) << bits.y) + row[kColumnY];
        means[2 * i] = scaled(static_cast<double>(x) + 0.5, shape.cell_log2 - bits.x);
        means[2 * i + 1] = scaled(static_cast<double>(y) + 0.5, shape.cell_log2 - bits.y);
        inv_scales[2 * i] = power(static_cast<int64_t>(narrow) * lattice.scale_step);
        inv_scales[2 * i + 1] = power((static_cast<int64_t>(narrow) - elongation) * lattice.scale_step);
        rotations[i] = radians(row[kColumnRotation], bits.rotation);
    }
}

void encode_page(const PageLattice& lattice, const PageShape& shape, const int32_t* rows, std::vector<uint8_t>& out) {
    const int n_columns = lattice.n_columns();
    const int n_streams = static_cast<int>(lattice.tables.size());
    const auto value_at = [&](int64_t i, int stream) {
        const int32_t* row = rows + i * n_columns;
        const int64_t value = stream == kGap ? static_cast<int64_t>(row[kColumnCell]) - row[kColumnCell - n_columns]
                              : stream < kFeature ? row[kColumnNarrow + (stream - kNarrow)]
                                                  : row[kColumnFeature + (stream - kFeature)];
        return value - lattice.tables[stream].low;
    };
    std::vector<uint16_t> words;  // back to front, as the coder makes them
    uint32_t state = kLowest;
    for (int stream = n_streams - 1; stream >= 0; --stream) {
        const TokenTable& table = lattice.tables[stream];
        std::vector<uint32_t> starts(static_cast<size_t>(table.n_tokens) + 1, 0);
        for (int32_t token = 0; token < table.n_tokens; ++token)
            starts[token + 1] = starts[token] + table.counts[token];
        for (int64_t i = shape.count - 1; i >= (stream == kGap); --i) {
            const int64_t value = value_at(i, stream);
            if (value < 0 || value > INT32_MAX) throw std::invalid_argument("a value lies outside its table");
            const uint32_t token = token_of(static_cast<uint32_t>(value), split_bits(stream)).token;
            if (token >= static_cast<uint32_t>(table.n_tokens) || !table.counts[token])
                throw std::invalid_argument("a value lies outside its table");
            const uint32_t count = table.counts[token];
            if (state >= (static_cast<uint64_t>(count) << (32 - kTableBits))) {
                words.push_back(static_cast<uint16_t>(state));
                state >>= 16;
            }
            state = ((state / count) << kTableBits) + state % count + starts[token];
        }
    }
    words.push_back(static_cast<uint16_t>(state >> 16));
    words.push_back(static_cast<uint16_t>(state));
    for (auto word = words.rbegin(); word != words.rend(); ++word) {
        out.push_back(static_cast<uint8_t>(*word));
        out.push_back(static_cast<uint8_t>(*word >> 8));
    }
    BitWriter bits(out);
    const auto put_rest = [&](int64_t i, int stream) {
        const uint32_t value = static_cast<uint32_t>(value_at(i, stream));
        const int extra = token_of(value, split_bits(stream)).extra;
        bits.put(value & ((1u << extra) - 1), extra);
    };
    for (int64_t i = 0; i < shape.count; ++i) {
        const int32_t* row = rows + i * n_columns;
        put_rest(i, kNarrow);
        put_rest(i, kElongation);
        const Bits length =
            bits_of(lattice, row[kColumnNarrow], row[kColumnElongation], row[kColumnRotation], shape.cell_log2);
        bits.put(static_cast<uint32_t>(row[kColumnRotation]), length.rotation);
        if (i)
            put_rest(i, kGap);
        else
            bits.put(static_cast<uint32_t>(row[kColumnCell]), shape.cell_bits);
        bits.put(static_cast<uint32_t>(row[kColumnX]), length.x);
        bits.put(static_cast<uint32_t>(row[kColumnY]), length.y);
        for (int c = 0; c < lattice.n_channels(); ++c) put_rest(i, kFeature + c);
    }
    bits.finish();
}

}  // namespace gscodec
