#include "backend/x64/emit_context.h"

#include "jit/translation_flags.h"

namespace arclight::backend {

EmitContext::EmitContext(jit::CodeBuffer& code_buffer, size_t size)
    : buffer(code_buffer),
      as(code_buffer, size),
      constants(code_buffer, as),
      regs(as, values, slots, flags),
      slots(as, values, regs, flags, faults, code_buffer.vector_registers()),
      flags(as, values, regs, slots, constants),
      cold(as) {}

void EmitContext::start_block(const ir::Block& block, uint32_t first_link) {
    first_link_slot = first_link;
    insn_offset = static_cast<uint32_t>(block.pa & (mmu::kPageSize - 1));
    start_offset.fill(insn_offset);
    page = 0;
    translation_flags = block.translation_flags;
    serial = (translation_flags & jit::translation_flag::kSerial) != 0;
    fastmem = (translation_flags & jit::translation_flag::kFastmem) != 0;
    exits.clear();
    indirect = nullptr;
    regs.start_block();
    slots.start_block();
    flags.start_block();
    cold.start_block();
}

void EmitContext::finish_instruction() {
    values.finish_instruction();
    regs.finish_instruction();
    flags.finish_instruction();
}

}  // namespace arclight::backend
