// Which blocks make a region.
#include <algorithm>
#include <map>
#include <set>
#include <span>

#include "jit/engine/predict.h"
#include "jit/engine/tier2.h"
#include "jit/translation_flags.h"

namespace arclight::jit {

namespace {
constexpr unsigned kMaxBlocks = 64, kMaxPages = 8;
/// Without a profile: a member runs at least once in so many runs of the entry.
constexpr uint64_t kSeldom = 500;
/// Runs of a block from which on its profile is believed.
constexpr uint32_t kEnoughRuns = 32;
/// To leave a region and to come back costs about as much as so many guest instructions inside. A block is
/// taken in if without it that would take this share of the time for each of its instructions: about what it
/// takes to compile them, if the guest goes on for a few times as long as it did before.
constexpr double kLeaveCost = 200, kCompileCost = 0.006;
}  // namespace

struct Tier2::Node {
    TranslationBlock* block;
    int64_t offset;
    ir::BranchKind branch = ir::BranchKind::Jump;
    bool ends_indirect = false;
    std::vector<Way> ways{};
    double visits = 0;  ///< for each time that the region is entered

    int64_t page() const { return offset & ~int64_t{4095}; }
};

/// A region that is being made.
struct Tier2::Forming {
    uint32_t translation_flags;
    uint64_t enough;  ///< runs of a block without a profile of the way to it
    std::vector<Node> nodes{};
    std::map<int64_t, uint64_t> pages{};            ///< by offset
    std::set<int64_t> known{};                      ///< offsets of nodes
    std::set<std::pair<int64_t, int64_t>> calls{};  ///< direct ones: where to, and where they return to
};

uint64_t Tier2::runs(const TranslationBlock& block) const {
    return block.counter != kNoCounter ? counted(block) : 0;
}

/// Where a profile is missing, blocks are counted, not edges: of a block's exits each is taken as often as
/// its target runs, compared with the others' targets.
std::vector<Tier2::Way> Tier2::ways_of(const Forming& forming, const Node& node) const {
    const TranslationBlock& block = *node.block;
    const EdgeProfile* profile = block.profile.get();
    const bool counted = profile != nullptr && !profile->counting && profile->runs >= kEnoughRuns;
    const double times = std::max(1.0, counted ? double(profile->runs) : double(runs(block)));
    std::vector<Way> ways;
    double all = 0;
    const auto find = [&](int64_t offset) -> TranslationBlock* {
        const auto it = forming.pages.find(offset & ~int64_t{4095});
        if (it == forming.pages.end()) return nullptr;
        return cache_.find(it->second | (static_cast<uint64_t>(offset) & 4095), forming.translation_flags);
    };
    const auto guess = [&](int64_t offset, TranslationBlock* to, bool indirect) {
        if (to == nullptr) return;
        const double share = std::min(times, double(runs(*to)));
        all += share;
        ways.push_back({offset, to, share, false, indirect});
    };
    for (size_t e = 0; e < block.code.exits.size(); ++e) {
        const int64_t offset = node.page() + block.code.exits[e].target;
        auto* to = const_cast<TranslationBlock*>(block.linked[e]);
        if (counted) {
            all += profile->taken[e];
            if (to != nullptr && profile->taken[e] != 0)
                ways.push_back({offset, to, double(profile->taken[e]), true, false});
        } else {
            guess(offset, to != nullptr ? to : find(offset), false);
        }
    }
    if (node.ends_indirect) {
        if (counted && profile->samples != 0) {
            const double rest = std::max(0.0, times - all);
            for (const EdgeProfile::Target& t : profile->targets) {
                TranslationBlock* to =
                    t.block->valid ? t.block : cache_.find(t.block->pa, forming.translation_flags);
                const double share = rest * t.count / profile->samples;
                if (to != nullptr && t.count > 1)
                    ways.push_back({node.page() + t.offset, to, share, true, true});
            }
        } else if (node.branch == ir::BranchKind::Return) {
            for (const auto& [target, site] : forming.calls)
                if (forming.known.contains(target)) guess(site, find(site), true);
        } else {
            for (const TranslationBlock* t = cache_.blocks_of(block.pa); t != nullptr; t = t->next_in_page)
                if (t->indirect && t->translation_flags == forming.translation_flags)
                    guess(node.page() + static_cast<int64_t>(t->pa & ~kPageMask),
                          const_cast<TranslationBlock*>(t), true);
        }
        all = std::max(all, times);  // the other targets are unknown
    }
    for (Way& w : ways) w.share /= std::max(all, 1.0);
    return ways;
}

/// From the entry along whatever is gone to often enough, the most frequent first.
void Tier2::form(TranslationBlock& entry, Region& region, HotRegion& hot) {
    Forming forming{.translation_flags = entry.translation_flags,
                    .enough = options_.synchronous ? 1
                                                   : std::max({uint64_t{options_.threshold} / 32,
                                                               runs(entry) / kSeldom, uint64_t{1}})};
    region.pa = entry.pa;
    region.translation_flags = entry.translation_flags;
    region.distrusted = hot.distrusted = entry.distrusted;
    region.narrow = entry.seen.empty() ? 0 : ~uint32_t{0};
    for (const SeenRegisters& seen : entry.seen) region.narrow &= seen.narrow;
    forming.pages[0] = entry.pa & kPageMask;
    std::set<int64_t> too_long;
    unsigned insns = 0;
    const auto add = [&](int64_t offset, TranslationBlock& block) {
        insns += block.guest_insns;
        if (block.profile != nullptr && counted(block) - block.profile->first_run >= kEnoughRuns)
            edges_.finish(block, counted(block));
        RegionBlock& rb = region.blocks.emplace_back();
        rb.offset = offset;
        rb.ir.pa = block.pa;
        rb.ir.translation_flags = block.translation_flags;
        frontend_.translate(rb.ir, block.guest_code, static_cast<uint32_t>(block.pa & ~kPageMask),
                            block.translation_flags, block.guest_insns);
        mark_devices(rb.ir);
        options_.while_making();
        if ((block.translation_flags & translation_flag::kFastmem) != 0)
            set_predicted_slots(rb.ir, block.slots);
        else
            predict_pages(rb.ir, block.seen);
        hot.members.push_back(&block);
        forming.pages.try_emplace(rb.page(), block.pa & kPageMask);
        forming.known.insert(offset);
        Node& node = forming.nodes.emplace_back(Node{.block = &block, .offset = offset});
        const ir::Inst& last = rb.ir.insts.back();
        if (last.op == ir::Op::ExitIndirect) {
            node.branch = static_cast<ir::BranchKind>(last.aux);
            node.ends_indirect = node.branch != ir::BranchKind::Barrier;  // behind that one is another region
        }
        if (last.op == ir::Op::Exit && last.aux == static_cast<uint32_t>(ir::BranchKind::Call))
            forming.calls.emplace(rb.page() + static_cast<int64_t>(last.imm), offset + block.guest_bytes);
        for (Node& n : forming.nodes)  // a call may have given returns a place to go to
            if (n.ways.empty() || n.branch == ir::BranchKind::Return) n.ways = ways_of(forming, n);
    };
    add(static_cast<int64_t>(entry.pa & ~kPageMask), entry);
    while (region.blocks.size() < kMaxBlocks) {
        const double executed = count_visits(forming.nodes);
        // Where the ways out lead, and how often they are taken.
        std::map<int64_t, std::pair<double, TranslationBlock*>> next;
        for (const Node& n : forming.nodes) {
            for (const Way& w : n.ways) {
                if (forming.known.contains(w.offset) || too_long.contains(w.offset)) continue;
                if (!w.to->valid || w.to->translation_flags != entry.translation_flags) continue;
                if (runs(*w.to) < (w.counted ? std::min(forming.enough, uint64_t{options_.threshold} / 32)
                                             : forming.enough))
                    continue;
                const auto page = forming.pages.find(w.offset & ~int64_t{4095});
                if (page == forming.pages.end() ? forming.pages.size() >= kMaxPages
                                                : page->second != (w.to->pa & kPageMask))
                    continue;
                auto& [visits, to] = next[w.offset];
                visits += n.visits * w.share;
                to = w.to;
            }
        }
        auto best = next.end();
        for (auto it = next.begin(); it != next.end(); ++it) {
            const auto& [visits, to] = it->second;
            const double worth = kCompileCost * executed * to->guest_insns;
            if (!options_.synchronous && visits * kLeaveCost < worth) continue;
            if (best == next.end() || visits > best->second.first) best = it;
        }
        if (best == next.end()) break;
        TranslationBlock& to = *best->second.second;
        if (insns + to.guest_insns > options_.max_insns)
            too_long.insert(best->first);
        else
            add(best->first, to);
    }
    hot.heat = std::max(count_visits(forming.nodes) / std::max(forming.nodes[0].visits, 1.0), 1.0);
    hot.stay = options_.synchronous ? 0 : count_visits(forming.nodes, options_.least_stay);
    describe_edges(forming, region);
    std::set<int64_t> used_pages;
    for (const RegionBlock& b : region.blocks) used_pages.insert(b.page());
    for (const int64_t page : used_pages)
        if (page != 0) hot.pages.push_back({page, forming.pages[page]});
}

/// How often each block is executed for each time that the region is entered. Returns the guest instructions
/// of all of them, and goes on until they are more than `most`, or little is added.
double Tier2::count_visits(std::vector<Node>& nodes, double most) {
    std::map<int64_t, size_t> by_offset;
    for (size_t k = 0; k < nodes.size(); ++k) by_offset.emplace(nodes[k].offset, k);
    struct In {
        size_t from;
        double share;
    };
    std::vector<std::vector<In>> in(nodes.size());
    for (size_t k = 0; k < nodes.size(); ++k)
        for (const Way& w : nodes[k].ways)
            if (const auto it = by_offset.find(w.offset); it != by_offset.end())
                in[it->second].push_back({k, w.share});
    const unsigned sweeps = most != 0 ? 1000 : 24;
    double executed = 0;
    for (unsigned sweep = 0; sweep < sweeps; ++sweep) {
        const double before = executed;
        executed = 0;
        for (size_t k = 0; k < nodes.size(); ++k) {
            double visits = k == 0 ? 1 : 0;
            for (const In& i : in[k]) visits += i.share * nodes[i.from].visits;
            nodes[k].visits = visits;
            executed += visits * nodes[k].block->guest_insns;
        }
        if ((most != 0 && executed >= most) || executed - before < 1e-3 * before) break;
    }
    return executed;
}

/// What the compiler may know of it.
void Tier2::describe_edges(const Forming& forming, Region& region) {
    std::set<int64_t> return_sites, indirect_targets;
    for (size_t k = 0; k < forming.nodes.size(); ++k) {
        const Node& node = forming.nodes[k];
        RegionBlock& rb = region.blocks[k];
        constexpr double kRuns = 1 << 16;
        for (const Way& w : node.ways) {
            if (w.counted) {
                rb.runs = static_cast<uint32_t>(kRuns);
                rb.edges.push_back({w.offset, static_cast<uint32_t>(w.share * kRuns)});
            }
            if (!w.indirect || !forming.known.contains(w.offset)) continue;
            (node.branch == ir::BranchKind::Return ? return_sites : indirect_targets).insert(w.offset);
            rb.targets.push_back(w.offset);
        }
    }
    region.return_sites.assign(return_sites.begin(), return_sites.end());
    region.indirect_targets.assign(indirect_targets.begin(), indirect_targets.end());
}

/// Going in and out moves all registers, and leaves what the block's own translation kept in host registers.
bool Tier2::worthwhile(const HotRegion& hot) const {
    return options_.synchronous || hot.stay >= options_.least_stay;
}

RegionStore::Key Tier2::entry_key(const TranslationBlock& block) const {
    std::string bytes(reinterpret_cast<const char*>(block.guest_code.data()), block.guest_code.size());
    const uint64_t place = uint64_t{block.translation_flags} << 12 | (block.pa & ~kPageMask);
    bytes.append(reinterpret_cast<const char*>(&place), sizeof place);
    return RegionStore::hash(bytes, store_->seed());
}

RegionShape Tier2::shape_of(const Region& region, const HotRegion& hot) const {
    RegionShape shape{.translation_flags = region.translation_flags,
                      .blocks = {},
                      .return_sites = region.return_sites,
                      .indirect_targets = region.indirect_targets};
    for (size_t k = 0; k < region.blocks.size(); ++k) {
        shape.blocks.push_back({region.blocks[k].offset, hot.members[k]->guest_code});
        options_.while_making();
    }
    return shape;
}

/// The same region again: all its blocks must have been translated since, and from the same code.
Tier2::Fit Tier2::form_as(const RegionShape& shape, TranslationBlock& entry, HotRegion& hot) const {
    if (shape.translation_flags != entry.translation_flags ||
        shape.blocks[0].offset != static_cast<int64_t>(entry.pa & ~kPageMask))
        return Fit::Never;
    std::map<int64_t, uint64_t> pages{{0, entry.pa & kPageMask}};  // by offset
    std::vector<TranslationBlock*> found(shape.blocks.size());
    size_t missing = shape.blocks.size();
    for (bool more = true; more && missing != 0;) {
        more = false;
        for (size_t k = 0; k < found.size(); ++k) {
            if (found[k] != nullptr) continue;
            const RegionShape::Block& want = shape.blocks[k];
            const auto page = pages.find(want.offset & ~int64_t{4095});
            if (page == pages.end()) continue;
            const uint64_t pa = page->second | (static_cast<uint64_t>(want.offset) & 4095);
            TranslationBlock* block = cache_.find(pa, shape.translation_flags);
            if (block == nullptr || !block->valid) continue;
            if (block->pa != pa || block->guest_code != want.code) return Fit::Never;
            found[k] = block;
            --missing;
            more = true;
            for (size_t e = 0; e < block->code.exits.size(); ++e) {
                const ExitSite& exit = block->code.exits[e];
                if (!exit.cross_page || block->linked[e] == nullptr) continue;
                const int64_t to = page->first + exit.target;
                pages.try_emplace(to & ~int64_t{4095}, block->linked[e]->pa & kPageMask);
            }
        }
    }
    if (missing != 0) return Fit::NotYet;
    hot.entry = &entry;
    hot.members = std::move(found);
    std::set<int64_t> used_pages;
    for (const RegionShape::Block& b : shape.blocks) used_pages.insert(b.offset & ~int64_t{4095});
    for (const int64_t page : used_pages)
        if (page != 0) hot.pages.push_back({page, pages[page]});
    return Fit::Yes;
}

}  // namespace arclight::jit
