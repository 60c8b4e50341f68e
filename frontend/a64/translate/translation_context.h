// The argument of the instruction handlers: the block that is being built and the instruction's place in it.
#pragma once

#include <cstdint>

#include "frontend/a64/decode/encoding.h"
#include "frontend/a64/decode/fields.h"
#include "frontend/a64/translate/translator.h"
#include "jit/ir/ir.h"

namespace arclight::frontend::a64 {

struct TranslationContext {
    ir::Builder& ir;
    uint32_t translation_flags;  ///< frontend/a64/translation_flags.h
    const Decoder& decoder;
    uint32_t offset = 0;  ///< of the current instruction in its page; PC = PcRel(offset)
    uint32_t insn = 0;
    bool ended = false;             ///< a handler emitted a terminator
    unsigned side_exits = 0;        ///< conditional exits of the block so far
    bool scalable_checked = false;  ///< an instruction before has been one of SVE, which has not trapped

    bool el1() const { return (translation_flags & translation_flag::kEl1) != 0; }
};

}  // namespace arclight::frontend::a64
