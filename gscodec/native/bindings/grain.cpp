#include "render/grain.h"

#include <nanobind/stl/tuple.h>

#include <algorithm>
#include <tuple>

#include "bindings/arrays.h"
#include "bindings/bindings.h"

namespace gscodec {
namespace {

// Number of the first colour, of colours, of the first noise field, and the weight of neighbours.
using Settings = std::tuple<int, int, uint32_t, int>;

GrainTerms terms_of(const Settings& settings, const In<float, 1>& factors) {
    check_shape(factors.shape(0) == 2 + GRAIN_STRENGTHS, "grain has other factors");
    GrainTerms terms = {std::get<2>(settings), std::get<3>(settings), factors.data()[0], factors.data()[1], {}};
    std::copy_n(factors.data() + 2, int(GRAIN_STRENGTHS), terms.strengths);
    return terms;
}

GrainedPixels pixels_of(float* values, size_t n_channels, const Settings& settings) {
    const int first = std::get<0>(settings), n_colours = std::get<1>(settings);
    const bool fits = first >= 0 && (n_colours == 1 || n_colours == 3) && size_t(first + n_colours) <= n_channels;
    check_shape(fits && std::get<3>(settings) >= 0 && std::get<3>(settings) <= GRAIN_CENTRE, "grain does not fit");
    return {values, static_cast<int64_t>(n_channels), first, n_colours};
}

}  // namespace

void bind_grain(nb::module_& m) {
    // Rows of a picture, changed in place. `factors` holds shared, own and the strengths.
    m.def(
        "add_grain",
        [](Inout<3> values, const Settings& settings, In<float, 1> factors, uint32_t column, uint32_t row,
           int threads) {
            const GrainedPixels pixels = pixels_of(values.data(), values.shape(2), settings);
            const GrainTerms terms = terms_of(settings, factors);
            nb::gil_scoped_release release;
            add_grain(pixels, static_cast<int64_t>(values.shape(0)), static_cast<int64_t>(values.shape(1)), column, row,
                      terms, threads);
        },
        nb::arg().noconvert(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg());

    // Values at points, changed in place.
    m.def(
        "add_grain_at",
        [](Inout<2> values, const Settings& settings, In<float, 1> factors, In<uint32_t, 1> columns,
           In<uint32_t, 1> rows, int threads) {
            check_shape(columns.shape(0) == values.shape(0) && rows.shape(0) == values.shape(0),
                        "grain has other points");
            const GrainedPixels pixels = pixels_of(values.data(), values.shape(1), settings);
            const GrainTerms terms = terms_of(settings, factors);
            nb::gil_scoped_release release;
            add_grain_at(pixels, static_cast<int64_t>(values.shape(0)), columns.data(), rows.data(), terms, threads);
        },
        nb::arg().noconvert(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg());
}

}  // namespace gscodec
