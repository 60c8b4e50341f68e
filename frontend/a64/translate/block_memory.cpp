// Memory copy and memory set (ARM ARM C3.2.14): by a helper, which goes from page to page.
#include "frontend/a64/translate/common.h"
#include "frontend/a64/translate/handlers_integer.h"

namespace arclight::frontend::a64::translate {

namespace {
bool block_operation(TranslationContext& t, BlockKind kind, BlockStage stage, unsigned options, Reg s, Reg n,
                     Reg d) {
    // The same register twice is CONSTRAINED UNPREDICTABLE, and so is register 31 but as a source of zeros.
    const bool set = kind == BlockKind::Set;
    if (index(s) == index(n) || index(s) == index(d) || index(n) == index(d)) return undefined(t);
    if (index(d) == 31 || index(n) == 31 || (index(s) == 31 && !set)) return undefined(t);
    const BlockOperation operation{.kind = kind,
                                   .stage = stage,
                                   .options = static_cast<uint8_t>(options),
                                   .destination = static_cast<uint8_t>(index(d)),
                                   .source = static_cast<uint8_t>(index(s)),
                                   .size = static_cast<uint8_t>(index(n))};
    call(t, Helper::BlockMemory, {t.ir.i64(operation.pack())});
    return true;
}
}  // namespace

bool memory_copy(TranslationContext& t, BlockKind kind, BlockStage stage, Reg s, Imm<4> options, Reg n,
                 Reg d) {
    return block_operation(t, kind, stage, options, s, n, d);
}

/// In these encodings n is the size and s the value.
bool memory_set(TranslationContext& t, BlockStage stage, Reg s, Imm<2> options, Reg n, Reg d) {
    return block_operation(t, BlockKind::Set, stage, options, s, n, d);
}

}  // namespace arclight::frontend::a64::translate
