// Translation blocks by physical address and mode, and what has to be undone when guest code changes.
#pragma once

#include <array>
#include <atomic>
#include <cassert>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "jit/block_image.h"
#include "jit/compact_vector.h"
#include "jit/engine/block_table.h"
#include "jit/engine/linked_exits.h"
#include "jit/host_code.h"
#include "jit/ir/memory_loop.h"
#include "mmu/guest_memory.h"

namespace arclight::jit {

struct CompiledRegion;
struct EdgeProfile;

/// The guest's registers at some time.
struct RegisterSnapshot {
    std::array<uint64_t, 32> x;  ///< x0 to x30, and the stack pointer
    uint32_t narrow;             ///< by vector register: its upper half is zero
};

/// How far a block is on its way to tier 2. Of PromotionPolicy, which alone changes it.
struct Promotion {
    enum class Stage : uint8_t {
        Cold,      ///< has not run often
        Profiled,  ///< its exits are being counted
        Waiting,   ///< has not executed enough yet to be worth a compilation
        Queued,    ///< for the compiler
        Done,      ///< is compiled, or never will be
    };
    Stage stage = Stage::Cold;
    bool covered = false;       ///< a region of another block was found to have it already
    uint8_t failures = 0;       ///< regions entered here that were discarded, or not profitable
    bool warm = false;          ///< its counter is a short one: an earlier run has left regions entered here
    uint8_t disk_tries = 0;     ///< since then, without all of a region's blocks being there
    uint32_t counted_from = 0;  ///< what the counter was started at
    uint64_t counted_before = 0;         ///< runs until then
    std::chrono::nanoseconds sampled{};  ///< by samples (Tier2Options::sampled): CPU time in it
    std::chrono::nanoseconds ask_at{};   ///< it asks when it has been sampled for so long

    /// Of a block that has been sampled or promoted: one in some hundreds.
    struct Hot {
        uint64_t promoted_at = 0;  ///< runs when it was promoted, and the process' CPU time then
        std::chrono::nanoseconds promoted_cpu{};
        uint64_t queued_at = 0;  ///< runs when it was put into the compiler's queue, and when that was
        std::chrono::steady_clock::time_point queued_when{};
        std::chrono::nanoseconds sampling{};  ///< CPU time of all samples before its first one
        float visits =
            1;  ///< for each run of the block that had this one profiled, and how many blocks that is away
        uint8_t distance = 0;
        uint16_t profile_runs = 0;  ///< that it is profiled for
        std::vector<RegisterSnapshot>
            snapshots;  ///< at its entry, when its counter ran out; the oldest first
    };
    /// Made where it is to be changed, and where it is not there as it is at first.
    Hot& hot() {
        if (hot_ == nullptr) hot_ = std::make_unique<Hot>();
        return *hot_;
    }
    const Hot& hot() const {
        static const Hot kCold;
        return hot_ != nullptr ? *hot_ : kCold;
    }

  private:
    std::unique_ptr<Hot> hot_;
};

struct TranslationBlock {
    TranslationBlock();
    ~TranslationBlock();
    uint64_t pa = 0;
    uint32_t translation_flags = 0;
    uint32_t guest_bytes = 0;
    uint32_t guest_insns = 0;
    /// The guest's code that it was translated from, as it was read then. What is asked later of the block's
    /// code is asked of this copy: the guest may store to its memory at any time, and what the copy is
    /// compiled to, filed under and compared with must be the same. Empty once the block is invalid.
    CompactVector<std::byte> guest_code;
    uint32_t first_link_slot = 0;  ///< number of code.exits[0]
    uint32_t described_bytes =
        0;               ///< memory of this description when it was inserted, for the engine's limit
    bool valid = true;   ///< still findable; an invalid block may be running until it leaves
    bool stop = false;   ///< leaves before its instruction (Engine::stop_at()); in no region
    bool spins = false;  ///< see ir::spins(): of a guest with several CPUs; in no region
    std::atomic<bool> indirect{false};  ///< was asked for by other means than a direct exit

    // ---- Of one that BlockStore is to keep; others have no relocations
    CompactVector<PackedRelocation> relocations;
    bool grouping = false;  ///< StoredBlock::grouping

    // ---- Of superblocks (superblocks.h)
    TranslationBlock* superblock = nullptr;        ///< that is executed in its place
    CompactVector<TranslationBlock*> superblocks;  ///< that hold a copy of it
    CompactVector<TranslationBlock*> members;      ///< of a superblock, the one it is entered at first
    CompactVector<uint64_t> pages;                 ///< likewise: physical addresses, by number
    /// Where other blocks are to enter it.
    const uint8_t* entry() const { return superblock != nullptr ? superblock->code.entry : code.entry; }
    /// The physical address of the page with this number.
    uint64_t page(unsigned number) const { return pages.empty() ? pa & kPageMask : pages[number]; }

    // ---- Of tier 2
    uint32_t counter = kNoCounter;  ///< of CodeBuffer::counters(): counts its runs down
    Promotion promotion;
    std::unique_ptr<EdgeProfile> profile;
    uint64_t disabled_assumptions = 0;       ///< as Region::disabled_assumptions
    CompactVector<CompiledRegion*> regions;  ///< that hold a copy of it
    CompactVector<uint32_t> slots;  ///< what predict_slots() said of each plain access; empty: nothing

    CompiledBlock code;
    std::unique_ptr<const ir::MemoryLoop> memory_loop;  ///< that `code` has run at once, if it is one
    std::unique_ptr<ir::Block> interpreted;  ///< what `code` has the interpreter execute, if it does
    CompactVector<uint32_t> incoming;        ///< link slots of other blocks that may be linked to this one
    CompactVector<const TranslationBlock*> linked;  ///< by exit: the block it was last linked to
    TranslationBlock* next_in_page = nullptr;
};

/// Not synchronised, unless it says so: the engine's lock is held.
class BlockCache {
  public:
    static constexpr unsigned kLineBits = 6;  ///< of line_has_code()
    BlockCache(const mmu::GuestMemory& memory, CodeBuffer& code);

    /// Any thread, as BlockTable::find().
    TranslationBlock* find(uint64_t pa, uint32_t translation_flags) const {
        return table_.find(pa, translation_flags);
    }
    /// The first block of the page at pa, which is guest memory; the others by next_in_page.
    const TranslationBlock* blocks_of(uint64_t pa) const { return page_head_[memory_.page_number(pa)]; }
    /// Called for each block that is taken out, but for clear().
    std::function<void(TranslationBlock&)> on_retire;
    /// The block's `code` must be filled in. Addresses of code must grow from one call to the next.
    TranslationBlock* insert(std::unique_ptr<TranslationBlock> block);
    /// The same of a superblock, which find(), blocks_of() and invalidate() do not know: it goes with its members.
    TranslationBlock* insert_superblock(std::unique_ptr<TranslationBlock> block);
    /// Notes that an exit of `from` leads to `to` now.
    void note_link(TranslationBlock& from, unsigned exit, TranslationBlock& to);
    /// Frees blocks that were taken out. Nobody executes them any more, or has a pointer to them.
    void free(std::span<TranslationBlock* const> blocks);
    uint32_t next_link_slot() const { return static_cast<uint32_t>(link_slot_owner_.size()); }

    struct BlockExit {
        TranslationBlock* block;
        unsigned exit;
    };
    /// Whether this link slot is of an exit to another page that is linked, for one soft TLB or another. Any thread.
    bool is_linked_across(uint32_t number) const { return linked_across_.test(number); }
    /// Whether the block's exits to other pages are counted: each soft TLB links them for itself then, and no jump cache leads around
    /// the counters.
    void count_links_across(TranslationBlock& block, bool counts);
    /// False for a link slot of a block that was freed, or that is not of this generation of blocks.
    bool find_link_slot(uint32_t number, BlockExit& out) const;

    /// The block or superblock whose code contains host_pc, valid or not.
    const TranslationBlock* owner_of(const void* host_pc, bool cold) const;

    /// Takes out the blocks that overlap [pa, pa + bytes), which must not cross a page; unlinks what jumps to
    /// them. Returns how many there were.
    unsigned invalidate(uint64_t pa, uint64_t bytes);
    unsigned invalidate_all();
    void clear();
    /// The valid ones, the oldest first, until `f` returns false.
    void each_block(const std::function<bool(TranslationBlock&)>& f) const {
        for (const auto& block : blocks_)
            if (block->valid && !f(*block)) return;
    }

    /// Whether the 64-byte line at pa may have been translated; any thread, no lock.
    bool line_has_code(uint64_t pa) const { return (lines_of_page(pa) >> (pa >> kLineBits & 63) & 1) != 0; }
    /// The same of the whole page.
    bool page_has_code(uint64_t pa) const { return lines_of_page(pa) != 0; }
    size_t size() const { return table_.size(); }
    /// Blocks that were taken out and not freed yet count too.
    size_t described_blocks() const { return blocks_.size() + superblocks_.size(); }
    uint64_t described_bytes() const { return described_bytes_; }

  private:
    /// A bit for each line; 0 outside of memory.
    uint64_t lines_of_page(uint64_t pa) const {
        const uint64_t page = memory_.page_number(pa);
        if (page == mmu::GuestMemory::kNoPage) return 0;
        auto& word = const_cast<uint64_t&>(lines_[page]);
        return std::atomic_ref(word).load(std::memory_order_relaxed);
    }
    using Blocks = std::vector<std::unique_ptr<TranslationBlock>>;  ///< in order of code address
    TranslationBlock* adopt(std::unique_ptr<TranslationBlock> owned, Blocks& blocks);
    static const TranslationBlock* owner_in(const Blocks& blocks, const uint8_t* pc, bool cold);
    void retire(TranslationBlock& block);

    CodeBuffer& code_;
    const mmu::GuestMemory memory_;
    BlockTable table_;
    LinkedExits linked_across_;
    uint64_t described_bytes_ = 0;
    Blocks blocks_, superblocks_;
    std::vector<TranslationBlock*> link_slot_owner_;  // null: freed
    std::vector<TranslationBlock*> page_head_;
    std::vector<uint64_t> lines_;  // a bit for each 64-byte line of each page
};

}  // namespace arclight::jit
