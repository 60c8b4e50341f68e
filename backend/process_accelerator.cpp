#include "backend/process_accelerator.h"

#include "backend/x64/block_compiler.h"
#include "jit/reference/reference.h"

namespace arclight::backend {

ProcessAccelerator::ProcessAccelerator(jit::CodeBuffer& code, const DirectMemory& memory, unsigned cpus)
    : Accelerator(code) {
    code.assembler().compiler.set_fastmem_grouping(true);
    for (unsigned i = 0; i < cpus; ++i) tables_.push_back(std::make_unique<DirectTables>(memory, cpus));
}

AcceleratorCounts ProcessAccelerator::counts() const {
    if (tables_.empty()) return {};
    DirectTablesStats sum;
    for (const auto& tables : tables_) {
        const DirectTablesStats& s = tables->stats();
        sum.maps += s.maps, sum.unmaps += s.unmaps, sum.pages += s.pages, sum.refused += s.refused;
    }
    return {{"direct_maps", sum.maps},
            {"direct_pages", sum.pages},
            {"direct_unmaps", sum.unmaps},
            {"direct_refused", sum.refused}};
}

void vector_call(jit::GuestState& state, uint64_t op) {
    jit::reference_function(static_cast<jit::ir::Op>(op))(state, state.vector_call);
}

}  // namespace arclight::backend
