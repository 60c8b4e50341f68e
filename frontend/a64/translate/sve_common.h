// Shared by the handlers of SVE.
#pragma once

#include "frontend/a64/translate/handlers_sve.h"

namespace arclight::frontend::a64::translate {

using scalable::Operation;

/// False, with the trap emitted, when SVE, or floating point, is disabled at this exception level (CPACR_EL1.ZEN, FPEN).
bool check_sve_enabled(TranslationContext& t);
/// What a row says, and the fields.
Operation operation_of(Scalable kind, unsigned with, const Fields& f);
/// Does it: by operations of the IR if it has some, else by a call of the runtime. True.
bool emit(TranslationContext& t, const Operation& o);
bool emit_access(TranslationContext& t, const Operation& o);

// Each is false, and has emitted nothing, of an operation that is not its.
/// Lengths, predicates and loops by them, as operations on integers (sve_scalar.cpp).
bool emit_scalar(TranslationContext& t, const Operation& o);
bool emit_predicate_access(TranslationContext& t, const Operation& o);
/// Element after element, as one ir::Scalable (sve_lanes.cpp).
bool emit_lanes(TranslationContext& t, const Operation& o);
bool emit_contiguous(TranslationContext& t, const Operation& o);

/// Bytes of a vector register.
inline unsigned vector_bytes(const TranslationContext& t) {
    return translation_flag::vector_bytes(t.translation_flags);
}
/// The bits of a predicate that speak for elements of 8 << size bits: the lowest ones of each.
uint64_t element_bits(const TranslationContext& t, unsigned size);
/// Predicate register i, no bits of which are beyond the vector.
Ref predicate(TranslationContext& t, unsigned i);
void set_predicate(TranslationContext& t, unsigned i, Ref value);
/// PredTest(): NZCV of the elements of `result` that `mask` names, of which it has the lowest bits alone.
void set_flags_by(TranslationContext& t, Ref mask, Ref result);

}  // namespace arclight::frontend::a64::translate
