#include "bindings/arrays.h"

#include <algorithm>
#include <cstdlib>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace gscodec {

// The first touch of each small page costs about a microsecond: a tenth of a picture's decoding.
void* allocate(size_t n_bytes) {
    constexpr size_t kHuge = size_t{1} << 21, kLarge = 2 * kHuge;
    void* data = n_bytes < kLarge ? std::malloc(std::max<size_t>(n_bytes, 1))
                                  : std::aligned_alloc(kHuge, (n_bytes + kHuge - 1) / kHuge * kHuge);
    if (!data) throw std::bad_alloc();
#ifdef __linux__
    if (n_bytes >= kLarge) madvise(data, n_bytes, MADV_HUGEPAGE);  // a hint; if it is refused, the memory works anyway
#endif
    return data;
}

}  // namespace gscodec
