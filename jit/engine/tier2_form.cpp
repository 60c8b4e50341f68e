// Which blocks make a region.
#include <algorithm>
#include <cstring>
#include <map>
#include <queue>
#include <set>

#include "frontend/a64/translate/translator.h"
#include "jit/engine/tier2.h"

namespace arclight::jit {

namespace a64 = frontend::a64;

namespace {
constexpr unsigned kMaxBlocks = 64, kMaxPages = 8;
constexpr uint64_t kSeldom = 500;  ///< a member runs at least once in so many runs of the entry
}  // namespace

uint64_t Tier2::runs(const TranslationBlock& block) const {
    return block.counter != backend::kNoCounter ? counted(block) : 0;
}

/// From the entry along whatever ran at least a small share as often, the most frequent first.
bool Tier2::form(TranslationBlock& entry, Region& region, HotRegion& hot) {
    // What runs seldom is left by the side.
    const uint64_t enough =
        options_.synchronous
            ? 1
            : std::max({uint64_t{options_.threshold} / 32, runs(entry) / kSeldom, uint64_t{1}});
    region.pa = entry.pa;
    region.mode = entry.mode;
    std::map<int64_t, uint64_t> pages{{0, entry.pa & kPageMask}};  // by offset
    std::set<int64_t> known;
    struct Candidate {
        uint64_t runs;
        int64_t offset;
        TranslationBlock* block;
        bool operator<(const Candidate& o) const { return runs < o.runs; }
    };
    std::priority_queue<Candidate> open;
    std::vector<std::pair<int64_t, int64_t>> calls;  // target, return site
    std::set<int64_t> return_sites, indirect;
    const auto offer = [&](int64_t offset, TranslationBlock* block) {
        if (block == nullptr || !block->valid || block->mode != entry.mode || known.contains(offset)) return;
        const uint64_t n = runs(*block);
        if (n < enough) return;
        const int64_t page = offset & ~int64_t{4095};
        const auto [it, is_new] = pages.try_emplace(page, block->pa & kPageMask);
        if (it->second != (block->pa & kPageMask)) return;
        known.insert(offset);
        open.push({n, offset, block});
    };
    const auto find = [&](int64_t offset) -> TranslationBlock* {
        const auto it = pages.find(offset & ~int64_t{4095});
        if (it == pages.end()) return nullptr;
        return cache_.find(it->second | (static_cast<uint64_t>(offset) & 4095), entry.mode);
    };
    const auto first_offset = static_cast<int64_t>(entry.pa & ~kPageMask);
    known.insert(first_offset);
    open.push({~uint64_t{0}, first_offset, &entry});
    unsigned insns = 0;
    bool returns = false;
    while (!open.empty() && region.blocks.size() < kMaxBlocks) {
        const Candidate c = open.top();
        open.pop();
        TranslationBlock& block = *c.block;
        if (insns + block.guest_insns > options_.max_insns && !region.blocks.empty()) continue;
        insns += block.guest_insns;
        RegionBlock& rb = region.blocks.emplace_back();
        rb.offset = c.offset;
        rb.ir.pa = block.pa;
        rb.ir.mode = block.mode;
        const uint64_t room = kPageSize - (block.pa & ~kPageMask);
        const auto* words = reinterpret_cast<const uint32_t*>(memory_.host(block.pa, room));
        a64::translate_block(rb.ir, {words, room / 4}, static_cast<uint32_t>(block.pa & ~kPageMask),
                             block.mode, block.guest_insns);
        hot.members.push_back(&block);
        const int64_t page = rb.page(), end = rb.offset + block.guest_bytes;
        for (const ir::Inst& i : rb.ir.insts) {
            if (i.op == ir::Op::Exit || i.op == ir::Op::ExitIf) {
                const int64_t target = page + static_cast<int64_t>(i.imm);
                TranslationBlock* to = find(target);
                if (to == nullptr) {  // another page: known if it was gone to
                    for (size_t k = 0; k < block.code.exits.size(); ++k)
                        if (block.code.exits[k].cross_page && block.linked[k] != nullptr &&
                            block.code.exits[k].target == static_cast<int64_t>(i.imm) &&
                            pages.size() < kMaxPages)
                            to = const_cast<TranslationBlock*>(block.linked[k]);
                }
                offer(target, to);
                if (i.op == ir::Op::Exit && i.aux == static_cast<uint32_t>(ir::BranchKind::Call) &&
                    known.contains(target)) {
                    return_sites.insert(end);
                    if (returns) offer(end, find(end));
                }
            } else if (i.op == ir::Op::ExitIndirect) {
                if (i.aux == static_cast<uint32_t>(ir::BranchKind::Return)) {
                    returns = true;
                    for (const int64_t site : return_sites) offer(site, find(site));
                } else {
                    for (const TranslationBlock* t = cache_.blocks_of(block.pa); t != nullptr;
                         t = t->next_in_page) {
                        if (!t->indirect || t->mode != entry.mode) continue;
                        const int64_t offset = page + static_cast<int64_t>(t->pa & ~kPageMask);
                        offer(offset, const_cast<TranslationBlock*>(t));
                        if (known.contains(offset)) indirect.insert(offset);
                    }
                }
            }
        }
    }
    std::set<int64_t> inside;
    for (const RegionBlock& b : region.blocks) inside.insert(b.offset);
    for (const int64_t o : return_sites)
        if (inside.contains(o)) region.return_sites.push_back(o);
    for (const int64_t o : indirect)
        if (inside.contains(o)) region.indirect_targets.push_back(o);
    std::set<int64_t> used_pages;
    for (const RegionBlock& b : region.blocks) used_pages.insert(b.page());
    for (const int64_t page : used_pages)
        if (page != 0) hot.pages.push_back({page, pages[page]});
    return true;
}

/// How many guest instructions are executed from the way in to a way out, on the average. Blocks are counted,
/// not edges: of a block's exits each is taken as often as its target runs, compared with the others'
/// targets.
double Tier2::stay(const Region& region, const HotRegion& hot) const {
    struct Edge {
        double share;
        size_t to;
    };
    const size_t n = hot.members.size();
    std::map<int64_t, size_t> by_offset;
    for (size_t k = 0; k < n; ++k) by_offset.emplace(region.blocks[k].offset, k);
    std::vector<std::vector<Edge>> edges(n);
    for (size_t k = 0; k < n; ++k) {
        const TranslationBlock& block = *hot.members[k];
        const double times = std::max(1.0, double(runs(block)));
        double all = 0;
        const auto add = [&](int64_t offset, const TranslationBlock& target) {
            const double share = std::min(times, double(runs(target)));
            all += share;
            if (const auto it = by_offset.find(offset); it != by_offset.end())
                edges[k].push_back({share, it->second});
        };
        for (size_t e = 0; e < block.code.exits.size(); ++e)
            if (block.linked[e] != nullptr)
                add(region.blocks[k].page() + block.code.exits[e].target, *block.linked[e]);
        if (const ir::Inst& last = region.blocks[k].ir.insts.back(); last.op == ir::Op::ExitIndirect) {
            const bool returns = last.aux == static_cast<uint32_t>(ir::BranchKind::Return);
            for (const int64_t o : returns ? region.return_sites : region.indirect_targets)
                add(o, *hot.members[by_offset.at(o)]);
            all = std::max(all, times);  // the other targets are unknown
        }
        for (Edge& e : edges[k]) e.share /= std::max(all, 1.0);
    }
    constexpr unsigned kSweeps = 500;
    std::vector<double> length(n);
    for (unsigned sweep = 0; sweep < kSweeps && length[0] < options_.least_stay; ++sweep)
        for (size_t k = n; k-- > 0;) {
            double sum = hot.members[k]->guest_insns;
            for (const Edge& e : edges[k]) sum += e.share * length[e.to];
            length[k] = sum;
        }
    return length[0];
}

/// Going in and out moves all registers, and leaves what the block's own translation kept in host registers.
bool Tier2::worthwhile(const Region& region, const HotRegion& hot) const {
    return options_.synchronous || stay(region, hot) >= options_.least_stay;
}

RegionStore::Key Tier2::entry_key(const TranslationBlock& block) const {
    std::string bytes(reinterpret_cast<const char*>(words_of(block)), block.guest_bytes);
    const uint64_t place = uint64_t{block.mode} << 12 | (block.pa & ~kPageMask);
    bytes.append(reinterpret_cast<const char*>(&place), sizeof place);
    return RegionStore::hash(bytes, store_->seed());
}

RegionShape Tier2::shape_of(const Region& region, const HotRegion& hot) const {
    RegionShape shape{.mode = region.mode,
                      .blocks = {},
                      .return_sites = region.return_sites,
                      .indirect_targets = region.indirect_targets};
    for (size_t k = 0; k < region.blocks.size(); ++k) {
        const uint32_t* words = words_of(*hot.members[k]);
        shape.blocks.push_back({region.blocks[k].offset, {words, words + hot.members[k]->guest_insns}});
    }
    return shape;
}

/// The same region again: all its blocks must have been translated since, and be of the same words.
Tier2::Fit Tier2::form_as(const RegionShape& shape, TranslationBlock& entry, HotRegion& hot) const {
    if (shape.mode != entry.mode || shape.blocks[0].offset != static_cast<int64_t>(entry.pa & ~kPageMask))
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
            TranslationBlock* block =
                cache_.find(page->second | (static_cast<uint64_t>(want.offset) & 4095), shape.mode);
            if (block == nullptr || !block->valid) continue;
            if (block->guest_insns != want.words.size() || block->guest_bytes != 4 * want.words.size() ||
                std::memcmp(words_of(*block), want.words.data(), block->guest_bytes) != 0)
                return Fit::Never;
            found[k] = block;
            --missing;
            more = true;
            for (size_t e = 0; e < block->code.exits.size(); ++e) {
                const backend::ExitSite& exit = block->code.exits[e];
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
