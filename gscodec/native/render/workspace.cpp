#include "render/workspace.h"

#include <algorithm>

namespace gscodec {
namespace {

constexpr int64_t kKept = 8192;  // Gaussians of the longest list whose memory is kept: about 12 MB a thread

constexpr int64_t words_of(int64_t n) { return (n + 63) / 64; }

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
    if (n <= room_ && channels == channels_) return;
    if (n > room_) room_ = std::max<int64_t>(64, n + n / 2);
    channels_ = channels;
    view.axes = fit(axes_, room_);
    view.weights = fit(weights_, room_ * kBatch);
    view.features = fit(features_, room_ * channels);
    view.radii = fit(radii_, room_);
    view.within = fit(within_, kGroups / 8 * words_of(room_) * 64);
    view.listed = fit(listed_, kGroups * words_of(room_));
    view.members = fit(members_, room_);
    view.places = fit(places_, room_ * kGroups);
    view.touched = fit(touched_, room_);
    view.centres = fit(centres_, room_ * kGroups);
    view.farthest = fit(farthest_, room_ * kGroups);
    view.out = fit(out_, int64_t{channels} * kBatch);
    view.grad = fit(grad_, int64_t{channels} * kBatch);
    view.feature_sums = fit(feature_sums_, int64_t{channels + kSumBlock} * kMostLanes);
}

void WorkspaceMemory::trim() {
    if (room_ <= kKept) return;
    for (auto* buffer : {&weights_, &features_, &radii_, &centres_, &farthest_}) release(*buffer);
    for (auto* buffer : {&members_, &places_}) release(*buffer);
    release(axes_);
    release(within_);
    release(listed_);
    release(touched_);
    room_ = 0;
}

}  // namespace gscodec
