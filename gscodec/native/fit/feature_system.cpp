#include "fit/feature_system.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "shared/gaussian_math.h"
#include "threads/thread_pool.h"

namespace gscodec {
namespace {

// The Gaussians that one point blends: their places in the tile's list, and weights that add up to one.
struct Blend {
    std::vector<int32_t> places;
    std::vector<double> weights;
};

// Blends of the points of one tile, computed plainly in double precision: this runs once a file, not once a step.
class TileBlender {
public:
    TileBlender(const Model& model, int64_t tile) : model_(model), first_(model.offsets[tile]) {
        const Geometry& g = model.geometry;
        n_ = static_cast<int32_t>(model.offsets[tile + 1] - first_);
        axes_.resize(n_);
        q_.resize(n_);
        order_.resize(n_);
        for (int32_t k = 0; k < n_; ++k) {
            const int64_t i = model.indices[first_ + k];
            axes_[k] = make_axes(g.inv_scales[2 * i], g.inv_scales[2 * i + 1], std::cos(g.rotations[i]),
                                 std::sin(g.rotations[i]));
        }
    }

    void at(double x, double y, Blend& out) {
        const Geometry& g = model_.geometry;
        for (int32_t k = 0; k < n_; ++k) {
            const int64_t i = model_.indices[first_ + k];
            const double dx = x - g.means[2 * i], dy = y - g.means[2 * i + 1];
            const double u = axes_[k].u_x * dx + axes_[k].u_y * dy, v = axes_[k].v_x * dx + axes_[k].v_y * dy;
            q_[k] = u * u + v * v;
            order_[k] = k;
        }
        const int32_t kept = std::min<int32_t>(n_, model_.top_k);
        const auto nearer = [&](int32_t a, int32_t b) { return q_[a] < q_[b] || (q_[a] == q_[b] && a < b); };
        if (kept < n_) std::nth_element(order_.begin(), order_.begin() + kept, order_.end(), nearer);
        out.places.assign(order_.begin(), order_.begin() + kept);
        std::sort(out.places.begin(), out.places.end());
        double least = q_[out.places[0]], total = 0;
        for (const int32_t k : out.places) least = std::min(least, q_[k]);
        out.weights.resize(kept);
        for (int32_t j = 0; j < kept; ++j) total += out.weights[j] = std::exp(-0.5 * (q_[out.places[j]] - least));
        for (double& w : out.weights) w /= total;
    }

private:
    const Model& model_;
    int64_t first_;
    int32_t n_;
    std::vector<Axes> axes_;
    std::vector<double> q_;
    std::vector<int32_t> order_;
};

// One tile's share of the form, dense over the Gaussians of its list.
struct TileSums {
    std::vector<double> products;  // (planes, n, n), above the diagonal and on it
    std::vector<double> rhs;       // (n, C)
    double energy = 0;
};

// Sums over the pixels of a block of kMeanSide x kMeanSide px: the mean of its error is linear in them.
struct BlockSums {
    std::vector<double> weights;  // (n,) of the tile's Gaussians
    std::vector<double> target;   // (C,)
    std::vector<double> counts;   // (C,) importance
    double n_pixels = 0;

    BlockSums(int64_t n, int channels) : weights(n, 0.0), target(channels, 0.0), counts(channels, 0.0) {}
};

// Adds `weight` times the squared mean of a block's error, once for each of its pixels, to a tile's share of the form.
void sum_block(const BlockSums& block, double weight, int planes, TileSums& sums) {
    const int64_t n = static_cast<int64_t>(block.weights.size()), channels = static_cast<int64_t>(block.target.size());
    std::vector<int64_t> seen;
    for (int64_t a = 0; a < n; ++a)
        if (block.weights[a] != 0) seen.push_back(a);
    for (int64_t c = 0; c < channels; ++c) {
        const double counts = weight * block.counts[c] / (block.n_pixels * block.n_pixels);
        sums.energy += counts * block.target[c] * block.target[c];
        for (const int64_t a : seen) sums.rhs[a * channels + c] += counts * block.target[c] * block.weights[a];
        if (c >= planes) continue;
        for (size_t a = 0; a < seen.size(); ++a) {
            double* row = sums.products.data() + (c * n + seen[a]) * n;
            for (size_t b = a; b < seen.size(); ++b)
                row[seen[b]] += counts * block.weights[seen[a]] * block.weights[seen[b]];
        }
    }
}

void sum_tile(const Model& model, int64_t tile, const float* target, const Importance& importance, int planes,
              double mean_weight, TileSums& sums) {
    const int64_t n = model.offsets[tile + 1] - model.offsets[tile], columns = model.rect.x1 - model.rect.x0;
    const int64_t x0 = (model.rect.x0 + tile % columns) * kTile, y0 = (model.rect.y0 + tile / columns) * kTile;
    const int64_t x1 = std::min<int64_t>(x0 + kTile, model.width), y1 = std::min<int64_t>(y0 + kTile, model.height);
    const int64_t area = model.height * model.width;
    const int channels = model.n_channels;
    sums.products.assign(planes * n * n, 0.0);
    sums.rhs.assign(n * channels, 0.0);
    TileBlender blender(model, tile);
    Blend blend;
    constexpr int64_t kBlocks = kTile / kMeanSide;  // in a row
    std::vector<BlockSums> blocks(kBlocks * kBlocks, BlockSums(n, channels));
    for (int64_t y = y0; y < y1; ++y) {
        for (int64_t x = x0; x < x1; ++x) {
            blender.at(static_cast<double>(x) + 0.5, static_cast<double>(y) + 0.5, blend);
            const int64_t pixel = y * model.width + x;
            const size_t kept = blend.places.size();
            BlockSums& block = blocks[(y - y0) / kMeanSide * kBlocks + (x - x0) / kMeanSide];
            block.n_pixels += 1;
            for (size_t a = 0; a < kept; ++a) block.weights[blend.places[a]] += blend.weights[a];
            for (int p = 0; p < planes; ++p) {
                const double counts = importance ? importance.plane(p)[pixel] : 1.0;
                double* products = sums.products.data() + p * n * n;
                for (size_t a = 0; a < kept; ++a) {
                    const double scaled = counts * blend.weights[a];
                    double* row = products + blend.places[a] * n;
                    for (size_t b = a; b < kept; ++b) row[blend.places[b]] += scaled * blend.weights[b];
                }
            }
            for (int c = 0; c < channels; ++c) {
                const double value = target[c * area + pixel];
                const double counts = importance ? importance.plane(c)[pixel] : 1.0;
                sums.energy += counts * value * value;
                block.target[c] += value;
                block.counts[c] += counts;
                for (size_t a = 0; a < kept; ++a)
                    sums.rhs[blend.places[a] * channels + c] += counts * value * blend.weights[a];
            }
        }
    }
    for (const BlockSums& block : blocks)
        if (mean_weight > 0 && block.n_pixels > 0) sum_block(block, mean_weight, planes, sums);
}

}  // namespace

FeatureSystem::FeatureSystem(int64_t n, int n_channels, int n_planes)
    : n_(n), channels_(n_channels), planes_(n_planes), starts_(n + 1, 0), rhs_(n * n_channels, 0.0) {}

void FeatureSystem::add(const Model& model, const float* target, const Importance& importance, double weight,
                        double mean_weight, int threads) {
    if (model.geometry.n > n_ || model.n_channels != channels_ || (importance.stride != 0) != (planes_ > 1))
        throw std::invalid_argument("the scene does not match the system");
    const int64_t n_tiles = model.rect.count();
    std::vector<std::vector<Entry>> parts(n_tiles * planes_);
    std::vector<std::vector<double>> rhs(n_tiles);
    std::vector<double> energy(n_tiles, 0.0);
    parallel_for(n_tiles, threads, [&](int64_t tile) {
        const int64_t first = model.offsets[tile], n = model.offsets[tile + 1] - first;
        if (n == 0) return;
        TileSums sums;
        sum_tile(model, tile, target, importance, planes_, mean_weight, sums);
        for (int p = 0; p < planes_; ++p) {
            std::vector<Entry>& part = parts[tile * planes_ + p];
            const double* products = sums.products.data() + p * n * n;
            // The same pairs in every plane, so that all share their columns: a plane's own zeros are kept.
            for (int64_t a = 0; a < n; ++a)
                for (int64_t b = a; b < n; ++b) {
                    bool met = false;
                    for (int o = 0; o < planes_ && !met; ++o) met = sums.products[(o * n + a) * n + b] != 0.0;
                    if (!met) continue;
                    const int32_t i = model.indices[first + a], j = model.indices[first + b];
                    part.push_back({std::min(i, j), std::max(i, j), static_cast<float>(weight * products[a * n + b])});
                }
        }
        rhs[tile] = std::move(sums.rhs);
        energy[tile] = weight * sums.energy;
    });
    for (int64_t tile = 0; tile < n_tiles; ++tile) {  // in order: the sums do not depend on the threads
        energy_ += energy[tile];
        const int64_t first = model.offsets[tile], n = model.offsets[tile + 1] - first;
        for (int64_t k = 0; k < n; ++k)
            for (int c = 0; c < channels_; ++c)
                rhs_[model.indices[first + k] * channels_ + c] += weight * rhs[tile][k * channels_ + c];
    }
    merge(std::move(parts));
}

// Adds the entries of tiles to the rows, which hold each neighbour once, on both sides of the diagonal.
void FeatureSystem::merge(std::vector<std::vector<Entry>>&& parts) {
    std::vector<int64_t> counts(n_ + 1, 0);
    for (size_t part = 0; part < parts.size(); part += planes_)
        for (const Entry& e : parts[part]) {
            ++counts[e.row + 1];
            if (e.column != e.row) ++counts[e.column + 1];
        }
    for (int64_t i = 0; i < n_; ++i) counts[i + 1] += counts[i];
    std::vector<int32_t> columns(counts[n_]);
    std::vector<float> sums(counts[n_] * planes_);
    std::vector<int64_t> next(counts.begin(), counts.end() - 1);
    for (size_t part = 0; part < parts.size(); part += planes_) {
        for (size_t k = 0; k < parts[part].size(); ++k) {
            const Entry& e = parts[part][k];
            const auto put = [&](int32_t row, int32_t column) {
                const int64_t at = next[row]++;
                columns[at] = column;
                for (int p = 0; p < planes_; ++p) sums[at * planes_ + p] = parts[part + p][k].value;
            };
            put(e.row, e.column);
            if (e.column != e.row) put(e.column, e.row);
        }
        for (int p = 0; p < planes_; ++p) std::vector<Entry>().swap(parts[part + p]);
    }
    std::vector<int64_t> starts(n_ + 1, 0);
    std::vector<int32_t> all_columns;
    std::vector<std::vector<double>> values(planes_);
    std::vector<int64_t> order;
    for (int64_t i = 0; i < n_; ++i) {
        order.resize(counts[i + 1] - counts[i]);
        for (size_t k = 0; k < order.size(); ++k) order[k] = counts[i] + static_cast<int64_t>(k);
        std::sort(order.begin(), order.end(),
                  [&](int64_t a, int64_t b) { return columns[a] < columns[b] || (columns[a] == columns[b] && a < b); });
        int64_t old = starts_[i];
        const auto open = [&](int32_t column) {  // the last column of the row is `column`, with a place in each plane
            if (static_cast<int64_t>(all_columns.size()) > starts[i] && all_columns.back() == column) return;
            all_columns.push_back(column);
            for (std::vector<double>& plane : values) plane.push_back(0.0);
        };
        const auto keep_until = [&](int64_t column) {
            for (; old < starts_[i + 1] && columns_[old] <= column; ++old) {
                open(columns_[old]);
                for (int p = 0; p < planes_; ++p) values[p].back() += values_[p * columns_.size() + old];
            }
        };
        for (const int64_t at : order) {
            keep_until(columns[at]);
            open(columns[at]);
            for (int p = 0; p < planes_; ++p) values[p].back() += sums[at * planes_ + p];
        }
        keep_until(n_);
        starts[i + 1] = static_cast<int64_t>(all_columns.size());
    }
    starts_ = std::move(starts);
    columns_ = std::move(all_columns);
    values_.clear();
    for (const std::vector<double>& plane : values) values_.insert(values_.end(), plane.begin(), plane.end());
}

void FeatureSystem::solve(double* features, int64_t n_free, double damping, int iterations, int threads) {
    parallel_for(channels_, threads, [&](int64_t c) {
        const double* g = values(static_cast<int>(c));
        std::vector<double> x(n_free), residual(n_free), direction(n_free), product(n_free), scale(n_free);
        for (int64_t i = 0; i < n_free; ++i) {
            double sum = 0;
            scale[i] = 1.0;
            for (int64_t k = starts_[i]; k < starts_[i + 1]; ++k) {
                sum += g[k] * features[columns_[k] * channels_ + c];
                if (columns_[k] == i) scale[i] = 1.0 / (g[k] + damping);
            }
            x[i] = features[i * channels_ + c];
            residual[i] = rhs_[i * channels_ + c] - sum;
        }
        double rho = 0;
        for (int64_t i = 0; i < n_free; ++i) {
            direction[i] = scale[i] * residual[i];
            rho += residual[i] * direction[i];
        }
        const double least = 1e-12 * rho;
        for (int iteration = 0; iteration < iterations && rho > least; ++iteration) {
            double along = 0;
            for (int64_t i = 0; i < n_free; ++i) {
                double sum = damping * direction[i];
                for (int64_t k = starts_[i]; k < starts_[i + 1] && columns_[k] < n_free; ++k)
                    sum += g[k] * direction[columns_[k]];
                product[i] = sum;
                along += direction[i] * sum;
            }
            if (!(along > 0)) break;
            const double step = rho / along;
            double after = 0;
            for (int64_t i = 0; i < n_free; ++i) {
                x[i] += step * direction[i];
                residual[i] -= step * product[i];
                after += scale[i] * residual[i] * residual[i];
            }
            for (int64_t i = 0; i < n_free; ++i) direction[i] = scale[i] * residual[i] + after / rho * direction[i];
            rho = after;
        }
        for (int64_t i = 0; i < n_free; ++i) features[i * channels_ + c] = x[i];
    });
}

int64_t FeatureSystem::round(double* features, int32_t* codes, int64_t n_free, const int32_t* order,
                             const FeatureLattice& lattice, int sweeps) {
    const int channels = channels_;
    for (int64_t i = 0; i < n_free; ++i)
        for (int c = 0; c < channels; ++c) {
            double sum = 0;
            for (int r = 0; r < channels; ++r)
                sum += (lattice.offsets[i * channels + r] + codes[i * channels + r] * lattice.steps[i * channels + r]) *
                       lattice.transform[r * channels + c];
            features[i * channels + c] = sum;
        }
    // Half the gradient of the error to each feature; kept up to date from change to change.
    std::vector<double> slope(n_free * channels);
    std::vector<double> own(n_free * planes_, 0.0);
    for (int64_t i = 0; i < n_free; ++i)
        for (int c = 0; c < channels; ++c) {
            const double* g = values(c);
            double sum = -rhs_[i * channels + c];
            for (int64_t k = starts_[i]; k < starts_[i + 1]; ++k) {
                sum += g[k] * features[columns_[k] * channels + c];
                if (columns_[k] == i && c < planes_) own[i * planes_ + c] = g[k];
            }
            slope[i * channels + c] = sum;
        }
    std::vector<int64_t> costs_at(channels, 0);
    for (int r = 1; r < channels; ++r)
        costs_at[r] = costs_at[r - 1] + static_cast<int64_t>(lattice.highs[r - 1]) - lattice.lows[r - 1] + 1;
    int64_t changes = 0;
    for (int sweep = 0; sweep < sweeps; ++sweep) {
        changes = 0;
        for (int64_t place = 0; place < n_free; ++place) {
            const int64_t i = order[place];
            for (int r = 0; r < channels; ++r) {
                const double* row = lattice.transform + r * channels;
                const double step = lattice.steps[i * channels + r];
                double down = 0, curve = 0;  // of the error, to the integer: curve d^2 + 2 down d
                for (int c = 0; c < channels; ++c) {
                    if (row[c] == 0) continue;
                    down += row[c] * slope[i * channels + c];
                    curve += row[c] * row[c] * own[i * planes_ + (planes_ > 1 ? c : 0)];
                }
                down *= step;
                curve *= step * step;
                if (!(curve > 0)) continue;
                int32_t& code = codes[i * channels + r];
                const int64_t low = lattice.lows[r], high = lattice.highs[r];
                const auto cost = [&](int64_t value) {
                    const double d = static_cast<double>(value - code), error = d * (curve * d + 2 * down);
                    return lattice.bits ? error + lattice.price * lattice.bits[costs_at[r] + value - low] : error;
                };
                const int64_t nearest = static_cast<int64_t>(std::llround(std::clamp(code - down / curve, -2e9, 2e9)));
                int64_t best = code;
                double least = cost(code);
                for (int64_t value = std::max(low, nearest - 2); value <= std::min(high, nearest + 2); ++value) {
                    const double found = cost(value);
                    if (found < least) least = found, best = value;
                }
                if (best == code) continue;
                const double moved = static_cast<double>(best - code) * step;
                code = static_cast<int32_t>(best);
                ++changes;
                for (int c = 0; c < channels; ++c) {
                    if (row[c] == 0) continue;
                    const double d = moved * row[c];
                    features[i * channels + c] += d;
                    const double* g = values(c);
                    for (int64_t k = starts_[i]; k < starts_[i + 1] && columns_[k] < n_free; ++k)
                        slope[columns_[k] * channels + c] += g[k] * d;
                }
            }
        }
        if (!changes) break;
    }
    return changes;
}

double FeatureSystem::error(const double* features) const {
    double total = energy_;
    for (int64_t i = 0; i < n_; ++i)
        for (int c = 0; c < channels_; ++c) {
            const double* g = values(c);
            double sum = -2 * rhs_[i * channels_ + c];
            for (int64_t k = starts_[i]; k < starts_[i + 1]; ++k) sum += g[k] * features[columns_[k] * channels_ + c];
            total += sum * features[i * channels_ + c];
        }
    return total;
}

}  // namespace gscodec
