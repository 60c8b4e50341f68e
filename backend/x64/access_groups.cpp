// Which accesses of a block share one look at the soft TLB: those at small displacements from one value, such
// as a stack frame's or a structure's. The first one checks the whole span and keeps what has to be added to
// a guest address in a register; where that fails the register is zero, and each access of the group looks
// for itself.
#include <algorithm>
#include <cstdlib>
#include <span>
#include <utility>

#include "backend/x64/block_values.h"

namespace arclight::backend {

namespace {
constexpr int64_t kMaxSpan = 256;
constexpr size_t kMaxOpen = 6;
/// Whether the operation matters here: most do not.
constexpr bool matters(Op op) {
    return op == Op::ExitIf || op == Op::ExitIndirectIf || op == Op::CallRuntime || op == Op::EnterPage ||
           ir::is_plain_access(op);
}
constexpr auto kMatters = [] {
    std::array<bool, static_cast<size_t>(Op::Count)> table{};
    for (size_t k = 0; k < table.size(); ++k) table[k] = matters(static_cast<Op>(k));
    return table;
}();
constexpr uint32_t kAlone = ir::kMemUnprivileged | ir::kMemAligned | ir::kMemAcquire | ir::kMemRelease |
                            ir::kMemDevice | ir::kMemTagged;
}  // namespace

jit::MemoryAccess describe_access(const Inst& i) {
    using enum jit::MemoryKind;
    jit::MemoryAccess access{Load, i.aux, ir::AtomicKind::Add};
    switch (i.op) {
        case Op::Load: access.kind = Load; break;
        case Op::Store: access.kind = Store; break;
        case Op::LoadV: access.kind = LoadV; break;
        case Op::StoreV: access.kind = StoreV; break;
        case Op::LoadPair: access.kind = LoadPair; break;
        case Op::LoadPairV: access.kind = LoadPairV; break;
        case Op::StorePair: access.kind = StorePair; break;
        case Op::StorePairV: access.kind = StorePairV; break;
        case Op::LoadEx: access.kind = LoadEx; break;
        case Op::LoadExPair: access.kind = LoadExPair; break;
        case Op::StoreEx: access.kind = StoreEx; break;
        case Op::StoreExPair: access.kind = StoreExPair; break;
        case Op::AtomicRmw:
            access.kind = AtomicRmw;
            access.atomic = static_cast<ir::AtomicKind>(i.imm);
            break;
        case Op::Cas: access.kind = Cas; break;
        case Op::CheckStack: access.kind = CheckStack; break;
        case Op::AuthPointer:
        case Op::CheckZero: access.kind = CheckZero; break;
        default: access.kind = ZeroBlock; break;
    }
    return access;
}

void BlockValues::group_accesses() {
    const std::span<const Inst> insts = block_->insts;
    const std::span<const ir::SidePath> sides = block_->sides;
    struct Open {
        Ref root;
        bool sp_base;
        uint16_t group;
    };
    struct OpenGroups {
        std::array<Open, kMaxOpen> group;
        size_t count = 0, next = 0;
    };
    OpenGroups now;
    std::vector<OpenGroups> at_exit(sides.size());
    auto& [open, open_count, next] = now;
    std::vector<std::pair<Ref, int64_t>> alone;  ///< roots of accesses with kMemAlone, and where these are
    Ref entered = 0;                             ///< the last EnterPage
    Ref passed = 0;                              ///< the last conditional exit
    size_t side = 0;
    Ref next_side = sides.empty() ? kNoRef : sides[0].begin;
    for (Ref r = 0; r < insts.size(); ++r) {
        const Inst& i = insts[r];
        if (r == next_side) {
            now = at_exit[side++];
            next_side = side < sides.size() ? sides[side].begin : kNoRef;
        }
        if (!kMatters[static_cast<size_t>(i.op)]) continue;
        if (i.op == Op::ExitIf || i.op == Op::ExitIndirectIf) passed = r;
        if (i.op == Op::ExitIf)
            if (const auto begins = side_of(r)) at_exit[*begins] = now;
        // What comes behind a conditional exit may never be done, but in a superblock is likely to be; what a helper does may
        // change translations.
        if ((i.op == Op::ExitIf && !block_->superblock) || i.op == Op::CallRuntime) open_count = 0;
        if (i.op == Op::EnterPage) entered = r;
        if (!ir::is_plain_access(i.op) || (i.aux & kAlone) != 0) continue;
        const auto [root, at] = ir::displaced(*block_, i.args[0]);
        // Made again where it is used, and that would be of another page.
        if (inst(root).op == Op::PcRel && root < entered) continue;
        const jit::MemoryAccess access = describe_access(i);
        const int64_t end = at + access.bytes();
        if ((i.aux & ir::kMemAlone) != 0) alone.emplace_back(root, at);
        if (std::ranges::any_of(alone, [&, from = root, to = at](const auto& a) {
                return a.first == from && std::abs(a.second - to) < kMaxSpan;
            }))
            continue;
        const bool sp_base = (i.aux & ir::kMemSpBase) != 0;
        Open* found = nullptr;
        for (size_t k = 0; k < open_count; ++k)
            if (open[k].root == root && open[k].sp_base == sp_base) found = &open[k];
        // A store that may never be done joins no loads: the page may be one that is only read, and their check would fail each time.
        const bool joins = found != nullptr && (!access.writes() || groups_[found->group].write ||
                                                passed < groups_[found->group].first);
        if (joins) {
            AccessGroup& g = groups_[found->group];
            const int64_t lo = std::min(g.lo, at), hi = std::max(g.hi, end);
            if (hi - lo <= kMaxSpan) {
                g.lo = lo;
                g.hi = hi;
                g.write |= access.writes();
                ++g.accesses;
                grouped_[r] = {.group = found->group, .at = static_cast<int32_t>(at)};
                continue;
            }
        } else if (found != nullptr) {
            // Replaced by the group that it begins.
        } else if (open_count < kMaxOpen) {
            found = &open[open_count++];
        } else {
            found = &open[next++ % kMaxOpen];
        }
        if (groups_.size() == kNoGroup) return;
        *found = {root, sp_base, static_cast<uint16_t>(groups_.size())};
        grouped_[r] = {.group = found->group, .at = static_cast<int32_t>(at)};
        groups_.push_back(
            {.first = r, .root = root, .lo = at, .hi = end, .write = access.writes(), .accesses = 1});
    }
}

}  // namespace arclight::backend
