// The Gaussians of a picture as tiles read them: axes, mean and features in one place.
#pragma once
#include <cstdint>
#include <cstring>
#include <vector>

#include "render/isa/kernels.h"
#include "render/model.h"

namespace gscodec {

// exp(-q / 2) = 2^-(k^2 q) with this k, so the kernels' axes carry the change of base.
extern const double kAxisScale;

class Records {
public:
    // Throws nothing but std::bad_alloc. Memory of an earlier call is used again.
    void fill(const Model& model, int threads);

    Record at(int64_t i) const {
        Record record;
        std::memcpy(&record, table_.first + i * table_.stride, kRecordFeatures);
        return record;
    }
    const RecordTable& table() const { return table_; }

private:
    std::vector<unsigned char> bytes_;
    RecordTable table_ = {nullptr, 0, 0};
};

}  // namespace gscodec
