// libFuzzer target: the engine's decoder of pages of profile `packed` (gscodec/native/codec/record_codec.cpp). The
// first bytes are the layout of records, the rest a page. A page that decodes has its means in the picture.
#include <cmath>
#include <cstdlib>

#include "bytes.h"
#include "codec/record_codec.h"

using namespace gscodec;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    Bytes bytes(data, size);
    uint8_t rotation_from[12];
    int least = 0;
    for (uint8_t& from : rotation_from) from = static_cast<uint8_t>(least = std::min(255, least + bytes.u8() % 32));
    const int n_fields = 3 + bytes.u8() % 6;
    std::vector<int32_t> lows;
    std::vector<uint8_t> bits;
    for (int k = 0; k < n_fields; ++k) {
        lows.push_back(static_cast<int32_t>(bytes.u8() % 4 ? static_cast<int8_t>(bytes.u8()) : bytes.u32()));
        bits.push_back(bytes.u8() % 25);
    }
    const int64_t width = 1 + bytes.u32() % (1 << 20), height = 1 + bytes.u32() % (1 << 20);
    int digits = 0;
    while (std::max(width, height) >> digits) ++digits;
    const RecordLattice lattice{rotation_from,
                                lows.data(),
                                bits.data(),
                                n_fields,
                                1 + bytes.u8() % 64,
                                12 + bytes.u8() % 20,
                                width,
                                height,
                                int64_t{1} << std::max(0, digits - 16)};
    std::vector<uint8_t> page = bytes.rest();
    const int64_t count =
        std::min<int64_t>(64, (static_cast<int64_t>(page.size()) - lattice.head_bytes()) / lattice.stride());
    if (count < 1) return 0;
    page.resize(static_cast<size_t>(lattice.head_bytes() + count * lattice.stride()));
    page.shrink_to_fit();  // so that its end is watched
    const size_t n = static_cast<size_t>(count);
    std::vector<double> means(2 * n), inv_scales(2 * n), rotations(n);
    std::vector<int64_t> features(n * static_cast<size_t>(n_fields - 2));
    if (!decode_records(lattice, page.data(), count, means.data(), inv_scales.data(), rotations.data(),
                        features.data()))
        return 0;
    for (size_t i = 0; i < n; ++i) {
        const bool inside =
            means[2 * i] >= 0 && means[2 * i] <= width && means[2 * i + 1] >= 0 && means[2 * i + 1] <= height;
        if (!inside || std::isnan(inv_scales[2 * i]) || !(rotations[i] >= 0 && rotations[i] < 3.15)) std::abort();
    }
    return 0;
}
