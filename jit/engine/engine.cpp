#include "jit/engine/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <span>

#include "host/memory_fault.h"
#include "host/process_time.h"
#include "jit/engine/predict.h"
#include "jit/host_fp.h"
#include "jit/ir/spin_loop.h"
#include "jit/translation_flags.h"

namespace arclight::jit {

namespace {
/// Of how many translations one is timed: two system calls each would be a tenth of a translation.
constexpr uint64_t kTimedEvery = 16;

/// Copies `bytes`, a multiple of sizeof(Unit), that another thread may be writing: each unit is read once,
/// whole.
template <typename Unit>
void copy_units(std::byte* to, const uint8_t* from, size_t bytes) {
    const auto* units = reinterpret_cast<const Unit*>(from);
    for (size_t at = 0; at < bytes; at += sizeof(Unit), ++units) {
        const Unit unit = __atomic_load_n(units, __ATOMIC_RELAXED);
        std::memcpy(to + at, &unit, sizeof unit);
    }
}
}  // namespace

Engine::Engine(const Frontend& frontend, const mmu::GuestMemory& memory, const EngineOptions& options)
    : frontend_(frontend),
      limits_(frontend.code_limits()),
      memory_(memory),
      options_(options),
      code_(options.code_bytes, {.spectre = options.spectre,
                                 .vector_registers = options.vector_registers,
                                 .images = !options.store_directory.empty(),
                                 // A profile counts what is executed, so it is to be in a segment.
                                 .counters_aside = (options.tier2.sampled || options.superblocks.enabled) &&
                                                   !options.profile_host,
                                 .profile = options.profile_host ? &profile_ : nullptr}),
      cache_(memory_, code_),
      superblocks_(frontend, code_, cache_, options_.superblocks,
                   [this](TranslationBlock& block) { retired_.add(block); }),
      tier2_(frontend, lock_, code_, cache_, options_.tier2) {
    cache_.on_retire = [this](TranslationBlock& block) {
        retired_.add(block);
        if (!block.relocations.empty()) keep(block);
        hot_tier().forget(block);
    };
    superblocks_.set_mark_sites([this](ir::Block& block) { mark_sites(block); });
    if (!options_.store_directory.empty()) open_store();
    if (!tier2_.enabled()) return;
    tier2_.set_mark_sites([this](ir::Block& block) { mark_sites(block); });
}

/// Reads what a block at pa may be made of into code_read_, each instruction once: other CPUs may store to
/// it meanwhile, and everything that is decided about the block must be decided on the same bytes.
void Engine::read_code(uint64_t pa) {
    const uint64_t room = kPageSize - (pa & ~kPageMask);
    const uint8_t* from = nullptr;
    code_read_.resize(std::min<size_t>(room, limits_.max_block_bytes));
    std::byte* const to = code_read_.data();
    const size_t bytes = code_read_.size();
    const auto read = [&] {
        switch (limits_.alignment) {
            case 1: return copy_units<uint8_t>(to, from, bytes);
            case 2: return copy_units<uint16_t>(to, from, bytes);
            case 4: return copy_units<uint32_t>(to, from, bytes);
            case 8: return copy_units<uint64_t>(to, from, bytes);
        }
    };
    bool there = false;
    unsigned withheld = 0;
    do from = memory_.readable(pa, room);
    while (!(there = host::touch(read)) && host::take_withheld() && ++withheld <= host::kMaxWithheld);
    // The caller has just seen the page there: it is gone since then, and zeros are no instructions.
    if (!there) std::ranges::fill(code_read_, std::byte{0});
}

/// Retired blocks for which it is worth while to search through all.
size_t Engine::retired_batch() const { return 256 + cache_.size() / 8; }

void Engine::reclaim() {
    const std::vector<TranslationBlock*> blocks = retired_.reclaim();
    for (const TranslationBlock* block : blocks) hot_tier().free(*block);
    cache_.free(blocks);
    if (!blocks.empty()) next_leave_ = 0;
}

/// False: the blocks that are there, and those that a CPU may still be in, leave none.
bool Engine::has_room_to_describe() {
    const bool full = cache_.described_bytes() > max_description_bytes();
    if (full || retired_.size() > retired_batch()) reclaim();
    return !full || cache_.described_bytes() <= max_description_bytes();
}

/// Whether the CPU that asks is to leave translated code once: it may have been there since blocks were retired that
/// wait for it.
bool Engine::should_leave() {
    if (retired_.size() < std::max(next_leave_, 2 * retired_batch())) return false;
    next_leave_ = retired_.size() + retired_batch();
    return true;
}

/// Compiles what code_read_ begins with. `counter` is kNoCounter, or one that the block is to have.
std::unique_ptr<TranslationBlock> Engine::compile_block(uint64_t pa, uint32_t translation_flags,
                                                        const GuestState* state, bool stop,
                                                        uint32_t& counter) {
    unsigned limit = options_.max_block_insns != 0 ? options_.max_block_insns : limits_.max_block_insns;
    if ((translation_flags & translation_flag::kSingleStep) != 0) limit = 1;
    auto block = std::make_unique<TranslationBlock>();
    for (;;) {
        ir_.clear();
        ir_.pa = pa;
        ir_.translation_flags = translation_flags;
        if (stop)
            make_stop(pa);
        else
            frontend_.translate(ir_, code_read_, static_cast<uint32_t>(pa & ~kPageMask), translation_flags,
                                limit);
        block->spins = options_.concurrent && ir::spins(ir_);
        block->memory_loop = options_.memory_loops && !stop ? find_memory_loop(translation_flags) : nullptr;
        if (block->memory_loop != nullptr) ir::run_memory_loop(ir_, *block->memory_loop);
        if (counter == kNoCounter && !stop && !block->spins)
            counter = hot_tier().new_counter(translation_flags);
        if (!sites_.empty()) mark_sites(ir_);
        if (!expected_devices_.empty()) count_expected_devices(ir_);
        if (state != nullptr && (translation_flags & translation_flag::kFastmem) != 0) {
            predict_slots(ir_, *state);
            if (tier2_.enabled()) block->slots.assign(predicted_slots(ir_));
        }
        block->first_link_slot = cache_.next_link_slot();
        if (options_.interpret) block->interpreted = std::make_unique<ir::Block>(ir_);
        block->code = compile(options_.interpret ? interpreter_stubs_.make(*block->interpreted) : ir_, code_,
                              block->first_link_slot, counter);
        if (block->code.status != CompileStatus::TooComplex || limit <= 1) break;
        limit /= 2;
    }
    if (!block->code) return nullptr;
    block->guest_bytes = ir_.guest_bytes;
    block->guest_insns = ir_.guest_insns;
    block->guest_code.assign(code_read_.begin(), code_read_.begin() + block->guest_bytes);
    return block;
}

/// Memory that is reached through page tables is not in the soft TLB, and what looks at each instruction must see it.
std::unique_ptr<const ir::MemoryLoop> Engine::find_memory_loop(uint32_t translation_flags) const {
    if ((translation_flags & translation_flag::kFastmem) != 0 || !frontend_.may_promote(translation_flags))
        return nullptr;
    return ir::find_memory_loop(ir_);
}

TranslationBlock* Engine::translate(uint64_t pa, uint32_t translation_flags, const GuestState* state) {
    if (!has_room_to_describe() || superblocks_.full()) return nullptr;
    const bool timed = stats_.blocks % kTimedEvery == 0;
    const auto start = timed ? host::thread_cpu_time() : std::chrono::nanoseconds{};
    read_code(pa);
    const bool stop = stops_at(pa, translation_flags);
    if (!stops_.empty() && !stop) cut_at_stop(pa);
    // What is known of this run alone makes other code.
    const bool storable = store_ != nullptr && stops_.empty() && expected_devices_.empty() &&
                          (translation_flags & translation_flag::kFastmem) == 0;
    uint32_t counter = kNoCounter;
    std::unique_ptr<TranslationBlock> block;
    if (storable) block = take_stored(pa, translation_flags, counter);
    if (block == nullptr) {
        block = compile_block(pa, translation_flags, state, stop, counter);
        if (block == nullptr) return nullptr;
        // The code of a loop that copies memory has an address of this process in it.
        if (storable && block->memory_loop == nullptr && !has_site(pa, block->guest_bytes))
            block->relocations.assign(relocations_of_last(code_, block->code));
    }
    block->pa = pa;
    block->translation_flags = translation_flags;
    if (!block->relocations.empty()) {
        block->grouping = code_.grouping();
        store_->note(block->guest_bytes);
    }
    block->counter = counter;
    block->stop = stop;
    hot_tier().attach(*block);  // before other CPUs find it
    TranslationBlock* inserted = cache_.insert(std::move(block));
    if (record_.covers(pa)) {
        SiteRecord::Block& recorded = record_.blocks[pa];
        recorded.bytes = inserted->guest_bytes;
        ++recorded.translations;
    }
    ++stats_.blocks;
    stats_.guest_insns += inserted->guest_insns;
    stats_.host_bytes += inserted->code.hot_bytes + inserted->code.cold_bytes;
    if (timed) {
        timed_ns_ += static_cast<uint64_t>((host::thread_cpu_time() - start).count());
        timed_insns_ += inserted->guest_insns;
    }
    if (options_.trace_file != nullptr) trace(*inserted);
    return inserted;
}

void Engine::trace(const TranslationBlock& block) {
    std::FILE* out = options_.trace_file;
    if (options_.trace_blocks) {
        fmt::print(out, "block pa {:#x} flags {:#x} insns {} host {}\n", block.pa, block.translation_flags,
                   block.guest_insns, static_cast<const void*>(block.code.entry));
        for (uint64_t at = 0; at < block.guest_bytes;) {
            const Frontend::Listed insn = frontend_.describe(std::span(block.guest_code).subspan(at));
            fmt::print(out, "  {:#x}: {}\n", block.pa + at, insn.text);
            at += insn.bytes;
        }
    }
    if (options_.trace_ir) fmt::print(out, "{}", ir::print(ir_));
    if (options_.trace_host) {
        fmt::print(out, "{}", disassemble({block.code.entry, block.code.hot_bytes}));
        fmt::print(out, "  cold:\n{}", disassemble({block.code.cold, block.code.cold_bytes}));
    }
}

TranslationBlock* Engine::find_or_translate(uint64_t pa, uint32_t translation_flags,
                                            const GuestState* state) {
    ++stats_.lookups;
    if (TranslationBlock* block = cache_.find(pa, translation_flags)) return block;
    translating_page_.store(pa & kPageMask);  // before the guest's code is read, see line_has_code()
    const host_fp::HostArithmetic arithmetic;
    TranslationBlock* made = translate(pa, translation_flags, state);
    if (made != nullptr && !expected_blocks_.empty()) translate_ahead(pa, translation_flags);
    translating_page_.store(kNoPage, std::memory_order_release);
    return made;
}

/// Where this CPU would translate a line that another one goes on changing.
void Engine::wait_for_rest(std::unique_lock<std::mutex>& guard, uint64_t pa, uint32_t translation_flags,
                           const GuestState* state) {
    if (!options_.concurrent || state == nullptr || !patched_lines_.dropped_by_another(pa, state) ||
        cache_.find(pa, translation_flags) != nullptr)
        return;
    guard.unlock();
    patched_lines_.wait_for_rest(pa);
    guard.lock();
}

const void* Engine::entry(uint64_t pa, uint32_t translation_flags, const GuestState* state) {
    std::unique_lock guard(lock_);
    wait_for_rest(guard, pa, translation_flags, state);
    TranslationBlock* block = find_or_translate(pa, translation_flags, state);
    if (block == nullptr) return nullptr;
    block->indirect = true;
    return block->code.entry;
}

Engine::Linked Engine::entry_and_link(uint64_t pa, uint32_t translation_flags, uint32_t link_slot,
                                      uint32_t epoch, const GuestState* state) {
    std::unique_lock guard(lock_);
    wait_for_rest(guard, pa, translation_flags, state);
    TranslationBlock* target = find_or_translate(pa, translation_flags, state);
    if (target == nullptr || should_leave()) return {};
    Linked result{.code = target->code.entry};
    BlockCache::BlockExit s;
    if (!cache_.find_link_slot(link_slot, s) || !s.block->valid ||
        s.block->translation_flags != translation_flags)
        return result;
    const LinkSlot& exit = s.block->code.exits[s.exit];
    // The guest may have moved the page under the running block and not yet synchronised.
    if (!exit.cross_page && s.block->page(exit.page) != (pa & kPageMask)) return result;
    if (exit.goes_on()) {
        if (s.block->page(exit.next_page) == (pa & kPageMask)) go_on(code_, exit, epoch);
        return result;
    }
    if (s.block->spins && target == s.block) {
        result.spins = true;
        return result;
    }
    if (exit.split && superblocks_.is_split_often(*s.block, s.exit)) return result;
    const TranslationBlock* linked = s.block->linked[s.exit];
    // Another CPU may stand between the compare of the epoch and the jump, so that a concurrent machine
    // cannot link a cross-page exit to another block.
    if (linked != nullptr && linked != target && options_.concurrent) return result;
    link(code_, exit, hot_tier().link_target(*s.block, s.exit, *target), epoch);
    cache_.note_link(*s.block, s.exit, *target);
    ++stats_.links;
    return result;
}

void Engine::flush() {
    const std::lock_guard guard(lock_);
    if (store_ != nullptr)
        cache_.each_block([this](TranslationBlock& b) { return b.relocations.empty() || keep(b); });
    hot_tier().flush();
    retired_.clear();
    next_leave_ = 0;
    cache_.clear();
    code_.reset();
    pages_ahead_.clear();
    ++stats_.flushes;
}

bool Engine::drop(uint64_t pa, uint64_t bytes) {
    sites_.erase(sites_.lower_bound(pa), sites_.lower_bound(pa + bytes));
    const unsigned count = cache_.invalidate(pa, bytes);
    stats_.invalidated += count;
    return count != 0;
}

bool Engine::invalidate(uint64_t pa, uint64_t bytes) {
    const std::lock_guard guard(lock_);
    return drop(pa, bytes);
}

bool Engine::drop_line(uint64_t pa, const GuestState& state) {
    const std::lock_guard guard(lock_);
    if (!drop(pa, kLineBytes)) return false;
    if (options_.concurrent) patched_lines_.dropped(pa, &state);
    return true;
}

// ---- Stops

bool Engine::stops_at(uint64_t pa, uint32_t translation_flags) const {
    return (translation_flags & translation_flag::kSingleStep) == 0 && stops_.contains(pa);
}

/// A block at pa ends before the next stop.
void Engine::cut_at_stop(uint64_t pa) {
    const auto next = stops_.upper_bound(pa);
    if (next != stops_.end()) code_read_.resize(std::min<uint64_t>(code_read_.size(), *next - pa));
}

/// One that leaves at once stands in the instruction's place.
void Engine::make_stop(uint64_t pa) {
    ir::Builder builder(ir_);
    builder.insn_start(static_cast<uint32_t>(pa & ~kPageMask), 0);
    builder.emit(ir::Op::ExitRuntime, ir::Type::Void, {}, static_cast<uint64_t>(ExitReason::Stop));
    ir_.guest_bytes = limits_.alignment;
}

bool Engine::stop_at(uint64_t pa) {
    const std::lock_guard guard(lock_);
    if (!stops_.insert(pa).second) return false;
    const unsigned count = cache_.invalidate(pa, limits_.alignment);
    stats_.invalidated += count;
    return count != 0;
}

bool Engine::clear_stops() {
    const std::lock_guard guard(lock_);
    unsigned count = 0;
    for (const uint64_t pa : stops_) {
        // What ends before it may be longer again.
        const uint64_t first = (pa & ~kPageMask) == 0 ? pa : pa - limits_.alignment;
        count += cache_.invalidate(first, pa + limits_.alignment - first);
    }
    stops_.clear();
    stats_.invalidated += count;
    return count != 0;
}

bool Engine::invalidate_all() {
    const std::lock_guard guard(lock_);
    const unsigned count = cache_.invalidate_all();
    pages_ahead_.clear();
    stats_.invalidated += count;
    return count != 0;
}

const void* Engine::promote(uint32_t counter, const GuestState* state) {
    const std::lock_guard guard(lock_);
    return hot_tier().promote(counter, state);
}

void Engine::sample(const void* host_pc, std::chrono::nanoseconds cpu) {
    const std::lock_guard guard(lock_);
    const bool cold = static_cast<const uint8_t*>(host_pc) >= code_.base() + code_.size() / 2;
    const TranslationBlock* block = in_region(host_pc) ? nullptr : cache_.owner_of(host_pc, cold);
    hot_tier().sample(const_cast<TranslationBlock*>(block), cpu);
}

RegionEntryCheck Engine::entry_check(uint32_t guard) {
    const std::lock_guard lock(lock_);
    return tier2_.entry_check(guard);
}

void Engine::add_cpu(const Tier2::CpuLink& cpu) {
    const std::lock_guard guard(lock_);
    tier2_.add_cpu(cpu);
    retired_.add_cpu(cpu.quiescent_epoch);
}

EngineStats Engine::stats() {
    const std::lock_guard guard(lock_);
    EngineStats s = stats_;
    if (timed_insns_ != 0)
        s.translate_ns =
            static_cast<uint64_t>(double(timed_ns_) * double(s.guest_insns) / double(timed_insns_));
    s.described_blocks = cache_.described_blocks();
    s.described_bytes = cache_.described_bytes();
    s.retired_blocks = retired_.size();
    return s;
}

HostProfile::Totals Engine::host_profile() {
    const std::lock_guard guard(lock_);
    return profile_.totals();
}

SuperblockStats Engine::superblock_stats() {
    const std::lock_guard guard(lock_);
    return superblocks_.stats();
}

BlockStore::Stats Engine::store_stats() {
    const std::lock_guard guard(lock_);
    return store_ != nullptr ? store_->stats() : BlockStore::Stats{};
}

Tier2Stats Engine::tier2_stats() {
    const std::lock_guard guard(lock_);
    return tier2_.stats();
}

std::optional<uint32_t> Engine::recover(const void* host_pc, GuestState& state) {
    if (options_.interpret) return state.insn_offset;  // the rest is in its place
    const std::lock_guard guard(lock_);
    const bool cold = static_cast<const uint8_t*>(host_pc) >= code_.base() + code_.size() / 2;
    const TranslationBlock* block = cache_.owner_of(host_pc, cold);
    if (block == nullptr) return std::nullopt;
    return jit::recover_state(block->code, host_pc, state);
}

const void* Engine::fastmem_fault(const void* host_pc) {
    const std::lock_guard guard(lock_);
    if (in_region(host_pc)) return tier2_.side_exit(host_pc);
    const bool cold = static_cast<const uint8_t*>(host_pc) >= code_.base() + code_.size() / 2;
    const TranslationBlock* block = cache_.owner_of(host_pc, cold);
    return block != nullptr ? jit::fastmem_fault(block->code, host_pc) : nullptr;
}

// ---- Sites

/// The instruction, by its physical address, whose slow path returns there.
std::optional<uint64_t> Engine::site_of(const void* return_pc) const {
    const TranslationBlock* block = cache_.owner_of(return_pc, true);
    if (block == nullptr) return std::nullopt;
    const auto place = jit::guest_place(block->code, return_pc);
    if (!place) return std::nullopt;
    return block->page(place->page) | place->offset;
}

bool Engine::mark_site(const void* return_pc, uint32_t mark) {
    const std::lock_guard guard(lock_);
    const auto pa = site_of(return_pc);
    if (!pa) return false;
    uint32_t& marks = sites_[*pa];
    if ((marks & mark) != 0) return false;
    marks |= mark;
    const unsigned count = cache_.invalidate(*pa, limits_.alignment);
    stats_.invalidated += count;
    return count != 0;
}

void Engine::mark_sites(ir::Block& block) const {
    uint64_t pa = block.pa;
    for (ir::Inst& i : block.insts) {
        if (i.op == ir::Op::InsnStart)
            pa = (block.pa & kPageMask) | static_cast<uint64_t>(i.imm);
        else if (const auto site = sites_.find(pa); site != sites_.end() && ir::is_plain_access(i.op))
            i.aux |= site->second;
    }
}

void Engine::expect_device(uint64_t pa) {
    const std::lock_guard guard(lock_);
    sites_[pa] |= ir::kMemDevice;
    expected_devices_.insert(pa);
}

void Engine::count_expected_devices(const ir::Block& block) {
    uint64_t pa = block.pa;
    for (const ir::Inst& i : block.insts)
        if (i.op == ir::Op::InsnStart)
            pa = (block.pa & kPageMask) | static_cast<uint64_t>(i.imm);
        else if (ir::is_plain_access(i.op) && (i.aux & ir::kMemDevice) != 0)
            stats_.expected_devices += expected_devices_.erase(pa);
}

void Engine::expect_block(uint64_t pa, uint32_t times) {
    const std::lock_guard guard(lock_);
    expected_blocks_[pa & kPageMask].push_back({pa, times});
}

/// A block of pa's page has just been translated.
void Engine::translate_ahead(uint64_t pa, uint32_t translation_flags) {
    const uint64_t page = pa & kPageMask;
    const auto expected = expected_blocks_.find(page);
    if (expected == expected_blocks_.end() || (translation_flags & translation_flag::kSingleStep) != 0 ||
        !pages_ahead_.emplace(page, translation_flags).second)
        return;
    for (ExpectedBlock& block : expected->second) {
        if (block.times == 0) continue;
        --block.times;
        if (cache_.find(block.pa, translation_flags) != nullptr) continue;
        if (translate(block.pa, translation_flags, nullptr) == nullptr) return;
        ++stats_.blocks_ahead;
    }
}

void Engine::record_sites(uint64_t begin, uint64_t end) {
    const std::lock_guard guard(lock_);
    record_.begin = begin;
    record_.end = end;
}

void Engine::record_device(const void* return_pc) {
    const std::lock_guard guard(lock_);
    if (const auto pa = site_of(return_pc); pa && record_.covers(*pa)) ++record_.devices[*pa];
}

SiteRecord Engine::site_record() {
    const std::lock_guard guard(lock_);
    return record_;
}

}  // namespace arclight::jit
