// The memory of a worker's workspace.
#pragma once
#include <cstdint>
#include <vector>

#include "render/isa/kernels.h"

namespace gscodec {

class WorkspaceMemory {
public:
    Workspace view;

    // Makes room for lists of n Gaussians of some channels. Throws std::bad_alloc.
    void reserve(int64_t n, int channels);

    // Gives back what the rare list of many thousands took; the usual ones' stays for the next tile.
    void trim();

private:
    int64_t room_ = 0;
    int channels_ = 0;
    std::vector<float> weights_, features_, radii_, out_, grad_, centres_, farthest_, feature_sums_;
    std::vector<LocalAxes> axes_;
    std::vector<uint8_t> within_;
    std::vector<uint64_t> listed_;
    std::vector<int32_t> members_, places_;
    std::vector<uint32_t> touched_;
};

}  // namespace gscodec
