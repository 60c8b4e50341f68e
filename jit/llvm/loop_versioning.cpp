#include "jit/llvm/loop_versioning.h"

#include <array>
#include <bitset>
#include <cstdlib>
#include <utility>

namespace arclight::jit::tier2 {

using ir::Inst;
using ir::Op;
using ir::Ref;
using ir::Type;

namespace {

constexpr unsigned kMaxChecks = 16;
constexpr int64_t kMaxStride = 256;  ///< bytes: with a larger one the page changes too often

/// Values that depend on nothing but the registers at the block's start, and are cheap to have twice.
std::vector<bool> known_early(const ir::Block& block) {
    std::vector<bool> early(block.insts.size());
    std::bitset<32> set;
    for (Ref r = 0; r < block.insts.size(); ++r) {
        const Inst& i = block[r];
        switch (i.op) {
            case Op::SetX: set.set(i.imm); break;
            case Op::GetX: early[r] = !set[i.imm]; break;
            case Op::Const: early[r] = i.type == Type::I64 || i.type == Type::I32; break;
            case Op::PcRel:
            case Op::Add:
            case Op::Sub:
            case Op::Shl:
            case Op::SExt32:
            case Op::ZExt32:
                early[r] = true;
                for (unsigned k = 0; k < i.nargs; ++k) early[r] = early[r] && early[i.args[k]];
                break;
            default: break;
        }
    }
    return early;
}

/// How each iteration of a loop moves a value.
struct Stride {
    enum Kind : uint8_t {
        Known,
        Far,     ///< by more than kMaxStride, or by the value of a register
        Unknown  ///< not from where it was, or it may wrap around
    } kind = Unknown;
    int64_t bytes = 0;

    static Stride by(int64_t bytes) { return {std::abs(bytes) <= kMaxStride ? Known : Far, bytes}; }
    bool stays() const { return kind == Known && bytes == 0; }
};

using Strides = std::array<Stride, 32>;

/// Of the registers, in the loop that ends at `end`.
Strides register_strides(const ir::Block& block, uint32_t end) {
    Strides strides;
    strides.fill(Stride::by(0));
    for (Ref r = 0; r < end; ++r) {
        if (block[r].op != Op::SetX) continue;
        const auto is_itself = [&](Ref v) { return block[v].op == Op::GetX && block[v].imm == block[r].imm; };
        const Inst& i = block[block[r].args[0]];
        const auto [from, sum] = ir::displaced(block, block[r].args[0]);
        Stride& s = strides[block[r].imm];
        if (is_itself(from))
            s = Stride::by(sum);
        else if (i.op == Op::Add || i.op == Op::Sub)
            s.kind = is_itself(i.args[0]) || is_itself(i.args[1]) ? Stride::Far : Stride::Unknown;
        else
            s.kind = Stride::Unknown;
    }
    return strides;
}

Stride stride_of(const ir::Block& block, Ref r, const Strides& registers) {
    const Inst& i = block[r];
    if (i.op == Op::GetX) return registers[i.imm];
    if (i.nargs == 0) return Stride::by(0);
    const Stride a = stride_of(block, i.args[0], registers);
    const Stride b = i.nargs > 1 ? stride_of(block, i.args[1], registers) : Stride::by(0);
    if (a.kind == Stride::Unknown || b.kind == Stride::Unknown) return {};
    if (a.stays() && b.stays()) return a;
    if (a.kind == Stride::Far || b.kind == Stride::Far) return {Stride::Far};
    if (i.type != Type::I64) return {};
    switch (i.op) {
        case Op::Add: return Stride::by(a.bytes + b.bytes);
        case Op::Sub: return Stride::by(a.bytes - b.bytes);
        case Op::Shl:
            if (block[i.args[1]].op != Op::Const || block[i.args[1]].imm > 8) return {};
            return Stride::by(a.bytes << block[i.args[1]].imm);
        default: return {};
    }
}

/// The only exit that leads back to the block's own start, or kNoRef.
Ref loop_exit(const RegionBlock& rb) {
    Ref found = ir::kNoRef;
    for (Ref r = 0; r < rb.ir.insts.size(); ++r) {
        const Inst& i = rb.ir.insts[r];
        if ((i.op != Op::ExitIf && i.op != Op::Exit) || rb.page() + static_cast<int64_t>(i.imm) != rb.offset)
            continue;
        if (found != ir::kNoRef) return ir::kNoRef;
        found = r;
    }
    return found;
}

}  // namespace

HoistedChecks hoist_checks(const RegionBlock& rb, const BlockAccesses& accesses) {
    HoistedChecks loop;
    const Ref end = loop_exit(rb);
    if (end == ir::kNoRef) return loop;
    const std::vector<bool> early = known_early(rb.ir);
    const Strides registers = register_strides(rb.ir, end);
    for (Ref r = 0; r < end && loop.strides.size() < kMaxChecks; ++r) {
        const uint32_t number = accesses.group_of[r];
        if (number == kNoGroup || loop.strides.contains(number)) continue;
        const AccessGroup& g = accesses.groups[number];
        if (!early[g.root]) continue;
        const Stride stride = stride_of(rb.ir, g.root, registers);
        if (stride.kind == Stride::Far) loop.far.push_back(number);
        if (stride.kind == Stride::Known) loop.strides.emplace(number, stride.bytes);
    }
    for (unsigned x = 0; x < registers.size(); ++x)
        if (registers[x].kind == Stride::Known && !registers[x].stays()) loop.steps[x] = registers[x].bytes;
    return loop;
}

LoopVersioning version_loops(const Region& region) {
    LoopVersioning v{.graph = RegionGraph(region), .accesses = {}, .loops = {}};
    const auto plan = [&] {
        v.accesses = plan_accesses(v.graph);
        v.loops.assign(v.graph.region.blocks.size(), {});
        if (region.spectre) return;  // each access has its own check
        for (size_t k = 0; k < v.loops.size(); ++k)
            if (!v.graph.loop_bodies.contains(k))
                v.loops[k] = hoist_checks(v.graph.region.blocks[k], v.accesses.blocks[k]);
    };
    plan();
    for (size_t k = 0; k < v.loops.size(); ++k)
        if (v.loops[k].any()) v.graph.peel(k);
    if (!v.graph.loop_bodies.empty()) plan();
    for (size_t k = 0; k < v.loops.size(); ++k)
        for (const uint32_t number : v.loops[k].far) v.accesses.blocks[k].groups[number].page = kNoPage;
    return v;
}

std::optional<Carrier> carrier_of(const ir::Block& block, const HoistedChecks& loop, int64_t stride) {
    const auto uses = [&](unsigned x) {
        unsigned n = 0;
        for (const Inst& i : block.insts) {
            if (i.op != Op::Sub && i.op != Op::And && i.op != Op::FlagsOf) continue;
            for (unsigned k = 0; k < i.nargs; ++k) {
                const Inst& from = block[ir::displaced(block, i.args[k]).root];
                n += from.op == Op::GetX && from.imm == x;
            }
        }
        return n;
    };
    constexpr unsigned kMaxShift = 3;  // a scale that the host's addressing modes have for nothing
    std::optional<Carrier> best;
    unsigned most = 0;
    for (unsigned shift = 0; shift <= kMaxShift; ++shift) {
        for (const auto& [x, step] : loop.steps) {
            if (step << shift != stride) continue;
            if (const unsigned n = uses(x) + 1; n > most) {
                most = n;
                best = {x, shift};
            }
        }
    }
    return best;
}

std::optional<LoopCondition> loop_condition(const RegionBlock& rb) {
    const ir::Block& block = rb.ir;
    const Ref end = loop_exit(rb);
    if (end == ir::kNoRef || block[end].op != Op::ExitIf) return {};
    const Inst& condition = block[block[end].args[0]];
    if (condition.op != Op::Cond || block[condition.args[0]].op != Op::FlagsOf) return {};
    const Inst& difference = block[block[condition.args[0]].args[0]];
    if (difference.op != Op::Sub || difference.type != Type::I64) return {};
    const Strides registers = register_strides(block, end);
    const auto [a, b] = std::pair{difference.args[0], difference.args[1]};
    const Stride of_a = stride_of(block, a, registers), of_b = stride_of(block, b, registers);
    if (of_a.kind != Stride::Known || of_b.kind != Stride::Known || of_a.stays() == of_b.stays()) return {};
    return of_a.stays() ? LoopCondition{b, a, of_b.bytes} : LoopCondition{a, b, of_a.bytes};
}

}  // namespace arclight::jit::tier2
