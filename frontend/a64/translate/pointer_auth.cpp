// Pointer authentication (ARM ARM D8.10): FEAT_PAuth2's way, in which a code is exclusive-ored into the bits of a pointer that
// are copies of bit 55. Nothing of it is a call but QARMA, and the fast algorithm is one IR operation: a kernel signs and
// authenticates in each of its functions.
#include "frontend/a64/translate/common.h"
#include "frontend/a64/translate/handlers_integer.h"

namespace arclight::frontend::a64::translate {

namespace {

constexpr uint64_t kSelectBit = uint64_t{1} << 55;
constexpr unsigned kLinkRegister = 30, kStackPointer = 31;

bool is_data(PacKey key) { return key == PacKey::DA || key == PacKey::DB; }

/// Before any key has been enabled, pointers stay as they are.
bool is_used(const TranslationContext& t) { return (t.translation_flags & translation_flag::kPacUsed) != 0; }

Ref bin(TranslationContext& t, Op op, Ref a, Ref b) { return t.ir.bin(op, Type::I64, a, b); }
Ref field(TranslationContext& t, size_t offset) { return t.ir.load_field(Type::I64, offset); }
/// 64 copies of a bit.
Ref copies(TranslationContext& t, Ref v, unsigned bit) {
    if (bit == 63) return bin(t, Op::Sar, v, t.ir.i64(63));
    return t.ir.emit(Op::BitExtractS, Type::I64, {v}, bit | 1u << 8);
}

/// The bits that hold a code, by a pair of masks in GuestState, where `select` is the copies of the bit that chooses the half of
/// the address space.
Ref code_mask(TranslationContext& t, Ref select, size_t masks) {
    const Ref low = field(t, masks), difference = field(t, masks + sizeof(uint64_t));
    return bin(t, Op::Xor, low, bin(t, Op::And, select, difference));
}
size_t masks_of(PacKey key) {
    return offsetof(jit::GuestState, pac_key_masks) + static_cast<size_t>(key) * 2 * sizeof(uint64_t);
}

bool has_qarma(const TranslationContext& t) {
    return t.decoder.features().has(Feature::PacQarma5) || t.decoder.features().has(Feature::PacQarma3);
}
/// ComputePAC by a cipher.
Ref qarma(TranslationContext& t, Ref pointer, Ref modifier, PacKey key) {
    return call(t, Helper::ComputePac, {pointer, modifier, t.ir.i64(static_cast<uint64_t>(key))}, Type::I64);
}

/// `pointer` with the bits of `mask` as copies of bit 55.
Ref canonical(TranslationContext& t, Ref pointer, Ref select, Ref mask) {
    return bin(t, Op::Xor, pointer, bin(t, Op::And, bin(t, Op::Xor, pointer, select), mask));
}

/// Where neither half has tags, bit 63 chooses, and bit 55 is one of the copies; unless the key is disabled, whose mask lacks
/// bit 63 then.
Ref with_select_bit(TranslationContext& t, Ref pointer, PacKey key) {
    const Ref wrong = bin(t, Op::Xor, pointer, copies(t, pointer, 63));
    const Ref enabled = bin(t, Op::Shr, field(t, masks_of(key)), t.ir.i64(63 - 55));
    return bin(t, Op::Xor, pointer, bin(t, Op::And, bin(t, Op::And, wrong, enabled), t.ir.i64(kSelectBit)));
}

/// AddPAC
Ref sign(TranslationContext& t, Ref pointer, Ref modifier, PacKey key) {
    const uint32_t untagged =
        is_data(key) ? translation_flag::kPacDataUntagged : translation_flag::kPacCodeUntagged;
    const Ref base = (t.translation_flags & untagged) != 0 ? with_select_bit(t, pointer, key) : pointer;
    if (!has_qarma(t))
        return t.ir.emit(Op::SignPointer, Type::I64, {base, modifier}, 0, static_cast<uint32_t>(key));
    const Ref select = copies(t, base, 55), mask = code_mask(t, select, masks_of(key));
    const Ref code = qarma(t, canonical(t, base, select, mask), modifier, key);
    return bin(t, Op::Xor, base, bin(t, Op::And, code, mask));
}

/// Auth, which faults where the code is wrong (FEAT_FPAC).
Ref authenticate(TranslationContext& t, Ref pointer, Ref modifier, PacKey key) {
    if (!has_qarma(t))
        return t.ir.emit(Op::AuthPointer, Type::I64, {pointer, modifier}, 0, static_cast<uint32_t>(key));
    const Ref select = copies(t, pointer, 55), mask = code_mask(t, select, masks_of(key));
    const Ref plain = canonical(t, pointer, select, mask);
    const Ref code = qarma(t, plain, modifier, key);
    const Ref result = bin(t, Op::Xor, pointer, bin(t, Op::And, code, mask));
    t.ir.emit(Op::CheckZero, Type::Void, {bin(t, Op::Xor, result, plain)}, 0, static_cast<uint32_t>(key));
    return plain;
}

/// As the code of SignPointer, of all bits of a value.
Ref generic_code(TranslationContext& t, Ref value, Ref modifier) {
    if (has_qarma(t)) return qarma(t, value, modifier, PacKey::GA);
    constexpr size_t kKey =
        offsetof(jit::GuestState, pac_keys) + static_cast<size_t>(PacKey::GA) * 2 * sizeof(uint64_t);
    // So that no value without a modifier has the code 0 under a key that nobody has set.
    constexpr uint64_t kOdd = 0x9e37'79b9'7f4a'7c15;
    const Ref a = bin(t, Op::Xor, bin(t, Op::Xor, value, field(t, kKey)), t.ir.i64(kOdd));
    const Ref b = bin(t, Op::Xor, modifier, field(t, kKey + sizeof(uint64_t)));
    return bin(t, Op::Xor, t.ir.emit(Op::Mul, Type::I64, {a, b}), t.ir.emit(Op::UMulHigh, Type::I64, {a, b}));
}

bool sign_register(TranslationContext& t, PacKey key, Reg d, Ref modifier) {
    if (is_used(t)) set_x(t, d, sign(t, x(t, d), modifier, key));
    return true;
}
bool authenticate_register(TranslationContext& t, PacKey key, Reg d, Ref modifier) {
    if (is_used(t)) set_x(t, d, authenticate(t, x(t, d), modifier, key));
    return true;
}
Ref authenticated(TranslationContext& t, PacKey key, Ref pointer, Ref modifier) {
    return is_used(t) ? authenticate(t, pointer, modifier, key) : pointer;
}

Ref strip(TranslationContext& t, Ref pointer, bool data) {
    const Ref select = copies(t, pointer, 55);
    const size_t masks = offsetof(jit::GuestState, pac_masks) + (data ? 2 * sizeof(uint64_t) : 0);
    return canonical(t, pointer, select, code_mask(t, select, masks));
}

}  // namespace

// ---- Registers

bool pac_sign(TranslationContext& t, PacKey key, Reg n, Reg d) { return sign_register(t, key, d, xsp(t, n)); }
bool pac_sign_zero(TranslationContext& t, PacKey key, Reg d) { return sign_register(t, key, d, t.ir.i64(0)); }
bool pac_authenticate(TranslationContext& t, PacKey key, Reg n, Reg d) {
    return authenticate_register(t, key, d, xsp(t, n));
}
bool pac_authenticate_zero(TranslationContext& t, PacKey key, Reg d) {
    return authenticate_register(t, key, d, t.ir.i64(0));
}
bool pac_strip(TranslationContext& t, bool data, Reg d) {
    set_x(t, d, strip(t, x(t, d), data));
    return true;
}

bool PACGA(TranslationContext& t, Reg m, Reg n, Reg d) {
    const Ref value = x(t, n), modifier = xsp(t, m);
    set_x(t, d, bin(t, Op::And, generic_code(t, value, modifier), t.ir.i64(~uint64_t{0} << 32)));
    return true;
}

// ---- Hints: of X30 with SP or zero, and of X17 with X16

bool pac_hint(TranslationContext& t, bool signs, PacKey key, PacOperands operands) {
    const bool is_1716 = operands == PacOperands::X17X16;
    const Reg d{static_cast<uint8_t>(is_1716 ? 17 : kLinkRegister)};
    const Ref modifier = operands == PacOperands::LrZero ? t.ir.i64(0)
                         : is_1716                       ? x(t, Reg{16})
                                                         : xsp(t, Reg{kStackPointer});
    return signs ? sign_register(t, key, d, modifier) : authenticate_register(t, key, d, modifier);
}

bool XPACLRI(TranslationContext& t) { return pac_strip(t, false, Reg{kLinkRegister}); }

// ---- Branches

bool branch_authenticated(TranslationContext& t, PacKey key, ir::BranchKind kind, Reg n, Reg m) {
    return branch_register(t, n, authenticated(t, key, x(t, n), xsp(t, m)), kind);
}
bool branch_authenticated_zero(TranslationContext& t, PacKey key, ir::BranchKind kind, Reg n) {
    return branch_register(t, n, authenticated(t, key, x(t, n), t.ir.i64(0)), kind);
}
bool return_authenticated(TranslationContext& t, PacKey key) {
    const Ref target = authenticated(t, key, x(t, Reg{kLinkRegister}), xsp(t, Reg{kStackPointer}));
    return branch_register(t, Reg{kLinkRegister}, target, ir::BranchKind::Return);
}
bool eret_authenticated(TranslationContext& t, PacKey key) {
    if (!t.el1()) return undefined(t);
    const Ref target =
        authenticated(t, key, field(t, offsetof(jit::GuestState, elr_el1)), xsp(t, Reg{kStackPointer}));
    call(t, Helper::EretTo, {target});
    t.ended = true;
    return false;
}

// ---- Loads

bool LDRA(TranslationContext& t, bool key_b, Imm<1> s, Imm<9> imm9, bool pre_index, Reg n, Reg r) {
    check_sp(t, n);
    const int64_t offset = concat(s, imm9).sign_extend() * 8;
    const Ref base = authenticated(t, key_b ? PacKey::DB : PacKey::DA, xsp(t, n), t.ir.i64(0));
    const Ref address = offset_by(t, base, offset);
    set_x(t, r, load(t, Type::I64, address, mem_aux(t, 3, pre_index ? 0 : unchecked_at_sp(t, n))));
    if (pre_index) set_xsp(t, n, address);
    return true;
}

}  // namespace arclight::frontend::a64::translate
