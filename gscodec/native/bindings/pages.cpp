#include <algorithm>
#include <stdexcept>
#include <utility>
#include <vector>

#include "bindings/arrays.h"
#include "bindings/bindings.h"
#include "codec/page_codec.h"
#include "threads/thread_pool.h"

namespace gscodec {
namespace {

// Rows of an array `shapes`: count, cell_log2 and cell_bits of a page.
PageShape page_shape(const int64_t* shape, int64_t least) {
    check_shape(shape[0] >= least && shape[0] <= (1 << 16) && shape[1] >= 0 && shape[1] <= 20 && shape[2] >= 0 &&
                    shape[2] <= 30,
                "pages do not match");
    return {shape[0], static_cast<int32_t>(shape[1]), static_cast<int32_t>(shape[2])};
}

// What profile `coded` knows of a file, as profiles/coded.py hands it over.
struct CodedLattice {
    In<uint8_t, 1> rotation_from;  // (12,)
    In<uint16_t, 1> counts;        // of all tables, one after the other
    In<int32_t, 1> table_ends;     // (T,) in counts
    In<int32_t, 1> lows;           // (T,)
    PageLattice lattice;

    CodedLattice(int scale_step, int position_offset, In<uint8_t, 1> from, In<uint16_t, 1> all, In<int32_t, 1> ends,
                 In<int32_t, 1> low)
        : rotation_from(from), counts(all), table_ends(ends), lows(low) {
        if (from.shape(0) != 12 || ends.shape(0) < 4 || low.shape(0) != ends.shape(0))
            throw std::invalid_argument("coded tables do not match");
        lattice.scale_step = scale_step;
        lattice.position_offset = position_offset;
        lattice.rotation_from = from.data();
        int32_t first = 0;
        for (size_t t = 0; t < ends.shape(0); ++t) {
            const int32_t last = ends.data()[t];
            if (last <= first || last - first > kMaxTokens || last > static_cast<int32_t>(all.shape(0)))
                throw std::invalid_argument("coded tables do not match");
            uint32_t total = 0;
            for (int32_t i = first; i < last; ++i) total += all.data()[i];
            if (total != 1u << kTableBits) throw std::invalid_argument("a coded table has another sum");
            lattice.tables.push_back({low.data()[t], all.data() + first, last - first});
            first = last;
        }
    }
};

}  // namespace

void bind_pages(nb::module_& m) {
    nb::class_<CodedLattice>(m, "CodedLattice")
        .def(nb::init<int, int, In<uint8_t, 1>, In<uint16_t, 1>, In<int32_t, 1>, In<int32_t, 1>>());

    // Rows of all pages and the first page that is none, or -1. `shapes` has count, cell_log2 and cell_bits of each.
    m.def("decode_pages", [](const CodedLattice& coded, In<uint8_t, 1> data, In<int64_t, 1> ends, In<int64_t, 2> shapes,
                             int threads) {
        const int64_t n_pages = static_cast<int64_t>(ends.shape(0));
        if (static_cast<int64_t>(shapes.shape(0)) != n_pages || shapes.shape(1) != 3)
            throw std::invalid_argument("pages do not match");
        std::vector<int64_t> firsts(static_cast<size_t>(n_pages) + 1, 0);
        for (int64_t p = 0; p < n_pages; ++p) {
            if (ends.data()[p] < (p ? ends.data()[p - 1] : 0) || ends.data()[p] > static_cast<int64_t>(data.shape(0)))
                throw std::invalid_argument("pages do not match");
            firsts[p + 1] = firsts[p] + page_shape(shapes.data() + 3 * p, 1).count;
        }
        const size_t n_columns = static_cast<size_t>(coded.lattice.n_columns());
        auto rows = make_array<int32_t>({static_cast<size_t>(firsts[n_pages]), n_columns});
        std::vector<uint8_t> good(static_cast<size_t>(n_pages), 0);
        {
            nb::gil_scoped_release release;
            const PageDecoder decoder(coded.lattice);
            parallel_for(n_pages, threads, [&](int64_t p) {
                const int64_t first = p ? ends.data()[p - 1] : 0;
                good[p] = decoder.decode(page_shape(shapes.data() + 3 * p, 1), data.data() + first,
                                         ends.data()[p] - first, rows.data() + firsts[p] * n_columns);
            });
        }
        const auto bad = std::find(good.begin(), good.end(), 0);
        return nb::make_tuple(rows, bad == good.end() ? -1 : static_cast<int64_t>(bad - good.begin()));
    });

    // Means, inverse scales and rotations of the rows of all pages.
    m.def("place_pages", [](const CodedLattice& coded, In<int32_t, 2> rows, In<int64_t, 2> shapes, int threads) {
        const int64_t n_pages = static_cast<int64_t>(shapes.shape(0)), n_rows = static_cast<int64_t>(rows.shape(0));
        const int n_columns = coded.lattice.n_columns();
        std::vector<int64_t> firsts(static_cast<size_t>(n_pages) + 1, 0);
        if (shapes.shape(1) != 3 || static_cast<int>(rows.shape(1)) != n_columns)
            throw std::invalid_argument("pages do not match");
        for (int64_t p = 0; p < n_pages; ++p) {
            firsts[p + 1] = firsts[p] + page_shape(shapes.data() + 3 * p, 0).count;
        }
        if (firsts[n_pages] != n_rows) throw std::invalid_argument("pages do not match");
        auto means = make_array<double>({rows.shape(0), 2}), scales = make_array<double>({rows.shape(0), 2});
        auto rotations = make_array<double>({rows.shape(0)});
        {
            nb::gil_scoped_release release;
            parallel_for(n_pages, threads, [&](int64_t p) {
                place_page(coded.lattice, page_shape(shapes.data() + 3 * p, 0), rows.data() + firsts[p] * n_columns,
                           means.data() + 2 * firsts[p], scales.data() + 2 * firsts[p], rotations.data() + firsts[p]);
            });
        }
        return nb::make_tuple(means, scales, rotations);
    });

    // Bytes of all pages and where each ends.
    m.def("encode_pages", [](const CodedLattice& coded, In<int32_t, 2> rows, In<int64_t, 2> shapes) {
        if (shapes.shape(1) != 3 || static_cast<int>(rows.shape(1)) != coded.lattice.n_columns())
            throw std::invalid_argument("pages do not match");
        std::vector<uint8_t> bytes;
        std::vector<int64_t> ends;
        {
            nb::gil_scoped_release release;
            const int64_t n_pages = static_cast<int64_t>(shapes.shape(0));
            int64_t first = 0;
            for (int64_t p = 0; p < n_pages; ++p) {
                const PageShape shape = page_shape(shapes.data() + 3 * p, 1);
                check_shape(first + shape.count <= static_cast<int64_t>(rows.shape(0)), "pages do not match");
                encode_page(coded.lattice, shape, rows.data() + first * static_cast<int64_t>(rows.shape(1)), bytes);
                ends.push_back(static_cast<int64_t>(bytes.size()));
                first += shape.count;
            }
        }
        return nb::make_tuple(take_vector(std::move(bytes)), take_vector(std::move(ends)));
    });
}

}  // namespace gscodec
