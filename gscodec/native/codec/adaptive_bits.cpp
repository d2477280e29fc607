#include "codec/adaptive_bits.h"

#include <algorithm>
#include <string>
#include <utility>

#include "machine/bits.h"

namespace gscodec {
namespace {

constexpr uint32_t kTop = 1u << 24;  // a span below it takes in a byte

void add_one(std::vector<uint8_t>& number) {
    for (size_t k = number.size(); k-- > 0;)
        if (++number[k] != 0) return;
}

void append(std::vector<uint8_t>& number, uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) number.push_back(static_cast<uint8_t>(value >> shift));
}

}  // namespace

void BitEncoder::narrow(uint32_t split, bool bit) {
    if (bit) {
        low_ += split;
        if (low_ < split) add_one(out_);
        span_ -= split;
    } else {
        span_ = split;
    }
    for (; span_ < kTop; span_ <<= 8, low_ <<= 8) out_.push_back(static_cast<uint8_t>(low_ >> 24));
}

void BitEncoder::chosen(BitChances& chances, bool bit) {
    const uint32_t split = chances.split(span_);
    chances.learn(bit);
    narrow(split, bit);
}

void BitEncoder::plain(int64_t value, int64_t n_bits) {
    for (int64_t k = n_bits; k-- > 0;) narrow(span_ >> 1, value >> k & 1);
}

void BitEncoder::magnitude(MagnitudeChances& chances, int64_t value) {
    const uint64_t above = static_cast<uint64_t>(value) + 1;
    const int order = floor_log2(above);
    if (order > kMostOrder) throw std::invalid_argument("a value has more than 31 bits");
    for (int octave = 0; octave < order; ++octave) chosen(chances.more[octave], true);
    chosen(chances.more[order], false);
    if (!order) return;
    chosen(chances.upper[order], above >> (order - 1) & 1);
    plain(static_cast<int64_t>(above & ((uint64_t{1} << (order - 1)) - 1)), order - 1);
}

void BitEncoder::rows(const int64_t* values, int64_t n, const BitColumns& columns) {
    for (const int64_t* end = values + n * columns.count; values < end; values += columns.count)
        for (int64_t c = 0; c < columns.count; ++c) {
            const int64_t value = values[c];
            if (value < 0 && !columns.is_signed[c]) throw std::invalid_argument("a value is negative");
            if (value < -(int64_t{1} << 40)) throw std::invalid_argument("a value has more than 31 bits");
            magnitude(streams_[columns.streams[c]], value < 0 ? -value : value);
            if (columns.is_signed[c] && value) plain(value < 0, 1);
        }
}

void BitEncoder::raw(const int64_t* values, const int64_t* n_bits, int64_t n) {
    for (int64_t k = 0; k < n; ++k) plain(values[k], n_bits[k]);
}

std::vector<uint8_t> BitEncoder::bytes() const {
    std::vector<uint8_t> low = out_, last = out_;
    append(low, low_);
    const uint32_t end = low_ + (span_ - 1);
    if (end < low_) add_one(last);
    append(last, end);
    // The first bytes of the interval's last number, if zeros after them do not leave it.
    size_t kept = 0;
    while (kept < low.size()) {
        const auto differs = std::mismatch(last.begin(), last.begin() + static_cast<int64_t>(kept), low.begin());
        const bool equal = differs.first == last.begin() + static_cast<int64_t>(kept);
        if (equal ? std::all_of(low.begin() + static_cast<int64_t>(kept), low.end(), [](uint8_t b) { return b == 0; })
                  : *differs.first > *differs.second)
            break;
        ++kept;
    }
    last.resize(kept);
    while (!last.empty() && last.back() == 0) last.pop_back();
    return last;
}

BitDecoder::BitDecoder(std::vector<uint8_t> data, int n_streams) : streams_(n_streams), data_(std::move(data)) {
    for (int k = 0; k < 4; ++k) code_ = code_ << 8 | next_byte();
}

bool BitDecoder::narrow(uint32_t split) {
    const bool bit = code_ >= split;
    if (bit) {
        code_ -= split;
        span_ -= split;
    } else {
        span_ = split;
    }
    for (; span_ < kTop; span_ <<= 8) code_ = code_ << 8 | next_byte();
    return bit;
}

bool BitDecoder::chosen(BitChances& chances) {
    const bool bit = narrow(chances.split(span_));
    chances.learn(bit);
    return bit;
}

int64_t BitDecoder::plain(int64_t n_bits) {
    int64_t value = 0;
    for (; n_bits > 0; --n_bits) value = value << 1 | static_cast<int64_t>(narrow(span_ >> 1));
    return value;
}

int64_t BitDecoder::magnitude(MagnitudeChances& chances) {
    int order = 0;
    while (chosen(chances.more[order]))
        if (++order > kMostOrder) throw std::range_error("have a value of 2^" + std::to_string(order));
    if (!order) return 0;
    const int64_t upper = 2 | static_cast<int64_t>(chosen(chances.upper[order]));
    return (upper << (order - 1) | plain(order - 1)) - 1;
}

void BitDecoder::rows(int64_t* values, int64_t n, const BitColumns& columns) {
    for (const int64_t* end = values + n * columns.count; values < end; values += columns.count)
        for (int64_t c = 0; c < columns.count; ++c) {
            const int64_t value = magnitude(streams_[columns.streams[c]]);
            values[c] = columns.is_signed[c] && value && plain(1) ? -value : value;
        }
}

void BitDecoder::raw(int64_t* values, const int64_t* n_bits, int64_t n) {
    for (int64_t k = 0; k < n; ++k) values[k] = plain(n_bits[k]);
}

}  // namespace gscodec
