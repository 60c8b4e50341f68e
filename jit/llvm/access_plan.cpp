#include "jit/llvm/access_plan.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "jit/translation_flags.h"

namespace arclight::jit::tier2 {

using ir::Inst;
using ir::Op;
using ir::Ref;
using ir::Type;

namespace {

constexpr int64_t kMaxSpan = 128;
constexpr unsigned kNoRegister = 32, kOtherIndex = 33;

unsigned bytes_of(const Inst& i) {
    const unsigned unit = 1u << ir::mem_size_log2(i.aux);
    const bool pair =
        i.op == Op::LoadPair || i.op == Op::LoadPairV || i.op == Op::StorePair || i.op == Op::StorePairV;
    return pair ? 2 * unit : unit;
}

bool is_write(Op op) {
    return op == Op::Store || op == Op::StorePair || op == Op::StoreV || op == Op::StorePairV;
}

/// Local value numbering: one number for values that are computed twice, as by `ldr x0, [x1, x2]` and a store
/// to the same place.
class ValueNumbers {
  public:
    explicit ValueNumbers(const ir::Block& block) : block_(block), number_(block.insts.size()) {
        for (Ref r = 0; r < block.insts.size(); ++r) number_[r] = find(r);
    }
    Ref operator()(Ref r) const { return number_[r]; }

  private:
    Ref find(Ref r) {
        const Inst& i = block_[r];
        switch (i.op) {
            case Op::Const:
            case Op::PcRel:
            case Op::Add:
            case Op::Sub:
            case Op::Shl:
            case Op::SExt32:
            case Op::ZExt32: break;
            default: return r;
        }
        if (i.nargs > 2) return r;
        const Ref a = i.nargs > 0 ? number_[i.args[0]] : ir::kNoRef;
        const Ref b = i.nargs > 1 ? number_[i.args[1]] : ir::kNoRef;
        return known_.try_emplace({i.op, i.type, i.aux, i.imm, a, b}, r).first->second;
    }

    const ir::Block& block_;
    std::vector<Ref> number_;
    std::map<std::tuple<Op, Type, uint32_t, uint64_t, Ref, Ref>, Ref> known_;
};

/// By value: the guest register that it is written to, or kNoRegister.
std::vector<uint8_t> registers_of(const ir::Block& block) {
    std::vector<uint8_t> r(block.insts.size(), static_cast<uint8_t>(kNoRegister));
    for (const Inst& i : block.insts)
        if (i.op == Op::SetX) r[i.args[0]] = static_cast<uint8_t>(i.imm);
    return r;
}

/// Registers that are never loaded from memory, but counted up or left alone.
std::bitset<32> stable_registers(const Region& region) {
    std::bitset<32> stable;
    stable.set();
    for (const RegionBlock& rb : region.blocks) {
        for (const Inst& i : rb.ir.insts) {
            if (i.op != Op::SetX) continue;
            Ref r = i.args[0];
            while (rb.ir[r].op == Op::Add || rb.ir[r].op == Op::Sub) r = rb.ir[r].args[0];
            const Op op = rb.ir[r].op;
            if (op != Op::GetX && op != Op::Const && op != Op::PcRel) stable.reset(i.imm);
        }
    }
    return stable;
}

/// The registers that an address is made of.
struct AddressRegisters {
    unsigned base = kNoRegister, index = kNoRegister;
};

AddressRegisters address_registers(const ir::Block& block, const std::vector<uint8_t>& registers, Ref root) {
    AddressRegisters a;
    while (registers[root] == kNoRegister && (block[root].op == Op::Add || block[root].op == Op::Sub)) {
        Ref added = block[root].args[1];
        while (block[added].nargs != 0 && block[added].op != Op::Load) added = block[added].args[0];
        if (block[added].op == Op::GetX) {
            a.index = static_cast<unsigned>(block[added].imm);
        } else if (block[added].op != Op::Const) {
            a.index = kOtherIndex;
        }
        root = block[root].args[0];
    }
    a.base = block[root].op == Op::GetX ? static_cast<unsigned>(block[root].imm) : registers[root];
    return a;
}

/// Numbers pages by the registers that addresses are made of: arrays are walked in several places, each by
/// its own registers.
class PageNumbers {
  public:
    PageNumbers(const Region& region, std::vector<AccessPage>& pages)
        : stable_(stable_registers(region)), pages_(pages) {}

    unsigned operator()(const AddressRegisters& a, bool write) {
        if (a.base == kNoRegister) return kNoPage;
        const auto [it, is_new] =
            known_.try_emplace({a.base, a.index, write}, static_cast<unsigned>(pages_.size()));
        if (is_new) pages_.push_back({.stable = stable_[a.base]});
        return it->second;
    }

  private:
    const std::bitset<32> stable_;
    std::vector<AccessPage>& pages_;
    std::map<std::tuple<unsigned, unsigned, bool>, unsigned> known_;
};

BlockAccesses group_accesses(const ir::Block& block, Assumptions disabled_assumptions, bool fastmem) {
    BlockAccesses result;
    const ValueNumbers number(block);
    std::map<std::pair<Ref, bool>, uint32_t> open;  // the last group by its root, and whether it is trusted
    Assumptions assumption = 0;
    result.group_of.assign(block.insts.size(), kNoGroup);
    for (Ref r = 0; r < block.insts.size(); ++r) {
        const Inst& i = block[r];
        if (i.op == Op::ExitIf) open.clear();
        if (i.op == Op::InsnStart) assumption = assumption_at(i.imm);
        if (!ir::is_plain_access(i.op) || (i.aux & (ir::kMemUnprivileged | ir::kMemAligned)) != 0) continue;
        const auto [base, at] = ir::displaced(block, i.args[0]);
        const Ref root = number(base);
        const bool trusted = (disabled_assumptions & assumption) == 0;
        const auto add = [&](int64_t begin, int64_t end) {
            if (const auto it = open.find({root, trusted}); it != open.end()) {
                AccessGroup& g = result.groups[it->second];
                const int64_t lo = std::min(g.lo, begin), hi = std::max(g.hi, end);
                if (hi - lo <= (trusted ? kMaxSpan : int64_t{kPartBytes})) {
                    g.lo = lo;
                    g.hi = hi;
                    g.write |= is_write(i.op);
                    if (g.predicted == 0) g.predicted = i.imm;
                    g.assumptions |= trusted ? assumption : 0;
                    return it->second;
                }
            }
            const auto made = static_cast<uint32_t>(result.groups.size());
            open[{root, trusted}] = made;
            result.groups.push_back({.root = root,
                                     .lo = begin,
                                     .hi = end,
                                     .write = is_write(i.op),
                                     .assumptions = trusted ? assumption : 0,
                                     .predicted = i.imm});
            return made;
        };
        // Not in parts: alone, and left where it crosses into another page.
        if ((i.aux & ir::kMemWhole) != 0 && !trusted && !fastmem) continue;
        const int64_t bytes = bytes_of(i);
        const int64_t unit = int64_t{1} << ir::mem_size_log2(i.aux);
        const int64_t part = trusted || fastmem ? bytes : std::min(unit, int64_t{kPartBytes});
        result.group_of[r] = add(at, at + part);
        if (part == bytes) continue;
        std::vector<uint32_t>& parts = result.parts[r];
        parts.push_back(result.group_of[r]);
        for (int64_t from = part; from < bytes; from += part)
            parts.push_back(add(at + from, at + from + part));
    }
    return result;
}

/// Bases whose accesses were seen in one page, such as the stack's, need but one check and the registers for
/// that.
void share_pages(AccessPlan& plan) {
    std::map<uint64_t, std::set<unsigned>> seen_in;  // pages by the prediction
    for (const BlockAccesses& block : plan.blocks)
        for (const AccessGroup& g : block.groups)
            if (g.predicted != 0 && g.page != kNoPage) seen_in[g.predicted].insert(g.page);
    std::map<uint64_t, unsigned> shared;
    for (const auto& [where, pages] : seen_in) {
        if (pages.size() < 2) continue;
        shared.emplace(where, static_cast<unsigned>(plan.pages.size()));
        plan.pages.push_back({.stable = true, .shared = true});
    }
    for (BlockAccesses& block : plan.blocks)
        for (AccessGroup& g : block.groups)
            if (const auto it = shared.find(g.predicted); it != shared.end() && g.page != kNoPage)
                g.page = it->second;
}

}  // namespace

AccessPlan plan_accesses(const RegionGraph& graph) {
    const Region& region = graph.region;
    const bool fastmem = (region.translation_flags & translation_flag::kFastmem) != 0;
    AccessPlan plan;
    PageNumbers page(region, plan.pages);
    for (const RegionBlock& rb : region.blocks) {
        BlockAccesses& block =
            plan.blocks.emplace_back(group_accesses(rb.ir, region.disabled_assumptions, fastmem));
        const std::vector<uint8_t> registers = registers_of(rb.ir);
        if (region.spectre) continue;
        for (AccessGroup& g : block.groups)
            g.page = page(address_registers(rb.ir, registers, g.root), g.write);
    }
    plan.spectre = region.spectre;
    if (!fastmem) share_pages(plan);
    for (const BlockAccesses& block : plan.blocks)
        for (const AccessGroup& g : block.groups)
            if (g.page != kNoPage) plan.pages[g.page].span = std::max(plan.pages[g.page].span, g.span());
    return plan;
}

}  // namespace arclight::jit::tier2
