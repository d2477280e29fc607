// Numbers as bits of an adaptive binary range coder, whose chances are learned on the way, so that few numbers need no
// tables: those of small files, and of the tables of others (spec/igs.md, section 6.8).
//
// The interval arithmetic is that of the range coder of LZMA (Pavlov; after G. N. N. Martin, 1979). Chances come from
// counts, as by Krichevsky and Trofimov (1981): they learn from the first bit on, which matters where there are few.
#pragma once
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace gscodec {

constexpr int kMostOrder = 30;  // octaves of a magnitude: values of integers have 31 bits
constexpr int kMostRawBits = 62;

// Counts of the values 0 and 1 of a kind of bit, each doubled and plus one.
struct BitChances {
    uint32_t zeros = 1, ones = 1;

    // The part of a span that stands for 0.
    uint32_t split(uint32_t span) const {
        constexpr int kChanceBits = 12;
        return (span >> kChanceBits) * ((zeros << kChanceBits) / (zeros + ones));
    }

    void learn(bool bit) {
        constexpr uint32_t kMostCounted = 512;  // above it both are halved, so that chances follow what changes
        (bit ? ones : zeros) += 2;
        if (zeros + ones <= kMostCounted) return;
        zeros = (zeros + 1) >> 1;
        ones = (ones + 1) >> 1;
    }
};

// What is known of one kind of numbers from 0 on: of each octave, and of the bit after the leading one.
struct MagnitudeChances {
    BitChances more[kMostOrder + 1], upper[kMostOrder + 1];
};

// Columns of a table of integers: the chances that each uses, and whether its values have signs.
struct BitColumns {
    const int32_t* streams;
    const uint8_t* is_signed;
    int64_t count;
};

class BitEncoder {
public:
    explicit BitEncoder(int n_streams) : streams_(n_streams) {}

    // Rows (n, columns), row by row. Throws std::invalid_argument: a value has more than 31 bits, or a sign without a
    // place for it.
    void rows(const int64_t* values, int64_t n, const BitColumns& columns);

    // The lowest n_bits[k] bits of values (n,), the highest first, as likely 0 as 1.
    void raw(const int64_t* values, const int64_t* n_bits, int64_t n);

    // The shortest bytes that decode to what was coded; a decoder reads zeros after their end.
    std::vector<uint8_t> bytes() const;

    int n_streams() const { return static_cast<int>(streams_.size()); }

private:
    void narrow(uint32_t split, bool bit);
    void chosen(BitChances& chances, bool bit);
    void magnitude(MagnitudeChances& chances, int64_t value);
    void plain(int64_t value, int64_t n_bits);

    std::vector<MagnitudeChances> streams_;
    std::vector<uint8_t> out_;  // bytes that only a carry changes
    uint32_t low_ = 0, span_ = 0xffffffff;
};

// The inverse of BitEncoder.
class BitDecoder {
public:
    BitDecoder(std::vector<uint8_t> data, int n_streams);

    // Throws std::range_error: a value has more than 31 bits.
    void rows(int64_t* values, int64_t n, const BitColumns& columns);
    void raw(int64_t* values, const int64_t* n_bits, int64_t n);

    // Whether all bytes have been looked at.
    bool at_end() const { return at_ >= data_.size(); }
    int n_streams() const { return static_cast<int>(streams_.size()); }

private:
    bool narrow(uint32_t split);
    bool chosen(BitChances& chances);
    int64_t magnitude(MagnitudeChances& chances);
    int64_t plain(int64_t n_bits);
    uint8_t next_byte() { return at_ < data_.size() ? data_[at_++] : (++at_, uint8_t{0}); }

    std::vector<MagnitudeChances> streams_;
    std::vector<uint8_t> data_;
    size_t at_ = 0;
    uint32_t code_ = 0, span_ = 0xffffffff;
};

}  // namespace gscodec
