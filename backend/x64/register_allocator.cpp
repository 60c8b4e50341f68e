// Register allocation: values in host registers, spilling.
#include "backend/x64/register_allocator.h"

#include <iterator>

#include "backend/x64/guest_slots.h"
#include "backend/x64/host_flags.h"

namespace arclight::backend {

using namespace Xbyak::util;

namespace {
// Preserved registers first: values in them survive calls of helpers. rdx and rcx last: some instructions
// want them.
constexpr uint8_t kGprOrder[] = {3, 6, 7, 8, 9, 10, 11, 12, 13, 15, 1, 2};
constexpr unsigned kXmmCount = 15;  // xmm15 is scratch
}  // namespace

RegisterAllocator::RegisterAllocator(Assembler& as, BlockValues& values, GuestSlots& slots, HostFlags& flags)
    : as_(as),
      values_(values),
      slots_(slots),
      flags_(flags),
      mem_operand_{qword[rax], qword[rax], qword[rax]} {
    places_.owner.fill(kNoRef);
}

void RegisterAllocator::start_block() {
    places_.owner.fill(kNoRef);
    pinned_ = 0;
    places_.spills_used = places_.spills_v_used = 0;
}

// ---- Allocation

unsigned RegisterAllocator::allocate(bool xmm, uint32_t avoid) {
    const uint32_t taken = pinned_ | avoid;
    unsigned best = kNone;
    uint32_t best_use = 0;
    const unsigned count = xmm ? kXmmCount : std::size(kGprOrder);
    for (unsigned k = 0; k < count; ++k) {
        const unsigned reg = xmm ? 16 + k : kGprOrder[k];
        if (taken >> reg & 1) continue;
        const Ref r = places_.owner[reg];
        if (r == kNoRef || values_[r].last_need < values_.cur()) {
            best = reg;
            break;
        }
        // Of the rest, the one used last; a value that only waits to be written back is written now.
        if (best == kNone || values_[r].next_use > best_use) best = reg, best_use = values_[r].next_use;
    }
    if (best == kNone) throw TooComplex{};
    evict(best);
    pinned_ |= 1u << best;
    return best;
}

void RegisterAllocator::assign(unsigned reg, Ref r) {
    places_.owner[reg] = r;
    values_[r].reg = static_cast<uint8_t>(reg);
    pinned_ |= 1u << reg;
}

void RegisterAllocator::release(unsigned reg) {
    const Ref r = places_.owner[reg];
    if (r != kNoRef && values_[r].reg == reg) values_[r].reg = kNone;
    places_.owner[reg] = kNoRef;
}

void RegisterAllocator::evict(unsigned reg) {
    const Ref r = places_.owner[reg];
    if (r == kNoRef) return;
    if (values_.is_addend(r)) return release(reg);
    Value& v = values_[r];
    if (v.last_need >= values_.cur() && !values_.rematerialisable(r)) {
        slots_.write_back_value(r);
        if (!values_.in_memory(r) && (v.next_use != kNever || v.kept)) spill(r);
    }
    release(reg);
}

void RegisterAllocator::reserve(unsigned reg) {
    const Ref r = places_.owner[reg];
    if (r != kNoRef && (pinned_ >> reg & 1) != 0) {
        // An operand already fetched: the caller holds the register's number, so it must not be here.
        throw TooComplex{};
    }
    pinned_ |= 1u << reg;
    if (r == kNoRef) return;
    if (values_[r].last_need >= values_.cur() && !values_.rematerialisable(r)) {
        const unsigned other = allocate(reg >= 16);
        if (reg >= 16) {
            as_.vmovaps(Xmm(static_cast<int>(other) - 16), Xmm(static_cast<int>(reg) - 16));
        } else {
            as_.mov(Reg64(static_cast<int>(other)), Reg64(static_cast<int>(reg)));
        }
        release(reg);
        assign(other, r);
        pinned_ &= ~(1u << other);
        return;
    }
    release(reg);
}

uint8_t RegisterAllocator::new_spill(Ref r) {
    const bool vec = is_vec(values_.inst(r).type);
    uint64_t& used = vec ? places_.spills_v_used : places_.spills_used;
    const unsigned count = vec ? jit::kSpillVSlots : jit::kSpillSlots;
    for (unsigned s = 0; s < count; ++s) {
        Ref& owner = vec ? places_.spill_v_owner[s] : places_.spill_owner[s];
        if ((used >> s & 1) != 0 && values_[owner].last_need >= values_.cur()) continue;
        used |= uint64_t{1} << s;
        owner = r;
        return static_cast<uint8_t>(s);
    }
    throw TooComplex{};
}

void RegisterAllocator::spill(Ref r) {
    Value& v = values_[r];
    v.spill = new_spill(r);
    const ClassScope scope(as_, jit::HostClass::Spill);
    if (v.reg >= 16) {
        as_.vmovaps(ptr[at(memory_disp(r))], Xmm(v.reg - 16));
    } else {
        as_.mov(at(memory_disp(r)), Reg64(v.reg));
    }
}

int RegisterAllocator::memory_disp(Ref r) const {
    const Value& v = values_[r];
    if (v.home != kNone) return slot_disp(v.home);
    if (is_vec(values_.inst(r).type)) return field(offsetof(jit::GuestState, spill_v) + 16 * v.spill);
    return field(offsetof(jit::GuestState, spill) + 8 * v.spill);
}

void RegisterAllocator::move_imm(const Reg64& r, uint64_t value) {
    if (value == 0 && flags_.unused()) {
        as_.xor_(r.cvt32(), r.cvt32());
    } else if (value <= 0xffff'ffff) {
        as_.mov(r.cvt32(), static_cast<uint32_t>(value));
    } else {
        as_.mov(r, value);  // Xbyak takes the sign-extended form when it fits
    }
}

void RegisterAllocator::load_value(unsigned reg, Ref r) {
    const Inst& i = values_.inst(r);
    const ClassScope scope(as_, values_.rematerialisable(r) ? jit::HostClass::Constant
                                : values_[r].home != kNone  ? jit::HostClass::RegisterLoad
                                                            : jit::HostClass::Spill);
    if (reg >= 16) {
        const Xmm x(static_cast<int>(reg) - 16);
        if (i.type == Type::F32) {
            as_.vmovss(x, dword[at(memory_disp(r))]);
        } else if (i.type == Type::F64) {
            as_.vmovsd(x, qword[at(memory_disp(r))]);
        } else {
            as_.vmovaps(x, ptr[at(memory_disp(r))]);
        }
        return;
    }
    const Reg64 g(static_cast<int>(reg));
    const auto vector = slots_.vector_home(values_[r].home);
    if (i.op == Op::Const) {
        move_imm(g, i.imm);
    } else if (values_.rematerialisable(r)) {
        as_.mov(g, at(ARCLIGHT_STATE_DISP(page_base)));
        if (i.imm != 0) as_.lea(g, mem(g, static_cast<int32_t>(i.imm)));
    } else if (vector && i.type == Type::I32) {
        as_.vmovd(g.cvt32(), *vector);
    } else if (vector) {
        as_.vmovq(g, *vector);
    } else if (i.type == Type::I32) {
        as_.mov(g.cvt32(), at(memory_disp(r)));
    } else {
        as_.mov(g, at(memory_disp(r)));
    }
}

// ---- Operands and results

uint8_t RegisterAllocator::use_in_register(Ref r, bool vector) {
    Value& v = values_[r];
    if (v.reg == kNone) {
        const unsigned reg = allocate(vector);
        load_value(reg, r);
        assign(reg, r);
    }
    pinned_ |= 1u << v.reg;
    return v.reg;
}

Reg64 RegisterAllocator::use(Ref r) { return Reg64(use_in_register(r, false)); }
Xmm RegisterAllocator::use_xmm(Ref r) { return Xmm(use_in_register(r, true) - 16); }

const Operand& RegisterAllocator::use_rm(Ref r, Type t) {
    const unsigned k = operand_count_++ % 3;
    if (values_[r].reg == kNone && values_.in_memory(r) && values_.dies(r) &&
        !slots_.vector_home(values_[r].home)) {
        const Xbyak::RegExp where = at(memory_disp(r));
        return mem_operand_[k] = t == Type::I32 ? dword[where] : qword[where];
    }
    return reg_operand_[k] = use(r, t);
}

const Operand& RegisterAllocator::use_xmm_rm(Ref r) {
    const unsigned k = operand_count_++ % 3;
    if (values_[r].reg == kNone && values_.in_memory(r) && values_.dies(r)) {
        return mem_operand_[k] = ptr[at(memory_disp(r))];
    }
    return reg_operand_[k] = use_xmm(r);
}

Reg64 RegisterAllocator::def(Ref result) {
    const unsigned reg = allocate(false);
    assign(reg, result);
    return Reg64(static_cast<int>(reg));
}

Xmm RegisterAllocator::def_xmm(Ref result) {
    const unsigned reg = allocate(true);
    assign(reg, result);
    return Xmm(static_cast<int>(reg) - 16);
}

bool RegisterAllocator::try_take_over(Ref result, Ref from) {
    const unsigned reg = values_[from].reg;
    if (reg == kNone || !values_.dies(from)) return false;
    places_.owner[reg] = kNoRef;
    values_[from].reg = kNone;
    assign(reg, result);
    return true;
}

Reg64 RegisterAllocator::def_copy(Ref result, Ref from) {
    if (try_take_over(result, from)) return Reg64(values_[result].reg);
    const unsigned source = values_[from].reg;
    if (source != kNone) pinned_ |= 1u << source;
    const unsigned reg = allocate(false);
    const Reg64 dst(static_cast<int>(reg));
    if (source != kNone) {
        // Truncation or zero-extension by the type of the result costs nothing.
        if (values_.inst(result).type == Type::I32) {
            as_.mov(dst.cvt32(), Reg64(static_cast<int>(source)).cvt32());
        } else {
            as_.mov(dst, Reg64(static_cast<int>(source)));
        }
    } else {
        load_value(reg, from);
    }
    assign(reg, result);
    return dst;
}

Xmm RegisterAllocator::def_copy_xmm(Ref result, Ref from) {
    if (try_take_over(result, from)) return Xmm(values_[result].reg - 16);
    const unsigned source = values_[from].reg;
    if (source != kNone) pinned_ |= 1u << source;
    const unsigned reg = allocate(true);
    const Xmm dst(static_cast<int>(reg) - 16);
    if (source != kNone) {
        as_.vmovaps(dst, Xmm(static_cast<int>(source) - 16));
    } else {
        load_value(reg, from);
    }
    assign(reg, result);
    return dst;
}

Reg64 RegisterAllocator::def_over(Ref result, std::initializer_list<Ref> operands) {
    for (const Ref r : operands)
        if (try_take_over(result, r)) return Reg64(values_[result].reg);
    return def(result);
}

Xmm RegisterAllocator::def_xmm_over(Ref result, std::initializer_list<Ref> operands) {
    for (const Ref r : operands)
        if (try_take_over(result, r)) return Xmm(values_[result].reg - 16);
    return def_xmm(result);
}

// ---- Calls

void RegisterAllocator::fetch(Ref r) {
    const unsigned reg = allocate(is_vec(values_.inst(r).type));
    load_value(reg, r);
    assign(reg, r);
    unpin(reg);
}

void RegisterAllocator::evict_caller_saved() {
    for (unsigned reg = 0; reg < 32; ++reg) {
        const bool survives =
            reg == Operand::RBX || reg == Operand::R12 || reg == Operand::R13 || reg == Operand::R15;
        if (survives || places_.owner[reg] == kNoRef) continue;
        if (values_[places_.owner[reg]].last_need > values_.cur()) {
            evict(reg);
        } else {
            release(reg);
        }
    }
}

void RegisterAllocator::move_home_to_spill(Ref r) {
    Value& v = values_[r];
    const Type t = values_.inst(r).type;
    if (t == Type::Flags) {
        as_.movzx(eax, word[at(memory_disp(r))]);
        v.home = kNone;
        v.spill = new_spill(r);
        as_.mov(at(memory_disp(r)), rax);
        return;
    }
    if (v.reg == kNone) fetch(r);
    v.home = kNone;
    spill(r);
    unpin(v.reg);
}

}  // namespace arclight::backend
