#include "jit/llvm/register_plan.h"

#include <algorithm>
#include <array>
#include <functional>

namespace arclight::jit::tier2 {

using ir::Inst;
using ir::Op;
using ir::Ref;
using ir::Type;

namespace {

/// The value that each guest register holds, as far as a block's instructions have told.
using Holders = std::array<Ref, kFlagsSlot>;

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

/// The kind of the flags that a SetFlags of `r` stores, and the values that are their operands.
struct StoredFlags {
    FlagsKind kind = FlagsKind::Dynamic;  ///< Dynamic: unchanged
    std::array<Ref, 2> operands{ir::kNoRef, ir::kNoRef};
};

StoredFlags stored_flags(const ir::Block& block, Ref r) {
    const Inst& i = block[r];
    switch (i.op) {
        case Op::GetFlags: return {};
        case Op::FCmp:
            return {(i.aux & 3) == 3 ? FlagsKind::FCmp64 : FlagsKind::FCmp32, {i.args[0], i.args[1]}};
        case Op::FlagsOf: {
            const Inst& p = block[i.args[0]];
            const bool wide = p.type == Type::I64;
            switch (p.op) {
                case Op::Add: return {wide ? FlagsKind::Add64 : FlagsKind::Add32, {p.args[0], p.args[1]}};
                case Op::Sub: return {wide ? FlagsKind::Sub64 : FlagsKind::Sub32, {p.args[0], p.args[1]}};
                case Op::And:
                case Op::AndNot:
                    return {wide ? FlagsKind::Logic64 : FlagsKind::Logic32, {i.args[0], ir::kNoRef}};
                default: return {FlagsKind::Packed};
            }
        }
        default: return {FlagsKind::Packed};
    }
}

/// What is known where two edges meet.
KnownFlags meet(const KnownFlags& x, const KnownFlags& y) {
    if (x.kind != y.kind || x.kind == FlagsKind::Dynamic) return {};
    return {x.kind, x.a == y.a ? x.a : KnownFlags::Source{}, x.b == y.b ? x.b : KnownFlags::Source{}};
}

/// From block to block, with what was written from the start of the first one to its exit.
struct Edge {
    size_t from, to;
    KnownFlags flags;
    Slots written, low;  ///< low: of those, what got a double and zeros above
};

struct Edges {
    std::vector<Edge> all;
    std::vector<std::vector<size_t>> successors;  ///< by block
    std::vector<Slots> written;                   ///< by block
};

/// The edges of block `k`.
void add_edges(const RegionGraph& graph, size_t k, Edges& edges, RegisterPlan& plan) {
    const RegionBlock& rb = graph.region.blocks[k];
    StoredFlags flags;
    Slots written, low;
    Holders registers;
    registers.fill(ir::kNoRef);
    const auto add = [&](int64_t offset) {
        const auto it = graph.by_offset.find(offset);
        if (it == graph.by_offset.end()) return;
        const size_t to = graph.target_of(k, it->second);
        KnownFlags now{flags.kind};
        if (flags.operands[0] != ir::kNoRef) now.a = source_of(rb.ir, flags.operands[0], registers);
        if (flags.operands[1] != ir::kNoRef) now.b = source_of(rb.ir, flags.operands[1], registers);
        edges.successors[k].push_back(to);
        edges.all.push_back({k, to, now, written, low});
        // The peeled iteration is repeated while few iterations are left.
        if (graph.loop_bodies.contains(k) && it->second == k) edges.all.push_back({k, k, now, written, low});
    };
    for (Ref r = 0; r < rb.ir.insts.size(); ++r) {
        const Inst& i = rb.ir[r];
        switch (i.op) {
            case Op::SetX:
                registers[i.imm] = i.args[0];
                written.set(slot_of(i));
                break;
            case Op::SetV:
                low[slot_of(i)] = has_low_half_only(rb.ir, i.args[0]);
                registers[slot_of(i)] = i.args[0];
                written.set(slot_of(i));
                break;
            case Op::SetFlags:
                if (rb.ir[i.args[0]].op != Op::GetFlags) flags = stored_flags(rb.ir, i.args[0]);
                written.set(slot_of(i));
                break;
            case Op::GetX:
                if (registers[i.imm] == ir::kNoRef) registers[i.imm] = r;
                break;
            case Op::GetV:
            case Op::GetFlags: break;
            case Op::Exit:
            case Op::ExitIf: add(rb.page() + static_cast<int64_t>(i.imm)); continue;
            case Op::ExitIndirect:
                for (const int64_t o : graph.targets_of(rb, i)) add(o);
                continue;
            default: continue;
        }
        plan.used.set(slot_of(i));
    }
    edges.written[k] = written;
    plan.written |= written;
}

/// Which registers are dirty and what NZCV is where blocks begin: the least solution.
void solve_forward(const Edges& edges, RegisterPlan& plan) {
    plan.blocks[0].flags = {FlagsKind::Packed};
    plan.blocks[0].flags_known = true;
    for (bool changed = true; changed;) {
        changed = false;
        for (const Edge& e : edges.all) {
            EntryState &from = plan.blocks[e.from], &to = plan.blocks[e.to];
            const Slots dirty = from.dirty | edges.written[e.from];
            if ((dirty & ~to.dirty).any()) {
                to.dirty |= dirty;
                changed = true;
            }
            KnownFlags flags = e.flags;
            if (flags.kind == FlagsKind::Dynamic) {
                if (!from.flags_known) continue;
                flags = from.flags;
                for (KnownFlags::Source* s : {&flags.a, &flags.b})
                    if (s->kind == KnownFlags::Source::Register && e.written[s->value]) *s = {};
            }
            if (to.flags_known) flags = meet(to.flags, flags);
            if (!to.flags_known || flags != to.flags) {
                to.flags = flags;
                to.flags_known = changed = true;
            }
        }
    }
}

/// Which vector registers hold scalars where blocks begin, and for which of them that has to be assumed where
/// the region is entered.
void solve_low(const Region& region, const std::vector<Edge>& edges, RegisterPlan& plan) {
    const Slots vectors = Slots(~uint32_t{0}) << kVSlot & plan.used;
    const auto solve = [&](const Slots& at_entry) {
        std::vector<Slots> in(plan.blocks.size(), vectors);
        in[0] = at_entry;
        for (bool changed = true; changed;) {
            changed = false;
            for (const Edge& e : edges) {
                const Slots meet = in[e.to] & ((in[e.from] & ~e.written) | e.low);
                changed |= meet != in[e.to];
                in[e.to] = meet;
            }
        }
        return in;
    };
    const std::vector<Slots> certain = solve({});
    if ((region.disabled_assumptions & kAssumptionAtEntry) == 0 && region.narrow != 0) {
        const Slots possible = Slots(region.narrow) << kVSlot & plan.written;
        const std::vector<Slots> assumed = solve(possible);
        // What is not written is as it was, and no exit stores it.
        for (size_t k = 0; k < plan.blocks.size(); ++k)
            plan.assumed_low |= assumed[k] & ~certain[k] & plan.blocks[k].dirty & possible;
    }
    const std::vector<Slots> in = plan.assumed_low.any() ? solve(plan.assumed_low) : certain;
    for (size_t k = 0; k < plan.blocks.size(); ++k) plan.blocks[k].low = in[k];
}

/// Depth first: an edge to a block on the path closes a cycle.
std::vector<std::vector<bool>> back_edges_of(const std::vector<std::vector<size_t>>& successors) {
    const size_t n = successors.size();
    std::vector<std::vector<bool>> back(n, std::vector<bool>(n));
    enum class Mark : uint8_t { Unseen, OnPath, Done };
    std::vector<Mark> marks(n, Mark::Unseen);
    const std::function<void(size_t)> walk = [&](size_t k) {
        marks[k] = Mark::OnPath;
        for (const size_t to : successors[k]) {
            if (marks[to] == Mark::OnPath) back[k][to] = true;
            if (marks[to] == Mark::Unseen) walk(to);
        }
        marks[k] = Mark::Done;
    };
    walk(0);
    return back;
}

}  // namespace

bool has_low_half_only(const ir::Block& block, Ref r) {
    const Inst& i = block[r];
    switch (i.op) {
        case Op::LoadV:
        case Op::LoadPairV: return ir::mem_size_log2(i.aux) == 3;
        case Op::PairSecond: return has_low_half_only(block, i.args[0]);
        case Op::VZext64: return true;
        case Op::VConst: return !ir::vec_q(i.aux);
        default: return i.type == Type::F64;
    }
}

RegisterPlan plan_registers(const RegionGraph& graph) {
    const size_t n = graph.region.blocks.size();
    RegisterPlan plan;
    plan.blocks.resize(n);
    Edges edges;
    edges.successors.resize(n);
    edges.written.resize(n);
    for (size_t k = 0; k < n; ++k) add_edges(graph, k, edges, plan);
    solve_forward(edges, plan);
    solve_low(graph.region, edges.all, plan);
    plan.back_edges = back_edges_of(edges.successors);
    return plan;
}

}  // namespace arclight::jit::tier2
