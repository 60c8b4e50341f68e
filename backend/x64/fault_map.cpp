// From a host PC back to precise guest state.
#include <algorithm>
#include <cstring>

#include "backend/x64/types.h"

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
uint64_t flags_again(const SavedLocation* from, const GuestState& state) {
    const int64_t op = from[2].value % backend::kFlagsWide;
    const unsigned shift = from[2].value >= backend::kFlagsWide ? 0 : 32;
    // N and V are those of the upper half where it holds the operands.
    const uint64_t a = operand(from[0], state) << shift, b = operand(from[1], state) << shift;
    const uint64_t result = op == backend::kFlagsOfSub ? a - b : op == backend::kFlagsOfAdd ? a + b : a & b;
    const bool sub = op == backend::kFlagsOfSub, add = op == backend::kFlagsOfAdd;
    const bool carry = sub ? a >= b : add && result < a;
    const uint64_t overflow = sub ? (a ^ b) & (a ^ result) : add ? ~(a ^ b) & (a ^ result) : 0;
    return flags_from_nzcv(static_cast<uint32_t>(result >> 63) << 31 |
                           static_cast<uint32_t>(result == 0) << 30 | static_cast<uint32_t>(carry) << 29 |
                           static_cast<uint32_t>(overflow >> 63) << 28);
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
    // Both addresses grow with the points.
    const bool cold = pc >= block.cold && pc <= block.cold + block.cold_bytes;
    const uint32_t offset = static_cast<uint32_t>(pc - (cold ? block.cold : block.entry));
    const auto field = cold ? &FaultPoint::return_pc : &FaultPoint::access;
    const auto it = std::ranges::lower_bound(points, offset, {}, field);
    return it == points.end() || (*it).*field != offset ? nullptr : &*it;
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
    for (uint32_t k = 0; k < point->count; ++k) {
        const SavedLocation* from = &block.faults.locations[point->first + k];
        if (from->slot < ir::kFlagsSlot) {
            restore(*from, state);
        } else {
            state.flags = flags_again(from, state);
            k += 2;
        }
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
    auto it = std::ranges::upper_bound(points, offset, {}, &FaultPoint::fastmem_start);
    if (it == points.begin() || offset >= (--it)->fastmem_end) return nullptr;
    return block.cold + it->cold;
}

}  // namespace arclight::jit
