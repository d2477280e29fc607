#include "codec/paging.h"

#include <algorithm>
#include <vector>

namespace gscodec {
namespace {

struct Point {
    uint32_t at[2];
    int64_t number;
};

// The bits at even places, side by side.
uint32_t gathered(uint64_t v) {
    v &= 0x5555555555555555u;
    v = (v | v >> 1) & 0x3333333333333333u;
    v = (v | v >> 2) & 0x0f0f0f0f0f0f0f0fu;
    v = (v | v >> 4) & 0x00ff00ff00ff00ffu;
    v = (v | v >> 8) & 0x0000ffff0000ffffu;
    return static_cast<uint32_t>(v | v >> 16);
}

void split(Point* first, Point* last, int64_t page_size) {
    while (last - first > page_size) {
        uint32_t low[2] = {~0u, ~0u}, high[2] = {0, 0};
        for (const Point* p = first; p != last; ++p)
            for (int axis : {0, 1})
                low[axis] = std::min(low[axis], p->at[axis]), high[axis] = std::max(high[axis], p->at[axis]);
        const int axis = high[1] - low[1] > high[0] - low[0];
        const int64_t pages = (last - first + page_size - 1) / page_size;
        Point* middle = first + pages / 2 * page_size;
        // Numbers break ties, so that the halves do not depend on the library's selection algorithm.
        std::nth_element(first, middle, last, [axis](const Point& a, const Point& b) {
            return a.at[axis] != b.at[axis] ? a.at[axis] < b.at[axis] : a.number < b.number;
        });
        split(first, middle, page_size);
        first = middle;
    }
}

}  // namespace

void page_order(const uint64_t* codes, int64_t n, int64_t page_size, int64_t* out) {
    std::vector<Point> points(n);
    for (int64_t i = 0; i < n; ++i) points[i] = {{gathered(codes[i]), gathered(codes[i] >> 1)}, i};
    split(points.data(), points.data() + n, page_size);
    for (int64_t i = 0; i < n; ++i) out[i] = points[i].number;
    for (int64_t first = 0; first < n; first += page_size)
        std::sort(out + first, out + std::min(n, first + page_size),
                  [codes](int64_t a, int64_t b) { return codes[a] != codes[b] ? codes[a] < codes[b] : a < b; });
}

}  // namespace gscodec
