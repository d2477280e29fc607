// CRC32C (Castagnoli) of spec/igs.md, "Header": eight bytes at a time by tables, in portable code.
#pragma once
#include <cstdint>

namespace gscodec {

uint32_t crc32c(const uint8_t* data, int64_t size);

}  // namespace gscodec
