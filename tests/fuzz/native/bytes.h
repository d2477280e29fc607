// The bytes of a fuzzer's input, taken as numbers from the front; 0 where there are none left.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

class Bytes {
public:
    Bytes(const uint8_t* data, size_t size) : at_(data), end_(data + size) {}
    size_t left() const { return static_cast<size_t>(end_ - at_); }
    uint8_t u8() { return at_ == end_ ? uint8_t{0} : *at_++; }
    uint16_t u16() {
        const uint16_t low = u8();
        return static_cast<uint16_t>(low | u8() << 8);
    }
    uint32_t u32() {
        const uint32_t low = u16();
        return low | static_cast<uint32_t>(u16()) << 16;
    }
    std::vector<uint8_t> rest() {
        std::vector<uint8_t> found(at_, end_);
        at_ = end_;
        return found;
    }

private:
    const uint8_t *at_, *end_;
};
