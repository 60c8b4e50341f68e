// The translation engine: one for a machine, shared by its virtual CPUs. Finds, makes, links and forgets
// blocks.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "jit/engine/block_cache.h"
#include "jit/engine/block_store.h"
#include "jit/engine/interpreter_stubs.h"
#include "jit/engine/patched_lines.h"
#include "jit/engine/retired_blocks.h"
#include "jit/engine/site_record.h"
#include "jit/engine/superblocks.h"
#include "jit/engine/tier2.h"
#include "jit/frontend.h"
#include "jit/host_code.h"
#include "mmu/guest_memory.h"

namespace arclight::jit {

struct EngineOptions {
    size_t code_bytes = CodeBuffer::kDefaultSize;
    unsigned max_block_insns = 0;   ///< 0: the frontend's default
    bool concurrent = false;        ///< several virtual CPUs run the code at once
    bool spectre = false;           ///< CodeOptions::spectre, and regions likewise
    bool vector_registers = false;  ///< CodeOptions::vector_registers; not with tier 2 or the interpreter
    bool profile_host = false;      ///< counts the host instructions that blocks execute (host_profile.h)
    bool memory_loops = false;  ///< loops that copy or fill memory run many turns at once (ir/memory_loop.h)
    bool interpret = false;     ///< every block by ir::Interpreter; not with tier 2 or fastmem
    /// Where tier 1's blocks are kept for the next run (block_store.h); empty: nowhere. Not with the interpreter or profile_host.
    std::string store_directory;
    std::string store_key_file;                 ///< BlockStore::Options
    std::shared_ptr<const CacheKey> store_key;  ///< likewise
    uint64_t store_bytes = uint64_t{256} << 20;
    Tier2Options tier2;
    SuperblockOptions superblocks;  ///< not with tier 2, the interpreter or vector_registers
    bool trace_blocks = false, trace_ir = false, trace_host = false;
    std::FILE* trace_file = nullptr;
};

/// Counted since start, but for the last ones. `lookups` are those that took the lock.
struct EngineStats {
    uint64_t blocks = 0, guest_insns = 0, host_bytes = 0, lookups = 0, links = 0;
    /// CPU time of translation, from a sixteenth of the translations.
    uint64_t translate_ns = 0;
    uint64_t invalidated = 0, flushes = 0;
    /// Blocks of expect_block() that were translated ahead; accesses of expect_device() that were translated.
    uint64_t blocks_ahead = 0, expected_devices = 0;
    /// Blocks that there are, what their descriptions take of memory, and how many of them were taken out.
    uint64_t described_blocks = 0, described_bytes = 0, retired_blocks = 0;
};

class Engine {
  public:
    /// `frontend` must stay as long as the engine.
    Engine(const Frontend& frontend, const mmu::GuestMemory& memory, const EngineOptions& options);

    /// Keeps what this run had to translate for the next one (EngineOptions::store_directory).
    ~Engine();
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    CodeBuffer& code() { return code_; }

    /// The entry of the block for this physical address, which is in RAM and aligned as
    /// instructions are. Null: the code cache is full; stop all virtual CPUs and call flush().
    /// `state`, if given, is of the CPU that is about to run the block: see predict_slots().
    const void* entry(uint64_t pa, uint32_t translation_flags, const GuestState* state = nullptr);
    /// The same, for a virtual CPU whose epoch (add_cpu()) is odd, without the lock, which others hold while they translate. Null: it
    /// must ask entry().
    const void* known_entry(uint64_t pa, uint32_t translation_flags) const {
        TranslationBlock* const block = cache_.find(pa, translation_flags);
        if (block == nullptr) return nullptr;
        if (!block->indirect.load(std::memory_order_relaxed))
            block->indirect.store(true, std::memory_order_relaxed);
        return block->code.entry;
    }
    /// Whether this exit, to another page, is linked, for this soft TLB or another. Any thread.
    bool is_linked_across(uint32_t link_slot) const { return cache_.is_linked_across(link_slot); }
    struct Linked {
        const void* code =
            nullptr;  ///< as of entry(); null also where the CPU is to leave translated code: ask entry() then
        bool spins = false;  ///< nothing was linked: the exit leads a loop back that waits for another CPU
    };
    /// The same, and links the exit with this number (see LinkSlot) to it; `epoch` is the running soft TLB's. An exit to another page is
    /// linked for one soft TLB: others find their way in their jump caches, or link it anew.
    Linked entry_and_link(uint64_t pa, uint32_t translation_flags, uint32_t link_slot, uint32_t epoch,
                          const GuestState* state = nullptr);

    /// Forgets everything. No virtual CPU may be in translated code; all jump caches must be cleared after
    /// it.
    void flush();

    /// False only if no block was made from this line as it was before the caller's last store.
    bool line_has_code(uint64_t pa) const {
        // In this order: a block that is being made, by another CPU, may have read the line before the store, and is not
        // in the cache yet.
        if (options_.concurrent) std::atomic_thread_fence(std::memory_order_seq_cst);
        return translating_page_.load(std::memory_order_acquire) == (pa & kPageMask) ||
               cache_.line_has_code(pa);
    }
    /// The same of the whole page.
    bool page_has_code(uint64_t pa) const {
        std::atomic_thread_fence(std::memory_order_seq_cst);
        return translating_page_.load(std::memory_order_acquire) == (pa & kPageMask) ||
               cache_.page_has_code(pa);
    }
    /// Guest code in [pa, pa + bytes) may have changed. True: jump caches may hold entries of forgotten
    /// blocks.
    /// The caller clears them before it leaves translated code, or is no virtual CPU and has a RetireHold until
    /// it has done so.
    bool invalidate(uint64_t pa, uint64_t bytes);
    bool invalidate_all();
    /// The guest has changed code in this line, by a CPU with this state: as invalidate(), with less where no block is made
    /// from the line.
    bool invalidate_line(uint64_t pa, const GuestState& state) {
        if (options_.concurrent) patched_lines_.changed(pa);
        return line_has_code(pa) && drop_line(pa & ~(kLineBytes - 1), state);
    }
    /// Blocks with code at an offset in a page begin at most so many bytes before it, in the same page.
    unsigned max_block_bytes() const { return limits_.max_block_bytes; }
    static constexpr uint64_t kLineBytes = 64;  ///< of line_has_code(), invalidate_line()
    /// While one is there, no block that is forgotten is freed.
    class RetireHold {
      public:
        explicit RetireHold(Engine& engine) : engine_(engine) {
            const std::lock_guard guard(engine_.lock_);
            engine_.retired_.hold();
        }
        ~RetireHold() {
            const std::lock_guard guard(engine_.lock_);
            engine_.retired_.release();
        }
        RetireHold(const RetireHold&) = delete;
        RetireHold& operator=(const RetireHold&) = delete;

      private:
        Engine& engine_;
    };
    /// Returns when nobody reads code from where guest memory was before the call.
    void wait_for_readers() { const std::lock_guard guard(lock_); }

    /// See recover_state.
    std::optional<uint32_t> recover(const void* host_pc, GuestState& state);

    /// A block's counter ran out: where to go on.
    const void* promote(uint32_t counter, const GuestState* state = nullptr);
    /// A virtual CPU's thread was found at host_pc, for so much more CPU time (Tier2Options::sampled).
    void sample(const void* host_pc, std::chrono::nanoseconds cpu);
    /// What must be mapped where for the region behind `guard` to be entered.
    RegionEntryCheck entry_check(uint32_t guard);
    /// What is given must stay until stop_compiling() has returned.
    void add_cpu(const Tier2::CpuLink& cpu);
    void stop_compiling() { tier2_.stop(); }
    BlockStore::Stats store_stats();
    Tier2Stats tier2_stats();
    SuperblockStats superblock_stats();

    /// Where to go on after the host instruction at host_pc faulted: the slow path of its access, or the side
    /// exit of its region. Null: it is none's.
    bool in_region(const void* host_pc) const { return !code_.contains(host_pc); }
    const void* fastmem_fault(const void* host_pc);
    /// The access whose slow path returns to host_pc met a device: from now on it is translated into a call
    /// of the slow path at once. As invalidate().
    bool mark_device(const void* return_pc) { return mark_site(return_pc, ir::kMemDevice); }
    /// It has an address with a tag, which no fastmem has: from now on the tag is taken off first. As invalidate().
    bool mark_tagged(const void* return_pc) { return mark_site(return_pc, ir::kMemTagged); }

    // ---- What is known of guest code before it runs. All are hints: one that is wrong costs time.
    /// The access of the instruction at this physical address will meet a device: it is translated as mark_device() has it,
    /// until its code changes.
    void expect_device(uint64_t pa);
    /// Guest code will begin a block at this physical address, which is in RAM and aligned as instructions are: it is
    /// translated when the first block of its page is, for the same flags. Again after invalidate_all() and for other flags, but
    /// no more than `times`.
    void expect_block(uint64_t pa, uint32_t times);
    /// From now on notes what is met in [begin, end). Before the first CPU runs.
    void record_sites(uint64_t begin, uint64_t end);
    /// The access whose slow path returns to host_pc has met a device, for record_sites().
    void record_device(const void* return_pc);
    SiteRecord site_record();

    /// From now on translated code leaves with ExitReason::Stop before the instruction at this physical address, which
    /// is in RAM and aligned; but for blocks of translation_flag::kSingleStep, by which it can be executed. No other
    /// code changes. As invalidate().
    bool stop_at(uint64_t pa);
    /// Ends all of these. As invalidate().
    bool clear_stops();

    EngineStats stats();
    /// All zero without EngineOptions::profile_host.
    HostProfile::Totals host_profile();
    /// The most that descriptions of blocks (TranslationBlock) may take of memory. With more, entry() returns null as
    /// if the code cache were full.
    uint64_t max_description_bytes() const { return kDescriptionRatio * code_.size(); }

  private:
    static constexpr uint64_t kNoPage = ~uint64_t{0};
    static constexpr uint64_t kDescriptionRatio = 4;
    TranslationBlock* find_or_translate(uint64_t pa, uint32_t translation_flags, const GuestState* state);
    TranslationBlock* translate(uint64_t pa, uint32_t translation_flags, const GuestState* state);
    bool drop(uint64_t pa, uint64_t bytes);
    bool drop_line(uint64_t pa, const GuestState& state);
    void wait_for_rest(std::unique_lock<std::mutex>& guard, uint64_t pa, uint32_t translation_flags,
                       const GuestState* state);
    size_t retired_batch() const;
    bool has_room_to_describe();
    bool should_leave();
    void reclaim();
    void read_code(uint64_t pa);
    void trace(const TranslationBlock& block);
    bool mark_site(const void* return_pc, uint32_t mark);
    void mark_sites(ir::Block& block) const;
    void count_expected_devices(const ir::Block& block);
    void translate_ahead(uint64_t pa, uint32_t translation_flags);
    HotTier& hot_tier() { return superblocks_.enabled() ? static_cast<HotTier&>(superblocks_) : tier2_; }
    std::optional<uint64_t> site_of(const void* return_pc) const;
    bool stops_at(uint64_t pa, uint32_t translation_flags) const;
    void cut_at_stop(uint64_t pa);
    void make_stop(uint64_t pa);

    void open_store();
    bool has_site(uint64_t pa, uint64_t bytes) const;
    std::unique_ptr<TranslationBlock> take_stored(uint64_t pa, uint32_t translation_flags, uint32_t& counter);
    bool keep(const TranslationBlock& block);
    std::unique_ptr<const ir::MemoryLoop> find_memory_loop(uint32_t translation_flags) const;
    std::unique_ptr<TranslationBlock> compile_block(uint64_t pa, uint32_t translation_flags,
                                                    const GuestState* state, bool stop, uint32_t& counter);

    std::mutex lock_;
    std::atomic<uint64_t> translating_page_{kNoPage};
    const Frontend& frontend_;
    const Frontend::CodeLimits limits_;
    const mmu::GuestMemory memory_;
    const EngineOptions options_;
    HostProfile profile_;
    CodeBuffer code_;
    BlockCache cache_;
    ir::Block ir_;                      // reused: no allocation for most blocks
    std::vector<std::byte> code_read_;  // likewise
    InterpreterStubs interpreter_stubs_;
    RetiredBlocks retired_;
    size_t next_leave_ = 0;  // retired blocks for which should_leave()
    PatchedLines patched_lines_;
    std::unique_ptr<BlockStore> store_;  ///< null: no blocks are kept
    ImageMemory image_memory_;           // reused
    /// Instructions (physical addresses) and what they met: kMemDevice, kMemTagged.
    std::map<uint64_t, uint32_t> sites_;
    std::set<uint64_t> expected_devices_;  // of expect_device(), not translated yet
    struct ExpectedBlock {
        uint64_t pa;
        uint32_t times;
    };
    std::unordered_map<uint64_t, std::vector<ExpectedBlock>> expected_blocks_;  // by page
    std::set<std::pair<uint64_t, uint32_t>> pages_ahead_;  // page, flags: those are translated
    SiteRecord record_;
    std::set<uint64_t> stops_;  // instructions (physical addresses) that stop_at() names
    EngineStats stats_;
    Superblocks superblocks_;
    uint64_t timed_ns_ = 0, timed_insns_ = 0;  // of the translations that are timed
    Tier2 tier2_;                              // the last: its thread uses the others
};

}  // namespace arclight::jit
