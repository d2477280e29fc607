#include "codec/adaptive_bits.h"

#include <nanobind/nanobind.h>

#include <vector>

#include "bindings/arrays.h"
#include "bindings/bindings.h"
#include "codec/token_weights.h"

namespace gscodec {
namespace {

BitColumns columns_of(const In<int32_t, 1>& streams, const In<uint8_t, 1>& is_signed, int n_streams) {
    check_shape(streams.shape(0) == is_signed.shape(0), "columns do not match");
    for (size_t c = 0; c < streams.shape(0); ++c)
        check_shape(streams.data()[c] >= 0 && streams.data()[c] < n_streams, "no such stream");
    return {streams.data(), is_signed.data(), static_cast<int64_t>(streams.shape(0))};
}

void check_bits(const In<int64_t, 1>& n_bits) {
    for (size_t k = 0; k < n_bits.shape(0); ++k)
        check_shape(n_bits.data()[k] >= 0 && n_bits.data()[k] <= kMostRawBits, "no such number of bits");
}

}  // namespace

void bind_adaptive_bits(nb::module_& m) {
    nb::class_<BitEncoder>(m, "BitEncoder")
        .def(nb::init<int>())
        .def("rows",
             [](BitEncoder& encoder, In<int64_t, 2> values, In<int32_t, 1> streams, In<uint8_t, 1> is_signed) {
                 const BitColumns columns = columns_of(streams, is_signed, encoder.n_streams());
                 check_shape(static_cast<int64_t>(values.shape(1)) == columns.count, "columns do not match");
                 encoder.rows(values.data(), static_cast<int64_t>(values.shape(0)), columns);
             })
        .def("raw",
             [](BitEncoder& encoder, In<int64_t, 1> values, In<int64_t, 1> n_bits) {
                 check_shape(values.shape(0) == n_bits.shape(0), "values and bits do not match");
                 check_bits(n_bits);
                 encoder.raw(values.data(), n_bits.data(), static_cast<int64_t>(values.shape(0)));
             })
        .def("bytes", [](const BitEncoder& encoder) {
            const std::vector<uint8_t> bytes = encoder.bytes();
            return nb::bytes(bytes.data(), bytes.size());
        });
    nb::class_<BitDecoder>(m, "BitDecoder")
        .def("__init__",
             [](BitDecoder* self, const nb::bytes& data, int n_streams) {
                 const auto* first = static_cast<const uint8_t*>(data.data());
                 new (self) BitDecoder(std::vector<uint8_t>(first, first + data.size()), n_streams);
             })
        .def("rows",
             [](BitDecoder& decoder, int64_t n, In<int32_t, 1> streams, In<uint8_t, 1> is_signed) {
                 const BitColumns columns = columns_of(streams, is_signed, decoder.n_streams());
                 auto values = make_array<int64_t>({static_cast<size_t>(n), streams.shape(0)});
                 decoder.rows(values.data(), n, columns);
                 return values;
             })
        .def("raw",
             [](BitDecoder& decoder, In<int64_t, 1> n_bits) {
                 check_bits(n_bits);
                 auto values = make_array<int64_t>({n_bits.shape(0)});
                 decoder.raw(values.data(), n_bits.data(), static_cast<int64_t>(n_bits.shape(0)));
                 return values;
             })
        .def_prop_ro("at_end", &BitDecoder::at_end);
    m.def("fit_weights", [](In<double, 1> histogram, double change) {
        auto weights = make_array<uint8_t>({histogram.shape(0)});
        check_shape(histogram.shape(0) > 0, "no tokens");
        fit_weights(histogram.data(), static_cast<int64_t>(histogram.shape(0)), change, weights.data());
        return weights;
    });
}

}  // namespace gscodec
