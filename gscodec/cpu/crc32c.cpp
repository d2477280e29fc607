// The register is a linear function of the data, so that the effects of eight bytes add up: one table for each place a
// byte can have among the eight (Kounavis and Berry, "Novel Table Lookup-Based Algorithms for High-Performance CRC
// Generation", 2008).
#include "crc32c.h"

#include <array>
#include <cstddef>

namespace gscodec {
namespace {

constexpr uint32_t kPolynomial = 0x82F63B78;  // reflected

using Tables = std::array<std::array<uint32_t, 256>, 8>;

constexpr Tables make_tables() {
    Tables tables{};
    for (uint32_t byte = 0; byte < 256; ++byte) {
        uint32_t value = byte;
        for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) ? kPolynomial : 0);
        tables[0][byte] = value;
    }
    for (std::size_t place = 1; place < tables.size(); ++place)
        for (std::size_t byte = 0; byte < 256; ++byte) {
            const uint32_t before = tables[place - 1][byte];
            tables[place][byte] = (before >> 8) ^ tables[0][before & 0xFF];
        }
    return tables;
}

constexpr Tables kTables = make_tables();

}  // namespace

uint32_t crc32c(const uint8_t* data, int64_t size) {
    uint32_t value = 0xFFFFFFFF;
    for (; size >= 8; size -= 8, data += 8) {
        const uint32_t low = value ^ (data[0] | data[1] << 8 | data[2] << 16 | static_cast<uint32_t>(data[3]) << 24);
        value = kTables[7][low & 0xFF] ^ kTables[6][(low >> 8) & 0xFF] ^ kTables[5][(low >> 16) & 0xFF] ^
                kTables[4][low >> 24] ^ kTables[3][data[4]] ^ kTables[2][data[5]] ^ kTables[1][data[6]] ^
                kTables[0][data[7]];
    }
    for (; size > 0; --size, ++data) value = (value >> 8) ^ kTables[0][(value ^ *data) & 0xFF];
    return value ^ 0xFFFFFFFF;
}

}  // namespace gscodec
