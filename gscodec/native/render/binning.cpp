#include "render/binning.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "shared/gaussian_math.h"
#include "threads/thread_pool.h"

namespace gscodec {
namespace {

double root(double x) { return std::sqrt(x); }

struct Span {
    int64_t first, last;  // closed range of tile coordinates; empty when first > last
};

// Tiles whose closed interval meets the closed interval [lo, hi] px, clipped to [begin, end).
Span touched_tiles(double lo, double hi, int64_t begin, int64_t end) {
    const double low = lo / kTile, high = hi / kTile;
    double first = std::floor(low), last = std::floor(high);
    if (first == low) first -= 1;  // the border belongs to both neighbours
    first = std::max(first, static_cast<double>(begin));
    last = std::min(last, static_cast<double>(end - 1));
    return first <= last ? Span{static_cast<int64_t>(first), static_cast<int64_t>(last)} : Span{1, 0};
}

struct RowSpan {  // of one Gaussian in one row of tiles; as `Span`
    int32_t first, last;
};

struct Shape {
    Ellipse ellipse;
    Span rows;
};

}  // namespace

TileLists bin_gaussians(const Geometry& g, TileRect rect, double support_q, int64_t max_pairs, int threads) {
    const int64_t n_rows = rect.y1 - rect.y0, n_columns = rect.x1 - rect.x0;
    std::vector<Shape> shapes(g.n);
    constexpr int64_t kChunk = 1024;
    parallel_for((g.n + kChunk - 1) / kChunk, threads, [&](int64_t chunk) {
        for (int64_t i = chunk * kChunk; i < std::min(g.n, (chunk + 1) * kChunk); ++i) {
            const double c = std::cos(g.rotations[i]), s = std::sin(g.rotations[i]);
            shapes[i].ellipse = make_ellipse(g.inv_scales[2 * i], g.inv_scales[2 * i + 1], c, s, support_q, root);
            const double my = g.means[2 * i + 1], reach = shapes[i].ellipse.half_height;
            shapes[i].rows = touched_tiles(my - reach, my + reach, rect.y0, rect.y1);
        }
    });

    // Gaussians of each tile row, by ascending index: a counting sort.
    std::vector<int64_t> row_offsets(n_rows + 1, 0);
    {
        // Where Gaussians begin and end: hostile ones meet every row of a picture a million pixels high.
        std::vector<int64_t> edges(n_rows + 1, 0);
        for (const Shape& shape : shapes)
            if (shape.rows.first <= shape.rows.last) {
                ++edges[shape.rows.first - rect.y0];
                --edges[shape.rows.last - rect.y0 + 1];
            }
        int64_t open = 0;
        for (int64_t row = 0; row < n_rows; ++row) row_offsets[row + 1] = row_offsets[row] + (open += edges[row]);
    }
    if (row_offsets[n_rows] > max_pairs) throw std::length_error("too many tile pairs");
    std::vector<int32_t> row_members(row_offsets[n_rows]);
    std::vector<RowSpan> spans(row_offsets[n_rows]);
    {
        std::vector<int64_t> cursor(row_offsets.begin(), row_offsets.end() - 1);
        for (int64_t i = 0; i < g.n; ++i)
            for (int64_t y = shapes[i].rows.first; y <= shapes[i].rows.last; ++y)
                row_members[cursor[y - rect.y0]++] = static_cast<int32_t>(i);
    }

    TileLists lists;
    lists.offsets.assign(n_rows * n_columns + 1, 0);
    parallel_for(n_rows, threads, [&](int64_t row) {
        int64_t* counts = lists.offsets.data() + row * n_columns + 1;
        std::vector<int64_t> edges(n_columns + 1, 0);
        for (int64_t k = row_offsets[row]; k < row_offsets[row + 1]; ++k) {
            const int64_t i = row_members[k];
            const double top = static_cast<double>((rect.y0 + row) * kTile) - g.means[2 * i + 1];
            double left, right;
            slab_extent(shapes[i].ellipse, top, top + kTile, root, left, right);
            const Span span = touched_tiles(g.means[2 * i] + left, g.means[2 * i] + right, rect.x0, rect.x1);
            spans[k] = {static_cast<int32_t>(span.first), static_cast<int32_t>(span.last)};
            if (span.first <= span.last) {
                ++edges[span.first - rect.x0];
                --edges[span.last - rect.x0 + 1];
            }
        }
        int64_t open = 0;
        for (int64_t x = 0; x < n_columns; ++x) counts[x] = open += edges[x];
    });
    for (size_t t = 1; t < lists.offsets.size(); ++t) lists.offsets[t] += lists.offsets[t - 1];
    if (lists.offsets.back() > max_pairs) throw std::length_error("too many tile pairs");

    lists.indices.resize(lists.offsets.back());
    parallel_for(n_rows, threads, [&](int64_t row) {
        const int64_t* starts = lists.offsets.data() + row * n_columns;
        std::vector<int64_t> cursor(starts, starts + n_columns);
        for (int64_t k = row_offsets[row]; k < row_offsets[row + 1]; ++k)
            for (int32_t x = spans[k].first; x <= spans[k].last; ++x)
                lists.indices[cursor[x - rect.x0]++] = row_members[k];
    });
    return lists;
}

}  // namespace gscodec
