#include "fit/feature_system.h"

#include <algorithm>
#include <optional>

#include "bindings/bindings.h"
#include "bindings/scene.h"

namespace gscodec {
namespace {

// features (N, C) of a system, to be changed.
Out<double> copy_features(const FeatureSystem& system, const Doubles2& features, int64_t n_free) {
    check_shape(static_cast<int64_t>(features.shape(0)) == system.size() &&
                    static_cast<int>(features.shape(1)) == system.channels() && n_free >= 0 && n_free <= system.size(),
                "features do not match the system");
    auto out = make_array<double>({features.shape(0), features.shape(1)});
    std::copy(features.data(), features.data() + features.size(), out.data());
    return out;
}

}  // namespace

void bind_feature_system(nb::module_& m) {
    // A picture's least squares over the features of a set; see fit/feature_system.h.
    nb::class_<FeatureSystem>(m, "FeatureSystem")
        .def(nb::init<int64_t, int, int>())
        .def("add",
             [](FeatureSystem& system, const Scene& scene, Shape shape, Rect rect, int top_k, In<float, 3> target,
                const Counts& importance, double weight, double mean_weight, int threads) {
                 const Model model = scene.model(shape, rect, top_k);
                 check_shape(is_planes_of(target, model), "target does not match the scene");
                 const Importance map = importance_of(importance, target.shape(0), target.shape(1), target.shape(2));
                 nb::gil_scoped_release release;
                 system.add(model, target.data(), map, weight, mean_weight, threads);
             })
        .def("solve",
             [](FeatureSystem& system, Doubles2 features, int64_t n_free, double damping, int iterations, int threads) {
                 auto out = copy_features(system, features, n_free);
                 {
                     nb::gil_scoped_release release;
                     system.solve(out.data(), n_free, damping, iterations, threads);
                 }
                 return out;
             })
        .def("round",
             [](const FeatureSystem& system, Doubles2 features, In<int32_t, 2> codes, In<int32_t, 1> order,
                Doubles2 transform, Doubles2 steps, Doubles2 offsets, In<int32_t, 1> lows, In<int32_t, 1> highs,
                const std::optional<In<float, 1>>& bits, double price, int sweeps) {
                 const size_t n_free = codes.shape(0), channels = static_cast<size_t>(system.channels());
                 auto out = copy_features(system, features, static_cast<int64_t>(n_free));
                 check_shape(codes.shape(1) == channels && order.shape(0) == n_free && transform.shape(0) == channels &&
                                 transform.shape(1) == channels && steps.shape(0) == n_free &&
                                 steps.shape(1) == channels && offsets.shape(0) == n_free &&
                                 offsets.shape(1) == channels && highs.shape(0) == channels &&
                                 lows.shape(0) == channels,
                             "the lattice does not match the system");
                 int64_t n_costs = 0;
                 for (size_t c = 0; c < channels; ++c)
                     n_costs += static_cast<int64_t>(highs.data()[c]) - lows.data()[c] + 1;
                 check_shape(!bits || static_cast<int64_t>(bits->shape(0)) == n_costs,
                             "the costs do not match the system");
                 for (size_t i = 0; i < n_free * channels; ++i)
                     check_shape(
                         codes.data()[i] >= lows.data()[i % channels] && codes.data()[i] <= highs.data()[i % channels],
                         "an integer is outside its range");
                 for (size_t i = 0; i < n_free; ++i)
                     check_shape(order.data()[i] >= 0 && order.data()[i] < static_cast<int32_t>(n_free),
                                 "no such order");
                 auto rounded = make_array<int32_t>({n_free, channels});
                 std::copy(codes.data(), codes.data() + n_free * channels, rounded.data());
                 {
                     nb::gil_scoped_release release;
                     system.round(out.data(), rounded.data(), static_cast<int64_t>(n_free), order.data(),
                                  {transform.data(), steps.data(), offsets.data(), lows.data(), highs.data(),
                                   bits ? bits->data() : nullptr, price},
                                  sweeps);
                 }
                 return rounded;
             })
        .def("error", [](FeatureSystem& system, Doubles2 features) {
            check_shape(static_cast<int64_t>(features.shape(0)) == system.size() &&
                            static_cast<int>(features.shape(1)) == system.channels(),
                        "features do not match the system");
            nb::gil_scoped_release release;
            return system.error(features.data());
        });
}

}  // namespace gscodec
