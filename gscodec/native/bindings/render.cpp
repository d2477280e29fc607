#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <string>
#include <utility>

#include "bindings/bindings.h"
#include "bindings/scene.h"
#include "render/coverage.h"
#include "render/dispatch.h"
#include "render/render.h"
#include "render/sample_points.h"

namespace gscodec {

void bind_render(nb::module_& m) {
    m.def("bin", [](Doubles2 means, Doubles2 inv_scales, Doubles1 rotations, Rect rect, double support_q,
                    int64_t max_pairs, int threads) {
        const Geometry geometry = geometry_of(means, inv_scales, rotations);
        TileLists lists;
        {
            nb::gil_scoped_release release;
            lists = bin_gaussians(geometry, tile_rect(rect), support_q, max_pairs, threads);
        }
        return nb::make_tuple(take_vector(std::move(lists.offsets)), take_vector(std::move(lists.indices)));
    });

    m.def(
        "render",
        [](const Scene& scene, Shape shape, Rect rect, int top_k, double x, double y, double step_x, double step_y,
           int64_t height, int64_t width, const std::string& dtype, const std::string& isa, int threads) -> nb::object {
            const Model model = scene.model(shape, rect, top_k);
            const Context context{kernels_for(isa), threads};
            const Lattice lattice{x, y, step_x, step_y, height, width};
            const std::vector<size_t> out_shape = {static_cast<size_t>(height), static_cast<size_t>(width),
                                                   static_cast<size_t>(model.n_channels)};
            const auto run = [&](auto&& out, Sample type) {
                {
                    nb::gil_scoped_release release;
                    render(context, model, lattice, type, out.data());
                }
                return nb::cast(out);
            };
            if (dtype == "uint8") return run(make_array<uint8_t>(out_shape), Sample::kUint8);
            if (dtype == "uint16") return run(make_array<uint16_t>(out_shape), Sample::kUint16);
            return run(make_array<float>(out_shape), Sample::kFloat32);
        });

    m.def("sample", [](const Scene& scene, Shape shape, Rect rect, int top_k, Doubles2 points, const std::string& isa,
                       int threads) {
        const Model model = scene.model(shape, rect, top_k);
        const Context context{kernels_for(isa), threads};
        auto out = make_array<float>({points.shape(0), static_cast<size_t>(model.n_channels)});
        {
            nb::gil_scoped_release release;
            sample_points(context, model, points.data(), static_cast<int64_t>(points.shape(0)), out.data());
        }
        return out;
    });

    m.def("farthest_owned", [](const Scene& scene, Shape shape, Rect rect, int top_k, int threads) {
        const Model model = scene.model(shape, rect, top_k);
        auto out = make_array<float>({static_cast<size_t>(model.geometry.n), 2});
        {
            nb::gil_scoped_release release;
            farthest_owned(model.geometry, model.height, model.width, model.offsets, model.indices, threads,
                           out.data());
        }
        return out;
    });
}

}  // namespace gscodec
