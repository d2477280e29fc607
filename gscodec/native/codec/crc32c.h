// CRC32C (Castagnoli), as format/crc32c.py has it.
#pragma once
#include <cstdint>

namespace gscodec {

uint32_t crc32c(const uint8_t* data, int64_t n_bytes);

}  // namespace gscodec
