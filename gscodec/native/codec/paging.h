// Which Gaussians share a page.
#pragma once
#include <cstdint>

namespace gscodec {

// An order of n points, given as Morton codes of their coordinates, whose every run of page_size, from the first on, is
// compact: the leaves of a k-d tree that halves its pages across the longer side of the points' box. Within a page
// points go by code, and equal ones as they came. out: (n,) their numbers.
void page_order(const uint64_t* codes, int64_t n, int64_t page_size, int64_t* out);

}  // namespace gscodec
