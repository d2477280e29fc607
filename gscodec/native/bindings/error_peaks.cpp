#include "fit/error_peaks.h"

#include <nanobind/stl/optional.h>

#include <optional>

#include "bindings/arrays.h"
#include "bindings/bindings.h"

namespace gscodec {
namespace {

// Sizes of blobs: radius and reach of each, and its factor.
std::vector<BlobSize> blob_sizes(const In<int32_t, 2>& boxes, const In<float, 1>& factors) {
    check_shape(boxes.shape(1) == 2 && factors.shape(0) == boxes.shape(0) && boxes.shape(0) < 256,
                "boxes and factors do not match");
    std::vector<BlobSize> sizes(boxes.shape(0));
    for (size_t s = 0; s < sizes.size(); ++s) {
        sizes[s] = {boxes.data()[2 * s], boxes.data()[2 * s + 1], factors.data()[s]};
        check_shape(sizes[s].radius >= 0 && sizes[s].reach >= 0, "a radius is below 0");
    }
    return sizes;
}

}  // namespace

void bind_error_peaks(nb::module_& m) {
    // Pixels (n,) and sizes (n,) of the peaks of errors (C, height, width).
    m.def("error_peaks", [](In<float, 3> errors, In<int32_t, 2> boxes, In<float, 1> factors,
                            const std::optional<In<bool, 2>>& allowed, int64_t n_most, int threads) {
        const size_t height = errors.shape(1), width = errors.shape(2);
        check_shape(!allowed || (allowed->shape(0) == height && allowed->shape(1) == width),
                    "errors and allowed pixels do not match");
        const std::vector<BlobSize> sizes = blob_sizes(boxes, factors);
        std::vector<ErrorPeak> peaks;
        if (height * width > 0) {
            nb::gil_scoped_release release;
            peaks =
                error_peaks(errors.data(), static_cast<int>(errors.shape(0)), static_cast<int64_t>(height),
                            static_cast<int64_t>(width), sizes, allowed ? allowed->data() : nullptr, n_most, threads);
        }
        auto pixels = make_array<int64_t>({peaks.size()});
        auto found = make_array<int32_t>({peaks.size()});
        for (size_t k = 0; k < peaks.size(); ++k) {
            pixels.data()[k] = peaks[k].pixel;
            found.data()[k] = peaks[k].size;
        }
        return nb::make_tuple(pixels, found);
    });

    // Indices of those pixels (n,), of sizes (n,), that lie within the reach of none before.
    m.def("keep_apart", [](In<int64_t, 1> pixels, In<int32_t, 1> indices, int64_t height, int64_t width,
                           In<int32_t, 2> boxes, In<float, 1> factors, int64_t n_most) {
        const std::vector<BlobSize> sizes = blob_sizes(boxes, factors);
        const size_t n = pixels.shape(0);
        check_shape(indices.shape(0) == n, "pixels and sizes do not match");
        for (size_t k = 0; k < n; ++k)
            check_shape(pixels.data()[k] >= 0 && pixels.data()[k] < height * width && indices.data()[k] >= 0 &&
                            indices.data()[k] < static_cast<int32_t>(sizes.size()),
                        "a pixel or a size is outside its range");
        return take_vector(
            keep_apart(pixels.data(), indices.data(), static_cast<int64_t>(n), height, width, sizes, n_most));
    });
}

}  // namespace gscodec
