#include "backend/x64/emit_context.h"

#include <bit>

#include "backend/x64/scalable_emitter.h"
#include "jit/translation_flags.h"

namespace arclight::backend {

EmitContext::EmitContext(jit::CodeBuffer& code_buffer, size_t size)
    : buffer(code_buffer),
      as(code_buffer, size),
      constants(code_buffer, as),
      regs(as, values, slots, flags),
      slots(as, values, regs, flags, faults, code_buffer.vector_registers()),
      flags(as, values, regs, slots, constants),
      cold(as),
      scalable_vectors(host_has_scalable_vectors() && !code_buffer.vector_registers()) {}

void EmitContext::start_block(const ir::Block& block, uint32_t first_link) {
    first_link_slot = first_link;
    insn_offset = static_cast<uint32_t>(block.pa & (mmu::kPageSize - 1));
    start_offset.fill(insn_offset);
    page = 0;
    translation_flags = block.translation_flags;
    serial = (translation_flags & jit::translation_flag::kSerial) != 0;
    fastmem = (translation_flags & jit::translation_flag::kFastmem) != 0;
    exits.clear();
    sides_.clear();
    sides_.resize(block.sides.size());
    copies.clear();
    copies_behind.clear();
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

void EmitContext::keep_for_side(size_t side, Jump jump) {
    SideStart& start = sides_[side];
    start.jump = jump;
    start.places = regs.places();
    start.newest = slots.newest();
    start.flags = flags.value();
    start.sense = flags.sense();
    start.page = page;
    start.insn_offset = insn_offset;
    const auto keep = [&](Ref r) {
        if (r != kNoRef) start.values.emplace_back(r, values[r]);
    };
    for (const Ref r : start.places.owner) keep(r);
    for (uint64_t m = start.places.spills_used; m != 0; m &= m - 1)
        keep(start.places.spill_owner[static_cast<size_t>(std::countr_zero(m))]);
    for (uint64_t m = start.places.spills_v_used; m != 0; m &= m - 1)
        keep(start.places.spill_v_owner[static_cast<size_t>(std::countr_zero(m))]);
    for (const Ref head : start.newest.home_head)
        for (Ref r = head; r != kNoRef; r = values[r].home_next) keep(r);
    for (uint64_t m = start.newest.dirty; m != 0; m &= m - 1)
        keep(start.newest.slot[static_cast<size_t>(std::countr_zero(m))]);
    if (start.newest.flags_dirty) keep(start.newest.slot[kFlagsSlot]);
    keep(start.flags);
}

void EmitContext::begin_side(size_t side) {
    const SideStart& start = sides_[side];
    const SideNeeds& needs = values.needs(side);
    // Constants, and what is nowhere any more.
    for (const SideNeeds::Need& need : needs.values)
        values[need.value].reg = values[need.value].home = values[need.value].spill = kNone;
    for (const auto& [r, value] : start.values) {
        values[r] = value;
        values[r].next_use = kNever;
        values[r].last_need = 0;
    }
    for (const SideNeeds::Need& need : needs.values) {
        values[need.value].next_use = need.next_use;
        values[need.value].last_need = need.last_need;
    }
    regs.begin_side(start.places);
    slots.begin_side(start.newest, needs.observed);
    flags.begin_side(start.flags, start.sense);
    copies.clear();
    page = cold.page = start.page;
    insn_offset = start.insn_offset;
    as.land(start.jump);
    as.set_class(jit::HostClass::Work);
    as.start_segment();
}

}  // namespace arclight::backend
