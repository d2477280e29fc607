#include <nanobind/stl/array.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <vector>

#include "bindings/arrays.h"
#include "bindings/bindings.h"
#include "codec/crc32c.h"
#include "codec/paging.h"
#include "codec/record_codec.h"
#include "threads/thread_pool.h"

namespace gscodec {

void bind_records(nb::module_& m) {
    // Means, inverse scales, rotations and transformed features in their steps of packed pages, and the first page that
    // is none, or -1. `settings` are scale_step, place_bits, width, height and the unit of boxes, px.
    m.def("decode_records", [](In<uint8_t, 1> rotation_from, In<int32_t, 1> lows, In<uint8_t, 1> bits,
                               std::array<int64_t, 5> settings, In<uint8_t, 1> data, In<int64_t, 1> sizes,
                               int threads) {
        const int64_t n_pages = static_cast<int64_t>(sizes.shape(0));
        const auto [scale_step, place_bits, width, height, unit] = settings;
        if (rotation_from.shape(0) != 12 || lows.shape(0) < 3 || bits.shape(0) != lows.shape(0) || place_bits < 12 ||
            place_bits > 31 || scale_step < 1 || scale_step > 64 || width < 1 || height < 1 || unit < 1)
            throw std::invalid_argument("the layout of records does not match");
        for (size_t k = 0; k < bits.shape(0); ++k)
            if (bits.data()[k] > 24) throw std::invalid_argument("the layout of records does not match");
        const RecordLattice lattice{rotation_from.data(),
                                    lows.data(),
                                    bits.data(),
                                    static_cast<int32_t>(lows.shape(0)),
                                    static_cast<int32_t>(scale_step),
                                    static_cast<int32_t>(place_bits),
                                    width,
                                    height,
                                    unit};
        std::vector<int64_t> firsts(static_cast<size_t>(n_pages) + 1, 0);
        for (int64_t p = 0; p < n_pages; ++p) {
            if (sizes.data()[p] < 1 || sizes.data()[p] > (1 << 16)) throw std::invalid_argument("pages do not match");
            firsts[p + 1] = firsts[p] + sizes.data()[p];
        }
        const int64_t n = firsts[n_pages], stride = lattice.stride();
        if (n_pages * lattice.head_bytes() + n * stride != static_cast<int64_t>(data.shape(0)))
            throw std::invalid_argument("pages do not match");
        const size_t n_rows = static_cast<size_t>(n), n_features = lows.shape(0) - 2;
        auto means = make_array<double>({n_rows, 2}), scales = make_array<double>({n_rows, 2});
        auto rotations = make_array<double>({n_rows});
        auto features = make_array<int64_t>({n_rows, n_features});
        std::vector<uint8_t> good(static_cast<size_t>(n_pages), 0);
        {
            nb::gil_scoped_release release;
            parallel_for(n_pages, threads, [&](int64_t p) {
                const int64_t first = firsts[p];
                good[p] =
                    decode_records(lattice, data.data() + p * lattice.head_bytes() + first * stride, sizes.data()[p],
                                   means.data() + 2 * first, scales.data() + 2 * first, rotations.data() + first,
                                   features.data() + static_cast<int64_t>(n_features) * first);
            });
        }
        const auto bad = std::find(good.begin(), good.end(), 0);
        const int64_t number = bad == good.end() ? -1 : static_cast<int64_t>(bad - good.begin());
        return nb::make_tuple(means, scales, rotations, features, number);
    });

    // Numbers of records in the order of the file: which of them share a page.
    m.def("page_order", [](In<uint64_t, 1> codes, int64_t page_size) {
        if (page_size < 1) throw std::invalid_argument("a page holds at least one record");
        auto out = make_array<int64_t>({codes.shape(0)});
        {
            nb::gil_scoped_release release;
            page_order(codes.data(), static_cast<int64_t>(codes.shape(0)), page_size, out.data());
        }
        return out;
    });

    // CRC32C of each of the runs of bytes that follow one another in data.
    m.def("crc32c_runs", [](In<uint8_t, 1> data, In<int64_t, 1> lengths) {
        auto crcs = make_array<uint32_t>({lengths.shape(0)});
        nb::gil_scoped_release release;
        int64_t at = 0;
        for (size_t p = 0; p < lengths.shape(0); ++p) {
            const int64_t n = lengths.data()[p];
            if (n < 0 || n > static_cast<int64_t>(data.shape(0)) - at) throw std::invalid_argument("runs do not match");
            crcs.data()[p] = crc32c(data.data() + at, n);
            at += n;
        }
        return crcs;
    });
}

}  // namespace gscodec
