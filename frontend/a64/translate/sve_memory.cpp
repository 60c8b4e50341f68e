// SVE loads and stores.
#include "frontend/a64/translate/sve_common.h"

namespace arclight::frontend::a64::translate {

namespace {
/// Sizes by dtype, and whether the sign is extended.
struct Sizes {
    uint8_t element, memory;
    bool is_signed;
};
constexpr Sizes kSizes[] = {{0, 0, false}, {1, 0, false}, {2, 0, false}, {3, 0, false},
                            {3, 2, true},  {1, 1, false}, {2, 1, false}, {3, 1, false},
                            {3, 1, true},  {2, 1, true},  {2, 2, false}, {3, 2, false},
                            {3, 0, true},  {2, 0, true},  {1, 0, true},  {3, 3, false}};

bool access(TranslationContext& t, Operation o) {
    if (!check_sve_enabled(t)) return false;
    check_sp(t, static_cast<Reg>(o.n));
    return emit_access(t, o);
}
/// The register of a base and a register (x): register 31 is none, but for first-fault loads.
bool reserved(const Operation& o) { return o.x != 0 && o.m == 31 && o.variant != scalable::kFirstFault; }
}  // namespace

bool sve_load(TranslationContext& t, unsigned with, Fields f) {
    const Sizes sizes = kSizes[f['t']];
    Operation o = operation_of(Scalable::LoadContiguous, with, f);
    if (reserved(o)) return undefined(t);
    o.size = sizes.element, o.k = sizes.memory, o.s = sizes.is_signed;
    return access(t, o);
}

bool sve_load_replicated(TranslationContext& t, Fields f) {
    const Sizes sizes = kSizes[f['t']];
    Operation o = operation_of(Scalable::LoadReplicated, 0, f);
    o.size = sizes.element, o.k = sizes.memory, o.s = sizes.is_signed;
    return access(t, o);
}

bool sve_structures(TranslationContext& t, Scalable kind, unsigned with, Fields f) {
    Operation o = operation_of(kind, with & kWithX, f);
    if (reserved(o)) return undefined(t);
    o.k = o.size, o.a = static_cast<uint8_t>(with & 3);
    return access(t, o);
}

bool sve_store(TranslationContext& t, unsigned with, Fields f) {
    Operation o = operation_of(Scalable::StoreContiguous, with, f);
    o.size = static_cast<uint8_t>(f['e']), o.k = static_cast<uint8_t>(f['z']);
    if (o.size < o.k || reserved(o)) return undefined(t);
    return access(t, o);
}

bool sve_load_segment(TranslationContext& t, unsigned with, Fields f) {
    const Operation o = operation_of(Scalable::LoadReplicatedSegment, with, f);
    return reserved(o) ? undefined(t) : access(t, o);
}

namespace {
bool scattered(TranslationContext& t, Operation o, unsigned size, unsigned mode, bool scaled,
               const Fields& f) {
    o.size = static_cast<uint8_t>(size), o.k = static_cast<uint8_t>(f['z']);
    // x: signed offsets, of words.
    o.x = static_cast<uint8_t>(mode == 0 ? f['x'] : mode);
    o.imm = mode == 3 ? f['i'] << o.k : scaled ? o.k : 0;
    if (!check_sve_enabled(t)) return false;
    if (mode < 3) check_sp(t, static_cast<Reg>(o.n));
    return emit_access(t, o);
}
}  // namespace

bool sve_gather(TranslationContext& t, unsigned size, unsigned mode, bool scaled, Fields f) {
    // Nothing is extended of what is as large as the element; nothing scaled of bytes.
    const bool is_unsigned = f['u'] != 0;
    if (f['z'] > size || (f['z'] == size && !is_unsigned) || (scaled && f['z'] == 0)) return undefined(t);
    Operation o = operation_of(Scalable::Gather, f['b'] != 0 ? scalable::kFirstFault : scalable::kNormal, f);
    o.s = !is_unsigned;
    return scattered(t, o, size, mode, scaled, f);
}

bool sve_scatter(TranslationContext& t, unsigned size, unsigned mode, bool scaled, Fields f) {
    if (f['z'] > size || (scaled && f['z'] == 0)) return undefined(t);
    return scattered(t, operation_of(Scalable::Scatter, 0, f), size, mode, scaled, f);
}

bool sve_prefetch_by_register(TranslationContext& t, Fields f) {
    return f['m'] == 31 ? undefined(t) : check_sve_enabled(t);
}

bool sve_register_access(TranslationContext& t, Scalable kind, Fields f) {
    return access(t, operation_of(kind, 0, f));
}

}  // namespace arclight::frontend::a64::translate
