// Operations on scalable vectors, with AVX-512.
//
//     mov   rax, [predicate]         bits of elements of one byte are a mask as they are
//     pext  rax, rax, bits of elements
//     kmovd k4, eax
//     vmovdqa64   zmm22, [z_upper of n]          a register's upper part, which has its place in 64 bytes,
//     vinserti32x4 zmm22, zmm22, [v of n], 0     and the low 128 bits
//     ...
//     vaddpd zmm24 {k4}{z}, zmm22, zmm23         inactive elements raise nothing
//     vcmppd k2 {k4}, zmm24, zmm24, unordered    as check_vector() in emit_simd.cpp
//     ktest, jne the runtime
//     vpblendmq zmm24 {k4}, zmm25, zmm24         zmm25: the destination as it was
//     vmovdqa64 [z_upper of d], zmm24
//     vmovdqa   [v of d], xmm24
//
// An access looks the page of its first and last byte up in the soft TLB, as others do (emit_memory.cpp); what misses, is in two
// pages or, through the fastmem, faults is done by the runtime, element by element. Nothing has been written then.
//
// What an operation has loaded or made stays where it is for the next ones of the block (scalable_copies.h). xmm16 to xmm31 and the
// masks are free in all blocks, but for those of CodeOptions::vector_registers.
#include "backend/x64/exit_emitter.h"
#include "backend/x64/scalable_emitter.h"
#include "backend/x64/simd.h"
#include "jit/runtime_entries.h"

namespace arclight::backend {

using namespace Xbyak::util;
using namespace simd;
using ir::Inactive;
using ir::Lanes;
using Xbyak::Ymm;
using Xbyak::Zmm;

namespace {
using VexUnary = void (Cg::*)(const Xmm&, const Operand&);

constexpr Vex3ByWidth kMaxSigned = {&Cg::vpmaxsb, &Cg::vpmaxsw, &Cg::vpmaxsd, &Cg::vpmaxsq};
constexpr Vex3ByWidth kMaxUnsigned = {&Cg::vpmaxub, &Cg::vpmaxuw, &Cg::vpmaxud, &Cg::vpmaxuq};
constexpr Vex3ByWidth kMinSigned = {&Cg::vpminsb, &Cg::vpminsw, &Cg::vpminsd, &Cg::vpminsq};
constexpr Vex3ByWidth kMinUnsigned = {&Cg::vpminub, &Cg::vpminuw, &Cg::vpminud, &Cg::vpminuq};
constexpr Vex3ByWidth kShiftLeft = {nullptr, &Cg::vpsllvw, &Cg::vpsllvd, &Cg::vpsllvq};
constexpr Vex3ByWidth kShiftRight = {nullptr, &Cg::vpsrlvw, &Cg::vpsrlvd, &Cg::vpsrlvq};
constexpr Vex3ByWidth kShiftSigned = {nullptr, &Cg::vpsravw, &Cg::vpsravd, &Cg::vpsravq};
constexpr VexUnary kAbs[] = {&Cg::vpabsb, &Cg::vpabsw, &Cg::vpabsd, &Cg::vpabsq};

// What an operation works with.
constexpr int kBroadcast = 16, kTemporary = 17, kSpare = 18;
constexpr int place(unsigned z) { return ARCLIGHT_STATE_DISP(v) + 16 * static_cast<int>(z); }
constexpr int upper_place(unsigned z) {
    return ARCLIGHT_STATE_DISP(z_upper) + static_cast<int>(sizeof(jit::ScalableUpper) * z);
}
constexpr int predicate_place(unsigned p) { return ARCLIGHT_STATE_DISP(p) + 8 * static_cast<int>(p); }
constexpr int call_argument(int k) { return ARCLIGHT_STATE_DISP(access_value) + 8 * k; }

bool is_shift(Lanes op) { return op == Lanes::Shl || op == Lanes::ShrU || op == Lanes::ShrS; }
bool is_product(Lanes op) { return op == Lanes::Mul || op == Lanes::MulAdd || op == Lanes::MulSub; }
bool is_fp_arithmetic(Lanes op) {
    return op >= Lanes::FAdd && op <= Lanes::FNegMulSub && op != Lanes::FNeg && op != Lanes::FAbs;
}
bool is_fp_compare(Lanes op) { return op >= Lanes::FCmpEq && op <= Lanes::FCmpLe; }
bool uses_n(Lanes op) {
    switch (op) {
        case Lanes::Move:
        case Lanes::Abs:
        case Lanes::Neg:
        case Lanes::Not:
        case Lanes::SExt8:
        case Lanes::ZExt8:
        case Lanes::SExt16:
        case Lanes::ZExt16:
        case Lanes::SExt32:
        case Lanes::ZExt32:
        case Lanes::Index:
        case Lanes::UnpackS:
        case Lanes::UnpackU:
        case Lanes::FSqrt:
        case Lanes::FNeg:
        case Lanes::FAbs:
        case Lanes::Load:
        case Lanes::LoadSigned:
        case Lanes::LoadReplicated:
        case Lanes::LoadReplicatedSigned:
        case Lanes::Store: return false;
        default: return true;
    }
}
bool uses_a(const ir::Scalable& s) {
    return s.op == Lanes::MulAdd || s.op == Lanes::MulSub ||
           (s.op >= Lanes::FMulAdd && s.op <= Lanes::FNegMulSub) || s.inactive == Inactive::Other;
}
}  // namespace

bool host_has_scalable_vectors() {
    return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
           __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
           __builtin_cpu_supports("bmi2") != 0;
}

bool is_emitted(const ir::Scalable& s) {
    if (is_shift(s.op) || is_product(s.op)) return s.size != 0;
    return s.op != Lanes::Index || s.size >= 2;
}

uint32_t vector_registers_of(const ir::Scalable& s) {
    uint32_t registers = ir::is_compare(s.op) ? 0 : 1u << s.d;
    if (uses_n(s.op)) registers |= 1u << s.n;
    if (!s.scalar && !ir::is_access(s.op)) registers |= 1u << s.m;
    if (uses_a(s)) registers |= 1u << s.a;
    return registers;
}

// ---- The runtime

void ScalableEmitter::emit_runtime_call(const Inst& i) {
    Inst call = i;
    call.op = Op::CallRuntime;
    call.nargs = 2;
    call.imm = ir::scalable_id(i.aux);
    call.aux = ir::scalable_call_aux(i.aux);
    ExitEmitter(ctx_).emit_call(call);
    ctx_.copies.clear();
}

void ScalableEmitter::call_runtime(const Inst& i, uint32_t insn_offset) {
    for (int k = 0; k < 2; ++k) {
        as_.mov(rax, values_.inst(i.args[k]).imm);
        as_.mov(qword[at(call_argument(k))], rax);
    }
    as_.mov(eax, (jit::kFirstHelper + ir::scalable_id(i.aux)) << 16 | insn_offset);
    as_.call_stub(ctx_.stubs->call_scalable);
}

void ScalableEmitter::cold_operation(const ColdArgs& args) {
    call_runtime(values_.inst(args.inst), static_cast<uint32_t>(args.imm));
    load_copies(args);
    jump_back(args);
}

// ---- Copies

/// What they are where the operation is done: `args` will know it.
size_t ScalableEmitter::reserve_copies(ColdArgs& args) {
    const size_t number = ctx_.copies_behind.size();
    ctx_.copies_behind.emplace_back();
    args.reg[1] = static_cast<uint8_t>(number), args.reg[2] = static_cast<uint8_t>(number >> 8);
    if (number >> 16 != 0) throw TooComplex{};
    return number;
}

void ScalableEmitter::load_copies(const ColdArgs& args) {
    s_ = ir::Scalable::unpack(values_.inst(args.inst).imm);
    const ScalableCopies& copies = ctx_.copies_behind[args.reg[1] | static_cast<size_t>(args.reg[2]) << 8];
    for (size_t k = 0; k < copies.vectors().size(); ++k)
        if (copies.vectors()[k] != kNone)
            load_register(vector(static_cast<int>(ScalableCopies::kFirst + k)), copies.vectors()[k]);
    as_.push(rcx);
    for (size_t k = 0; k < copies.masks().size(); ++k)
        if (const auto [predicate, size] = copies.masks()[k]; predicate != kNone)
            load_mask(Xbyak::Opmask(static_cast<int>(ScalableCopies::kFirstMask + k)), predicate, size, rcx);
    as_.pop(rcx);
}

Xmm ScalableEmitter::copy_of(unsigned z) {
    uint8_t reg = ctx_.copies.vector(z);
    if (reg == kNone) {
        reg = ctx_.copies.take();
        load_register(vector(reg), z);
        ctx_.copies.set_vector(z, reg);
    }
    return vector(reg);
}

Xbyak::Opmask ScalableEmitter::governing(const Reg64& bits) {
    uint8_t reg = ctx_.copies.mask(s_.g, s_.size);
    if (reg == kNone) {
        reg = ctx_.copies.take_mask(s_.g, s_.size);
        load_mask(Xbyak::Opmask(reg), s_.g, s_.size, bits);
    }
    return Xbyak::Opmask(reg);
}

// ---- Registers

Xmm ScalableEmitter::vector(int index) const {
    return Xmm(s_.length == 2 ? Operand::ZMM : s_.length == 1 ? Operand::YMM : Operand::XMM, index);
}

void ScalableEmitter::give_up_registers(const ir::Scalable& s) {
    for (uint32_t left = vector_registers_of(s); left != 0; left &= left - 1)
        ctx_.slots.store(ir::kVSlot + static_cast<unsigned>(__builtin_ctz(left)));
    if (!ir::is_compare(s.op) && s.op != Lanes::Store) ctx_.slots.drop_home(ir::kVSlot + s.d);
}

void ScalableEmitter::load_register(const Xmm& to, unsigned z) {
    const Xmm low(to.getIdx());
    if (s_.length == 2) {
        as_.vmovdqa64(to, ptr[at(upper_place(z))]);
        as_.vinserti32x4(Zmm(to.getIdx()), Zmm(to.getIdx()), ptr[at(place(z))], 0);
        return;
    }
    as_.vmovdqa64(low, ptr[at(place(z))]);
    if (s_.length == 1) as_.vinserti32x4(Ymm(to.getIdx()), Ymm(to.getIdx()), ptr[at(upper_place(z) + 16)], 1);
}

void ScalableEmitter::store_register(unsigned z, const Xmm& from) {
    if (s_.length == 2) as_.vmovdqa64(ptr[at(upper_place(z))], from);
    if (s_.length == 1) as_.vextracti32x4(ptr[at(upper_place(z) + 16)], Ymm(from.getIdx()), 1);
    as_.vmovdqa64(ptr[at(place(z))], Xmm(from.getIdx()));
}

void ScalableEmitter::load_bits(const Reg64& bits, unsigned size) {
    as_.mov(bits, ir::element_bits(size, s_.bytes()));
}

/// A bit an element. Clobbers `bits`.
void ScalableEmitter::load_mask(const Xbyak::Opmask& to, unsigned predicate, unsigned size,
                                const Reg64& bits) {
    const int from = predicate_place(predicate);
    if (size == 0) {
        if (s_.length == 2) return as_.kmovq(to, qword[at(from)]);
        return s_.length == 1 ? as_.kmovd(to, dword[at(from)]) : as_.kmovw(to, word[at(from)]);
    }
    load_bits(bits, size);
    as_.mov(rax, qword[at(from)]);
    as_.pext(rax, rax, bits);
    as_.kmovd(to, eax);
}

void ScalableEmitter::broadcast(const Xmm& to, Ref scalar) {
    Reg64 from = rax;
    if (values_.is_const(scalar)) {
        const uint64_t value = values_.inst(scalar).imm;
        if (value == 0) return as_.vpxorq(to, to, to);
        if (s_.size == 3)
            as_.mov(rax, value);
        else
            as_.mov(eax, static_cast<uint32_t>(value));
    } else {
        from = regs_.use(scalar);
    }
    switch (s_.size) {
        case 0: return as_.vpbroadcastb(to, from.cvt8());
        case 1: return as_.vpbroadcastw(to, from.cvt16());
        case 2: return as_.vpbroadcastd(to, from.cvt32());
        default: return as_.vpbroadcastq(to, from);
    }
}

/// The result from `value`, what it is where elements are not active, and to the destination.
void ScalableEmitter::finish(const Xmm& value) {
    const auto move = [&](const Xmm& to) {
        switch (s_.size) {
            case 0: return as_.vmovdqu8(to, value);
            case 1: return as_.vmovdqu16(to, value);
            case 2: return as_.vmovdqa32(to, value);
            default: return as_.vmovdqa64(to, value);
        }
    };
    const auto blend = [&](const Xmm& to) {
        switch (s_.size) {
            case 0: return as_.vpblendmb(to, other_, value);
            case 1: return as_.vpblendmw(to, other_, value);
            case 2: return as_.vpblendmd(to, other_, value);
            default: return as_.vpblendmq(to, other_, value);
        }
    };
    switch (s_.inactive) {
        case Inactive::None:
            if (value.getIdx() != result_.getIdx()) move(result_);
            break;
        case Inactive::Zero: move(result_ | mask_ | T_z); break;
        default: blend(result_ | mask_);
    }
    store_result();
}

void ScalableEmitter::store_result() {
    store_register(s_.d, result_);
    ctx_.copies.set_vector(s_.d, static_cast<uint8_t>(result_.getIdx()));
}

// ---- Operations

void ScalableEmitter::emit_scalable(const Inst& i) {
    s_ = ir::Scalable::unpack(i.imm);
    if (!ctx_.scalable_vectors || !is_emitted(s_)) return emit_runtime_call(i);
    ctx_.copies.begin();
    give_up_registers(s_);
    const bool checks = is_fp_arithmetic(s_.op);
    if (s_.scalar && !values_.is_const(i.args[2])) regs_.use(i.args[2]);
    if (checks) flags_.clobber();
    const ScratchGpr bits(regs_);
    if (s_.inactive != Inactive::None) mask_ = governing(bits);
    if (uses_n(s_.op)) n_ = copy_of(s_.n);
    if (s_.scalar) {
        m_ = vector(kBroadcast);
        broadcast(m_, i.args[2]);
    } else {
        m_ = copy_of(s_.m);
    }
    if (ir::is_compare(s_.op)) return compare(bits);
    if (uses_a(s_)) a_ = copy_of(s_.a);
    if (s_.inactive == Inactive::Keep) other_ = copy_of(s_.d);
    if (s_.inactive == Inactive::Other) other_ = a_;
    result_ = vector(ctx_.copies.take());
    if (s_.op == Lanes::Move) return finish(m_);
    if (!checks) {
        compute();
        return finish(result_);
    }
    compute_fp();
    ColdArgs args;
    const size_t behind = reserve_copies(args);
    const size_t cold = check_result(s_.op == Lanes::FMul || s_.op >= Lanes::FMulAdd, args);
    // What a fused operation has added to is in the inactive elements.
    if (s_.op >= Lanes::FMulAdd && s_.inactive == Inactive::Keep && s_.a == s_.d)
        store_result();
    else
        finish(result_);
    ctx_.copies_behind[behind] = ctx_.copies;
    cold_.resume_here(cold);
}

void ScalableEmitter::compute() {
    const Xmm &n = n_, &m = m_, &r = result_, t = vector(kTemporary);
    const auto by_width = [&](const Vex3ByWidth& op, const Xmm& to) { (as_.*op[s_.size])(to, n, m); };
    switch (s_.op) {
        case Lanes::Add: return by_width(kPackedAdd, r);
        case Lanes::Sub: return by_width(kPackedSub, r);
        case Lanes::SubReversed: return (as_.*kPackedSub[s_.size])(r, m, n);
        case Lanes::Mul: return multiply(r, n, m);
        case Lanes::MulAdd: multiply(r, n, m); return (as_.*kPackedAdd[s_.size])(r, a_, r);
        case Lanes::MulSub: multiply(r, n, m); return (as_.*kPackedSub[s_.size])(r, a_, r);
        case Lanes::And: return as_.vpandq(r, n, m);
        case Lanes::Or: return as_.vporq(r, n, m);
        case Lanes::Xor: return as_.vpxorq(r, n, m);
        case Lanes::AndNot: return as_.vpandnq(r, m, n);
        case Lanes::MaxS: return by_width(kMaxSigned, r);
        case Lanes::MaxU: return by_width(kMaxUnsigned, r);
        case Lanes::MinS: return by_width(kMinSigned, r);
        case Lanes::MinU: return by_width(kMinUnsigned, r);
        case Lanes::AbsDiffS:
        case Lanes::AbsDiffU:
            by_width(s_.op == Lanes::AbsDiffS ? kMaxSigned : kMaxUnsigned, r);
            by_width(s_.op == Lanes::AbsDiffS ? kMinSigned : kMinUnsigned, t);
            return (as_.*kPackedSub[s_.size])(r, r, t);
        case Lanes::Abs: return (as_.*kAbs[s_.size])(r, m);
        case Lanes::Neg: as_.vpxorq(t, t, t); return (as_.*kPackedSub[s_.size])(r, t, m);
        case Lanes::Not: return as_.vpternlogq(r, m, m, 0x55);
        case Lanes::SExt8: return extend(8, true);
        case Lanes::ZExt8: return extend(8, false);
        case Lanes::SExt16: return extend(16, true);
        case Lanes::ZExt16: return extend(16, false);
        case Lanes::SExt32: return extend(32, true);
        case Lanes::ZExt32: return extend(32, false);
        case Lanes::Shl: return by_width(kShiftLeft, r);
        case Lanes::ShrU: return by_width(kShiftRight, r);
        case Lanes::ShrS: return by_width(kShiftSigned, r);
        case Lanes::Index: return make_index();
        case Lanes::UnpackS: return unpack(true);
        case Lanes::UnpackU: return unpack(false);
        default: {  // FNeg and FAbs
            as_.mov(rax, sign_bits(s_.size));
            as_.vpbroadcastq(t, rax);
            return s_.op == Lanes::FNeg ? as_.vpxorq(r, m, t) : as_.vpandnq(r, t, m);
        }
    }
}

void ScalableEmitter::multiply(const Xmm& to, const Xmm& a, const Xmm& b) {
    constexpr Vex3ByWidth kMultiply = {nullptr, &Cg::vpmullw, &Cg::vpmulld, &Cg::vpmullq};
    (as_.*kMultiply[s_.size])(to, a, b);
}

/// Of the second operand, to elements of at most 64 bits.
void ScalableEmitter::extend(unsigned from_bits, bool is_signed) {
    const Xmm &m = m_, &r = result_;
    const auto by = static_cast<uint8_t>(bits_of(s_.size) - from_bits);
    switch (s_.size) {
        case 1: as_.vpsllw(r, m, by); return is_signed ? as_.vpsraw(r, r, by) : as_.vpsrlw(r, r, by);
        case 2: as_.vpslld(r, m, by); return is_signed ? as_.vpsrad(r, r, by) : as_.vpsrld(r, r, by);
        default: as_.vpsllq(r, m, by); return is_signed ? as_.vpsraq(r, r, by) : as_.vpsrlq(r, r, by);
    }
}

void ScalableEmitter::make_index() {
    const Xmm &r = result_, t = vector(kTemporary);
    const Xmm numbers(result_.getIdx());
    as_.mov(rax, uint64_t{0x0706'0504'0302'0100});
    as_.vmovq(numbers, rax);
    if (s_.size == 2) {
        as_.mov(rax, uint64_t{0x0f0e'0d0c'0b0a'0908});
        as_.vpinsrq(numbers, numbers, rax, 1);
        as_.vpmovzxbd(r, numbers);
    } else {
        as_.vpmovzxbq(r, numbers);
    }
    as_.mov(rax, static_cast<int64_t>(s_.imm));
    s_.size == 2 ? as_.vpbroadcastd(t, eax) : as_.vpbroadcastq(t, rax);
    multiply(r, r, t);
    (as_.*kPackedAdd[s_.size])(r, r, m_);
}

void ScalableEmitter::unpack(bool is_signed) {
    const Xmm& r = result_;
    const int all = m_.getIdx();
    int half = all;
    if (s_.imm != 0) {
        half = kTemporary;
        if (s_.length == 2)
            as_.vextracti32x8(Ymm(half), Zmm(all), 1);
        else if (s_.length == 1)
            as_.vextracti32x4(Xmm(half), Ymm(all), 1);
        else
            as_.vpunpckhqdq(Xmm(half), Xmm(all), Xmm(all));
    }
    const Xmm from = s_.length == 2 ? Ymm(half) : Xmm(half);
    switch (s_.size) {
        case 1: return is_signed ? as_.vpmovsxbw(r, from) : as_.vpmovzxbw(r, from);
        case 2: return is_signed ? as_.vpmovsxwd(r, from) : as_.vpmovzxwd(r, from);
        default: return is_signed ? as_.vpmovsxdq(r, from) : as_.vpmovzxdq(r, from);
    }
}

void ScalableEmitter::compute_fp() {
    const bool dbl = s_.size == 3;
    const Xmm &n = n_, &m = m_;
    const bool masked = s_.inactive != Inactive::None;
    const Xmm r = masked ? result_ | mask_ | T_z : result_;
    const auto two = [&](VexFp3 single, VexFp3 of_doubles, const Xmm& a, const Xmm& b) {
        (as_.*(dbl ? of_doubles : single))(r, a, b);
    };
    const auto fused = [&](Vex3 single, Vex3 of_doubles) {
        as_.vmovdqa64(result_, a_);
        (as_.*(dbl ? of_doubles : single))(masked ? result_ | mask_ : result_, n, m);
    };
    switch (s_.op) {
        case Lanes::FAdd: return two(&Cg::vaddps, &Cg::vaddpd, n, m);
        case Lanes::FSub: return two(&Cg::vsubps, &Cg::vsubpd, n, m);
        case Lanes::FSubReversed: return two(&Cg::vsubps, &Cg::vsubpd, m, n);
        case Lanes::FMul: return two(&Cg::vmulps, &Cg::vmulpd, n, m);
        case Lanes::FDiv: return two(&Cg::vdivps, &Cg::vdivpd, n, m);
        case Lanes::FSqrt: return dbl ? as_.vsqrtpd(r, m) : as_.vsqrtps(r, m);
        case Lanes::FMulAdd: return fused(&Cg::vfmadd231ps, &Cg::vfmadd231pd);
        case Lanes::FMulSub: return fused(&Cg::vfnmadd231ps, &Cg::vfnmadd231pd);
        case Lanes::FNegMulAdd: return fused(&Cg::vfnmsub231ps, &Cg::vfnmsub231pd);
        default: return fused(&Cg::vfmsub231ps, &Cg::vfmsub231pd);
    }
}

size_t ScalableEmitter::check_result(bool tiny, ColdArgs args) {
    const ClassScope scope(as_, jit::HostClass::FpCheck);
    const bool dbl = s_.size == 3;
    const Xmm &r = result_, t = vector(kTemporary), edge = vector(kSpare);
    const auto active = [&](const Xbyak::Opmask& k) { return s_.inactive != Inactive::None ? k | mask_ : k; };
    dbl ? as_.vcmppd(active(k2), r, r, 3) : as_.vcmpps(active(k2), r, r, 3);
    if (tiny) {
        // The smallest normal number of either sign.
        as_.mov(rax, dbl ? 0x0020'0000'0000'0000 : words(0x0100'0000));
        as_.vpbroadcastq(edge, rax);
        (as_.*kPackedAdd[s_.size])(t, r, r);
        dbl ? as_.vpcmpeqq(active(k3), t, edge) : as_.vpcmpeqd(active(k3), t, edge);
        as_.kortestw(k2, k3);
    } else {
        as_.kortestw(k2, k2);
    }
    args.inst = cur();
    args.imm = ctx_.insn_offset;
    return cold_.jump(kNe, cold_fn<&ScalableEmitter::cold_operation>, args);
}

void ScalableEmitter::compare(const Reg64& bits) {
    const Xmm &n = n_, &m = m_;
    const auto to = k2 | mask_;
    if (is_fp_compare(s_.op)) {
        // As those of vectors (simd.h): what is equal is compared quietly.
        constexpr uint8_t kPredicates[] = {kEqQuiet, 0x04, kGtSignals, kGeSignals, 0x01, 0x02};
        const uint8_t predicate =
            kPredicates[static_cast<unsigned>(s_.op) - static_cast<unsigned>(Lanes::FCmpEq)];
        s_.size == 3 ? as_.vcmppd(to, n, m, predicate) : as_.vcmpps(to, n, m, predicate);
    } else {
        constexpr uint8_t kEqual = 0, kLess = 1, kLessOrEqual = 2, kNotEqual = 4, kNotLess = 5,
                          kNotLessOrEqual = 6;
        constexpr uint8_t kPredicates[] = {kEqual, kNotEqual,    kNotLessOrEqual, kNotLess,
                                           kLess,  kLessOrEqual, kNotLessOrEqual, kNotLess,
                                           kLess,  kLessOrEqual};
        const uint8_t predicate =
            kPredicates[static_cast<unsigned>(s_.op) - static_cast<unsigned>(Lanes::CmpEq)];
        const bool is_unsigned = s_.op >= Lanes::CmpGtU && s_.op <= Lanes::CmpLeU;
        switch (s_.size) {
            case 0: is_unsigned ? as_.vpcmpub(to, n, m, predicate) : as_.vpcmpb(to, n, m, predicate); break;
            case 1: is_unsigned ? as_.vpcmpuw(to, n, m, predicate) : as_.vpcmpw(to, n, m, predicate); break;
            case 2: is_unsigned ? as_.vpcmpud(to, n, m, predicate) : as_.vpcmpd(to, n, m, predicate); break;
            default: is_unsigned ? as_.vpcmpuq(to, n, m, predicate) : as_.vpcmpq(to, n, m, predicate); break;
        }
    }
    as_.kmovq(rax, k2);
    if (s_.size != 0) {
        load_bits(bits, s_.size);
        as_.pdep(rax, rax, bits);
    }
    ctx_.copies.forget_predicate(s_.d);
    as_.mov(qword[at(predicate_place(s_.d))], rax);
}

// ---- Accesses

void ScalableEmitter::emit_access(const Inst& i) {
    s_ = ir::Scalable::unpack(i.imm);
    if (!ctx_.scalable_vectors || ctx_.buffer.spectre()) return emit_runtime_call(i);
    const bool writes = s_.op == Lanes::Store;
    ctx_.copies.begin();
    prepare_access();
    give_up_registers(s_);
    const Reg64 addr = regs_.use(i.args[2]);
    const ScratchGpr temp(regs_);
    if (s_.inactive != Inactive::None) mask_ = governing(temp);
    result_ = writes ? copy_of(s_.d) : vector(ctx_.copies.take());
    ColdArgs args;
    const size_t behind = reserve_copies(args);
    size_t cold = 0;
    {
        const ClassScope scope(as_, jit::HostClass::SoftTlb);
        if (ctx_.fastmem) {
            cold = miss(Jump{}, addr, args, cold_fn<&ScalableEmitter::cold_access>);
            look_up_fastmem(addr, false);
        } else {
            const jit::MemoryAccess plain{writes ? jit::MemoryKind::StoreV : jit::MemoryKind::LoadV, 0};
            compare_tag(plain, {addr}, temp, 0, static_cast<int>(s_.memory_bytes()) - 1, writes);
            args.flag = with_victim(temp);
            args.reg[kTagRegister] = with_tags(temp);
            cold = miss(as_.jump_if(kNe, false), addr, args, cold_fn<&ScalableEmitter::cold_access>);
            load_addend(rax, false);
        }
        ctx_.faults.start_fastmem(as_.here());
    }
    ctx_.faults.mark_access(as_.here());
    {
        const ClassScope scope(as_, jit::HostClass::Access);
        access(rax + addr);
    }
    if (!writes) store_result();
    ctx_.copies_behind[behind] = ctx_.copies;
    resume_here(cold);
}

/// Of elements that memory and the register have in the same size, or not.
void ScalableEmitter::access(const Xbyak::RegExp& where) {
    const bool masked = s_.inactive != Inactive::None;
    const Xmm& v = result_;
    if (s_.op == Lanes::Store) {
        const Address to = masked ? ptr[where] | mask_ : ptr[where];
        switch (s_.size << 2 | s_.memory_size) {
            case 0 << 2 | 0: return as_.vmovdqu8(to, v);
            case 1 << 2 | 1: return as_.vmovdqu16(to, v);
            case 2 << 2 | 2: return as_.vmovdqu32(to, v);
            case 3 << 2 | 3: return as_.vmovdqu64(to, v);
            case 1 << 2 | 0: return as_.vpmovwb(to, v);
            case 2 << 2 | 0: return as_.vpmovdb(to, v);
            case 2 << 2 | 1: return as_.vpmovdw(to, v);
            case 3 << 2 | 0: return as_.vpmovqb(to, v);
            case 3 << 2 | 1: return as_.vpmovqw(to, v);
            default: return as_.vpmovqd(to, v);
        }
    }
    const Xmm to = masked ? v | mask_ | T_z : v;
    const Address from = ptr[where];
    if (ir::is_replicated(s_.op)) {
        // Whether an element is active or not: the page may be read.
        as_.load_sized(rax, where, s_.memory_size, s_.op == Lanes::LoadReplicatedSigned, Type::I64);
        switch (s_.size) {
            case 0: return as_.vpbroadcastb(to, al);
            case 1: return as_.vpbroadcastw(to, ax);
            case 2: return as_.vpbroadcastd(to, eax);
            default: return as_.vpbroadcastq(to, rax);
        }
    }
    const bool is_signed = s_.op == Lanes::LoadSigned;
    switch (s_.size << 2 | s_.memory_size) {
        case 0 << 2 | 0: return as_.vmovdqu8(to, from);
        case 1 << 2 | 1: return as_.vmovdqu16(to, from);
        case 2 << 2 | 2: return as_.vmovdqu32(to, from);
        case 3 << 2 | 3: return as_.vmovdqu64(to, from);
        case 1 << 2 | 0: return is_signed ? as_.vpmovsxbw(to, from) : as_.vpmovzxbw(to, from);
        case 2 << 2 | 0: return is_signed ? as_.vpmovsxbd(to, from) : as_.vpmovzxbd(to, from);
        case 2 << 2 | 1: return is_signed ? as_.vpmovsxwd(to, from) : as_.vpmovzxwd(to, from);
        case 3 << 2 | 0: return is_signed ? as_.vpmovsxbq(to, from) : as_.vpmovzxbq(to, from);
        case 3 << 2 | 1: return is_signed ? as_.vpmovsxwq(to, from) : as_.vpmovzxwq(to, from);
        default: return is_signed ? as_.vpmovsxdq(to, from) : as_.vpmovzxdq(to, from);
    }
}

void ScalableEmitter::cold_access(const ColdArgs& args) {
    const Inst& i = values_.inst(args.inst);
    const auto point = static_cast<size_t>(args.imm);
    const ir::Scalable s = ir::Scalable::unpack(i.imm);
    const bool writes = s.op == Lanes::Store;
    try_behind_miss(args, rax, {.from = Reg64(args.reg[0]), .bytes = s.memory_bytes(), .write = writes});
    ctx_.faults.mark_slow_path(point, as_.here());
    ctx_.slots.write_back_snapshot(args.first, args.count);
    call_runtime(i, ctx_.faults.insn_offset(point));
    ctx_.faults.mark_return(point, as_.here());
    load_copies(args);
    jump_back(args);
}

}  // namespace arclight::backend
