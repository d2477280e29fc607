// Python bindings: numpy in and out, arguments checked by raster/cpu.py, the GIL released while kernels run.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>

#include "engine.h"

namespace nb = nanobind;
using namespace gscodec;

namespace {

template <class T, int Dims>
using In = nb::ndarray<const T, nb::ndim<Dims>, nb::c_contig, nb::device::cpu>;
template <class T>
using Out = nb::ndarray<nb::numpy, T>;

template <class T>
Out<T> make_array(std::vector<size_t> shape) {
    size_t size = 1;
    for (size_t n : shape) size *= n;
    T* data = new T[std::max<size_t>(size, 1)];
    nb::capsule owner(data, [](void* p) noexcept { delete[] static_cast<T*>(p); });
    return Out<T>(data, shape.size(), shape.data(), owner);
}

template <class T>
Out<T> take_vector(std::vector<T>&& values) {
    auto* kept = new std::vector<T>(std::move(values));
    nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
    const size_t n = kept->size();
    return Out<T>(kept->data(), 1, &n, owner);
}

using Doubles2 = In<double, 2>;
using Doubles1 = In<double, 1>;
using Rect = std::tuple<int64_t, int64_t, int64_t, int64_t>;

TileRect tile_rect(const Rect& r) { return {std::get<0>(r), std::get<1>(r), std::get<2>(r), std::get<3>(r)}; }

Geometry geometry_of(const Doubles2& means, const Doubles2& inv_scales, const Doubles1& rotations) {
    const int64_t n = static_cast<int64_t>(means.shape(0));
    if (means.shape(1) != 2 || inv_scales.shape(0) != means.shape(0) || inv_scales.shape(1) != 2 ||
        rotations.shape(0) != means.shape(0))
        throw std::invalid_argument("geometry arrays do not match");
    return {n, means.data(), inv_scales.data(), rotations.data()};
}

// The arguments that every rendering call shares.
struct Scene {
    Doubles2 means, inv_scales;
    Doubles1 rotations;
    In<float, 2> features;
    In<float, 1> background;
    In<int64_t, 1> offsets;
    In<int32_t, 1> indices;

    Model model(const std::tuple<int64_t, int64_t>& shape, const Rect& rect, int top_k) const {
        const Geometry geometry = geometry_of(means, inv_scales, rotations);
        const TileRect tiles = tile_rect(rect);
        if (static_cast<int64_t>(features.shape(0)) != geometry.n || background.shape(0) != features.shape(1) ||
            static_cast<int64_t>(offsets.shape(0)) != tiles.count() + 1 ||
            static_cast<int64_t>(indices.shape(0)) != offsets.data()[tiles.count()])
            throw std::invalid_argument("scene arrays do not match");
        return {geometry, features.data(), static_cast<int>(features.shape(1)), background.data(), top_k,
                std::get<0>(shape), std::get<1>(shape), tiles, offsets.data(), indices.data()};
    }
};

}  // namespace

NB_MODULE(_engine, m) {
    m.doc() = "CPU engine of gscodec: binning, blending, gradients, loss.";
    m.attr("TILE_SIZE") = kTile;
    m.def("available_isas", &available_isas);

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

    nb::class_<Scene>(m, "Scene")
        .def("__init__", [](Scene* self, Doubles2 means, Doubles2 inv_scales, Doubles1 rotations, In<float, 2> features,
                            In<float, 1> background, In<int64_t, 1> offsets, In<int32_t, 1> indices) {
            new (self) Scene{means, inv_scales, rotations, features, background, offsets, indices};
        });

    using Shape = std::tuple<int64_t, int64_t>;

    m.def("render", [](const Scene& scene, Shape shape, Rect rect, int top_k, double x, double y, double step_x,
                       double step_y, int64_t height, int64_t width, const std::string& dtype, const std::string& isa,
                       int threads) -> nb::object {
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

    struct GradArrays {
        Out<double> means, inv_scales, rotations;
        Out<float> features;
        explicit GradArrays(const Model& model)
            : means(make_array<double>({static_cast<size_t>(model.geometry.n), 2})),
              inv_scales(make_array<double>({static_cast<size_t>(model.geometry.n), 2})),
              rotations(make_array<double>({static_cast<size_t>(model.geometry.n)})),
              features(make_array<float>({static_cast<size_t>(model.geometry.n), static_cast<size_t>(model.n_channels)})) {}
        Grads view() { return {means.data(), inv_scales.data(), rotations.data(), features.data()}; }
        nb::tuple tuple() { return nb::make_tuple(means, inv_scales, rotations, features); }
    };

    m.def("backward", [](const Scene& scene, Shape shape, Rect rect, int top_k, In<float, 3> grad_planes,
                         const std::string& isa, int threads) {
        const Model model = scene.model(shape, rect, top_k);
        const Context context{kernels_for(isa), threads};
        GradArrays grads(model);
        {
            nb::gil_scoped_release release;
            backward(context, model, grad_planes.data(), grads.view());
        }
        return grads.tuple();
    });

    m.def("loss", [](In<float, 3> image, In<float, 3> target, float l1, float l2, float ssim, const std::string& isa,
                     int threads) {
        const Context context{kernels_for(isa), threads};
        auto grad = make_array<float>({image.shape(0), image.shape(1), image.shape(2)});
        LossValue value;
        {
            nb::gil_scoped_release release;
            value = photometric_loss(context, image.data(), target.data(), static_cast<int>(image.shape(0)),
                                     static_cast<int64_t>(image.shape(1)), static_cast<int64_t>(image.shape(2)),
                                     {l1, l2, ssim}, grad.data());
        }
        return nb::make_tuple(value.loss, value.mse, grad);
    });

    m.def("fit_step", [](const Scene& scene, Shape shape, Rect rect, int top_k, In<float, 3> target, float l1, float l2,
                         float ssim, const std::tuple<int64_t, int64_t, int64_t>& subset, const std::string& isa,
                         int threads) {
        const Model model = scene.model(shape, rect, top_k);
        const Context context{kernels_for(isa), threads};
        GradArrays grads(model);
        LossValue value;
        {
            nb::gil_scoped_release release;
            value = fit_step(context, model, target.data(), {l1, l2, ssim},
                             {std::get<0>(subset), std::get<1>(subset), std::get<2>(subset)}, grads.view());
        }
        return nb::make_tuple(value.loss, value.mse, grads.tuple());
    });
}
