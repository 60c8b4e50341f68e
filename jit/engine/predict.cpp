#include "jit/engine/predict.h"

#include <optional>
#include <vector>

namespace arclight::jit {

void predict_slots(ir::Block& block, const GuestState& state) {
    using enum ir::Op;
    static thread_local std::vector<std::optional<uint64_t>> value;
    value.assign(block.insts.size(), std::nullopt);
    const auto of = [&](ir::Ref r) { return r == ir::kNoRef ? std::nullopt : value[r]; };
    for (size_t n = 0; n < block.insts.size(); ++n) {
        ir::Inst& i = block.insts[n];
        switch (i.op) {
            case Const: value[n] = i.imm; break;
            // The builder hands on what the block itself has set, so what is read is the entry's.
            case GetX: value[n] = i.imm < 31 ? state.x[i.imm] : state.sp; break;
            case Add:
                if (i.type != ir::Type::I64) break;
                if (const auto a = of(i.args[0]), b = of(i.args[1]); a || b)
                    value[n] = a.value_or(0) + b.value_or(0);  // an index that is not known moves it little
                break;
            case Sub:
                if (i.type != ir::Type::I64) break;
                if (const auto a = of(i.args[0]), b = of(i.args[1]); a && b) value[n] = *a - *b;
                break;
            case Shl:
                if (i.type != ir::Type::I64) break;
                if (const auto a = of(i.args[0]), b = of(i.args[1]); a && b) value[n] = *a << (*b & 63);
                break;
            case ZExt32:
                if (const auto a = of(i.args[0])) value[n] = static_cast<uint32_t>(*a);
                break;
            case SExt32:
                if (const auto a = of(i.args[0]))
                    value[n] = static_cast<uint64_t>(static_cast<int32_t>(static_cast<uint32_t>(*a)));
                break;
            default:
                if (const auto address = of(i.args[0]); address && ir::is_plain_access(i.op))
                    i.imm = (*address >> kWindowSlotBits) + 1;
                break;
        }
    }
}

std::vector<uint32_t> predicted_slots(const ir::Block& block) {
    std::vector<uint32_t> slots;
    for (const ir::Inst& i : block.insts)
        if (ir::is_plain_access(i.op)) slots.push_back(static_cast<uint32_t>(i.imm));
    return slots;
}

void set_predicted_slots(ir::Block& block, const std::vector<uint32_t>& slots) {
    size_t n = 0;
    for (ir::Inst& i : block.insts)
        if (ir::is_plain_access(i.op) && n < slots.size()) i.imm = slots[n++];
}

}  // namespace arclight::jit
