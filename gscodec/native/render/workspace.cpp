#include "render/workspace.h"

#include <algorithm>

namespace gscodec {
namespace {

constexpr int64_t kKept = 8192;  // Gaussians of the longest list whose memory is kept: about 12 MB a thread

template <class T>
void release(std::vector<T>& buffer) {
    std::vector<T>().swap(buffer);
}

// At least `size` entries; their values do not matter.
template <class T>
T* fit(std::vector<T>& buffer, int64_t size) {
    if (static_cast<int64_t>(buffer.size()) < size) {
        release(buffer);  // rather than copied
        buffer.resize(static_cast<size_t>(size));
    }
    return buffer.data();
}

}  // namespace

void WorkspaceMemory::reserve(int64_t n, int channels) {
    const int64_t room =
        n > static_cast<int64_t>(axes_.size()) ? std::max<int64_t>(64, n + n / 2) : static_cast<int64_t>(axes_.size());
    view.axes = fit(axes_, room);
    view.weights = fit(weights_, room * kBatch);
    view.features = fit(features_, room * channels);
    view.members = fit(members_, room * kGroups);
    view.places = fit(places_, room * kGroups);
    view.active = fit(active_, room);
    view.touched = fit(touched_, room);
    view.lower = fit(lower_, room * kGroupLanes);
    view.upper = fit(upper_, room * kGroupLanes);
    view.out = fit(out_, int64_t{channels} * kBatch);
    view.grad = fit(grad_, int64_t{channels} * kBatch);
    view.feature_sums = fit(feature_sums_, int64_t{channels + kSumBlock} * kGroupLanes);
}

void WorkspaceMemory::trim() {
    if (static_cast<int64_t>(axes_.size()) <= kKept) return;
    for (auto* buffer : {&weights_, &features_, &lower_, &upper_}) release(*buffer);
    for (auto* buffer : {&members_, &places_, &active_}) release(*buffer);
    release(axes_);
    release(touched_);
}

}  // namespace gscodec
