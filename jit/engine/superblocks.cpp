#include "jit/engine/superblocks.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "host/process_time.h"
#include "jit/engine/counters.h"
#include "jit/entry_counter.h"
#include "jit/host_fp.h"

namespace arclight::jit {

using Stage = Promotion::Stage;

namespace {
constexpr uint32_t kNever = ~uint32_t{0} >> 1;
/// Runs for which a block's exits are counted, at most.
constexpr uint32_t kMaxProfile = 512;
/// Superblocks that were dropped with changed code after which none is made of a block any more.
constexpr unsigned kMaxFailures = 4;
/// Too few guest instructions to be worth trying.
constexpr unsigned kMinInsns = 16;
/// Times that accesses of a superblock are not in one page after which they look up alone.
constexpr unsigned kMaxSplits = 64;
/// Of superblocks: where fewer fill what the code cache has for them, others are not made.
constexpr uint64_t kMinBeforeFlush = 4;
/// By samples: CPU time in a block before it is profiled.
constexpr std::chrono::milliseconds kBeforeProfile{16};
/// What is gone to less often in a run of the block that was sampled is not profiled along with it, nor what is farther from it.
constexpr double kLeastVisits = 0.05;
constexpr unsigned kFarthest = 64;
}  // namespace

Superblocks::Superblocks(const Frontend& frontend, CodeBuffer& code, BlockCache& cache,
                         const SuperblockOptions& options, std::function<void(TranslationBlock&)> retired)
    : frontend_(frontend),
      code_(code),
      cache_(cache),
      options_(options),
      retired_(std::move(retired)),
      edges_(code, cache, kEntryCounters + kSideExitCounters),
      builder_(frontend, cache) {
    if (options_.enabled) make_room_for_superblocks(code);
}

void Superblocks::set_mark_sites(std::function<void(ir::Block&)> mark) {
    builder_.mark_sites = [this, mark = std::move(mark)](ir::Block& block) {
        mark(block);
        if (!alone_.empty()) mark_alone(block);
    };
}

void Superblocks::mark_alone(ir::Block& block) const {
    uint64_t pa = block.pa;
    for (ir::Inst& i : block.insts) {
        if (i.op == ir::Op::InsnStart)
            pa = (block.pa & kPageMask) | i.imm;
        else if (ir::is_plain_access(i.op) && alone_.contains(pa))
            i.aux |= ir::kMemAlone;
    }
}

bool Superblocks::is_split_often(TranslationBlock& superblock, size_t exit) {
    const LinkSlot& slot = superblock.code.exits[exit];
    const uint64_t pa = superblock.page(slot.page) | static_cast<uint64_t>(slot.target);
    if (alone_.contains(pa)) return false;  // once is enough
    if (++splits_[superblock.first_link_slot + static_cast<uint32_t>(exit)] < kMaxSplits) return true;
    alone_.insert(pa);
    TranslationBlock& head = *superblock.members.front();
    drop(superblock);
    --head.promotion.failures;  // it is no fault of its code's
    head.promotion.stage = Stage::Done;
    count_from(head, kNever);
    const host_fp::HostArithmetic arithmetic;
    make(head);
    return true;
}

uint32_t Superblocks::new_counter(uint32_t translation_flags) {
    if (!frontend_.may_promote(translation_flags) || by_counter_.size() >= kBlockCounters) return kNoCounter;
    by_counter_.push_back(nullptr);
    return static_cast<uint32_t>(by_counter_.size() - 1);
}

void Superblocks::attach(TranslationBlock& block) {
    if (block.counter == kNoCounter) return;
    by_counter_[block.counter] = &block;
    count_from(block, options_.sampled ? kNever : options_.threshold);
}

void Superblocks::count_from(TranslationBlock& block, uint32_t n) {
    if (block.promotion.counted_from != 0) block.promotion.counted_before = runs(block);
    block.promotion.counted_from = n;
    counter_at(code_, block.counter) = n - 1;
    if (n == kNever)
        skip_counter(code_, block.code);
    else
        unpatch_entry(code_, block.code, block.counter);
}

uint64_t Superblocks::runs(const TranslationBlock& block) const {
    const uint32_t left = counter_at(code_, block.counter), from = block.promotion.counted_from;
    return block.promotion.counted_before + (left < from ? from - 1 - left : from);
}

// ---- What is hot

void Superblocks::sample(TranslationBlock* block, std::chrono::nanoseconds cpu) {
    if (!options_.sampled || block == nullptr || !block->valid || block->counter == kNoCounter) return;
    Promotion& p = block->promotion;
    p.sampled += cpu;
    if (p.sampled < kBeforeProfile) return;
    if (p.stage == Stage::Cold) return start_profile(*block, 1, 0);
    // It was profiled for the sake of another one.
    if (p.stage == Stage::Waiting && p.counted_from == kNever) count_from(*block, options_.settle_runs);
}

/// Of a block that is executed so often for each run of the one that was sampled, which is so many blocks away.
void Superblocks::start_profile(TranslationBlock& block, double visits, unsigned distance) {
    Promotion& p = block.promotion;
    p.stage = Stage::Profiled;
    p.hot().visits = static_cast<float>(visits);
    p.hot().distance = static_cast<uint8_t>(distance);
    edges_.start(block, runs(block));
    count_from(block, options_.profile_runs);
}

void Superblocks::end_profile(TranslationBlock& block) {
    Promotion& p = block.promotion;
    edges_.finish(block, runs(block));
    p.stage = Stage::Waiting;
    if (!options_.sampled) return count_from(block, options_.threshold);
    count_from(block, p.sampled >= kBeforeProfile ? options_.settle_runs : kNever);
    if (p.hot().distance == kFarthest) return;
    for (const auto& [to, share] : edges_.successors(block)) {
        const double visits = p.hot().visits * std::min(share, 1.0);
        if (visits >= kLeastVisits && to->valid && to->counter != kNoCounter &&
            to->promotion.stage == Stage::Cold)
            start_profile(*to, visits, p.hot().distance + 1u);
    }
}

const void* Superblocks::promote(uint32_t counter, const GuestState*) {
    TranslationBlock* block = counter < by_counter_.size() ? by_counter_[counter] : nullptr;
    if (block == nullptr) return nullptr;
    if (!block->valid) block->promotion.stage = Stage::Done;
    switch (block->promotion.stage) {
        case Stage::Cold:
            block->promotion.stage = Stage::Profiled;
            edges_.start(*block, runs(*block));
            count_from(*block, std::clamp(options_.threshold / 4, uint32_t{4}, kMaxProfile));
            break;
        case Stage::Profiled: end_profile(*block); break;
        case Stage::Waiting:
            block->promotion.stage = Stage::Done;
            count_from(*block, kNever);
            if (make(*block)) return block->superblock->code.entry;
            break;
        case Stage::Queued:
        case Stage::Done: count_from(*block, kNever); break;
    }
    return block->code.body;
}

bool Superblocks::make(TranslationBlock& head) {
    const auto start = host::thread_cpu_time();
    const bool made = make_untimed(head);
    stats_.make_ns += static_cast<uint64_t>((host::thread_cpu_time() - start).count());
    return made;
}

bool Superblocks::make_untimed(TranslationBlock& head) {
    if (head.memory_loop != nullptr) {
        ++stats_.rejected;
        return false;
    }
    SuperblockBuilder::Limits limits = options_.limits;
    auto superblock = std::make_unique<TranslationBlock>();
    SuperblockBuilder::Built built;
    for (;;) {
        built = builder_.build(head, limits);
        if (built.blocks < 2) {
            ++stats_.rejected;
            return false;
        }
        superblock->first_link_slot = cache_.next_link_slot();
        superblock->code = compile_superblock(built.ir, built.layout, code_, superblock->first_link_slot);
        if (superblock->code.status != CompileStatus::TooComplex || limits.insns <= kMinInsns) break;
        limits.insns /= 2;
    }
    if (!superblock->code) {
        if (superblock->code.status == CompileStatus::BufferFull)
            full_ = stats_.made - made_before_ >= kMinBeforeFlush;
        ++stats_.rejected;
        return false;
    }
    superblock->pa = head.pa;
    superblock->translation_flags = head.translation_flags;
    superblock->guest_insns = built.ir.guest_insns;
    superblock->pages.assign(built.pages);
    superblock->members.assign(built.members);
    ++stats_.made;
    ++stats_.live;
    stats_.blocks += built.blocks;
    stats_.sides += built.ir.sides.size();
    stats_.guest_insns += built.ir.guest_insns;
    stats_.host_bytes += superblock->code.hot_bytes + superblock->code.cold_bytes;
    TranslationBlock* inserted = cache_.insert_superblock(std::move(superblock));
    for (TranslationBlock* member : inserted->members) {
        member->superblocks.push_back(inserted);
        // It may be that it is executed here alone from now on.
        if (!options_.sampled && member != &head && member->promotion.stage == Stage::Waiting)
            count_from(*member, options_.threshold);
    }
    head.superblock = inserted;
    patch_entry(code_, head.code, inserted->code.entry);
    enter_at(head);
    return true;
}

void Superblocks::enter_at(TranslationBlock& block) {
    for (const uint32_t number : block.incoming) {
        BlockCache::BlockExit from;
        if (!cache_.find_link_slot(number, from) || from.block->linked[from.exit] != &block) continue;
        redirect(code_, from.block->code.exits[from.exit], link_target(*from.block, from.exit, block));
    }
}

void Superblocks::drop(TranslationBlock& superblock) {
    TranslationBlock& head = *superblock.members.front();
    for (TranslationBlock* member : superblock.members) member->superblocks.remove(&superblock);
    head.superblock = nullptr;
    enter_at(head);
    const bool again = ++head.promotion.failures < kMaxFailures;
    if (again) head.promotion.stage = Stage::Waiting;
    count_from(head, again && !options_.sampled ? options_.threshold : kNever);
    superblock.valid = false;
    superblock.members.clear();
    ++stats_.dropped;
    --stats_.live;
    retired_(superblock);
}

void Superblocks::forget(TranslationBlock& block) {
    edges_.finish(block, 0);
    while (!block.superblocks.empty()) drop(*block.superblocks.back());
}

void Superblocks::free(const TranslationBlock& block) {
    if (block.counter != kNoCounter) by_counter_[block.counter] = nullptr;
}

void Superblocks::flush() {
    by_counter_.clear();
    splits_.clear();
    alone_.clear();
    edges_.reset();
    stats_.live = 0;
    made_before_ = stats_.made;
    full_ = false;
}

}  // namespace arclight::jit
