// Guest slots: reading, writing, writing back.
#include "backend/x64/guest_slots.h"

#include <algorithm>
#include <bit>

#include "backend/x64/fault_map_builder.h"
#include "backend/x64/host_flags.h"
#include "backend/x64/register_allocator.h"
#include "backend/x64/vector_homes.h"

namespace arclight::backend {

using namespace Xbyak::util;

GuestSlots::GuestSlots(Assembler& as, BlockValues& values, RegisterAllocator& regs, HostFlags& flags,
                       FaultMapBuilder& faults, bool in_vectors)
    : as_(as), values_(values), regs_(regs), flags_(flags), faults_(faults), in_vectors_(in_vectors) {
    newest_.slot.fill(kNoRef);
    newest_.home_head.fill(kNoRef);
    newest_.observed.fill(0);
}

void GuestSlots::start_block() {
    newest_.home_head.fill(kNoRef);
    newest_.dirty = 0;
    newest_.flags_dirty = newest_.deferred = false;
}

void GuestSlots::begin_side(const Newest& newest, const std::array<uint32_t, kSlots>& observed) {
    newest_ = newest;
    const auto needed = [&](unsigned s) {
        newest_.observed[s] = observed[s];
        uint32_t& last = values_[newest_.slot[s]].last_need;
        last = std::max(last, observed[s]);
        return observed[s] != 0;
    };
    for (uint64_t m = newest_.dirty; m != 0; m &= m - 1) {
        const auto s = static_cast<unsigned>(std::countr_zero(m));
        if (!needed(s)) newest_.dirty &= ~(uint64_t{1} << s);
    }
    if (newest_.flags_dirty) newest_.flags_dirty = needed(kFlagsSlot);
    newest_.deferred &= newest_.flags_dirty;
    if (!newest_.deferred) return;
    for (const Ref operand : compared()) {
        uint32_t& last = values_[operand].last_need;
        last = std::max(last, observed[kFlagsSlot]);
    }
}

void GuestSlots::add_home(Ref r, unsigned slot) {
    Value& v = values_[r];
    if (v.home != kNone) return;
    v.home = static_cast<uint8_t>(slot);
    v.home_next = newest_.home_head[slot];
    newest_.home_head[slot] = r;
}

void GuestSlots::drop_home(unsigned slot) {
    Ref r = newest_.home_head[slot];
    newest_.home_head[slot] = kNoRef;
    while (r != kNoRef) {
        Value& v = values_[r];
        const Ref next = v.home_next;
        if (v.last_need >= values_.cur() && v.reg == kNone && v.spill == kNone &&
            !values_.rematerialisable(r) && r != flags_.value()) {
            if (slot == kFlagsSlot) {
                v.home = kNone;
                v.spill = regs_.new_spill(r);
                as_.movzx(eax, word[at(slot_disp(kFlagsSlot))]);
                as_.mov(at(regs_.memory_disp(r)), rax);
            } else {
                regs_.fetch(r);
            }
        }
        v.home = kNone;
        r = next;
    }
}

void GuestSlots::get_slot(unsigned slot, Ref result) {
    // Only IR that does not forward guest registers reads one that it wrote.
    if (slot == kFlagsSlot) {
        if (newest_.flags_dirty) write_back_flags();
    } else {
        store(slot);
    }
    add_home(result, slot);
}

void GuestSlots::store(unsigned slot) {
    if (!slot_dirty(slot)) return;
    store_slot(slot, location_of(slot));
    newest_.dirty &= ~(uint64_t{1} << slot);
    add_home(newest_.slot[slot], slot);
}

void GuestSlots::set_slot(unsigned slot, Ref value) {
    if (values_[value].home == slot) return;  // what the memory holds already
    if (slot == kFlagsSlot) {
        newest_.flags_dirty = false;
    } else {
        newest_.dirty &= ~(uint64_t{1} << slot);
    }
    drop_home(slot);
    if (slot == kFlagsSlot) {
        newest_.flags_dirty = true;
        newest_.deferred = false;
    } else {
        if (!values_.rematerialisable(value)) {
            if (is_vec(values_.inst(value).type)) {
                regs_.use_xmm(value);
            } else {
                regs_.use(value);
            }
        }
        newest_.dirty |= uint64_t{1} << slot;
    }
    newest_.slot[slot] = value;
    newest_.observed[slot] = values_[values_.cur()].last_need;
}

SavedLocation GuestSlots::location_of(unsigned slot) const {
    const Ref r = newest_.slot[slot];
    const Inst& i = values_.inst(r);
    SavedLocation where{
        .slot = static_cast<uint8_t>(slot), .kind = SavedLocation::Gpr, .reg = values_[r].reg};
    if (where.reg == kNone) {
        where.reg = 0;
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

std::optional<Xmm> GuestSlots::vector_home(unsigned slot) const {
    if (!in_vectors_) return std::nullopt;
    const int home = vector_home_of(slot);
    return home < 0 ? std::nullopt : std::optional<Xmm>(home);
}

void GuestSlots::store_in_vector(const Xmm& home, const SavedLocation& from) {
    switch (from.kind) {
        case SavedLocation::Gpr: as_.vmovq(home, Reg64(from.reg)); break;
        case SavedLocation::Constant:
            if (from.value == 0) {
                as_.vpxord(home, home, home);
            } else {
                as_.mov(rax, static_cast<uint64_t>(from.value));
                as_.vmovq(home, rax);
            }
            break;
        case SavedLocation::PageRelative:
            as_.mov(rax, at(ARCLIGHT_STATE_DISP(page_base)));
            if (from.value != 0) as_.lea(rax, mem(rax, static_cast<int32_t>(from.value)));
            as_.vmovq(home, rax);
            break;
        default: break;  // no integer register's
    }
}

void GuestSlots::store_slot(unsigned slot, const SavedLocation& from) {
    const ClassScope scope(as_, jit::HostClass::RegisterStore);
    if (const auto home = vector_home(slot)) return store_in_vector(*home, from);
    const Mem where = at(slot_disp(slot));
    if (from.kind == SavedLocation::Gpr) {
        as_.mov(where, Reg64(from.reg));
    } else {
        store_other(where, from);
    }
}

/// What is in no general register.
void GuestSlots::store_other(const Mem& where, const SavedLocation& from) {
    switch (from.kind) {
        case SavedLocation::Gpr: break;
        case SavedLocation::Xmm128: as_.vmovaps(ptr[where], Xmm(from.reg)); break;
        case SavedLocation::Xmm64:
            as_.vmovq(xmm15, Xmm(from.reg));
            as_.vmovaps(ptr[where], xmm15);
            break;
        case SavedLocation::Xmm32:
            as_.vinsertps(xmm15, Xmm(from.reg), Xmm(from.reg), 0x0e);
            as_.vmovaps(ptr[where], xmm15);
            break;
        case SavedLocation::Constant:
            if (from.value == static_cast<int32_t>(from.value)) {
                as_.mov(where, static_cast<int32_t>(from.value));
            } else {
                as_.mov(rax, static_cast<uint64_t>(from.value));
                as_.mov(where, rax);
            }
            break;
        case SavedLocation::PageRelative:
            as_.mov(rax, at(ARCLIGHT_STATE_DISP(page_base)));
            if (from.value != 0) as_.lea(rax, mem(rax, static_cast<int32_t>(from.value)));
            as_.mov(where, rax);
            break;
    }
}

void GuestSlots::write_back() {
    for (uint64_t m = newest_.dirty; m != 0; m &= m - 1) {
        const unsigned s = static_cast<unsigned>(std::countr_zero(m));
        if (newest_.observed[s] >= values_.cur()) {
            store_slot(s, location_of(s));
            add_home(newest_.slot[s], s);
        }
    }
    newest_.dirty = 0;
    write_back_flags();
}

void GuestSlots::write_back_flags() {
    if (flags_deferred()) {
        flags_.clobber();
        const auto recipe = flags_recipe();
        make_flags(recipe[0], recipe[1], recipe[2].value);
        add_home(newest_.slot[kFlagsSlot], kFlagsSlot);
    } else if (flags_pending()) {
        const ClassScope scope(as_, jit::HostClass::Flags);
        const Ref f = newest_.slot[kFlagsSlot];
        if (flags_.value() == f) {
            flags_.store(slot_disp(kFlagsSlot));
        } else {
            as_.movzx(eax, word[at(regs_.memory_disp(f))]);
            as_.mov(word[at(slot_disp(kFlagsSlot))], ax);
        }
        add_home(f, kFlagsSlot);
    }
    newest_.flags_dirty = newest_.deferred = false;
}

void GuestSlots::flags_stored() {
    newest_.flags_dirty = newest_.deferred = false;
    add_home(newest_.slot[kFlagsSlot], kFlagsSlot);
}

void GuestSlots::write_back_value(Ref r) {
    for (uint64_t m = newest_.dirty; m != 0; m &= m - 1) {
        const unsigned s = static_cast<unsigned>(std::countr_zero(m));
        if (newest_.slot[s] != r) continue;
        newest_.dirty &= ~(uint64_t{1} << s);
        if (newest_.observed[s] < values_.cur()) continue;
        store_slot(s, location_of(s));
        add_home(r, s);
    }
}

void GuestSlots::drop_all_homes() {
    for (unsigned s = 0; s < kSlots; ++s) {
        for (Ref r = newest_.home_head[s]; r != kNoRef; r = values_[r].home_next) {
            Value& v = values_[r];
            if (v.last_need > values_.cur() && v.spill == kNone && !values_.rematerialisable(r))
                regs_.move_home_to_spill(r);
            v.home = kNone;
        }
        newest_.home_head[s] = kNoRef;
    }
}

void GuestSlots::snapshot(uint32_t& first, uint16_t& count) {
    first = faults_.next_location();
    // First: its operands may be in the memory of guest registers.
    if (flags_deferred())
        for (const SavedLocation& where : flags_recipe()) faults_.add_location(where);
    for (uint64_t m = newest_.dirty; m != 0; m &= m - 1) {
        const unsigned s = static_cast<unsigned>(std::countr_zero(m));
        if (newest_.observed[s] >= values_.cur()) faults_.add_location(location_of(s));
    }
    count = static_cast<uint16_t>(faults_.next_location() - first);
}

void GuestSlots::write_back_snapshot(uint32_t first, unsigned count) {
    for (unsigned k = 0; k < count; ++k) {
        const SavedLocation& where = faults_.location(first + k);
        if (where.slot < kFlagsSlot) {
            store_slot(where.slot, where);
        } else {
            make_flags(where, faults_.location(first + k + 1), faults_.location(first + k + 2).value);
            k += 2;
        }
    }
}

}  // namespace arclight::backend
