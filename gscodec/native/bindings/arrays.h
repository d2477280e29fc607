// Arrays that come from Python and go there.
#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

namespace gscodec {

namespace nb = nanobind;

template <class T, int Dims>
using In = nb::ndarray<const T, nb::ndim<Dims>, nb::c_contig, nb::device::cpu>;
template <int Dims>
using Inout = nb::ndarray<float, nb::ndim<Dims>, nb::c_contig, nb::device::cpu>;
template <class T>
using Out = nb::ndarray<nb::numpy, T>;

// Memory for a result, to be freed by std::free. Large ones ask for large pages. Throws std::bad_alloc.
void* allocate(size_t n_bytes);

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

inline void check_shape(bool fits, const char* what) {
    if (!fits) throw std::invalid_argument(what);
}

// A struct of numbers of one type, of an array of its fields.
template <class Struct, class T>
Struct struct_of(const nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>& fields, const char* what) {
    static_assert(std::is_trivially_copyable_v<Struct> && sizeof(Struct) % sizeof(T) == 0);
    check_shape(fields.shape(0) * sizeof(T) == sizeof(Struct), what);
    Struct found;
    std::memcpy(&found, fields.data(), sizeof(Struct));
    return found;
}

}  // namespace gscodec
