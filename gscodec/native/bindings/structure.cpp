#include "fit/structure.h"

#include "bindings/arrays.h"
#include "bindings/bindings.h"

namespace gscodec {

void bind_structure(nb::module_& m) {
    // Means (n, 3) of the products of the slopes around pixels (n, 2) x, y of samples (height, width, C).
    m.def("structure_at", [](In<float, 3> samples, In<int64_t, 2> pixels, int64_t radius, int threads) {
        const Picture picture = {samples.data(), static_cast<int64_t>(samples.shape(0)),
                                 static_cast<int64_t>(samples.shape(1)), static_cast<int>(samples.shape(2))};
        check_shape(pixels.shape(1) == 2 && radius >= 0 && picture.n_channels > 0, "pixels or radius do not fit");
        const size_t n = pixels.shape(0);
        for (size_t i = 0; i < n; ++i)
            check_shape(pixels.data()[2 * i] >= 0 && pixels.data()[2 * i] < picture.width &&
                            pixels.data()[2 * i + 1] >= 0 && pixels.data()[2 * i + 1] < picture.height,
                        "a pixel is outside the picture");
        auto tensors = make_array<double>({n, 3});
        {
            nb::gil_scoped_release release;
            structure_at(picture, pixels.data(), static_cast<int64_t>(n), radius, threads, tensors.data());
        }
        return tensors;
    });
}

}  // namespace gscodec
