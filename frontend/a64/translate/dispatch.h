#pragma once

#include "frontend/a64/translate/translation_context.h"

namespace arclight::frontend::a64 {

/// Emits IR for the instruction t.insn at t.offset. False when it emitted a terminator.
bool dispatch(TranslationContext& t);

}  // namespace arclight::frontend::a64
