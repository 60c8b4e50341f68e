// Hints, barriers, PSTATE, system registers and system instructions (ARM ARM C4.1.93 and D19).
#include <utility>

#include "frontend/a64/system/sysregs.h"
#include "frontend/a64/system/system_instructions.h"
#include "frontend/a64/system/tags.h"
#include "frontend/a64/translate/common.h"
#include "frontend/a64/translate/handlers_integer.h"

namespace arclight::frontend::a64::translate {

namespace {

bool read_through_helper(TranslationContext& t, uint32_t encoding, Reg r,
                         Helper helper = Helper::ReadSysreg) {
    const Ref v = call(t, helper, {t.ir.i64(encoding)}, Type::I64);
    set_x(t, r, v);
    return true;
}

/// Ends the block by a helper that set state.pc and a reason.
bool wait(TranslationContext& t, Helper helper, std::initializer_list<Ref> args = {}) {
    call(t, helper, args);
    t.ended = true;
    return false;
}

}  // namespace

// ---- Hints

bool YIELD(TranslationContext& t) {
    call(t, Helper::Yield, {});
    return true;
}

bool WFE(TranslationContext& t) { return wait(t, Helper::WaitForEvent); }
bool WFI(TranslationContext& t) { return wait(t, Helper::WaitForInterrupt); }

bool WFET(TranslationContext& t, Reg r) { return wait(t, Helper::WaitUntil, {x(t, r), t.ir.i64(1)}); }
bool WFIT(TranslationContext& t, Reg r) { return wait(t, Helper::WaitUntil, {x(t, r), t.ir.i64(0)}); }

// The helper's argument is 1 when the event is for this CPU only.
bool SEV(TranslationContext& t) {
    call(t, Helper::SendEvent, {t.ir.i64(0)});
    return true;
}

bool SEVL(TranslationContext& t) {
    call(t, Helper::SendEvent, {t.ir.i64(1)});
    return true;
}

bool HINT(TranslationContext&, Imm<4>, Imm<3>) { return true; }

// ---- Barriers

bool CLREX(TranslationContext& t) {
    t.ir.store_field(t.ir.i64(jit::kNoExclusive), offsetof(jit::GuestState, exclusive_addr), 8);
    return true;
}

namespace {
// The domain does not matter: all guest memory is shared with every observer there is. A reserved type is a
// full barrier.
ir::FenceKind fence_kind(unsigned crm) {
    switch (crm & 3) {
        case 1: return ir::FenceKind::Load;
        case 2: return ir::FenceKind::Store;
        default: return ir::FenceKind::Full;
    }
}
}  // namespace

bool DMB(TranslationContext& t, Imm<4> crm) {
    fence(t, fence_kind(crm));
    return true;
}

bool DSB(TranslationContext& t, Imm<4>) {
    fence(t, ir::FenceKind::Full);
    if ((t.translation_flags & jit::translation_flag::kFastmem) != 0)
        call(t, Helper::DataBarrier, {});
    else if ((t.translation_flags & jit::translation_flag::kSerial) == 0)
        // Soft TLBs are invalidated at once: what is unfinished is what others have been asked for.
        call(t, Helper::DataBarrierIfAsked, {});
    return true;
}

// What it orders has taken effect already or waits behind the interrupt flag: IC takes the blocks out of all
// look-ups, but another CPU's jump cache and region may lead to them until it has looked at the flag, which
// leaving the block does here. The rest of this block was fetched too early, and a direct exit would not look
// the page up again.
bool ISB(TranslationContext& t) {
    const Ref next = t.ir.emit(Op::PcRel, Type::I64, {}, t.offset + 4);
    t.ir.emit(Op::ExitIndirect, Type::Void, {next}, 0, static_cast<uint32_t>(ir::BranchKind::Barrier));
    t.ended = true;
    return false;
}

// It waits for what comes before it, and what comes behind it is not begun meanwhile: on the host a fence, which no load
// passes. What the host speculates on beyond that is --spectre's business.
bool SB(TranslationContext& t) {
    fence(t, ir::FenceKind::Full);
    return true;
}

// ---- PSTATE

bool MSR_SSBS(TranslationContext& t, Imm<4> crm) {
    t.ir.store_field(t.ir.i64(crm.bit(0) ? 1u << 12 : 0), offsetof(jit::GuestState, ssbs), 8);
    return true;
}

bool MSR_DIT(TranslationContext& t, Imm<4> crm) {
    t.ir.store_field(t.ir.i64(crm.bit(0) ? 1u << 24 : 0), offsetof(jit::GuestState, dit), 8);
    return true;
}

bool MSR_TCO(TranslationContext& t, Imm<4> crm) {
    t.ir.store_field(t.ir.i64(crm.bit(0) ? 1u << 25 : 0), offsetof(jit::GuestState, tco), 8);
    return true;
}

namespace {
void write_pstate(TranslationContext& t, PstateField field, Imm<4> crm) {
    const Ref a = t.ir.i64(std::to_underlying(field)), b = t.ir.i64(crm);
    call(t, Helper::MsrImmediate, {a, b});
}
}  // namespace

bool pstate_at_el1(TranslationContext& t, PstateField field, Imm<4> crm) {
    if (!t.el1()) return undefined(t);
    write_pstate(t, field, crm);
    return exit_to_next(t);
}

// At EL0 the helpers of both look at SCTLR_EL1.UMA. Only more masking lets the block go on: an interrupt that
// was just unmasked is taken at the block's end.
bool MSR_DAIFSet(TranslationContext& t, Imm<4> crm) {
    if (!t.el1()) {
        write_pstate(t, PstateField::DaifSet, crm);
        return true;
    }
    constexpr size_t kDaifField = offsetof(jit::GuestState, daif);
    const Ref daif = t.ir.load_field(Type::I64, kDaifField);
    t.ir.store_field(t.ir.bin(Op::Or, Type::I64, daif, t.ir.i64(uint64_t{crm} << 6)), kDaifField, 8);
    return true;
}

bool MSR_DAIFClr(TranslationContext& t, Imm<4> crm) {
    write_pstate(t, PstateField::DaifClr, crm);
    return exit_to_next(t);
}

// ---- System registers

// What is inline is said by the register's row (sysregs.inc). Registers that are not allocated go through the
// helper too, which finds them UNDEFINED.

namespace {
bool inlines_field(const TranslationContext& t, const SysregRow& row, uint8_t access_at_el0) {
    return t.el1() || (row.access & access_at_el0) != 0;
}
/// The bits of `v` in `mask`.
Ref kept(TranslationContext& t, Ref v, uint64_t mask) {
    if (mask == 0xffff'ffff) return truncate(t, Type::I32, v);
    return mask == ~uint64_t{0} ? v : t.ir.bin(Op::And, Type::I64, v, t.ir.i64(mask));
}
/// SP_EL0 is accessible as a register only while it is not the stack pointer.
bool sp_el0_accessible(const TranslationContext& t) {
    return t.el1() && (t.translation_flags & translation_flag::kSpElx) != 0;
}
}  // namespace

bool MRS(TranslationContext& t, Imm<1> o0, Imm<3> op1, Imm<4> crn, Imm<4> crm, Imm<3> op2, Reg r) {
    const uint32_t encoding = sysreg_encoding(2 + o0, op1, crn, crm, op2);
    const SysregRow* row = find_sysreg(encoding);
    if (row == nullptr) return read_through_helper(t, encoding, r);
    if (!t.decoder.features().has(row->feature)) return undefined(t);
    switch (row->inlined) {
        case SysregInline::None: break;
        case SysregInline::Field:
            if (!inlines_field(t, *row, sysreg_access::kRead0)) break;
            set_x(t, r, t.ir.load_field(Type::I64, row->field));
            return true;
        case SysregInline::Nzcv:
            set_x(t, r, t.ir.un(Op::NzcvFromFlags, Type::I64, t.ir.get_flags()));
            return true;
        case SysregInline::Fpcr:
            if (!check_fp_enabled(t)) return false;
            set_x(t, r, t.ir.load_field(Type::I32, offsetof(jit::GuestState, fpcr)));
            return true;
        case SysregInline::Fpsr:
            if (!check_fp_enabled(t)) return false;
            break;
        case SysregInline::SpEl0:
            if (!sp_el0_accessible(t)) return undefined(t);
            set_x(t, r, t.ir.load_field(Type::I64, offsetof(jit::GuestState, sp_el0)));
            return true;
        case SysregInline::Daif:
            if (!t.el1()) break;  // SCTLR_EL1.UMA may trap it
            set_x(t, r, t.ir.load_field(Type::I64, offsetof(jit::GuestState, daif)));
            return true;
        case SysregInline::CurrentEl:
            if (!t.el1()) return undefined(t);
            set_x(t, r, t.ir.i64(1 << 2));
            return true;
        case SysregInline::Counter:
            if (!t.el1()) return read_through_helper(t, encoding, r, Helper::ReadUserCounter);
            set_x(t, r, call(t, Helper::ReadCounter, {}, Type::I64));
            return true;
    }
    return read_through_helper(t, encoding, r);
}

bool MSR_reg(TranslationContext& t, Imm<1> o0, Imm<3> op1, Imm<4> crn, Imm<4> crm, Imm<3> op2, Reg r) {
    const uint32_t encoding = sysreg_encoding(2 + o0, op1, crn, crm, op2);
    const SysregRow* row = find_sysreg(encoding);
    if (row != nullptr && !t.decoder.features().has(row->feature)) return undefined(t);
    switch (row == nullptr ? SysregInline::None : row->inlined) {
        case SysregInline::Field:
            if (!inlines_field(t, *row, sysreg_access::kWrite0)) break;
            t.ir.store_field(kept(t, x(t, r), row->mask), row->field, 8);
            return true;
        case SysregInline::Nzcv:
            t.ir.set_flags(t.ir.un(Op::FlagsFromNzcv, Type::Flags, x(t, r)));
            return true;
        case SysregInline::Fpcr:
        case SysregInline::Fpsr:
            if (!check_fp_enabled(t)) return false;
            break;
        case SysregInline::SpEl0:
            if (!sp_el0_accessible(t)) return undefined(t);
            t.ir.store_field(x(t, r), offsetof(jit::GuestState, sp_el0), 8);
            return true;
        default: break;
    }
    const Ref a = t.ir.i64(encoding), b = x(t, r);
    call(t, Helper::WriteSysreg, {a, b});
    return row != nullptr && !row->ends_block ? true : exit_to_next(t);
}

// ---- System instructions (system_instructions.inc)

namespace {
Helper helper_of(const SystemInstruction& row) {
    switch (row.inlined) {
        case SystemInline::CleanLine: return Helper::CleanLine;
        case SystemInline::CodeLine: return Helper::ForgetCodeLine;
        default: return Helper::SystemInsn;
    }
}
}  // namespace

bool SYS(TranslationContext& t, Imm<3> op1, Imm<4> crn, Imm<4> crm, Imm<3> op2, Reg r) {
    const uint32_t encoding = sysreg_encoding(1, op1, crn, crm, op2);
    const SystemInstruction* row = find_system_instruction(encoding);
    if (row == nullptr || (row->el != 0 && !t.el1()) || !t.decoder.features().has(row->feature))
        return undefined(t);
    const bool zeroes = row->inlined == SystemInline::ZeroBlock;
    const bool zeroes_tagged = row->inlined == SystemInline::ZeroTagBlock;
    const bool tags = zeroes_tagged || row->inlined == SystemInline::TagBlock;
    if (!(zeroes || tags) || (t.translation_flags & translation_flag::kZeroTrap) != 0) {
        const Ref a = t.ir.i64(encoding), b = x(t, r);
        call(t, helper_of(*row), {a, b});
    }
    constexpr unsigned kBlockLog2 = 6;  // DCZID_EL0.BS: 64 bytes
    if (zeroes) t.ir.emit(Op::ZeroBlock, Type::Void, {x(t, r)}, 0, kBlockLog2);
    if (tags) {
        constexpr TagStore kTags{.granules = 4, .block = true},
            kZeros{.granules = 4, .zero = true, .block = true};
        const Ref address = x(t, r);
        call(t, Helper::StoreTags, {address, address, t.ir.i64((zeroes_tagged ? kZeros : kTags).pack())});
    }
    return true;
}

// No SYSL instruction is defined without an extension that is not announced.
bool SYSL(TranslationContext& t, Imm<3>, Imm<4>, Imm<4>, Imm<3>, Reg) { return undefined(t); }

}  // namespace arclight::frontend::a64::translate
