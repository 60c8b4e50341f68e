#include "jit/engine/block_cache.h"

#include <algorithm>
#include <atomic>

#include "jit/engine/edge_profile.h"
#include "jit/exit_lookup.h"
#include "mmu/bits.h"

namespace arclight::jit {

namespace {
uint64_t line_mask(uint64_t offset, uint64_t bytes) {
    const unsigned first = offset >> BlockCache::kLineBits,
                   last = (offset + bytes - 1) >> BlockCache::kLineBits;
    return (~uint64_t{0} >> (63 - (last - first))) << first;
}

/// What the allocator adds to an allocation.
constexpr size_t kPerAllocation = 8;

template <typename T>
size_t bytes_of(const CompactVector<T>& v) {
    return v.capacity() != 0 ? v.allocated() + kPerAllocation : 0;
}

uint32_t bytes_to_describe(const TranslationBlock& block) {
    size_t bytes = sizeof block + kPerAllocation + bytes_of(block.guest_code) + bytes_of(block.slots) +
                   bytes_of(block.linked) + bytes_of(block.members) + bytes_of(block.pages) +
                   bytes_of(block.code.exits) + bytes_of(block.code.faults.points) +
                   bytes_of(block.code.faults.locations) + bytes_of(block.relocations);
    if (const ir::Block* ir = block.interpreted.get())
        bytes += sizeof *ir + ir->insts.capacity() * sizeof(ir::Inst) + 2 * kPerAllocation;
    return static_cast<uint32_t>(bytes);
}
}  // namespace

TranslationBlock::TranslationBlock() = default;
TranslationBlock::~TranslationBlock() = default;

BlockCache::BlockCache(const mmu::GuestMemory& memory, CodeBuffer& code)
    : code_(code), memory_(memory), page_head_(memory.pages()), lines_(memory.pages()) {}

TranslationBlock* BlockCache::insert(std::unique_ptr<TranslationBlock> owned) {
    TranslationBlock* block = owned.get();
    const size_t page = memory_.page_number(block->pa);
    block->next_in_page = page_head_[page];
    page_head_[page] = block;
    std::atomic_ref(lines_[page]).fetch_or(line_mask(block->pa & ~kPageMask, block->guest_bytes));
    adopt(std::move(owned), blocks_);
    // The last: from now on other CPUs may execute it.
    table_.insert(block->pa, block->translation_flags, *block);
    return block;
}

TranslationBlock* BlockCache::insert_superblock(std::unique_ptr<TranslationBlock> block) {
    return adopt(std::move(block), superblocks_);
}

TranslationBlock* BlockCache::adopt(std::unique_ptr<TranslationBlock> owned, Blocks& blocks) {
    TranslationBlock* block = owned.get();
    block->linked.resize(block->code.exits.size());
    link_slot_owner_.insert(link_slot_owner_.end(), block->code.exits.size(), block);
    block->described_bytes = bytes_to_describe(*block);
    described_bytes_ += block->described_bytes;
    blocks.push_back(std::move(owned));
    return block;
}

void BlockCache::note_link(TranslationBlock& from, unsigned exit, TranslationBlock& to) {
    if (from.linked[exit] == &to) return;
    from.linked[exit] = &to;
    const bool counts = from.profile != nullptr && from.profile->counting;
    if (from.code.exits[exit].cross_page && !counts) linked_across_.set(from.first_link_slot + exit);
    // Entries of exits that lead elsewhere by now, or that are there twice, go before it grows.
    if (to.incoming.size() == to.incoming.capacity()) {
        std::ranges::sort(to.incoming);
        const auto same = std::ranges::unique(to.incoming);
        to.incoming.erase(same.begin(), same.end());
        const auto elsewhere = std::ranges::remove_if(to.incoming, [&](uint32_t number) {
            BlockExit s;
            return !find_link_slot(number, s) || s.block->linked[s.exit] != &to;
        });
        to.incoming.erase(elsewhere.begin(), elsewhere.end());
        to.incoming.reserve(2 * to.incoming.size() + 1);
    }
    to.incoming.push_back(from.first_link_slot + exit);
}

void BlockCache::count_links_across(TranslationBlock& block, bool counts) {
    for (uint32_t k = 0; k < block.code.exits.size(); ++k) {
        const LinkSlot& exit = block.code.exits[k];
        if (!exit.cross_page || exit.goes_on()) continue;
        look_up_always(code_, exit, counts);
        if (counts)
            linked_across_.reset(block.first_link_slot + k);
        else if (block.linked[k] != nullptr)
            linked_across_.set(block.first_link_slot + k);
    }
}

void BlockCache::free(std::span<TranslationBlock* const> blocks) {
    if (blocks.empty()) return;
    for (TranslationBlock* block : blocks) {
        described_bytes_ -= block->described_bytes;
        std::fill_n(link_slot_owner_.begin() + block->first_link_slot, block->code.exits.size(), nullptr);
        block->described_bytes = 0;
    }
    for (Blocks* all : {&blocks_, &superblocks_})
        std::erase_if(*all, [](const auto& block) { return block->described_bytes == 0; });
}

bool BlockCache::find_link_slot(uint32_t number, BlockExit& out) const {
    if (number >= link_slot_owner_.size()) return false;
    TranslationBlock* block = link_slot_owner_[number];
    if (block == nullptr) return false;
    out = {block, number - block->first_link_slot};
    return true;
}

const TranslationBlock* BlockCache::owner_of(const void* host_pc, bool cold) const {
    const auto* pc = static_cast<const uint8_t*>(host_pc);
    const TranslationBlock* block = owner_in(blocks_, pc, cold);
    return block != nullptr ? block : owner_in(superblocks_, pc, cold);
}

const TranslationBlock* BlockCache::owner_in(const Blocks& blocks, const uint8_t* pc, bool cold) {
    auto it = std::upper_bound(blocks.begin(), blocks.end(), pc, [cold](const uint8_t* p, const auto& b) {
        return p < (cold ? b->code.cold_order : b->code.entry);
    });
    // A return address may be one past the end of a block's cold part, that is, where the next one begins.
    for (int tries = 0; tries < 2 && it != blocks.begin(); ++tries) {
        const TranslationBlock* block = (--it)->get();
        if (block->code.contains(pc) || (pc >= block->code.cold_order && pc < block->code.cold)) return block;
    }
    return nullptr;
}

void BlockCache::retire(TranslationBlock& block) {
    block.valid = false;
    table_.remove(block.pa, block.translation_flags);
    for (const uint32_t number : block.incoming) {
        BlockExit s;
        if (!find_link_slot(number, s) || s.block->linked[s.exit] != &block) continue;
        unlink(code_, s.block->code.exits[s.exit]);
        s.block->linked[s.exit] = nullptr;
        linked_across_.reset(number);
    }
    block.incoming.clear();
    if (on_retire) on_retire(block);
    block.guest_code = {};
}

unsigned BlockCache::invalidate(uint64_t pa, uint64_t bytes) {
    const uint64_t page = memory_.page_number(pa);
    if (page == mmu::GuestMemory::kNoPage) return 0;
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
        if (page_head_[page] != nullptr) count += invalidate(memory_.page_address(page), kPageSize);
    return count;
}

void BlockCache::clear() {
    table_.clear();
    linked_across_.clear();
    std::fill(page_head_.begin(), page_head_.end(), nullptr);
    for (uint64_t& l : lines_) std::atomic_ref(l).store(0);
    link_slot_owner_.clear();
    blocks_.clear();
    superblocks_.clear();
    described_bytes_ = 0;
}

}  // namespace arclight::jit
