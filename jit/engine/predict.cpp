#include "jit/engine/predict.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "mmu/bits.h"

namespace arclight::jit {

namespace {
/// What is known of a value that is made of registers and constants.
struct Known {
    uint64_t value = 0;
    bool exact = true;  ///< but for an index
};

/// Calls found(access, address) for plain accesses.
template <typename Found>
void follow(ir::Block& block, const RegisterSnapshot& registers, const Found& found) {
    using enum ir::Op;
    static thread_local std::vector<std::optional<Known>> known;
    known.assign(block.insts.size(), std::nullopt);
    const auto of = [&](ir::Ref r) { return r == ir::kNoRef ? std::nullopt : known[r]; };
    for (size_t n = 0; n < block.insts.size(); ++n) {
        ir::Inst& i = block.insts[n];
        const auto a = of(i.args[0]), b = of(i.args[1]);
        const bool both = a && b, exact = both && a->exact && b->exact;
        const bool wide = i.type == ir::Type::I64;
        switch (i.op) {
            case Const: known[n] = {i.imm}; break;
            // The builder hands on what the block itself has set, so what is read is the entry's.
            case GetX: known[n] = {registers.x[i.imm]}; break;
            case Add:
                // An index that is not known moves it little.
                if (wide && (a || b))
                    known[n] = {a.value_or(Known{}).value + b.value_or(Known{}).value, exact};
                break;
            case Sub:
                if (wide && both) known[n] = {a->value - b->value, exact};
                break;
            case Shl:
                if (wide && both) known[n] = {a->value << (b->value & 63), exact};
                break;
            case ZExt32:
                if (a) known[n] = {static_cast<uint32_t>(a->value), a->exact};
                break;
            case SExt32:
                if (a)
                    known[n] = {static_cast<uint64_t>(static_cast<int32_t>(static_cast<uint32_t>(a->value))),
                                a->exact};
                break;
            default:
                if (a && ir::is_plain_access(i.op)) found(i, *a);
                break;
        }
    }
}
}  // namespace

RegisterSnapshot take_snapshot(const GuestState& state) {
    RegisterSnapshot r{};
    std::ranges::copy(state.x, r.x.begin());
    r.x[31] = state.sp;
    for (unsigned k = 0; k < 32; ++k) r.narrow |= uint32_t{state.v[k].d[1] == 0} << k;
    return r;
}

void predict_slots(ir::Block& block, const GuestState& state) {
    follow(block, take_snapshot(state),
           [](ir::Inst& i, const Known& address) { i.imm = (address.value >> mmu::kFastmemSlotBits) + 1; });
}

void predict_pages(ir::Block& block, std::span<const RegisterSnapshot> snapshots) {
    if (snapshots.empty()) return;
    for (size_t k = 0; k < kMaxSnapshots; ++k) {
        follow(block, snapshots[std::min(k, snapshots.size() - 1)], [](ir::Inst& i, const Known& address) {
            if (address.exact) i.imm = (i.imm + (address.value >> kPageBits) + 1) * kHashMultiplier;
        });
    }
}

std::vector<uint32_t> predicted_slots(const ir::Block& block) {
    std::vector<uint32_t> slots;
    for (const ir::Inst& i : block.insts)
        if (ir::is_plain_access(i.op)) slots.push_back(static_cast<uint32_t>(i.imm));
    return slots;
}

void set_predicted_slots(ir::Block& block, std::span<const uint32_t> slots) {
    size_t n = 0;
    for (ir::Inst& i : block.insts)
        if (ir::is_plain_access(i.op) && n < slots.size()) i.imm = slots[n++];
}

}  // namespace arclight::jit
