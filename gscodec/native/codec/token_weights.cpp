#include "codec/token_weights.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <vector>

namespace gscodec {
namespace {

constexpr int kTopWeight = 49;  // of the token that occurs most: coarser ones are then 12 octaves below it

using Costs = std::array<double, kMaxWeight>;

// Spreads of the weights, and their logarithms.
struct Spreads {
    Costs values, logs;

    Spreads() {
        constexpr int kQuarters[4] = {16, 19, 23, 27};
        for (int k = 0; k < kMaxWeight; ++k) {
            values[k] = static_cast<double>(kQuarters[k % 4] << (k / 4));
            logs[k] = std::log2(values[k]);
        }
    }
};

}  // namespace

// The bits of all tokens are N log2(S) - sum h log2(s) for spreads s with the sum S. The least of N log2(S) is that of
// its tangent: with S the sum that gives the most frequent token kTopWeight, a spread costs N / (S ln 2) each.
void fit_weights(const double* histogram, int64_t n, double change, uint8_t* weights) {
    static const Spreads spreads;
    const double total = std::accumulate(histogram, histogram + n, 0.0);
    const double price = *std::max_element(histogram, histogram + n) / (spreads.values[kTopWeight - 1] * std::log(2.0));
    std::vector<std::array<uint8_t, kMaxWeight>> from(static_cast<size_t>(n));
    Costs costs{};
    for (int64_t t = 0; t < n && total > 0; ++t) {
        const auto least = std::min_element(costs.begin(), costs.end());
        const double other = *least + change;
        const auto best = static_cast<uint8_t>(least - costs.begin());
        for (int k = 0; k < kMaxWeight; ++k) {
            const bool changes = t > 0 && other < costs[k];
            from[t][k] = changes ? best : static_cast<uint8_t>(k);
            costs[k] = (changes ? other : costs[k]) - histogram[t] * spreads.logs[k] + price * spreads.values[k];
        }
    }
    auto k = static_cast<uint8_t>(std::min_element(costs.begin(), costs.end()) - costs.begin());
    for (int64_t t = n; t-- > 0;) {
        weights[t] = static_cast<uint8_t>(k + 1);
        k = from[t][k];
    }
}

}  // namespace gscodec
