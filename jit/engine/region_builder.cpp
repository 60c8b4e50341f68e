#include "jit/engine/region_builder.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "jit/engine/predict.h"
#include "jit/translation_flags.h"

namespace arclight::jit {

namespace {
constexpr unsigned kMaxBlocks = 64, kMaxPages = 8;
/// Without a profile: a member runs at least once in kMaxRunsBetween runs of the entry.
constexpr uint64_t kMaxRunsBetween = 500;
/// Runs of a block from which on its profile is believed.
constexpr uint32_t kMinProfiledRuns = 32;
/// Cost of leaving a region and coming back, in guest instructions executed inside.
constexpr double kLeaveCost = 200;
/// A block is added if leaving the region for it would cost at least this share of the region's time for each
/// of the block's instructions: about what it takes to compile them, if the guest goes on for a few times as
/// long as it did before.
constexpr double kCompileCost = 0.006;

constexpr int64_t page_of(int64_t offset) { return offset & static_cast<int64_t>(kPageMask); }
constexpr uint64_t offset_in_page(int64_t offset) { return static_cast<uint64_t>(offset) & ~kPageMask; }
}  // namespace

/// A block that goes on to another one, in `share` of its runs (of 1).
struct RegionBuilder::SuccessorEdge {
    int64_t offset;  ///< as RegionBlock::offset
    TranslationBlock* to;
    double share;
    bool counted;   ///< by a profile
    bool indirect;  ///< by its last branch, whose target varies
};

struct RegionBuilder::Node {
    TranslationBlock* block;
    int64_t offset;
    ir::BranchKind branch = ir::BranchKind::Jump;
    bool ends_indirect = false;
    std::vector<SuccessorEdge> successors{};
    double visits = 0;  ///< for each time that the region is entered

    int64_t page() const { return page_of(offset); }
};

/// A region that is being built.
struct RegionBuilder::Draft {
    uint32_t translation_flags;
    uint64_t min_runs;  ///< of a block without a profile of the edge to it
    unsigned insns = 0;
    std::vector<Node> nodes{};
    std::map<int64_t, uint64_t> pages{};            ///< by offset
    std::set<int64_t> known{};                      ///< offsets of nodes
    std::set<int64_t> too_long{};                   ///< offsets of blocks that have no room
    std::set<std::pair<int64_t, int64_t>> calls{};  ///< direct ones: where to, and where they return to
};

RegionBuilder::RegionBuilder(const Frontend& frontend, const BlockCache& blocks,
                             const PromotionPolicy& policy, EdgeProfiler& edges, const Tier2Options& options)
    : frontend_(frontend), blocks_(blocks), policy_(policy), edges_(edges), options_(options) {}

// ---- Successors

/// Where a profile is missing, blocks are counted, not edges: of a block's exits each is taken as often as
/// its target runs, compared with the others' targets.
std::vector<RegionBuilder::SuccessorEdge> RegionBuilder::successors_of(const Draft& draft,
                                                                       const Node& node) const {
    const TranslationBlock& block = *node.block;
    const EdgeProfile* profile = block.profile.get();
    const bool counted = profile != nullptr && !profile->counting && profile->runs >= kMinProfiledRuns;
    const double runs = std::max(1.0, counted ? double(profile->runs) : double(policy_.runs(block)));
    std::vector<SuccessorEdge> edges;
    double all = 0;
    const auto find = [&](int64_t offset) -> TranslationBlock* {
        const auto it = draft.pages.find(page_of(offset));
        if (it == draft.pages.end()) return nullptr;
        return blocks_.find(it->second | offset_in_page(offset), draft.translation_flags);
    };
    const auto estimate = [&](int64_t offset, TranslationBlock* to, bool indirect) {
        if (to == nullptr) return;
        const double share = std::min(runs, double(policy_.runs(*to)));
        all += share;
        edges.push_back({offset, to, share, false, indirect});
    };
    for (size_t e = 0; e < block.code.exits.size(); ++e) {
        const int64_t offset = node.page() + block.code.exits[e].target;
        auto* to = const_cast<TranslationBlock*>(block.linked[e]);
        if (counted) {
            all += profile->taken[e];
            if (to != nullptr && profile->taken[e] != 0)
                edges.push_back({offset, to, double(profile->taken[e]), true, false});
        } else {
            estimate(offset, to != nullptr ? to : find(offset), false);
        }
    }
    if (node.ends_indirect) {
        if (counted && profile->samples != 0) {
            const double rest = std::max(0.0, runs - all);
            for (const EdgeProfile::Target& t : profile->targets) {
                TranslationBlock* to = blocks_.find(t.pa, draft.translation_flags);
                const double share = rest * t.count / profile->samples;
                if (to != nullptr && t.count > 1)
                    edges.push_back({node.page() + t.offset, to, share, true, true});
            }
        } else if (node.branch == ir::BranchKind::Return) {
            for (const auto& [target, site] : draft.calls)
                if (draft.known.contains(target)) estimate(site, find(site), true);
        } else {
            for (const TranslationBlock* t = blocks_.blocks_of(block.pa); t != nullptr; t = t->next_in_page)
                if (t->indirect && t->translation_flags == draft.translation_flags)
                    estimate(node.page() + static_cast<int64_t>(t->pa & ~kPageMask),
                             const_cast<TranslationBlock*>(t), true);
        }
        all = std::max(all, runs);  // the other targets are unknown
    }
    for (SuccessorEdge& e : edges) e.share /= std::max(all, 1.0);
    return edges;
}

bool RegionBuilder::may_be_added(const Draft& draft, const SuccessorEdge& edge) const {
    if (draft.known.contains(edge.offset) || draft.too_long.contains(edge.offset)) return false;
    if (!edge.to->valid || edge.to->stop || edge.to->spins ||
        edge.to->translation_flags != draft.translation_flags)
        return false;
    const uint64_t profiled_runs = options_.threshold / 32;
    if (policy_.runs(*edge.to) < (edge.counted ? std::min(draft.min_runs, profiled_runs) : draft.min_runs))
        return false;
    const auto page = draft.pages.find(page_of(edge.offset));
    return page == draft.pages.end() ? draft.pages.size() < kMaxPages
                                     : page->second == (edge.to->pa & kPageMask);
}

TranslationBlock* RegionBuilder::best_successor(const Draft& draft, double executed, int64_t& offset) const {
    std::map<int64_t, std::pair<double, TranslationBlock*>> next;  // by offset: visits, and the block
    for (const Node& n : draft.nodes) {
        for (const SuccessorEdge& e : n.successors) {
            if (!may_be_added(draft, e)) continue;
            auto& [visits, to] = next[e.offset];
            visits += n.visits * e.share;
            to = e.to;
        }
    }
    auto best = next.end();
    for (auto it = next.begin(); it != next.end(); ++it) {
        const auto& [visits, to] = it->second;
        const double cost = kCompileCost * executed * to->guest_insns;
        if (!options_.synchronous && visits * kLeaveCost < cost) continue;
        if (best == next.end() || visits > best->second.first) best = it;
    }
    if (best == next.end()) return nullptr;
    offset = best->first;
    return best->second.second;
}

// ---- Building

void RegionBuilder::translate(const TranslationBlock& block, ir::Block& ir) const {
    ir.pa = block.pa;
    ir.translation_flags = block.translation_flags;
    frontend_.translate(ir, block.guest_code, static_cast<uint32_t>(block.pa & ~kPageMask),
                        block.translation_flags, block.guest_insns);
    mark_sites(ir);
    options_.while_building();
    if ((block.translation_flags & translation_flag::kFastmem) != 0)
        set_predicted_slots(ir, block.slots);
    else
        predict_pages(ir, block.promotion.hot().snapshots);
}

void RegionBuilder::add_block(Draft& draft, Built& built, int64_t offset, TranslationBlock& block) {
    draft.insns += block.guest_insns;
    const uint64_t runs = policy_.runs(block);
    if (block.profile != nullptr && runs - block.profile->first_run >= kMinProfiledRuns)
        edges_.finish(block, runs);
    RegionBlock& rb = built.region.blocks.emplace_back();
    rb.offset = offset;
    translate(block, rb.ir);
    built.compiled->members.push_back(&block);
    draft.pages.try_emplace(rb.page(), block.pa & kPageMask);
    draft.known.insert(offset);
    Node& node = draft.nodes.emplace_back(Node{.block = &block, .offset = offset});
    const ir::Inst& last = rb.ir.insts.back();
    if (last.op == ir::Op::ExitIndirect) {
        node.branch = static_cast<ir::BranchKind>(last.aux);
        node.ends_indirect = node.branch != ir::BranchKind::Barrier;  // behind that one is another region
    }
    if (last.op == ir::Op::Exit && last.aux == static_cast<uint32_t>(ir::BranchKind::Call))
        draft.calls.emplace(rb.page() + static_cast<int64_t>(last.imm), offset + block.guest_bytes);
    for (Node& n : draft.nodes)  // a call may have given returns a place to go to
        if (n.successors.empty() || n.branch == ir::BranchKind::Return)
            n.successors = successors_of(draft, n);
}

RegionBuilder::Built RegionBuilder::build(TranslationBlock& entry) {
    Built built{.region = {}, .compiled = std::make_unique<CompiledRegion>()};
    Region& region = built.region;
    CompiledRegion& compiled = *built.compiled;
    Draft draft{.translation_flags = entry.translation_flags,
                .min_runs = options_.synchronous ? 1
                            : options_.sampled
                                ? kMinProfiledRuns
                                : std::max({uint64_t{options_.threshold} / 32,
                                            policy_.runs(entry) / kMaxRunsBetween, uint64_t{1}})};
    compiled.entry = &entry;
    region.pa = entry.pa;
    region.translation_flags = entry.translation_flags;
    region.spectre = options_.spectre;
    region.disabled_assumptions = compiled.disabled_assumptions = entry.disabled_assumptions;
    region.narrow = entry.promotion.hot().snapshots.empty() ? 0 : ~uint32_t{0};
    for (const RegisterSnapshot& snapshot : entry.promotion.hot().snapshots) region.narrow &= snapshot.narrow;
    draft.pages[0] = entry.pa & kPageMask;
    add_block(draft, built, static_cast<int64_t>(entry.pa & ~kPageMask), entry);
    while (region.blocks.size() < kMaxBlocks) {
        int64_t offset = 0;
        TranslationBlock* to = best_successor(draft, count_visits(draft.nodes), offset);
        if (to == nullptr) break;
        if (draft.insns + to->guest_insns > options_.max_insns)
            draft.too_long.insert(offset);
        else
            add_block(draft, built, offset, *to);
    }
    const double executed = count_visits(draft.nodes);
    built.insns_per_run = std::max(executed / std::max(draft.nodes[0].visits, 1.0), 1.0);
    built.expected_insns = options_.synchronous ? 0 : count_visits(draft.nodes, options_.min_expected_insns);
    describe_edges(draft, region);
    std::set<int64_t> used_pages;
    for (const RegionBlock& b : region.blocks) used_pages.insert(b.page());
    for (const int64_t page : used_pages)
        if (page != 0) compiled.pages.push_back({page, draft.pages[page]});
    return built;
}

/// How often each block is executed for each time that the region is entered. Returns the guest instructions
/// of all of them, and goes on until they are `enough`, or little is added.
double RegionBuilder::count_visits(std::vector<Node>& nodes, double enough) {
    std::map<int64_t, size_t> by_offset;
    for (size_t k = 0; k < nodes.size(); ++k) by_offset.emplace(nodes[k].offset, k);
    struct In {
        size_t from;
        double share;
    };
    std::vector<std::vector<In>> in(nodes.size());
    for (size_t k = 0; k < nodes.size(); ++k)
        for (const SuccessorEdge& e : nodes[k].successors)
            if (const auto it = by_offset.find(e.offset); it != by_offset.end())
                in[it->second].push_back({k, e.share});
    const unsigned sweeps = enough != 0 ? 1000 : 24;
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
        if ((enough != 0 && executed >= enough) || executed - before < 1e-3 * before) break;
    }
    return executed;
}

/// What the compiler may know of it.
void RegionBuilder::describe_edges(const Draft& draft, Region& region) {
    std::set<int64_t> return_sites, indirect_targets;
    for (size_t k = 0; k < draft.nodes.size(); ++k) {
        const Node& node = draft.nodes[k];
        RegionBlock& rb = region.blocks[k];
        constexpr double kRuns = 1 << 16;
        for (const SuccessorEdge& e : node.successors) {
            if (e.counted) {
                rb.runs = static_cast<uint32_t>(kRuns);
                rb.edges.push_back({e.offset, static_cast<uint32_t>(e.share * kRuns)});
            }
            if (!e.indirect || !draft.known.contains(e.offset)) continue;
            (node.branch == ir::BranchKind::Return ? return_sites : indirect_targets).insert(e.offset);
            rb.targets.push_back(e.offset);
        }
    }
    region.return_sites.assign(return_sites.begin(), return_sites.end());
    region.indirect_targets.assign(indirect_targets.begin(), indirect_targets.end());
}

bool RegionBuilder::profitable(const Built& built) const {
    return options_.synchronous || built.expected_insns >= options_.min_expected_insns;
}

// ---- The same region in another run

RegionShape RegionBuilder::shape_of(const Built& built) const {
    const Region& region = built.region;
    RegionShape shape{.translation_flags = region.translation_flags,
                      .blocks = {},
                      .return_sites = region.return_sites,
                      .indirect_targets = region.indirect_targets};
    for (size_t k = 0; k < region.blocks.size(); ++k) {
        const auto& code = built.compiled->members[k]->guest_code;
        shape.blocks.push_back({region.blocks[k].offset, {code.begin(), code.end()}});
        options_.while_building();
    }
    return shape;
}

RegionBuilder::Fit RegionBuilder::build_as(const RegionShape& shape, TranslationBlock& entry,
                                           CompiledRegion& region) const {
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
            const auto page = pages.find(page_of(want.offset));
            if (page == pages.end()) continue;
            const uint64_t pa = page->second | offset_in_page(want.offset);
            TranslationBlock* block = blocks_.find(pa, shape.translation_flags);
            if (block == nullptr || !block->valid) continue;
            if (block->pa != pa || block->stop || block->spins ||
                !std::ranges::equal(block->guest_code, want.code))
                return Fit::Never;
            found[k] = block;
            --missing;
            more = true;
            for (size_t e = 0; e < block->code.exits.size(); ++e) {
                const LinkSlot& exit = block->code.exits[e];
                if (!exit.cross_page || block->linked[e] == nullptr) continue;
                pages.try_emplace(page_of(page->first + exit.target), block->linked[e]->pa & kPageMask);
            }
        }
    }
    if (missing != 0) return Fit::NotYet;
    region.entry = &entry;
    region.members = std::move(found);
    std::set<int64_t> used_pages;
    for (const RegionShape::Block& b : shape.blocks) used_pages.insert(page_of(b.offset));
    for (const int64_t page : used_pages)
        if (page != 0) region.pages.push_back({page, pages[page]});
    return Fit::Yes;
}

}  // namespace arclight::jit
