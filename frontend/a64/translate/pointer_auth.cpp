// Pointer authentication (ARM ARM D8.10): FEAT_PAuth2's way, in which a code is exclusive-ored into the bits of a pointer that
// are copies of bit 55. Nothing of it is a call but QARMA: a kernel signs and authenticates in each of its functions.
#include "frontend/a64/translate/common.h"
#include "frontend/a64/translate/handlers_integer.h"

namespace arclight::frontend::a64::translate {

namespace {

constexpr uint64_t kSelectBit = uint64_t{1} << 55;
constexpr unsigned kLinkRegister = 30, kStackPointer = 31;

bool is_data(PacKey key) { return key == PacKey::DA || key == PacKey::DB; }

/// SCTLR_EL1.EnIA, EnIB, EnDA or EnDB: without it the pointer stays as it is.
bool is_enabled(const TranslationContext& t, PacKey key) {
    return (t.translation_flags & translation_flag::kPacIa << static_cast<unsigned>(key)) != 0;
}

Ref bin(TranslationContext& t, Op op, Ref a, Ref b) { return t.ir.bin(op, Type::I64, a, b); }
Ref field(TranslationContext& t, size_t offset) { return t.ir.load_field(Type::I64, offset); }
/// 64 copies of a bit.
Ref copies(TranslationContext& t, Ref v, unsigned bit) {
    if (bit == 63) return bin(t, Op::Sar, v, t.ir.i64(63));
    return t.ir.emit(Op::BitExtractS, Type::I64, {v}, bit | 1u << 8);
}

/// The bits that hold a code, where `select` is the copies of the bit that chooses the half of the address space.
Ref code_mask(TranslationContext& t, Ref select, bool data) {
    const size_t place = offsetof(jit::GuestState, pac_masks) + (data ? 2 * sizeof(uint64_t) : 0);
    const Ref low = field(t, place), difference = field(t, place + sizeof(uint64_t));
    return bin(t, Op::Xor, low, bin(t, Op::And, select, difference));
}

/// ComputePAC. The fast algorithm multiplies the pointer and the modifier, each with half of the key mixed in, and folds the
/// product's halves: 64 bits of which each depends on all of both.
Ref compute_code(TranslationContext& t, Ref pointer, Ref modifier, PacKey key) {
    const FeatureSet features = t.decoder.features();
    if (features.has(Feature::PacQarma5) || features.has(Feature::PacQarma3)) {
        const Ref which = t.ir.i64(static_cast<uint64_t>(key));
        return call(t, Helper::ComputePac, {pointer, modifier, which}, Type::I64);
    }
    const size_t place =
        offsetof(jit::GuestState, pac_keys) + static_cast<size_t>(key) * 2 * sizeof(uint64_t);
    // So that a null pointer has a code under a key that nobody has set, too.
    constexpr uint64_t kOdd = 0x9e37'79b9'7f4a'7c15;
    const Ref a = bin(t, Op::Xor, bin(t, Op::Xor, pointer, field(t, place)), t.ir.i64(kOdd));
    const Ref b = bin(t, Op::Xor, modifier, field(t, place + sizeof(uint64_t)));
    return bin(t, Op::Xor, t.ir.emit(Op::Mul, Type::I64, {a, b}), t.ir.emit(Op::UMulHigh, Type::I64, {a, b}));
}

/// `pointer` with the bits of `mask` as copies of bit 55.
Ref canonical(TranslationContext& t, Ref pointer, Ref select, Ref mask) {
    return bin(t, Op::Xor, pointer, bin(t, Op::And, bin(t, Op::Xor, pointer, select), mask));
}

/// AddPAC
Ref sign(TranslationContext& t, Ref pointer, Ref modifier, PacKey key) {
    const bool data = is_data(key);
    // Where neither half has tags, bit 63 chooses, and bit 55 is one of the copies.
    const uint32_t untagged = data ? translation_flag::kPacDataUntagged : translation_flag::kPacCodeUntagged;
    const bool top = (t.translation_flags & untagged) != 0;
    const Ref select = copies(t, pointer, top ? 63 : 55), mask = code_mask(t, select, data);
    const Ref base = top ? canonical(t, pointer, select, t.ir.i64(kSelectBit)) : pointer;
    const Ref code = compute_code(t, canonical(t, base, select, mask), modifier, key);
    return bin(t, Op::Xor, base, bin(t, Op::And, code, mask));
}

/// Auth, which faults where the code is wrong (FEAT_FPAC).
Ref authenticate(TranslationContext& t, Ref pointer, Ref modifier, PacKey key) {
    const Ref select = copies(t, pointer, 55), mask = code_mask(t, select, is_data(key));
    const Ref plain = canonical(t, pointer, select, mask);
    const Ref code = compute_code(t, plain, modifier, key);
    const Ref result = bin(t, Op::Xor, pointer, bin(t, Op::And, code, mask));
    t.ir.emit(Op::CheckPointer, Type::Void, {bin(t, Op::Xor, result, plain)}, 0, static_cast<uint32_t>(key));
    return plain;
}

bool sign_register(TranslationContext& t, PacKey key, Reg d, Ref modifier) {
    if (is_enabled(t, key)) set_x(t, d, sign(t, x(t, d), modifier, key));
    return true;
}
bool authenticate_register(TranslationContext& t, PacKey key, Reg d, Ref modifier) {
    if (is_enabled(t, key)) set_x(t, d, authenticate(t, x(t, d), modifier, key));
    return true;
}
Ref authenticated(TranslationContext& t, PacKey key, Ref pointer, Ref modifier) {
    return is_enabled(t, key) ? authenticate(t, pointer, modifier, key) : pointer;
}

Ref strip(TranslationContext& t, Ref pointer, bool data) {
    const Ref select = copies(t, pointer, 55);
    return canonical(t, pointer, select, code_mask(t, select, data));
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
    set_x(t, d, bin(t, Op::And, compute_code(t, value, modifier, PacKey::GA), t.ir.i64(~uint64_t{0} << 32)));
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
    set_x(t, r, load(t, Type::I64, address, mem_aux(t, 3)));
    if (pre_index) set_xsp(t, n, address);
    return true;
}

}  // namespace arclight::frontend::a64::translate
