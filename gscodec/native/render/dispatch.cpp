// Which instruction sets this machine has, and the kernels built for each.
#include "render/dispatch.h"

#include <stdexcept>

#include "machine/cpu.h"

namespace gscodec {
namespace {

std::vector<const KernelTable*> available() {
    std::vector<const KernelTable*> tables = {kernels_baseline()};
#ifdef GSCODEC_X86_KERNELS
    const CpuFeatures features = cpu_features();
    if (features.avx2) tables.push_back(kernels_avx2());
    if (features.avx512) tables.push_back(kernels_avx512());
#endif
    return tables;
}

const std::vector<const KernelTable*>& tables() {
    static const std::vector<const KernelTable*> all = available();
    return all;
}

}  // namespace

std::vector<std::string> available_isas() {
    std::vector<std::string> names;
    for (const KernelTable* table : tables()) names.push_back(table->name);
    return names;
}

const KernelTable& kernels_for(const std::string& isa) {
    if (isa.empty()) return *tables().back();
    for (const KernelTable* table : tables())
        if (isa == table->name) return *table;
    throw std::invalid_argument("instruction set " + isa + " is not available on this machine");
}

}  // namespace gscodec
