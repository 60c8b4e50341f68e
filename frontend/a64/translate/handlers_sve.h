// Handlers of SVE. All get the fields by letter: d, n, m, a registers; g the governing predicate; z the element size; i an
// immediate; k, s, x what Operation (scalable/operation.h) has of these names.
#pragma once

#include "frontend/a64/scalable/operation.h"
#include "frontend/a64/scalable/variants.h"
#include "frontend/a64/translate/handlers_simd.h"

namespace arclight::frontend::a64::translate {

using Scalable = scalable::Kind;

// What a row says beside its fields, in the argument `with`: a variant in the low bits, and of the operation.
inline constexpr unsigned kWithX = 1u << 16, kWithS = 1u << 17;
constexpr unsigned with_x(unsigned x) { return x << 16; }
constexpr unsigned with_k(unsigned k) { return k << 18; }
/// Elements of 8 << size bits, where no field says it.
constexpr unsigned with_size(unsigned size) { return (size + 1) << 22; }
constexpr unsigned with_imm(unsigned imm) { return imm << 26; }
inline constexpr unsigned kHSD = kH | kS | kD, kSD = kS | kD;
/// Elements of any size: the field is of something else.
inline constexpr unsigned kAnySize = kBHSD;

bool sve(TranslationContext& t, Scalable kind, unsigned sizes, unsigned with, Fields f);
/// An operation of the IR on all of the vector.
bool sve_lanes(TranslationContext& t, Scalable kind, Op op, unsigned sizes, unsigned with, Fields f);
/// The same with a shift: t is tszh:tszl, i its lower bits. `left` shifts count from the other end.
bool sve_shift(TranslationContext& t, Scalable kind, Op op, bool left, unsigned with, Fields f);
/// Saturated to narrower elements, whose size is t; its bits are of different sizes.
bool sve_narrow(TranslationContext& t, unsigned with, Fields f);
/// With carries: z: words or doublewords.
bool sve_add_carry(TranslationContext& t, unsigned with, Fields f);
/// What is UNDEFINED where vectors are too short, which is known when it runs.
bool sve_if_long(TranslationContext& t, Scalable kind, unsigned with, Fields f);
/// With an immediate that may be shifted by 8 (s), but not for bytes.
bool sve_immediate(TranslationContext& t, Scalable kind, Op op, unsigned with, Fields f);
bool sve_bitwise_immediate(TranslationContext& t, Op op, Fields f);
bool sve_duplicate_element(TranslationContext& t, Fields f);
bool sve_nothing(TranslationContext& t, Fields f);
/// dtype (letter t) says the sizes in memory and of the elements.
/// With kWithX the offset is a register, as in those that follow.
bool sve_load(TranslationContext& t, unsigned with, Fields f);
bool sve_load_replicated(TranslationContext& t, Fields f);
/// z: size in memory and of elements, `with`: registers less one.
bool sve_structures(TranslationContext& t, Scalable kind, unsigned with, Fields f);
/// z: size in memory; e: of elements.
bool sve_store(TranslationContext& t, unsigned with, Fields f);
bool sve_load_segment(TranslationContext& t, unsigned with, Fields f);
bool sve_prefetch_by_register(TranslationContext& t, Fields f);
/// z: size in memory; u: unsigned; b: first fault; `size` of the elements; mode: 0 words, else what Gather has as x; scaled: offsets count elements.
bool sve_gather(TranslationContext& t, unsigned size, unsigned mode, bool scaled, Fields f);
bool sve_scatter(TranslationContext& t, unsigned size, unsigned mode, bool scaled, Fields f);
bool sve_register_access(TranslationContext& t, Scalable kind, Fields f);

/// Zeros above the V registers that the instructions from `first` on have written.
void clear_upper(TranslationContext& t, size_t first);

}  // namespace arclight::frontend::a64::translate
