// The arguments that rendering calls share, and what they come to in C++.
#pragma once
#include <nanobind/stl/optional.h>
#include <nanobind/stl/tuple.h>

#include <optional>
#include <tuple>

#include "bindings/arrays.h"
#include "render/loss.h"
#include "render/model.h"

namespace gscodec {

using Rect = std::tuple<int64_t, int64_t, int64_t, int64_t>;  // of tiles: x0, y0, x1, y1
using Shape = std::tuple<int64_t, int64_t>;                   // height, width

TileRect tile_rect(const Rect& r);

// Throws std::invalid_argument where the arrays' shapes do not match.
Geometry geometry_of(const Doubles2& means, const Doubles2& inv_scales, const Doubles1& rotations);

// Gaussians and their tile lists.
struct Scene {
    Doubles2 means, inv_scales;
    Doubles1 rotations;
    In<float, 2> features;
    In<float, 1> background;
    In<int64_t, 1> offsets;
    In<int32_t, 1> indices;

    // Throws std::invalid_argument where the arrays' shapes do not match.
    Model model(const Shape& shape, const Rect& rect, int top_k) const;
};

// Whether an array is (C, height, width) of a model.
template <class Array>
bool is_planes_of(const Array& planes, const Model& model) {
    return static_cast<int64_t>(planes.shape(0)) == model.n_channels &&
           static_cast<int64_t>(planes.shape(1)) == model.height &&
           static_cast<int64_t>(planes.shape(2)) == model.width;
}

// importance (1 or C, height, width): what each pixel, or each of its channels, counts, or None: 1.
using Counts = std::optional<In<float, 3>>;

// Throws std::invalid_argument where the map is not of that size.
Importance importance_of(const Counts& map, size_t channels, size_t height, size_t width);

}  // namespace gscodec
