// Parts of the module `_engine`: each binds the functions of one file.
#pragma once
#include <nanobind/nanobind.h>

namespace gscodec {

void bind_scene(nanobind::module_& m);
void bind_render(nanobind::module_& m);
void bind_fit(nanobind::module_& m);
void bind_feature_system(nanobind::module_& m);
void bind_error_peaks(nanobind::module_& m);
void bind_structure(nanobind::module_& m);
void bind_pages(nanobind::module_& m);
void bind_records(nanobind::module_& m);
void bind_grain(nanobind::module_& m);
void bind_adaptive_bits(nanobind::module_& m);

}  // namespace gscodec
