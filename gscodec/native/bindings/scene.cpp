#include "bindings/scene.h"

#include <stdexcept>

#include "bindings/bindings.h"

namespace gscodec {

TileRect tile_rect(const Rect& r) { return {std::get<0>(r), std::get<1>(r), std::get<2>(r), std::get<3>(r)}; }

Geometry geometry_of(const Doubles2& means, const Doubles2& inv_scales, const Doubles1& rotations) {
    const int64_t n = static_cast<int64_t>(means.shape(0));
    if (means.shape(1) != 2 || inv_scales.shape(0) != means.shape(0) || inv_scales.shape(1) != 2 ||
        rotations.shape(0) != means.shape(0))
        throw std::invalid_argument("geometry arrays do not match");
    return {n, means.data(), inv_scales.data(), rotations.data()};
}

Model Scene::model(const Shape& shape, const Rect& rect, int top_k) const {
    const Geometry geometry = geometry_of(means, inv_scales, rotations);
    const TileRect tiles = tile_rect(rect);
    if (static_cast<int64_t>(features.shape(0)) != geometry.n || background.shape(0) != features.shape(1) ||
        static_cast<int64_t>(offsets.shape(0)) != tiles.count() + 1 ||
        static_cast<int64_t>(indices.shape(0)) != offsets.data()[tiles.count()])
        throw std::invalid_argument("scene arrays do not match");
    return {geometry,           features.data(), static_cast<int>(features.shape(1)),
            background.data(),  top_k,           std::get<0>(shape),
            std::get<1>(shape), tiles,           offsets.data(),
            indices.data()};
}

Importance importance_of(const Counts& map, size_t channels, size_t height, size_t width) {
    if (!map) return {};
    const size_t planes = map->shape(0);
    check_shape((planes == 1 || planes == channels) && map->shape(1) == height && map->shape(2) == width,
                "importance does not match the image");
    return {map->data(), planes > 1 ? static_cast<int64_t>(height * width) : 0};
}

void bind_scene(nb::module_& m) {
    nb::class_<Scene>(m, "Scene")
        .def("__init__", [](Scene* self, Doubles2 means, Doubles2 inv_scales, Doubles1 rotations, In<float, 2> features,
                            In<float, 1> background, In<int64_t, 1> offsets, In<int32_t, 1> indices) {
            new (self) Scene{means, inv_scales, rotations, features, background, offsets, indices};
        });
}

}  // namespace gscodec
