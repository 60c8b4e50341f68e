// Which accesses of a block share one look at the soft TLB.
//
// Accesses at small displacements from one value lie in one page nearly always: they are a group, checked
// once as the span from the lowest byte to the highest one. A group that a page's end cuts, or of which a
// part may not be written, leaves the region, though each of its accesses alone might have gone on; so a
// group's span is small, and it ends at a conditional way out, behind which a write may never come. Where
// that happens too often all the same, as with a structure on the stack across two pages, the region is made
// again: each access that was in such a group is one of its own, and one of more than eight bytes is several.
#include <map>
#include <set>
#include <tuple>

#include "jit/llvm/lowering.h"

namespace arclight::jit::tier2 {

namespace {

constexpr int64_t kMaxSpan = 128;

unsigned bytes_of(const Inst& i) {
    const unsigned unit = 1u << ir::mem_size_log2(i.aux);
    const bool pair =
        i.op == Op::LoadPair || i.op == Op::LoadPairV || i.op == Op::StorePair || i.op == Op::StorePairV;
    return pair ? 2 * unit : unit;
}

bool is_write(Op op) {
    return op == Op::Store || op == Op::StorePair || op == Op::StoreV || op == Op::StorePairV;
}

/// One name for values that are computed twice: `ldr x0, [x1, x2]` and a store to the same place.
class Names {
  public:
    explicit Names(const ir::Block& block) : block_(block), name_(block.insts.size()) {
        for (Ref r = 0; r < block.insts.size(); ++r) name_[r] = find(r);
    }
    Ref operator()(Ref r) const { return name_[r]; }

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
        const Ref a = i.nargs > 0 ? name_[i.args[0]] : ir::kNoRef,
                  b = i.nargs > 1 ? name_[i.args[1]] : ir::kNoRef;
        return known_.try_emplace({i.op, i.type, i.aux, i.imm, a, b}, r).first->second;
    }

    const ir::Block& block_;
    std::vector<Ref> name_;
    std::map<std::tuple<Op, Type, uint32_t, uint64_t, Ref, Ref>, Ref> known_;
};

/// By value: the guest register that it ends up in, or kNoRegister.
std::vector<uint8_t> registers_of(const ir::Block& block, unsigned none) {
    std::vector<uint8_t> r(block.insts.size(), static_cast<uint8_t>(none));
    for (const Inst& i : block.insts)
        if (i.op == Op::SetX) r[i.args[0]] = static_cast<uint8_t>(i.imm);
    return r;
}

}  // namespace

/// Registers that are never loaded from memory, but counted up or left alone.
std::bitset<32> Lowering::stable_registers() const {
    std::bitset<32> stable;
    stable.set();
    for (const RegionBlock& rb : region_.blocks) {
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

/// The last page accessed by way of the registers that the address is made of: arrays are walked in several
/// places, each by its own registers.
unsigned Lowering::page_for(const ir::Block& block, const std::vector<uint8_t>& registers, Ref root,
                            bool write, const std::bitset<32>& stable) {
    unsigned index = kNoRegister;
    while (registers[root] == kNoRegister && (block[root].op == Op::Add || block[root].op == Op::Sub)) {
        Ref added = block[root].args[1];
        while (block[added].nargs != 0 && block[added].op != Op::Load) added = block[added].args[0];
        if (block[added].op == Op::GetX) {
            index = static_cast<unsigned>(block[added].imm);
        } else if (block[added].op != Op::Const) {
            index = kOtherIndex;
        }
        root = block[root].args[0];
    }
    const unsigned base =
        block[root].op == Op::GetX ? static_cast<unsigned>(block[root].imm) : registers[root];
    if (base == kNoRegister) return kNoPage;
    const auto [it, is_new] =
        page_numbers_.try_emplace({base, index, write}, static_cast<unsigned>(last_pages_.size()));
    if (is_new) last_pages_.push_back({.stable = stable[base]});
    return it->second;
}

void Lowering::plan_accesses() {
    const std::bitset<32> stable = stable_registers();
    last_pages_.clear();
    page_numbers_.clear();
    for (size_t k = 0; k < region_.blocks.size(); ++k) {
        const ir::Block& block = region_.blocks[k].ir;
        BlockInfo& info = info_[k];
        const Names name(block);
        const std::vector<uint8_t> registers = registers_of(block, kNoRegister);
        std::map<std::pair<Ref, bool>, uint32_t> open;  // the last group by way of a root, of trusted ones
        Guesses guess = 0;
        info.group_of.assign(block.insts.size(), kNoGroup);
        for (Ref r = 0; r < block.insts.size(); ++r) {
            const Inst& i = block[r];
            if (i.op == Op::ExitIf) open.clear();
            if (i.op == Op::InsnStart) guess = guess_at(i.imm);
            if (!ir::is_plain_access(i.op) || (i.aux & (ir::kMemUnprivileged | ir::kMemAligned)) != 0)
                continue;
            const auto [base, at] = ir::displaced(block, i.args[0]);
            const Ref root = name(base);
            const bool trusted = (region_.distrusted & guess) == 0;
            const auto group = [&](int64_t begin, int64_t end) {
                if (const auto it = open.find({root, trusted}); it != open.end()) {
                    Group& g = info.groups[it->second];
                    const int64_t lo = std::min(g.lo, begin), hi = std::max(g.hi, end);
                    if (hi - lo <= (trusted ? kMaxSpan : int64_t{kPartBytes})) {
                        g.lo = lo;
                        g.hi = hi;
                        g.write |= is_write(i.op);
                        if (g.foreseen == 0) g.foreseen = i.imm;
                        g.guesses |= trusted ? guess : 0;
                        ++g.accesses;
                        return it->second;
                    }
                }
                const auto made = static_cast<uint32_t>(info.groups.size());
                open[{root, trusted}] = made;
                info.groups.push_back({.root = root,
                                       .lo = begin,
                                       .hi = end,
                                       .write = is_write(i.op),
                                       .accesses = 1,
                                       .guesses = trusted ? guess : 0,
                                       .foreseen = i.imm});
                return made;
            };
            const int64_t bytes = bytes_of(i);
            const int64_t unit = int64_t{1} << ir::mem_size_log2(i.aux);
            const int64_t part = trusted || fastmem_ ? bytes : std::min(unit, int64_t{kPartBytes});
            info.group_of[r] = group(at, at + part);
            if (part == bytes) continue;
            std::vector<uint32_t>& parts = info.parts[r];
            parts.push_back(info.group_of[r]);
            for (int64_t from = part; from < bytes; from += part)
                parts.push_back(group(at + from, at + from + part));
        }
        for (Group& g : info.groups) g.page = page_for(block, registers, g.root, g.write, stable);
    }
    if (!fastmem_) share_pages();
    for (const BlockInfo& info : info_) {
        for (const Group& g : info.groups) {
            if (g.page == kNoPage) continue;
            unsigned& span = last_pages_[g.page].span;
            span = std::max(span, static_cast<unsigned>(g.hi - g.lo));
        }
    }
}

/// Bases whose accesses were seen in one page, such as the stack's, need but one check and the registers for
/// that.
void Lowering::share_pages() {
    std::map<uint64_t, std::set<unsigned>> seen_in;  // pages by what was foreseen
    for (const BlockInfo& info : info_)
        for (const Group& g : info.groups)
            if (g.foreseen != 0 && g.page != kNoPage) seen_in[g.foreseen].insert(g.page);
    std::map<uint64_t, unsigned> shared;
    for (const auto& [where, pages] : seen_in) {
        if (pages.size() < 2) continue;
        shared.emplace(where, static_cast<unsigned>(last_pages_.size()));
        last_pages_.push_back({.stable = true, .shared = true});
    }
    for (BlockInfo& info : info_)
        for (Group& g : info.groups)
            if (const auto it = shared.find(g.foreseen); it != shared.end() && g.page != kNoPage)
                g.page = it->second;
}

}  // namespace arclight::jit::tier2
