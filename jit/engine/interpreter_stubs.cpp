#include "jit/engine/interpreter_stubs.h"

#include "jit/guest_state.h"
#include "jit/runtime_entries.h"

namespace arclight::jit {

const ir::Block& InterpreterStubs::make(const ir::Block& block) {
    stub_.clear();
    stub_.pa = block.pa;
    stub_.translation_flags = block.translation_flags;
    ir::Builder builder(stub_);
    builder.insn_start(static_cast<uint32_t>(block.pa & (kPageSize - 1)), 0);
    // Runtime ids count from kFirstHelper, modulo 2^64.
    builder.call(ir::Type::Void, uint64_t{kInterpret} - kFirstHelper,
                 {builder.i64(reinterpret_cast<uint64_t>(&block))}, ir::kCallSystem | ir::kCallEndsBlock);
    return stub_;
}

}  // namespace arclight::jit
