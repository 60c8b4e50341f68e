// What holds where a region's blocks begin: which guest registers may differ from GuestState, and what is
// known of the flags; and which edges close a cycle.
#include <algorithm>
#include <array>
#include <functional>

#include "jit/llvm/lowering.h"

namespace arclight::jit::tier2 {

namespace {
unsigned slot_of(const Inst& i) {
    switch (i.op) {
        case Op::SetX:
        case Op::GetX: return static_cast<unsigned>(i.imm);
        case Op::SetV:
        case Op::GetV: return 32 + static_cast<unsigned>(i.imm);
        default: return 64;
    }
}

/// Which value each guest register holds, as far as a block's instructions have said.
using Holders = std::array<Ref, 64>;

KnownFlags::Source source_of(const ir::Block& block, Ref r, const Holders& registers) {
    const Inst& i = block[r];
    if (i.op == Op::Const)
        return {KnownFlags::Source::Constant, i.type == Type::I32 ? static_cast<uint32_t>(i.imm) : i.imm};
    if (i.op == Op::VConst) return {KnownFlags::Source::Constant, i.imm};
    // Lower halves are read without saying anything of the whole, so often by several values.
    if (i.op == Op::GetV && registers[slot_of(i)] == ir::kNoRef)
        return {KnownFlags::Source::Register, slot_of(i)};
    const auto holder = std::find(registers.begin(), registers.end(), r);
    if (holder == registers.end()) return {};
    return {KnownFlags::Source::Register, static_cast<uint64_t>(holder - registers.begin())};
}

/// The flags value that a SetFlags stores; Dynamic: the one from before. `operands`: the values whose sources
/// are asked for.
KnownFlags static_flags(const ir::Block& block, Ref r, std::array<Ref, 2>& operands) {
    operands = {ir::kNoRef, ir::kNoRef};
    const Inst& i = block[r];
    switch (i.op) {
        case Op::GetFlags: return {Flags::Dynamic};
        case Op::FCmp:
            operands = {i.args[0], i.args[1]};
            return {(i.aux & 3) == 3 ? Flags::FCmp64 : Flags::FCmp32};
        case Op::FlagsOf: {
            const Inst& p = block[i.args[0]];
            const bool wide = p.type == Type::I64;
            switch (p.op) {
                case Op::Add:
                case Op::Sub:
                    operands = {p.args[0], p.args[1]};
                    if (p.op == Op::Add) return {wide ? Flags::Add64 : Flags::Add32};
                    return {wide ? Flags::Sub64 : Flags::Sub32};
                case Op::And:
                case Op::AndNot:
                    operands = {i.args[0], ir::kNoRef};
                    return {wide ? Flags::Logic64 : Flags::Logic32};
                default: return {Flags::Packed};
            }
        }
        default: return {Flags::Packed};
    }
}

/// What is known where two ways meet.
KnownFlags meet(const KnownFlags& x, const KnownFlags& y) {
    if (x.kind != y.kind || x.kind == Flags::Dynamic) return {};
    return {x.kind, x.a == y.a ? x.a : KnownFlags::Source{}, x.b == y.b ? x.b : KnownFlags::Source{}};
}
}  // namespace

/// Which guest registers may differ from GuestState at the start of each block, what the flags are there, and
/// which edges close a cycle.
void Lowering::find_dirty() {
    const size_t n = region_.blocks.size();
    info_.assign(n, {});
    used_ = written_ = {};
    std::vector<Edge> edges;
    for (size_t k = 0; k < n; ++k) {
        BlockInfo& info = info_[k];
        const RegionBlock& rb = region_.blocks[k];
        KnownFlags flags;
        Slots low;
        std::array<Ref, 2> operands{ir::kNoRef, ir::kNoRef};
        Holders registers;
        registers.fill(ir::kNoRef);
        const auto edge = [&](int64_t offset) {
            if (const auto it = by_offset_.find(offset); it != by_offset_.end()) {
                const size_t to = target_of(k, it->second);
                KnownFlags now = flags;
                if (operands[0] != ir::kNoRef) now.a = source_of(rb.ir, operands[0], registers);
                if (operands[1] != ir::kNoRef) now.b = source_of(rb.ir, operands[1], registers);
                info.successors.push_back(to);
                edges.push_back({k, to, now, info.written, low});
                if (further_turns_.contains(k) && it->second == k)
                    edges.push_back({k, k, now, info.written, low});
            }
        };
        for (Ref r = 0; r < rb.ir.insts.size(); ++r) {
            const Inst& i = rb.ir.insts[r];
            if (i.op == Op::SetX) registers[i.imm] = i.args[0];
            if (i.op == Op::SetV) low[slot_of(i)] = has_low_half_only(rb.ir, i.args[0]);
            if (i.op == Op::SetV) registers[slot_of(i)] = i.args[0];
            if (i.op == Op::GetX && registers[i.imm] == ir::kNoRef) registers[i.imm] = r;
            switch (i.op) {
                case Op::SetFlags:
                    if (rb.ir[i.args[0]].op != Op::GetFlags) flags = static_flags(rb.ir, i.args[0], operands);
                    [[fallthrough]];
                case Op::SetX:
                case Op::SetV: info.written.set(slot_of(i)); [[fallthrough]];
                case Op::GetX:
                case Op::GetV:
                case Op::GetFlags: used_.set(slot_of(i)); break;
                case Op::Exit:
                case Op::ExitIf: edge(rb.page() + static_cast<int64_t>(i.imm)); break;
                case Op::ExitIndirect: {
                    for (const int64_t o : targets_of(rb, i)) edge(o);
                    break;
                }
                default: break;
            }
        }
        written_ |= info.written;
    }
    info_[0].flags_in = {Flags::Packed};
    info_[0].flags_known = true;
    for (bool changed = true; changed;) {
        changed = false;
        for (const Edge& e : edges) {
            BlockInfo &from = info_[e.from], &to = info_[e.to];
            const Slots dirty = from.dirty_in | from.written;
            if ((dirty & ~to.dirty_in).any()) {
                to.dirty_in |= dirty;
                changed = true;
            }
            KnownFlags flags = e.flags;
            if (flags.kind == Flags::Dynamic) {
                if (!from.flags_known) continue;
                flags = from.flags_in;
                for (KnownFlags::Source* s : {&flags.a, &flags.b})
                    if (s->kind == KnownFlags::Source::Register && e.written[s->what]) *s = {};
            }
            if (to.flags_known) flags = meet(to.flags_in, flags);
            if (!to.flags_known || flags != to.flags_in) {
                to.flags_in = flags;
                to.flags_known = changed = true;
            }
        }
    }
    find_low_slots(edges);
    // Depth first: an edge to a block on the path closes a cycle.
    back_edge_.assign(n, std::vector<bool>(n));
    std::vector<uint8_t> mark(n);
    const std::function<void(size_t)> walk = [&](size_t k) {
        mark[k] = 1;
        for (const size_t to : info_[k].successors) {
            if (mark[to] == 1) back_edge_[k][to] = true;
            if (mark[to] == 0) walk(to);
        }
        mark[k] = 2;
    };
    walk(0);
}

}  // namespace arclight::jit::tier2
