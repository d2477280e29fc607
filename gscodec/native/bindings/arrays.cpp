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
#ifdef __linux__
    constexpr size_t kHuge = size_t{1} << 21, kLarge = 2 * kHuge;
    if (n_bytes >= kLarge) {
        void* data = std::aligned_alloc(kHuge, (n_bytes + kHuge - 1) / kHuge * kHuge);
        if (!data) throw std::bad_alloc();
        madvise(data, n_bytes, MADV_HUGEPAGE);  // a hint; if it is refused, the memory works anyway
        return data;
    }
#endif
    void* data = std::malloc(std::max<size_t>(n_bytes, 1));
    if (!data) throw std::bad_alloc();
    return data;
}

}  // namespace gscodec
