#include "jit/engine/edge_profile.h"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace arclight::jit {

EdgeProfiler::EdgeProfiler(CodeBuffer& code, BlockCache& cache, uint32_t kept)
    : code_(code), cache_(cache), first_(CodeBuffer::kCounters - kept - kCounters) {
    reset();
}

void EdgeProfiler::reset() {
    free_rings_.resize(kRings);
    for (uint32_t k = 0; k < kRings; ++k) free_rings_[k] = first_ + k * kRingWords;
    free_edges_.resize(kEdges);
    std::iota(free_edges_.begin(), free_edges_.end(), first_ + kRings * kRingWords);
}

void EdgeProfiler::start(TranslationBlock& block, uint64_t runs) {
    const size_t exits = block.code.exits.size();
    if (free_edges_.size() < exits) return;
    block.profile = std::make_unique<EdgeProfile>();
    EdgeProfile& p = *block.profile;
    p.counting = true;
    p.first_run = runs;
    for (size_t k = 0; k < exits; ++k) {
        p.counters.push_back(free_edges_.back());
        free_edges_.pop_back();
        code_.counters()[p.counters[k]] = 0;
        if (block.linked[k] == nullptr) continue;
        redirect(code_, block.code.exits[k], link_target(block, k, *block.linked[k]));
    }
    cache_.count_links_across(block, true);
    if (block.code.indirect == nullptr || free_rings_.empty()) return;
    std::memset(code_.counters() + free_rings_.back(), 0, 4 * kRingWords);
    const uint8_t* sampler = emit_sampler(code_, block.code, free_rings_.back());
    if (sampler == nullptr) return;
    p.ring = free_rings_.back();
    free_rings_.pop_back();
    sample(code_, block.code, sampler);
}

const void* EdgeProfiler::link_target(TranslationBlock& from, size_t exit, const TranslationBlock& to) {
    if (from.profile == nullptr || !from.profile->counting) return to.entry();
    const void* counted = emit_counted_jump(code_, from.profile->counters[exit], to.entry());
    return counted != nullptr ? counted : to.entry();
}

void EdgeProfiler::finish(TranslationBlock& block, uint64_t runs) {
    if (block.profile == nullptr || !block.profile->counting) return;
    EdgeProfile& p = *block.profile;
    p.counting = false;
    p.runs = static_cast<uint32_t>(runs - p.first_run);
    for (size_t k = 0; k < p.counters.size(); ++k) {
        p.taken.push_back(code_.counters()[p.counters[k]]);
        if (block.linked[k] != nullptr) redirect(code_, block.code.exits[k], block.linked[k]->entry());
    }
    cache_.count_links_across(block, false);
    free_edges_.insert(free_edges_.end(), p.counters.begin(), p.counters.end());
    p.counters.clear();
    if (p.ring == kNoCounter) return;
    sample(code_, block.code, nullptr);
    read_ring(p);
    free_rings_.push_back(p.ring);
    p.ring = kNoCounter;
}

std::vector<EdgeProfiler::Successor> EdgeProfiler::successors(const TranslationBlock& block) const {
    std::vector<Successor> found;
    const EdgeProfile* p = block.profile.get();
    if (p == nullptr || p->counting || p->runs == 0) return found;
    uint64_t direct = 0;
    for (size_t k = 0; k < p->taken.size(); ++k) {
        direct += p->taken[k];
        if (block.linked[k] != nullptr && p->taken[k] != 0)
            found.push_back({const_cast<TranslationBlock*>(block.linked[k]), double(p->taken[k]) / p->runs});
    }
    const double rest = direct < p->runs ? double(p->runs - direct) / p->runs : 0;
    for (const EdgeProfile::Target& t : p->targets)
        if (TranslationBlock* to = cache_.find(t.pa, block.translation_flags); to != nullptr)
            found.push_back({to, rest * t.count / p->samples});
    return found;
}

void EdgeProfiler::read_ring(EdgeProfile& p) {
    const uint32_t* words = code_.counters() + p.ring;
    const uint32_t used = std::min(words[0], kRingEntries);
    for (uint32_t k = 0; k < used; ++k) {
        RingEntry entry;
        std::memcpy(&entry, words + kRingHead + k * (sizeof entry / 4), sizeof entry);
        ++p.samples;
        auto it = std::find_if(p.targets.begin(), p.targets.end(),
                               [&](const EdgeProfile::Target& t) { return t.offset == entry.offset; });
        if (it == p.targets.end()) {
            const TranslationBlock* to = cache_.owner_of(entry.code, false);
            if (to == nullptr || !to->valid || to->code.entry != entry.code ||
                ((to->pa ^ static_cast<uint64_t>(entry.offset)) & ~kPageMask) != 0)
                continue;
            p.targets.push_back({entry.offset, to->pa, 0});
            it = std::prev(p.targets.end());
        }
        ++it->count;
    }
    std::sort(p.targets.begin(), p.targets.end(),
              [](const auto& a, const auto& b) { return a.count > b.count; });
}

}  // namespace arclight::jit
