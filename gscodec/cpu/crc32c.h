// CRC-32C (Castagnoli), reflected polynomial 0x82F63B78, as in RFC 3720: eight bytes a step from eight tables.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace gscodec {

using CrcTables = std::array<std::array<uint32_t, 256>, 8>;

constexpr CrcTables make_crc_tables() {
    CrcTables t{};
    for (uint32_t i = 0; i < 256; ++i) {
        uint32_t c = i;
        for (int k = 0; k < 8; ++k) c = c & 1 ? (c >> 1) ^ 0x82F63B78u : c >> 1;
        t[0][i] = c;
    }
    for (uint32_t i = 0; i < 256; ++i)
        for (int k = 1; k < 8; ++k) t[k][i] = (t[k - 1][i] >> 8) ^ t[0][t[k - 1][i] & 255];
    return t;
}

// `crc` is the value of the bytes before, 0 at the start.
inline uint32_t crc32c(const uint8_t* p, size_t n, uint32_t crc) {
    static constexpr CrcTables t = make_crc_tables();
    crc = ~crc;
    for (; n >= 8; n -= 8, p += 8) {
        const uint32_t low = crc ^ (p[0] | p[1] << 8 | p[2] << 16 | static_cast<uint32_t>(p[3]) << 24);
        crc = t[7][low & 255] ^ t[6][low >> 8 & 255] ^ t[5][low >> 16 & 255] ^ t[4][low >> 24] ^ t[3][p[4]] ^
              t[2][p[5]] ^ t[1][p[6]] ^ t[0][p[7]];
    }
    for (; n; --n, ++p) crc = (crc >> 8) ^ t[0][(crc ^ *p) & 255];
    return ~crc;
}

}  // namespace gscodec
