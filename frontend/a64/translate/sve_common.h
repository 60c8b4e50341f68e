// Shared by the handlers of SVE.
#pragma once

#include "frontend/a64/translate/handlers_sve.h"

namespace arclight::frontend::a64::translate {

using scalable::Operation;

/// False, with the trap emitted, when SVE, or floating point, is disabled at this exception level (CPACR_EL1.ZEN, FPEN).
bool check_sve_enabled(TranslationContext& t);
/// What a row says, and the fields.
Operation operation_of(Scalable kind, unsigned with, const Fields& f);
/// Asks the runtime for it. True.
bool emit(TranslationContext& t, const Operation& o);
bool emit_access(TranslationContext& t, const Operation& o);

}  // namespace arclight::frontend::a64::translate
