#include "fit/feature_system.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>

#include "render/dispatch.h"
#include "render/records.h"
#include "render/tile_planes.h"
#include "render/tile_task.h"
#include "threads/thread_pool.h"

namespace gscodec {
namespace {

static_assert(kMeanSide == kRun && kMeanSide * kMeanSide == kGroup, "a group of points is a block of pixels");

// One tile's share of the form, dense over the Gaussians of its list.
struct TileSums {
    std::vector<double> products;  // (planes, n, n), above the diagonal and on it
    std::vector<double> rhs;       // (n, C)
    double energy = 0;
};

using Points = std::array<float, kGroup>;

float dot(const Points& x, const Points& y) {
    float sums[kRun] = {};
    for (int p = 0; p < kGroup; p += kRun)
        for (int k = 0; k < kRun; ++k) sums[k] += x[p + k] * y[p + k];
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

Points product(const Points& x, const Points& y) {
    Points result;
    for (int p = 0; p < kGroup; ++p) result[p] = x[p] * y[p];
    return result;
}

Points points_at(const float* values) {
    Points result;
    std::copy_n(values, kGroup, result.begin());
    return result;
}

// The blends of a group of points: the Gaussians with weights there, by their places in the list, and the weights. They
// add up to one at a point of the image and are zero elsewhere.
struct GroupBlend {
    Points inside;  // 1 at points of the image, 0 elsewhere
    float n_points;
    std::vector<int64_t> places;
    std::vector<Points> weights;
    std::vector<float> means;  // of the weights, over the points of the image

    void take(const Workspace& ws, int64_t n, int group) {
        places.clear();
        weights.clear();
        means.clear();
        n_points = dot(inside, inside);
        Points scale;
        for (int p = 0; p < kGroup; ++p) scale[p] = inside[p] / ws.total[group * kGroup + p];
        for (int64_t i = 0; i < n; ++i) {
            if (!(ws.touched[i] >> group & 1)) continue;
            const float* const own = ws.weights + (group * n + ws.places[i * kGroups + group]) * kGroup;
            places.push_back(i);
            weights.push_back(product(scale, points_at(own)));
            means.push_back(dot(inside, weights.back()) / n_points);
        }
    }
};

// Adds one channel's squared errors at a group's points, and mean_weight times that of their mean, once for each of
// them, to a tile's share of the form.
void add_channel(const GroupBlend& blend, const Points& target, const Points& counts, double mean_weight, int64_t n,
                 double* products, double* rhs, int64_t rhs_stride, double& energy) {
    const Points weighted = product(counts, target);
    const double mean = dot(blend.inside, target) / blend.n_points;
    const double of_mean = mean_weight * dot(blend.inside, counts);
    energy += dot(weighted, target) + of_mean * mean * mean;
    const size_t kept = blend.places.size();
    for (size_t a = 0; a < kept; ++a) {
        const double mean_a = of_mean * blend.means[a];
        rhs[blend.places[a] * rhs_stride] += dot(weighted, blend.weights[a]) + mean_a * mean;
        if (!products) continue;
        const Points own = product(counts, blend.weights[a]);
        double* const row = products + blend.places[a] * n;
        for (size_t b = a; b < kept; ++b) row[blend.places[b]] += dot(own, blend.weights[b]) + mean_a * blend.means[b];
    }
}

void sum_tile(const Context& context, const Model& model, const Records& records, int64_t tile, const float* target,
              const Importance& importance, int planes, double mean_weight, TileSums& sums) {
    const int channels = model.n_channels;
    TileTask task(context, model, records, tile);
    const int64_t n = task.args.n;
    sums.products.assign(planes * n * n, 0.0);
    sums.rhs.assign(n * channels, 0.0);
    task.load_pixels(kWholeTile);
    task.blend(kBatch, true);
    std::vector<float> samples(channels * kBatch), counts(planes * kBatch, 1.0f);
    tile_from_planes(target, channels, model, task, kWholeTile, nullptr, samples.data());
    if (importance) tile_from_planes(importance.data, planes, model, task, kWholeTile, nullptr, counts.data());
    GroupBlend blend;
    for (int g = 0; g < kGroups; ++g) {
        const int run = g * kRun;  // the group's first
        const int64_t rows = task.rows() - run_y(run, kTile), columns = task.columns() - run_x(run, kTile);
        if (rows <= 0 || columns <= 0) continue;
        for (int p = 0; p < kGroup; ++p) blend.inside[p] = p / kRun < rows && p % kRun < columns ? 1.0f : 0.0f;
        blend.take(task.ws(), n, g);
        for (int c = 0; c < channels; ++c) {
            const int plane = planes > 1 ? c : 0;
            const Points count = product(blend.inside, points_at(counts.data() + plane * kBatch + g * kGroup));
            double* const products = c < planes ? sums.products.data() + c * n * n : nullptr;
            add_channel(blend, points_at(samples.data() + c * kBatch + g * kGroup), count, mean_weight, n, products,
                        sums.rhs.data() + c, channels, sums.energy);
        }
    }
}

}  // namespace

FeatureSystem::FeatureSystem(int64_t n, int n_channels, int n_planes)
    : n_(n), channels_(n_channels), planes_(n_planes), starts_(n + 1, 0), rhs_(n * n_channels, 0.0) {}

void FeatureSystem::add(const Model& model, const float* target, const Importance& importance, double weight,
                        double mean_weight, int threads) {
    if (model.geometry.n > n_ || model.n_channels != channels_ || (importance.stride != 0) != (planes_ > 1))
        throw std::invalid_argument("the scene does not match the system");
    const int64_t n_tiles = model.rect.count();
    const Context context{kernels_for(""), threads};
    Records records;
    records.fill(model, threads);
    std::vector<std::vector<Entry>> parts(n_tiles * planes_);
    std::vector<std::vector<double>> rhs(n_tiles);
    std::vector<double> energy(n_tiles, 0.0);
    parallel_for(n_tiles, threads, [&](int64_t tile) {
        const int64_t first = model.offsets[tile], n = model.offsets[tile + 1] - first;
        if (n == 0) return;
        TileSums sums;
        sum_tile(context, model, records, tile, target, importance, planes_, mean_weight, sums);
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
                             const FeatureLattice& lattice, int sweeps) const {
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
