// Register allocation: values in host registers, guest slots, spilling.
#include <bit>

#include "backend/x64/emitter.h"

namespace arclight::backend {

using namespace Xbyak::util;

namespace {
// Preserved registers first: values in them survive calls of helpers. rdx and rcx last: some instructions
// want them.
constexpr uint8_t kGprOrder[] = {3, 6, 7, 8, 9, 10, 11, 12, 13, 15, 1, 2};
constexpr unsigned kXmmCount = 15;  // xmm15 is scratch
}  // namespace

// ---- Allocation
// --------------------------------------------------------------------------------------------------

bool BlockEmitter::rematerialisable(Ref r) const {
    const Inst& i = inst(r);
    return i.op == Op::Const ||
           (i.op == Op::PcRel && static_cast<int64_t>(i.imm) == static_cast<int32_t>(i.imm));
}

unsigned BlockEmitter::allocate(bool xmm, uint32_t avoid) {
    const uint32_t taken = pinned_ | avoid;
    unsigned best = kNone;
    uint32_t best_use = 0;
    const unsigned count = xmm ? kXmmCount : std::size(kGprOrder);
    for (unsigned k = 0; k < count; ++k) {
        const unsigned reg = xmm ? 16 + k : kGprOrder[k];
        if (taken >> reg & 1) continue;
        const Ref r = owner_[reg];
        if (r == kNoRef || values_[r].last_need < cur_) {
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

void BlockEmitter::assign(unsigned reg, Ref r) {
    owner_[reg] = r;
    values_[r].reg = static_cast<uint8_t>(reg);
    pinned_ |= 1u << reg;
}

void BlockEmitter::release(unsigned reg) {
    const Ref r = owner_[reg];
    if (r != kNoRef && values_[r].reg == reg) values_[r].reg = kNone;
    owner_[reg] = kNoRef;
}

void BlockEmitter::evict(unsigned reg) {
    const Ref r = owner_[reg];
    if (r == kNoRef) return;
    if (is_addend(r)) return release(reg);
    Value& v = values_[r];
    if (v.last_need >= cur_ && !rematerialisable(r)) {
        for (uint64_t m = dirty_; m != 0; m &= m - 1) {
            const unsigned s = static_cast<unsigned>(std::countr_zero(m));
            if (slot_[s] != r) continue;
            dirty_ &= ~(uint64_t{1} << s);
            if (observed_[s] < cur_) continue;
            store_slot(s, location_of(s));
            add_home(r, s);
        }
        if (!in_memory(r) && v.next_use != kNever) spill(r);
    }
    release(reg);
}

void BlockEmitter::reserve(unsigned reg) {
    const Ref r = owner_[reg];
    if (r != kNoRef && (pinned_ >> reg & 1) != 0) {
        // An operand already fetched: the caller holds the register's number, so it must not be here.
        throw TooComplex{};
    }
    pinned_ |= 1u << reg;
    if (r == kNoRef) return;
    if (values_[r].last_need >= cur_ && !rematerialisable(r)) {
        const unsigned other = allocate(reg >= 16);
        if (reg >= 16) {
            vmovaps(Xmm(static_cast<int>(other) - 16), Xmm(static_cast<int>(reg) - 16));
        } else {
            mov(Reg64(static_cast<int>(other)), Reg64(static_cast<int>(reg)));
        }
        release(reg);
        assign(other, r);
        pinned_ &= ~(1u << other);
        return;
    }
    release(reg);
}

uint8_t BlockEmitter::new_spill(Ref r) {
    const bool vec = is_vec(inst(r).type);
    uint64_t& used = vec ? spills_v_used_ : spills_used_;
    const unsigned count = vec ? jit::kSpillVSlots : jit::kSpillSlots;
    for (unsigned s = 0; s < count; ++s) {
        Ref& owner = vec ? spill_v_owner_[s] : spill_owner_[s];
        if ((used >> s & 1) != 0 && values_[owner].last_need >= cur_) continue;
        used |= uint64_t{1} << s;
        owner = r;
        return static_cast<uint8_t>(s);
    }
    throw TooComplex{};
}

void BlockEmitter::spill(Ref r) {
    Value& v = values_[r];
    v.spill = new_spill(r);
    if (v.reg >= 16) {
        vmovaps(ptr[at(memory_disp(r))], Xmm(v.reg - 16));
    } else {
        mov(qword[at(memory_disp(r))], Reg64(v.reg));
    }
}

int BlockEmitter::memory_disp(Ref r) const {
    const Value& v = values_[r];
    if (v.home != kNone) return slot_disp(v.home);
    if (is_vec(inst(r).type)) return field(offsetof(jit::GuestState, spill_v) + 16 * v.spill);
    return field(offsetof(jit::GuestState, spill) + 8 * v.spill);
}

void BlockEmitter::move_imm(const Reg64& r, uint64_t value) {
    if (value == 0 && eflags_ == kNoRef && !raw_flags_) {
        xor_(r.cvt32(), r.cvt32());
    } else if (value <= 0xffff'ffff) {
        mov(r.cvt32(), static_cast<uint32_t>(value));
    } else {
        mov(r, value);  // Xbyak takes the sign-extended form when it fits
    }
}

void BlockEmitter::load_value(unsigned reg, Ref r) {
    const Inst& i = inst(r);
    if (reg >= 16) {
        const Xmm x(static_cast<int>(reg) - 16);
        if (i.type == Type::F32) {
            vmovss(x, dword[at(memory_disp(r))]);
        } else if (i.type == Type::F64) {
            vmovsd(x, qword[at(memory_disp(r))]);
        } else {
            vmovaps(x, ptr[at(memory_disp(r))]);
        }
        return;
    }
    const Reg64 g(static_cast<int>(reg));
    if (i.op == Op::Const) {
        move_imm(g, i.imm);
    } else if (rematerialisable(r)) {
        mov(g, qword[at(ARCLIGHT_STATE_DISP(page_base))]);
        if (i.imm != 0) lea(g, ptr[g + static_cast<int32_t>(i.imm)]);
    } else if (i.type == Type::I32) {
        mov(g.cvt32(), dword[at(memory_disp(r))]);
    } else {
        mov(g, qword[at(memory_disp(r))]);
    }
}

// ---- Operands and results
// ----------------------------------------------------------------------------------------

Reg64 BlockEmitter::use(Ref r) {
    Value& v = values_[r];
    if (v.reg == kNone) {
        const unsigned reg = allocate(false);
        load_value(reg, r);
        assign(reg, r);
    }
    pinned_ |= 1u << v.reg;
    return Reg64(v.reg);
}

Xmm BlockEmitter::use_xmm(Ref r) {
    Value& v = values_[r];
    if (v.reg == kNone) {
        const unsigned reg = allocate(true);
        load_value(reg, r);
        assign(reg, r);
    }
    pinned_ |= 1u << v.reg;
    return Xmm(v.reg - 16);
}

const Operand& BlockEmitter::use_rm(Ref r, Type t) {
    const unsigned k = operand_count_++ % 3;
    if (values_[r].reg == kNone && in_memory(r) && dies(r)) {
        const Xbyak::RegExp where = at(memory_disp(r));
        return mem_operand_[k] = t == Type::I32 ? dword[where] : qword[where];
    }
    return reg_operand_[k] = use(r, t);
}

const Operand& BlockEmitter::use_xmm_rm(Ref r) {
    const unsigned k = operand_count_++ % 3;
    if (values_[r].reg == kNone && in_memory(r) && dies(r)) {
        return mem_operand_[k] = ptr[at(memory_disp(r))];
    }
    return reg_operand_[k] = use_xmm(r);
}

Reg64 BlockEmitter::def(Ref result) {
    const unsigned reg = allocate(false);
    assign(reg, result);
    return Reg64(static_cast<int>(reg));
}

Xmm BlockEmitter::def_xmm(Ref result) {
    const unsigned reg = allocate(true);
    assign(reg, result);
    return Xmm(static_cast<int>(reg) - 16);
}

bool BlockEmitter::try_take_over(Ref result, Ref from) {
    const unsigned reg = values_[from].reg;
    if (reg == kNone || !dies(from)) return false;
    owner_[reg] = kNoRef;
    values_[from].reg = kNone;
    assign(reg, result);
    return true;
}

Reg64 BlockEmitter::def_copy(Ref result, Ref from) {
    if (try_take_over(result, from)) return Reg64(values_[result].reg);
    const unsigned source = values_[from].reg;
    if (source != kNone) pinned_ |= 1u << source;
    const unsigned reg = allocate(false);
    const Reg64 dst(static_cast<int>(reg));
    if (source != kNone) {
        // Truncation or zero-extension by the type of the result costs nothing.
        if (inst(result).type == Type::I32) {
            mov(dst.cvt32(), Reg64(static_cast<int>(source)).cvt32());
        } else {
            mov(dst, Reg64(static_cast<int>(source)));
        }
    } else {
        load_value(reg, from);
    }
    assign(reg, result);
    return dst;
}

Xmm BlockEmitter::def_copy_xmm(Ref result, Ref from) {
    if (try_take_over(result, from)) return Xmm(values_[result].reg - 16);
    const unsigned source = values_[from].reg;
    if (source != kNone) pinned_ |= 1u << source;
    const unsigned reg = allocate(true);
    const Xmm dst(static_cast<int>(reg) - 16);
    if (source != kNone) {
        vmovaps(dst, Xmm(static_cast<int>(source) - 16));
    } else {
        load_value(reg, from);
    }
    assign(reg, result);
    return dst;
}

Reg64 BlockEmitter::def_over(Ref result, std::initializer_list<Ref> operands) {
    for (const Ref r : operands)
        if (try_take_over(result, r)) return Reg64(values_[result].reg);
    return def(result);
}

Xmm BlockEmitter::def_xmm_over(Ref result, std::initializer_list<Ref> operands) {
    for (const Ref r : operands)
        if (try_take_over(result, r)) return Xmm(values_[result].reg - 16);
    return def_xmm(result);
}

bool BlockEmitter::imm32(Ref r, Type t, int32_t& value) const {
    if (!is_const(r)) return false;
    const uint64_t imm = inst(r).imm;
    value = static_cast<int32_t>(imm);
    return t == Type::I32 || static_cast<int64_t>(imm) == value;
}

// ---- Guest slots
// -------------------------------------------------------------------------------------------------

int BlockEmitter::slot_disp(unsigned slot) {
    if (slot == kFlagsSlot) return ARCLIGHT_STATE_DISP(flags);
    if (slot >= kVSlot) return field(offsetof(jit::GuestState, v) + 16 * (slot - kVSlot));
    return field(offsetof(jit::GuestState, x) + 8 * slot);
}

void BlockEmitter::add_home(Ref r, unsigned slot) {
    Value& v = values_[r];
    if (v.home != kNone) return;
    v.home = static_cast<uint8_t>(slot);
    v.home_next = home_head_[slot];
    home_head_[slot] = r;
}

void BlockEmitter::drop_home(unsigned slot) {
    Ref r = home_head_[slot];
    home_head_[slot] = kNoRef;
    while (r != kNoRef) {
        Value& v = values_[r];
        const Ref next = v.home_next;
        if (v.last_need >= cur_ && v.reg == kNone && v.spill == kNone && !rematerialisable(r) &&
            r != eflags_) {
            if (slot == kFlagsSlot) {
                v.home = kNone;
                v.spill = new_spill(r);
                movzx(eax, word[at(slot_disp(kFlagsSlot))]);
                mov(qword[at(memory_disp(r))], rax);
            } else {
                const unsigned reg = allocate(is_vec(inst(r).type));
                load_value(reg, r);
                assign(reg, r);
                pinned_ &= ~(1u << reg);
            }
        }
        v.home = kNone;
        r = next;
    }
}

void BlockEmitter::get_slot(unsigned slot, Ref result) {
    // Only IR that does not forward guest registers reads one that it wrote.
    if (slot == kFlagsSlot) {
        if (flags_dirty_) flags_to_memory();
    } else if (slot_dirty(slot)) {
        store_slot(slot, location_of(slot));
        dirty_ &= ~(uint64_t{1} << slot);
        add_home(slot_[slot], slot);
    }
    add_home(result, slot);
}

void BlockEmitter::set_slot(unsigned slot, Ref value) {
    if (values_[value].home == slot) return;  // what the memory holds already
    if (slot == kFlagsSlot) {
        flags_dirty_ = false;
    } else {
        dirty_ &= ~(uint64_t{1} << slot);
    }
    drop_home(slot);
    if (slot == kFlagsSlot) {
        flags_dirty_ = true;
    } else {
        if (!rematerialisable(value)) {
            if (is_vec(inst(value).type)) {
                use_xmm(value);
            } else {
                use(value);
            }
        }
        dirty_ |= uint64_t{1} << slot;
    }
    slot_[slot] = value;
    observed_[slot] = values_[cur_].last_need;
}

SavedLocation BlockEmitter::location_of(unsigned slot) const {
    const Ref r = slot_[slot];
    const Inst& i = inst(r);
    SavedLocation where{
        .slot = static_cast<uint8_t>(slot), .kind = SavedLocation::Gpr, .reg = values_[r].reg};
    if (where.reg == kNone) {
        where.kind = i.op == Op::PcRel ? SavedLocation::PageRelative : SavedLocation::Constant;
        where.value = static_cast<int64_t>(i.imm);
    } else if (where.reg >= 16) {
        where.reg -= 16;
        where.kind = i.type == Type::F32   ? SavedLocation::Xmm32
                     : i.type == Type::F64 ? SavedLocation::Xmm64
                                           : SavedLocation::Xmm128;
    }
    return where;
}

void BlockEmitter::store_slot(unsigned slot, const SavedLocation& from) {
    const Xbyak::RegExp where = at(slot_disp(slot));
    switch (from.kind) {
        case SavedLocation::Gpr: mov(qword[where], Reg64(from.reg)); break;
        case SavedLocation::Xmm128: vmovaps(ptr[where], Xmm(from.reg)); break;
        case SavedLocation::Xmm64:
            vmovq(xmm15, Xmm(from.reg));
            vmovaps(ptr[where], xmm15);
            break;
        case SavedLocation::Xmm32:
            vinsertps(xmm15, Xmm(from.reg), Xmm(from.reg), 0x0e);
            vmovaps(ptr[where], xmm15);
            break;
        case SavedLocation::Constant:
            if (from.value == static_cast<int32_t>(from.value)) {
                mov(qword[where], static_cast<int32_t>(from.value));
            } else {
                mov(rax, static_cast<uint64_t>(from.value));
                mov(qword[where], rax);
            }
            break;
        case SavedLocation::PageRelative:
            mov(rax, qword[at(ARCLIGHT_STATE_DISP(page_base))]);
            if (from.value != 0) lea(rax, ptr[rax + static_cast<int32_t>(from.value)]);
            mov(qword[where], rax);
            break;
    }
}

void BlockEmitter::write_back() {
    for (uint64_t m = dirty_; m != 0; m &= m - 1) {
        const unsigned s = static_cast<unsigned>(std::countr_zero(m));
        if (observed_[s] >= cur_) {
            store_slot(s, location_of(s));
            add_home(slot_[s], s);
        }
    }
    dirty_ = 0;
    flags_to_memory();
}

void BlockEmitter::snapshot(uint32_t& first, uint16_t& count) {
    first = static_cast<uint32_t>(locations_.size());
    for (uint64_t m = dirty_; m != 0; m &= m - 1) {
        const unsigned s = static_cast<unsigned>(std::countr_zero(m));
        if (observed_[s] >= cur_) locations_.push_back(location_of(s));
    }
    count = static_cast<uint16_t>(locations_.size() - first);
}

void BlockEmitter::write_back(const ColdArgs& args) {
    for (unsigned k = 0; k < args.count; ++k) {
        const SavedLocation where = locations_[args.first + k];
        store_slot(where.slot, where);
    }
}

}  // namespace arclight::backend
