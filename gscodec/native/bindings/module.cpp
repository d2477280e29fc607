// Python bindings: numpy in and out, arguments checked by render/cpu.py, the GIL released while kernels run.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <optional>
#include <stdexcept>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include "render/coverage.h"
#include "codec/crc32c.h"
#include "render/adam.h"
#include "render/engine.h"
#include "codec/page_codec.h"
#include "codec/paging.h"
#include "codec/record_codec.h"
#include "threads/thread_pool.h"

namespace nb = nanobind;
using namespace gscodec;

namespace {

template <class T, int Dims>
using In = nb::ndarray<const T, nb::ndim<Dims>, nb::c_contig, nb::device::cpu>;
template <int Dims>
using Inout = nb::ndarray<float, nb::ndim<Dims>, nb::c_contig, nb::device::cpu>;
template <class T>
using Out = nb::ndarray<nb::numpy, T>;

// Memory for a result. Large ones ask for large pages: the first touch of each small one costs about a microsecond,
// a tenth of a picture's decoding.
void* allocate(size_t n_bytes) {
    constexpr size_t kHuge = size_t{1} << 21, kLarge = 2 * kHuge;
    void* data = n_bytes < kLarge ? std::malloc(std::max<size_t>(n_bytes, 1))
                                  : std::aligned_alloc(kHuge, (n_bytes + kHuge - 1) / kHuge * kHuge);
    if (!data) throw std::bad_alloc();
#ifdef __linux__
    if (n_bytes >= kLarge) madvise(data, n_bytes, MADV_HUGEPAGE);  // a wish: refused, it is memory all the same
#endif
    return data;
}

template <class T>
Out<T> make_array(std::vector<size_t> shape) {
    size_t size = 1;
    for (size_t n : shape) size *= n;
    T* data = static_cast<T*>(allocate(size * sizeof(T)));
    nb::capsule owner(data, [](void* p) noexcept { std::free(p); });
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

void check_shape(bool fits, const char* what) {
    if (!fits) throw std::invalid_argument(what);
}

// Whether an array is (C, height, width) of a model.
template <class Array>
bool is_planes_of(const Array& planes, const Model& model) {
    return static_cast<int64_t>(planes.shape(0)) == model.n_channels && static_cast<int64_t>(planes.shape(1)) == model.height &&
           static_cast<int64_t>(planes.shape(2)) == model.width;
}

// importance (1 or C, height, width): what each pixel, or each of its channels, counts, or None: 1.
using Counts = std::optional<In<float, 3>>;

Importance importance_of(const Counts& map, size_t channels, size_t height, size_t width) {
    if (!map) return {};
    const size_t planes = map->shape(0);
    check_shape((planes == 1 || planes == channels) && map->shape(1) == height && map->shape(2) == width,
                "importance does not match the image");
    return {map->data(), planes > 1 ? static_cast<int64_t>(height * width) : 0};
}

// Rows of an array `shapes`: count, cell_log2 and cell_bits of a page.
PageShape page_shape(const int64_t* shape, int64_t least) {
    check_shape(shape[0] >= least && shape[0] <= (1 << 16) && shape[1] >= 0 && shape[1] <= 20 && shape[2] >= 0 && shape[2] <= 30,
                "pages do not match");
    return {shape[0], static_cast<int32_t>(shape[1]), static_cast<int32_t>(shape[2])};
}

// What profile `coded` knows of a file, as profiles/coded.py hands it over.
struct CodedLattice {
    In<uint8_t, 1> rotation_from;   // (12,)
    In<uint16_t, 1> counts;         // of all tables, one after the other
    In<int32_t, 1> table_ends;      // (T,) in counts
    In<int32_t, 1> lows;            // (T,)
    PageLattice lattice;

    CodedLattice(int scale_step, int position_offset, In<uint8_t, 1> from, In<uint16_t, 1> all, In<int32_t, 1> ends,
                 In<int32_t, 1> low)
        : rotation_from(from), counts(all), table_ends(ends), lows(low) {
        if (from.shape(0) != 12 || ends.shape(0) < 4 || low.shape(0) != ends.shape(0))
            throw std::invalid_argument("coded tables do not match");
        lattice.scale_step = scale_step;
        lattice.position_offset = position_offset;
        lattice.rotation_from = from.data();
        int32_t first = 0;
        for (size_t t = 0; t < ends.shape(0); ++t) {
            const int32_t last = ends.data()[t];
            if (last <= first || last - first > kMaxTokens || last > static_cast<int32_t>(all.shape(0)))
                throw std::invalid_argument("coded tables do not match");
            uint32_t total = 0;
            for (int32_t i = first; i < last; ++i) total += all.data()[i];
            if (total != 1u << kTableBits) throw std::invalid_argument("a coded table has another sum");
            lattice.tables.push_back({low.data()[t], all.data() + first, last - first});
            first = last;
        }
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
        check_shape(is_planes_of(grad_planes, model), "grad_planes do not match the scene");
        GradArrays grads(model);
        {
            nb::gil_scoped_release release;
            backward(context, model, grad_planes.data(), grads.view());
        }
        return grads.tuple();
    });

    m.def("loss", [](In<float, 3> image, In<float, 3> target, const Counts& importance, float l1, float l2, float ssim,
                     const std::string& isa, int threads) {
        const Context context{kernels_for(isa), threads};
        for (size_t axis = 0; axis < 3; ++axis)
            check_shape(image.shape(axis) == target.shape(axis) && image.shape(axis) > 0, "image and target do not match");
        const Importance map = importance_of(importance, image.shape(0), image.shape(1), image.shape(2));
        auto grad = make_array<float>({image.shape(0), image.shape(1), image.shape(2)});
        LossValue value;
        {
            nb::gil_scoped_release release;
            value = photometric_loss(context, image.data(), target.data(), map,
                                     static_cast<int>(image.shape(0)),
                                     static_cast<int64_t>(image.shape(1)), static_cast<int64_t>(image.shape(2)),
                                     {l1, l2, ssim}, grad.data());
        }
        return nb::make_tuple(value.loss, value.mse, grad);
    });

    nb::class_<StepScratch>(m, "StepScratch").def(nb::init<>());

    m.def("fit_step", [](const Scene& scene, Shape shape, Rect rect, int top_k, In<float, 3> target,
                         const Counts& importance, float l1, float l2, float ssim,
                         const std::tuple<int64_t, int64_t, int64_t>& subset, StepScratch& scratch, const std::string& isa,
                         int threads) {
        const Model model = scene.model(shape, rect, top_k);
        const Context context{kernels_for(isa), threads};
        const auto [step, x, y] = subset;
        check_shape(is_planes_of(target, model), "target does not match the scene");
        check_shape((step == 1 || step == 2 || step == 4) && x >= 0 && x < step && y >= 0 && y < step && (step == 1 || ssim == 0),
                    "no such subset of pixels");
        const Importance map = importance_of(importance, target.shape(0), target.shape(1), target.shape(2));
        GradArrays grads(model);
        LossValue value;
        {
            nb::gil_scoped_release release;
            value = fit_step(context, model, target.data(), map, {l1, l2, ssim}, {step, x, y}, scratch, grads.view());
        }
        return nb::make_tuple(value.loss, value.mse, grads.tuple());
    });

    m.def("farthest_owned", [](const Scene& scene, Shape shape, Rect rect, int top_k, int threads) {
        const Model model = scene.model(shape, rect, top_k);
        auto out = make_array<float>({static_cast<size_t>(model.geometry.n), 2});
        {
            nb::gil_scoped_release release;
            farthest_owned(model.geometry, model.height, model.width, model.offsets, model.indices, threads, out.data());
        }
        return out;
    });

    // `columns` holds rates, drift, low and high (4, D); values, moments and steps change in place.
    m.def("adam_step", [](Inout<2> values, Inout<2> mean, Inout<2> square, Inout<1> steps, In<float, 2> units,
                          In<float, 2> grad, In<float, 2> columns, const std::tuple<double, double, double>& betas,
                          float grad_scale, float factor, int threads) {
        const size_t n = values.shape(0), d = values.shape(1);
        for (const auto* state : {&mean, &square})
            if (state->shape(0) != n || state->shape(1) != d) throw std::invalid_argument("Adam's arrays do not match");
        if (steps.shape(0) != n || grad.shape(0) > n || units.shape(0) < grad.shape(0) || units.shape(1) != d ||
            grad.shape(1) != d || columns.shape(0) != 4 || columns.shape(1) != d)
            throw std::invalid_argument("Adam's arrays do not match");
        const float* c = columns.data();
        nb::gil_scoped_release release;
        adam_step({static_cast<int64_t>(n), static_cast<int64_t>(d), values.data(), mean.data(), square.data(),
                   steps.data(), units.data()},
                  {c, c + d, c + 2 * d, c + 3 * d},
                  {std::get<0>(betas), std::get<1>(betas), std::get<2>(betas), grad_scale, factor}, grad.data(),
                  static_cast<int64_t>(grad.shape(0)), threads);
    });

    nb::class_<CodedLattice>(m, "CodedLattice")
        .def(nb::init<int, int, In<uint8_t, 1>, In<uint16_t, 1>, In<int32_t, 1>, In<int32_t, 1>>());

    // Rows of all pages and the first page that is none, or -1. `shapes` has count, cell_log2 and cell_bits of each.
    m.def("decode_pages", [](const CodedLattice& coded, In<uint8_t, 1> data, In<int64_t, 1> ends, In<int64_t, 2> shapes,
                             int threads) {
        const int64_t n_pages = static_cast<int64_t>(ends.shape(0));
        if (static_cast<int64_t>(shapes.shape(0)) != n_pages || shapes.shape(1) != 3)
            throw std::invalid_argument("pages do not match");
        std::vector<int64_t> firsts(static_cast<size_t>(n_pages) + 1, 0);
        for (int64_t p = 0; p < n_pages; ++p) {
            if (ends.data()[p] < (p ? ends.data()[p - 1] : 0) || ends.data()[p] > static_cast<int64_t>(data.shape(0)))
                throw std::invalid_argument("pages do not match");
            firsts[p + 1] = firsts[p] + page_shape(shapes.data() + 3 * p, 1).count;
        }
        const size_t n_columns = static_cast<size_t>(coded.lattice.n_columns());
        auto rows = make_array<int32_t>({static_cast<size_t>(firsts[n_pages]), n_columns});
        std::vector<uint8_t> good(static_cast<size_t>(n_pages), 0);
        {
            nb::gil_scoped_release release;
            const PageDecoder decoder(coded.lattice);
            parallel_for(n_pages, threads, [&](int64_t p) {
                const int64_t first = p ? ends.data()[p - 1] : 0;
                good[p] = decoder.decode(page_shape(shapes.data() + 3 * p, 1), data.data() + first, ends.data()[p] - first, rows.data() + firsts[p] * n_columns);
            });
        }
        const auto bad = std::find(good.begin(), good.end(), 0);
        return nb::make_tuple(rows, bad == good.end() ? -1 : static_cast<int64_t>(bad - good.begin()));
    });

    // Means, inverse scales and rotations of the rows of all pages.
    m.def("place_pages", [](const CodedLattice& coded, In<int32_t, 2> rows, In<int64_t, 2> shapes, int threads) {
        const int64_t n_pages = static_cast<int64_t>(shapes.shape(0)), n_rows = static_cast<int64_t>(rows.shape(0));
        const int n_columns = coded.lattice.n_columns();
        std::vector<int64_t> firsts(static_cast<size_t>(n_pages) + 1, 0);
        if (shapes.shape(1) != 3 || static_cast<int>(rows.shape(1)) != n_columns)
            throw std::invalid_argument("pages do not match");
        for (int64_t p = 0; p < n_pages; ++p) {
            firsts[p + 1] = firsts[p] + page_shape(shapes.data() + 3 * p, 0).count;
        }
        if (firsts[n_pages] != n_rows) throw std::invalid_argument("pages do not match");
        auto means = make_array<double>({rows.shape(0), 2}), scales = make_array<double>({rows.shape(0), 2});
        auto rotations = make_array<double>({rows.shape(0)});
        {
            nb::gil_scoped_release release;
            parallel_for(n_pages, threads, [&](int64_t p) {
                place_page(coded.lattice, page_shape(shapes.data() + 3 * p, 0), rows.data() + firsts[p] * n_columns, means.data() + 2 * firsts[p],
                           scales.data() + 2 * firsts[p], rotations.data() + firsts[p]);
            });
        }
        return nb::make_tuple(means, scales, rotations);
    });

    // Means, inverse scales, rotations and transformed features in their steps of packed pages, and the first page that is
    // none, or -1. `settings` are scale_step, place_bits, width, height and the unit of boxes, px.
    m.def("decode_records", [](In<uint8_t, 1> rotation_from, In<int32_t, 1> lows, In<uint8_t, 1> bits,
                               std::array<int64_t, 5> settings, In<uint8_t, 1> data, In<int64_t, 1> sizes, int threads) {
        const int64_t n_pages = static_cast<int64_t>(sizes.shape(0));
        const auto [scale_step, place_bits, width, height, unit] = settings;
        if (rotation_from.shape(0) != 12 || lows.shape(0) < 3 || bits.shape(0) != lows.shape(0) || place_bits < 12 ||
            place_bits > 31 || scale_step < 1 || scale_step > 64 || width < 1 || height < 1 || unit < 1)
            throw std::invalid_argument("the layout of records does not match");
        for (size_t k = 0; k < bits.shape(0); ++k)
            if (bits.data()[k] > 24) throw std::invalid_argument("the layout of records does not match");
        const RecordLattice lattice{rotation_from.data(), lows.data(), bits.data(), static_cast<int32_t>(lows.shape(0)),
                                    static_cast<int32_t>(scale_step), static_cast<int32_t>(place_bits), width, height, unit};
        std::vector<int64_t> firsts(static_cast<size_t>(n_pages) + 1, 0);
        for (int64_t p = 0; p < n_pages; ++p) {
            if (sizes.data()[p] < 1 || sizes.data()[p] > (1 << 16)) throw std::invalid_argument("pages do not match");
            firsts[p + 1] = firsts[p] + sizes.data()[p];
        }
        const int64_t n = firsts[n_pages], stride = lattice.stride();
        if (n_pages * lattice.head_bytes() + n * stride != static_cast<int64_t>(data.shape(0)))
            throw std::invalid_argument("pages do not match");
        const size_t n_rows = static_cast<size_t>(n), n_features = lows.shape(0) - 2;
        auto means = make_array<double>({n_rows, 2}), scales = make_array<double>({n_rows, 2});
        auto rotations = make_array<double>({n_rows});
        auto features = make_array<int64_t>({n_rows, n_features});
        std::vector<uint8_t> good(static_cast<size_t>(n_pages), 0);
        {
            nb::gil_scoped_release release;
            parallel_for(n_pages, threads, [&](int64_t p) {
                const int64_t first = firsts[p];
                good[p] = decode_records(lattice, data.data() + p * lattice.head_bytes() + first * stride, sizes.data()[p],
                                         means.data() + 2 * first, scales.data() + 2 * first, rotations.data() + first,
                                         features.data() + static_cast<int64_t>(n_features) * first);
            });
        }
        const auto bad = std::find(good.begin(), good.end(), 0);
        const int64_t number = bad == good.end() ? -1 : static_cast<int64_t>(bad - good.begin());
        return nb::make_tuple(means, scales, rotations, features, number);
    });

    // Numbers of records in the order of the file: which of them share a page.
    m.def("page_order", [](In<uint64_t, 1> codes, int64_t page_size) {
        if (page_size < 1) throw std::invalid_argument("a page holds at least one record");
        auto out = make_array<int64_t>({codes.shape(0)});
        {
            nb::gil_scoped_release release;
            page_order(codes.data(), static_cast<int64_t>(codes.shape(0)), page_size, out.data());
        }
        return out;
    });

    // CRC32C of each of the runs of bytes that follow one another in data.
    m.def("crc32c_runs", [](In<uint8_t, 1> data, In<int64_t, 1> lengths) {
        auto crcs = make_array<uint32_t>({lengths.shape(0)});
        nb::gil_scoped_release release;
        int64_t at = 0;
        for (size_t p = 0; p < lengths.shape(0); ++p) {
            const int64_t n = lengths.data()[p];
            if (n < 0 || n > static_cast<int64_t>(data.shape(0)) - at) throw std::invalid_argument("runs do not match");
            crcs.data()[p] = crc32c(data.data() + at, n);
            at += n;
        }
        return crcs;
    });

    // Bytes of all pages and where each ends.
    m.def("encode_pages", [](const CodedLattice& coded, In<int32_t, 2> rows, In<int64_t, 2> shapes) {
        if (shapes.shape(1) != 3 || static_cast<int>(rows.shape(1)) != coded.lattice.n_columns())
            throw std::invalid_argument("pages do not match");
        std::vector<uint8_t> bytes;
        std::vector<int64_t> ends;
        {
            nb::gil_scoped_release release;
            const int64_t n_pages = static_cast<int64_t>(shapes.shape(0));
            int64_t first = 0;
            for (int64_t p = 0; p < n_pages; ++p) {
                const PageShape shape = page_shape(shapes.data() + 3 * p, 1);
                check_shape(first + shape.count <= static_cast<int64_t>(rows.shape(0)), "pages do not match");
                encode_page(coded.lattice, shape, rows.data() + first * static_cast<int64_t>(rows.shape(1)), bytes);
                ends.push_back(static_cast<int64_t>(bytes.size()));
                first += shape.count;
            }
        }
        return nb::make_tuple(take_vector(std::move(bytes)), take_vector(std::move(ends)));
    });
}
