// libFuzzer target: which records share a page (gscodec/native/codec/paging.cpp). Every record comes out once, whatever
// the places.
#include <cstdlib>

#include "bytes.h"
#include "codec/paging.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    Bytes bytes(data, size);
    const int64_t page_size = 1 + bytes.u16() % 4096;
    std::vector<uint64_t> codes;
    while (bytes.left() >= 2) codes.push_back(bytes.u8() % 2 ? bytes.u8() : uint64_t{bytes.u32()} << 32 | bytes.u32());
    std::vector<int64_t> order(codes.size());
    gscodec::page_order(codes.data(), static_cast<int64_t>(codes.size()), page_size, order.data());
    std::vector<uint8_t> seen(codes.size(), 0);
    for (const int64_t number : order)
        if (number < 0 || number >= static_cast<int64_t>(codes.size()) || seen[static_cast<size_t>(number)]++)
            std::abort();
    return 0;
}
