// Python bindings: numpy in and out, shapes checked here and values by render/cpu.py, the GIL released while kernels
// run.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <vector>

#include "bindings/bindings.h"
#include "render/dispatch.h"
#include "render/model.h"
#include "threads/thread_pool.h"

using namespace gscodec;

NB_MODULE(_engine, m) {
    m.doc() = "CPU engine of gscodec: binning, blending, gradients, loss, pages.";
    m.attr("TILE_SIZE") = kTile;
    m.def("available_isas", &available_isas);
    // Numbers of threads that parallel loops were allowed since the last call, ascending.
    m.def("take_thread_limits", [] {
        std::vector<int> limits;
        const uint64_t found = take_thread_limits();
        for (int k = 0; k < 64; ++k)
            if (found >> k & 1) limits.push_back(k);
        return limits;
    });
    bind_scene(m);
    bind_render(m);
    bind_fit(m);
    bind_error_peaks(m);
    bind_structure(m);
    bind_feature_system(m);
    bind_pages(m);
    bind_records(m);
    bind_grain(m);
    bind_adaptive_bits(m);
}
