#include "jit/engine/block_cache.h"

#include <algorithm>
#include <atomic>

#include "jit/engine/edge_profile.h"

namespace arclight::jit {

namespace {
constexpr unsigned kLineBits = 6;
uint64_t line_mask(uint64_t offset, uint64_t bytes) {
    const unsigned first = offset >> kLineBits, last = (offset + bytes - 1) >> kLineBits;
    return (~uint64_t{0} >> (63 - (last - first))) << first;
}
}  // namespace

TranslationBlock::TranslationBlock() = default;
TranslationBlock::~TranslationBlock() = default;

BlockCache::BlockCache(const mmu::GuestMemory& memory, CodeBuffer& code)
    : code_(code),
      base_(memory.base()),
      size_(memory.size()),
      table_(1u << 14),
      page_head_(memory.size() >> kPageBits),
      lines_(memory.size() >> kPageBits) {}

size_t BlockCache::slot_of(uint64_t key) const {
    const size_t mask = table_.size() - 1;
    size_t i = (key * 0x9e37'79b9'7f4a'7c15u) >> 32 & mask;
    while (table_[i].key != key && table_[i].key != kEmpty) i = (i + 1) & mask;
    return i;
}

TranslationBlock* BlockCache::find(uint64_t pa, uint32_t translation_flags) const {
    return table_[slot_of(key(pa, translation_flags))].block;
}

void BlockCache::grow() {
    std::vector<Entry> old(table_.size() * 2);
    old.swap(table_);
    used_ = 0;
    for (const Entry& e : old) {
        if (e.block == nullptr) continue;
        table_[slot_of(e.key)] = e;
        ++used_;
    }
}

TranslationBlock* BlockCache::insert(std::unique_ptr<TranslationBlock> owned) {
    TranslationBlock* block = owned.get();
    if (used_ * 2 >= table_.size()) grow();
    Entry& e = table_[slot_of(key(block->pa, block->translation_flags))];
    if (e.key == kEmpty) ++used_;
    e = {key(block->pa, block->translation_flags), block};
    block->linked.resize(block->code.exits.size());
    link_slot_owner_.insert(link_slot_owner_.end(), block->code.exits.size(), block);
    const size_t page = page_of(block->pa);
    block->next_in_page = page_head_[page];
    page_head_[page] = block;
    std::atomic_ref(lines_[page]).fetch_or(line_mask(block->pa & ~kPageMask, block->guest_bytes));
    blocks_.push_back(std::move(owned));
    ++live_;
    return block;
}

bool BlockCache::find_link_slot(uint32_t number, BlockExit& out) const {
    if (number >= link_slot_owner_.size()) return false;
    TranslationBlock* block = link_slot_owner_[number];
    out = {block, number - block->first_link_slot};
    return true;
}

const TranslationBlock* BlockCache::owner_of(const void* host_pc, bool cold) const {
    const auto* pc = static_cast<const uint8_t*>(host_pc);
    auto it = std::upper_bound(blocks_.begin(), blocks_.end(), pc, [cold](const uint8_t* p, const auto& b) {
        return p < (cold ? b->code.cold : b->code.entry);
    });
    // A return address may be one past the end of a block's cold part, that is, where the next one begins.
    for (int tries = 0; tries < 2 && it != blocks_.begin(); ++tries) {
        const TranslationBlock* block = (--it)->get();
        if (block->code.contains(pc)) return block;
    }
    return nullptr;
}

void BlockCache::retire(TranslationBlock& block) {
    block.valid = false;
    table_[slot_of(key(block.pa, block.translation_flags))].block = nullptr;
    --live_;
    for (const uint32_t number : block.incoming) {
        BlockExit s;
        if (!find_link_slot(number, s) || s.block->linked[s.exit] != &block) continue;
        unlink(code_, s.block->code.exits[s.exit]);
        s.block->linked[s.exit] = nullptr;
    }
    block.incoming.clear();
    if (on_retire) on_retire(block);
    block.guest_code = {};
}

unsigned BlockCache::invalidate(uint64_t pa, uint64_t bytes) {
    if (pa < base_ || pa - base_ >= size_) return 0;
    const size_t page = page_of(pa);
    unsigned count = 0;
    uint64_t remaining = 0;
    TranslationBlock** link = &page_head_[page];
    while (TranslationBlock* block = *link) {
        if (block->pa < pa + bytes && pa < block->pa + block->guest_bytes) {
            *link = block->next_in_page;
            retire(*block);
            ++count;
        } else {
            remaining |= line_mask(block->pa & ~kPageMask, block->guest_bytes);
            link = &block->next_in_page;
        }
    }
    std::atomic_ref(lines_[page]).store(remaining);
    return count;
}

unsigned BlockCache::invalidate_all() {
    unsigned count = 0;
    for (size_t page = 0; page < page_head_.size(); ++page)
        if (page_head_[page] != nullptr)
            count += invalidate(base_ + (uint64_t{page} << kPageBits), kPageSize);
    return count;
}

void BlockCache::clear() {
    std::fill(table_.begin(), table_.end(), Entry{});
    std::fill(page_head_.begin(), page_head_.end(), nullptr);
    for (uint64_t& l : lines_) std::atomic_ref(l).store(0);
    link_slot_owner_.clear();
    blocks_.clear();
    used_ = live_ = 0;
}

bool BlockCache::line_has_code(uint64_t pa) const {
    if (pa < base_ || pa - base_ >= size_) return false;
    auto& word = const_cast<uint64_t&>(lines_[page_of(pa)]);
    return (std::atomic_ref(word).load(std::memory_order_relaxed) >> (pa >> kLineBits & 63) & 1) != 0;
}

}  // namespace arclight::jit
