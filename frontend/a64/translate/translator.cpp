#include "frontend/a64/translate/translator.h"

#include <algorithm>
#include <cassert>

#include "frontend/a64/translate/common.h"
#include "frontend/a64/translate/dispatch.h"
#include "frontend/a64/translate/handlers_sve.h"

namespace arclight::frontend::a64 {

void translate_block(ir::Block& block, std::span<const uint32_t> code, uint32_t offset,
                     uint32_t translation_flags, unsigned max_insns, const Decoder& decoder) {
    assert(!code.empty() && offset % 4 == 0 && offset + code.size_bytes() <= mmu::kPageSize);
    block.clear();
    block.translation_flags = translation_flags;
    ir::Builder builder(block);
    TranslationContext t{
        .ir = builder, .translation_flags = translation_flags, .decoder = decoder, .offset = offset};

    // A V register that is written is zero above its 128 bits, where a CPU has vectors of more. While SVE is trapped these bits may stay
    // as they are or be zeros (V[] of the ARM ARM's pseudocode: SVEZEROUPPER is a CONSTRAINED UNPREDICTABLE choice), so the code is the
    // same.
    const bool clears_upper = decoder.features().has(Feature::Sve256);
    size_t limit = std::clamp(max_insns, 1u, kMaxBlockInsns);
    if (translation_flags & translation_flag::kSingleStep) limit = 1;
    limit = std::min(limit, code.size());

    for (size_t i = 0; i < limit; ++i) {
        t.offset = offset + static_cast<uint32_t>(i) * 4;
        t.insn = code[i];
        ++block.guest_insns;
        block.guest_bytes += 4;
        builder.insn_start(t.offset, t.insn);
        if (translation_flags & translation_flag::kCount) {
            constexpr size_t kCounter = offsetof(jit::GuestState, instructions);
            const ir::Ref count = builder.load_field(ir::Type::I64, kCounter);
            builder.store_field(builder.add(ir::Type::I64, count, builder.i64(1)), kCounter, 8);
        }
        if (translation_flags & translation_flag::kIllegal) {
            translate::raise(t, jit::ExitReason::Undefined, kUndefinedIllegalState);
            return;
        }
        const size_t first = block.insts.size();
        if (!dispatch(t)) return;
        if (clears_upper) translate::clear_upper(t, first);
        if (t.side_exits >= kMaxSideExits) break;
    }
    translate::exit_to_next(t);
}

}  // namespace arclight::frontend::a64
