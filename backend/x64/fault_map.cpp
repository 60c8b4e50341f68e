// From a host PC back to precise guest state.
#include <algorithm>
#include <cstring>

#include "backend/x64/types.h"
#include "jit/ir/interpreter.h"

namespace arclight::jit {

namespace {
/// The operand of a comparison, by where it is.
uint64_t operand(const SavedLocation& from, const GuestState& state) {
    if (from.kind == SavedLocation::Gpr) return state.saved_gpr[from.reg];
    if (from.slot != backend::kFirstInMemory && from.slot != backend::kSecondInMemory)
        return static_cast<uint64_t>(from.value);
    uint64_t value;
    std::memcpy(&value, reinterpret_cast<const uint8_t*>(&state) + kStateBias + from.value, sizeof value);
    return value;
}

/// See backend::kFirstOperand.
uint64_t flags_again(const SavedLocation& first, const SavedLocation& second, int64_t recipe,
                     const GuestState& state) {
    const int64_t op = recipe % backend::kFlagsWide;
    const unsigned width = recipe >= backend::kFlagsWide ? 64 : 32;
    const uint64_t a = operand(first, state), b = operand(second, state);
    const auto sum = [width](uint64_t x, uint64_t y, unsigned carry) {
        return ir::Interpreter::nzcv_of_sum(x, y, carry, width);
    };
    const uint32_t nzcv = op == backend::kFlagsOfSub   ? sum(a, ~b, 1)
                          : op == backend::kFlagsOfAdd ? sum(a, b, 0)
                                                       : sum(a & b, 0, 0);
    return flags_from_nzcv(nzcv << 28);
}

void restore(const SavedLocation& from, GuestState& state) {
    V128 value{};
    switch (from.kind) {
        case SavedLocation::Gpr: value.d[0] = state.saved_gpr[from.reg]; break;
        case SavedLocation::Xmm128: value = state.saved_xmm[from.reg]; break;
        case SavedLocation::Xmm64: value.d[0] = state.saved_xmm[from.reg].d[0]; break;
        case SavedLocation::Xmm32: value.s[0] = state.saved_xmm[from.reg].s[0]; break;
        case SavedLocation::Constant: value.d[0] = static_cast<uint64_t>(from.value); break;
        case SavedLocation::PageRelative:
            value.d[0] = state.page_base + static_cast<uint64_t>(from.value);
            break;
    }
    if (from.slot < 31) {
        state.x[from.slot] = value.d[0];
    } else if (from.slot == 31) {
        state.sp = value.d[0];
    } else {
        state.v[from.slot - 32] = value;
    }
}
}  // namespace

namespace {
const FaultPoint* find_point(const CompiledBlock& block, const void* host_pc) {
    const auto* pc = static_cast<const uint8_t*>(host_pc);
    const auto& points = block.faults.points;
    const bool cold = pc >= block.cold && pc <= block.cold + block.cold_bytes;
    const uint32_t offset = static_cast<uint32_t>(pc - (cold ? block.cold : block.entry));
    const auto it = std::ranges::find(points, offset, cold ? &FaultPoint::return_pc : &FaultPoint::access);
    return it == points.end() ? nullptr : &*it;
}
}  // namespace

std::optional<GuestPlace> guest_place(const CompiledBlock& block, const void* host_pc) {
    const FaultPoint* point = find_point(block, host_pc);
    if (point == nullptr) return std::nullopt;
    return GuestPlace{point->insn_offset, point->page};
}

std::optional<uint32_t> recover_state(const CompiledBlock& block, const void* host_pc, GuestState& state) {
    const FaultPoint* point = find_point(block, host_pc);
    if (point == nullptr) return std::nullopt;
    LocationReader locations = block.faults.locations_of(*point);
    while (const auto from = locations.next()) {
        if (from->slot < ir::kFlagsSlot) {
            restore(*from, state);
            continue;
        }
        const auto second = locations.next(), recipe = locations.next();
        if (second && recipe) state.flags = flags_again(*from, *second, recipe->value, state);
    }
    return point->insn_offset;
}

const uint8_t* fastmem_fault(const CompiledBlock& block, const void* host_pc) {
    const auto& points = block.faults.points;
    const auto* pc = static_cast<const uint8_t*>(host_pc);
    if (pc >= block.cold && pc < block.cold + block.cold_bytes) {
        // The access of a group on its own, which its slow path follows (MemoryEmitter::cold_grouped).
        const auto next =
            std::ranges::upper_bound(points, static_cast<uint32_t>(pc - block.cold), {}, &FaultPoint::cold);
        return next != points.end() ? block.cold + next->cold : nullptr;
    }
    const auto offset = static_cast<uint32_t>(pc - block.entry);
    const auto it = std::ranges::find_if(points, [offset](const FaultPoint& p) {
        return offset >= p.fastmem_start && offset < p.fastmem_end;
    });
    return it != points.end() ? block.cold + it->cold : nullptr;
}

}  // namespace arclight::jit
