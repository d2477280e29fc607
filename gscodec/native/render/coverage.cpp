#include "render/coverage.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "shared/gaussian_math.h"
#include "threads/thread_pool.h"

namespace gscodec {
namespace {

constexpr int kSide = 4, kPoints = kSide * kSide;  // of a tile: pixels 0, 5, 10 and 15 both ways

// Who is nearest to each of a tile's points, and how far from it the tile begins: U^2 and V^2 of the least q among the
// tile's points.
struct Owners {
    int32_t index[kPoints];
    float u2[kPoints], v2[kPoints];
};

struct Local {
    float ux, uy, u0, vx, vy, v0;
};

}  // namespace

void farthest_owned(const Geometry& g, int64_t height, int64_t width, const int64_t* offsets, const int32_t* indices,
                    int threads, float* out) {
    std::vector<Axes> axes(g.n);
    for (int64_t i = 0; i < g.n; ++i)
        axes[i] =
            make_axes(g.inv_scales[2 * i], g.inv_scales[2 * i + 1], std::cos(g.rotations[i]), std::sin(g.rotations[i]));
    const int64_t columns = (width + kTile - 1) / kTile, rows = (height + kTile - 1) / kTile;
    std::vector<Owners> tiles(rows * columns);
    parallel_for(rows, threads, [&](int64_t row) {
        for (int64_t column = 0; column < columns; ++column) {
            const int64_t tile = row * columns + column;
            Owners& own = tiles[tile];
            float x[kPoints], y[kPoints], q[kPoints];
            for (int p = 0; p < kPoints; ++p) {
                // Beyond the image's edge, the last pixel inside.
                const int64_t px = std::min(column * kTile + p % kSide * 5, width - 1) - column * kTile;
                const int64_t py = std::min(row * kTile + p / kSide * 5, height - 1) - row * kTile;
                x[p] = static_cast<float>(px) + 0.5f, y[p] = static_cast<float>(py) + 0.5f;
                q[p] = std::numeric_limits<float>::infinity();
                own.index[p] = -1;
            }
            const auto local = [&](int64_t i) {
                const Axes& a = axes[i];
                const double dx = static_cast<double>(column * kTile) - g.means[2 * i];
                const double dy = static_cast<double>(row * kTile) - g.means[2 * i + 1];
                return Local{
                    static_cast<float>(a.u_x), static_cast<float>(a.u_y), static_cast<float>(a.u_x * dx + a.u_y * dy),
                    static_cast<float>(a.v_x), static_cast<float>(a.v_y), static_cast<float>(a.v_x * dx + a.v_y * dy)};
            };
            for (int64_t k = offsets[tile]; k < offsets[tile + 1]; ++k) {
                const int32_t i = indices[k];
                const Local a = local(i);
                for (int p = 0; p < kPoints; ++p) {
                    const float u = a.ux * x[p] + a.uy * y[p] + a.u0, v = a.vx * x[p] + a.vy * y[p] + a.v0;
                    const bool nearer = u * u + v * v < q[p];
                    q[p] = nearer ? u * u + v * v : q[p];
                    own.index[p] = nearer ? i : own.index[p];
                }
            }
            for (int o = 0; o < kPoints; ++o) {
                if (own.index[o] < 0) continue;
                const Local a = local(own.index[o]);
                float least = std::numeric_limits<float>::infinity();
                for (int p = 0; p < kPoints; ++p) {
                    const float u = a.ux * x[p] + a.uy * y[p] + a.u0, v = a.vx * x[p] + a.vy * y[p] + a.v0;
                    if (u * u + v * v >= least) continue;
                    least = u * u + v * v;
                    own.u2[o] = u * u, own.v2[o] = v * v;
                }
            }
        }
    });
    std::fill_n(out, 2 * g.n, 0.0f);
    for (const Owners& own : tiles)
        for (int p = 0; p < kPoints; ++p) {
            if (own.index[p] < 0) continue;
            float* farthest = out + 2 * static_cast<int64_t>(own.index[p]);
            if (own.u2[p] + own.v2[p] > farthest[0] + farthest[1]) farthest[0] = own.u2[p], farthest[1] = own.v2[p];
        }
}

}  // namespace gscodec
