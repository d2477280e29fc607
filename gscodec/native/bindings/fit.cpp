#include <nanobind/stl/string.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>

#include "bindings/bindings.h"
#include "bindings/scene.h"
#include "render/adam.h"
#include "render/backward.h"
#include "render/dispatch.h"
#include "render/fit_rows.h"
#include "render/loss.h"
#include "render/removal.h"

namespace gscodec {
namespace {

// The arrays that gradients go into.
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

// A target with the arrays that it reads.
struct BoundTarget {
    In<float, 3> samples;  // (height, width, C)
    Counts importance;
    FitTarget view;

    BoundTarget(In<float, 3> picture, Counts counts)
        : samples(std::move(picture)),
          importance(std::move(counts)),
          view(samples.data(), false, importance_of(importance, samples.shape(2), samples.shape(0), samples.shape(1)),
               static_cast<int>(samples.shape(2)), static_cast<int64_t>(samples.shape(0)),
               static_cast<int64_t>(samples.shape(1))) {}
};

constexpr const char* kOtherTerms = "the loss has other terms";

using Others = std::tuple<Doubles2, Doubles2, Doubles1, In<float, 2>>;

// Throws std::invalid_argument where the loss cannot be that of such pixels.
Subset subset_of(const std::tuple<int64_t, int64_t, int64_t>& subset, const LossWeights& weights) {
    const auto [step, x, y] = subset;
    check_shape((step == 1 || step == 2 || step == 4) && x >= 0 && x < step && y >= 0 && y < step &&
                    (step == 1 || !weights.compares_neighbours()),
                "no such subset of pixels");
    return {step, x, y};
}

}  // namespace

void bind_fit(nb::module_& m) {
    m.def("backward", [](const Scene& scene, Shape shape, Rect rect, int top_k, In<float, 3> grad_planes,
                         const std::string& isa, int threads) {
        const Model model = scene.model(shape, rect, top_k);
        const Context context{kernels_for(isa), threads};
        check_shape(is_planes_of(grad_planes, model), "grad_planes do not match the scene");
        GradArrays grads(model);
        {
            nb::gil_scoped_release release;
            backward(context, model, grad_planes.data(), grads.view());
        }
        return grads.tuple();
    });

    m.def("removal_costs", [](const Scene& scene, Shape shape, Rect rect, int top_k, const Counts& importance,
                              const std::string& isa, int threads) {
        const Model model = scene.model(shape, rect, top_k);
        const Context context{kernels_for(isa), threads};
        const Importance map = importance_of(importance, static_cast<size_t>(model.n_channels),
                                             static_cast<size_t>(model.height), static_cast<size_t>(model.width));
        auto costs = make_array<double>({static_cast<size_t>(model.geometry.n)});
        {
            nb::gil_scoped_release release;
            removal_costs(context, model, map, costs.data());
        }
        return costs;
    });

    m.def("loss", [](In<float, 3> image, In<float, 3> target, const Counts& importance, In<float, 1> terms,
                     const std::string& isa, int threads) {
        const Context context{kernels_for(isa), threads};
        const LossWeights weights = struct_of<LossWeights>(terms, kOtherTerms);
        for (size_t axis = 0; axis < 3; ++axis)
            check_shape(image.shape(axis) == target.shape(axis) && image.shape(axis) > 0,
                        "image and target do not match");
        const Importance map = importance_of(importance, image.shape(0), image.shape(1), image.shape(2));
        auto grad = make_array<float>({image.shape(0), image.shape(1), image.shape(2)});
        LossValue value;
        {
            nb::gil_scoped_release release;
            value = photometric_loss(context, image.data(), target.data(), map, static_cast<int>(image.shape(0)),
                                     static_cast<int64_t>(image.shape(1)), static_cast<int64_t>(image.shape(2)),
                                     weights, grad.data());
        }
        return nb::make_tuple(value.loss, value.mse, grad);
    });

    nb::class_<StepScratch>(m, "StepScratch").def(nb::init<>());

    nb::class_<BoundTarget>(m, "FitTarget")
        .def(nb::init<In<float, 3>, Counts>(), nb::arg("samples"), nb::arg("importance").none());

    m.def("fit_step",
          [](const Scene& scene, Shape shape, Rect rect, int top_k, In<float, 3> target, const Counts& importance,
             In<float, 1> terms, const std::tuple<int64_t, int64_t, int64_t>& subset, StepScratch& scratch,
             const std::string& isa, int threads) {
              const Model model = scene.model(shape, rect, top_k);
              const Context context{kernels_for(isa), threads};
              const LossWeights weights = struct_of<LossWeights>(terms, kOtherTerms);
              const Subset part = subset_of(subset, weights);
              check_shape(is_planes_of(target, model), "target does not match the scene");
              const Importance map = importance_of(importance, target.shape(0), target.shape(1), target.shape(2));
              GradArrays grads(model);
              LossValue value;
              {
                  nb::gil_scoped_release release;
                  FitTarget picture(target.data(), true, map, model.n_channels, model.height, model.width);
                  value = fit_step(context, model, picture, weights, part, scratch, grads.view());
              }
              return nb::make_tuple(value.loss, value.mse, grads.tuple());
          });

    // `beside`: means, inverse scales, rotations and features of Gaussians that show as well, or None.
    m.def("fit_rows", [](In<float, 2> values, In<float, 2> inverse, const std::optional<Others>& beside,
                         In<float, 1> background, Shape shape, int top_k, double support_q, int64_t max_pairs,
                         BoundTarget& target, In<float, 1> terms, const std::tuple<int64_t, int64_t, int64_t>& subset,
                         StepScratch& scratch, const std::string& isa, int threads) {
        const size_t n = values.shape(0), channels = background.shape(0);
        check_shape(values.shape(1) == 5 + channels && inverse.shape(0) == n && inverse.shape(1) == 2,
                    "rows do not match");
        const auto [height, width] = shape;
        check_shape(target.samples.shape(2) == channels && static_cast<int64_t>(target.samples.shape(0)) == height &&
                        static_cast<int64_t>(target.samples.shape(1)) == width,
                    "target does not match the rows");
        const Context context{kernels_for(isa), threads};
        const LossWeights weights = struct_of<LossWeights>(terms, kOtherTerms);
        const Subset part = subset_of(subset, weights);
        Geometry others = {0, nullptr, nullptr, nullptr};
        const float* features = nullptr;
        if (beside) {
            const auto& [means, inv_scales, rotations, colours] = *beside;
            others = geometry_of(means, inv_scales, rotations);
            features = colours.data();
            check_shape(colours.shape(0) == means.shape(0) && colours.shape(1) == channels,
                        "Gaussians beside the rows do not match");
        }
        auto rows = make_array<float>({n, values.shape(1)});
        LossValue value;
        {
            nb::gil_scoped_release release;
            value =
                fit_rows(context, {static_cast<int64_t>(n), static_cast<int>(channels), values.data(), inverse.data()},
                         others, features, {background.data(), height, width, top_k, support_q, max_pairs}, target.view,
                         weights, part, scratch, rows.data());
        }
        return nb::make_tuple(value.loss, value.mse, rows);
    });

    // `columns` holds rates, drift, low and high (4, D); values, moments and steps change in place.
    m.def("adam_step",
          [](Inout<2> values, Inout<2> mean, Inout<2> square, Inout<1> steps, In<float, 2> units, In<float, 2> grad,
             In<float, 2> columns, In<double, 1> fields, float grad_scale, float factor, int threads) {
              const size_t n = values.shape(0), d = values.shape(1);
              for (const auto* state : {&mean, &square})
                  if (state->shape(0) != n || state->shape(1) != d)
                      throw std::invalid_argument("Adam's arrays do not match");
              if (steps.shape(0) != n || grad.shape(0) > n || units.shape(0) < grad.shape(0) || units.shape(1) != d ||
                  grad.shape(1) != d || columns.shape(0) != 4 || columns.shape(1) != d)
                  throw std::invalid_argument("Adam's arrays do not match");
              const float* c = columns.data();
              const AdamConstants constants = struct_of<AdamConstants>(fields, "Adam has other constants");
              nb::gil_scoped_release release;
              adam_step({static_cast<int64_t>(n), static_cast<int64_t>(d), values.data(), mean.data(), square.data(),
                         steps.data(), units.data()},
                        {c, c + d, c + 2 * d, c + 3 * d}, constants, grad_scale, factor, grad.data(),
                        static_cast<int64_t>(grad.shape(0)), threads);
          });
}

}  // namespace gscodec
