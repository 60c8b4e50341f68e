#pragma once

#include "frontend/a64/translate/translator.h"

namespace arclight::frontend::a64 {

/// Emits IR for the instruction t.insn at t.offset. False when it emitted a terminator.
bool dispatch(Translator& t);

}  // namespace arclight::frontend::a64
