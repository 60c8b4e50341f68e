#include "guestos/machine/cpu/fetch_unit.h"

#include "frontend/a64/system/branch_type.h"
#include "frontend/a64/system/exceptions.h"
#include "frontend/a64/system/hardware_debug.h"
#include "frontend/a64/system/translation_flags.h"
#include "frontend/a64/translation_flags.h"
#include "guestos/machine/cpu/overlay_access.h"
#include "host/memory_fault.h"

namespace arclight::guestos {

namespace a64 = frontend::a64;
using mmu::kPageMask;

FetchUnit::FetchUnit(VcpuCore& core, ShadowPager& pager)
    : core_(core),
      state_(core.state),
      cpu_(core.cpu),
      pager_(pager),
      region_epochs_(jit::Tier2::kGuards, jit::kUnlinkedEpoch) {}

/// The physical address to fetch pc from. False: it faults, and `fault_code` says how; or it is misaligned or
/// has a tag, which the run loop sees to.
bool FetchUnit::find(uint64_t pc, uint64_t& pa, uint8_t* fault_code) {
    if ((pc & 3) != 0 || a64::branch_address(cpu_, pc) != pc) return false;
    Entry& e = entry_of(pc);
    mmu::SoftTlb* tlb = state_.tlb;
    if (e.va_page == (pc & kPageMask) && e.tlb == tlb && e.epoch == tlb->epoch) {
        pa = e.pa_page | (pc & ~kPageMask);
        return is_there(pa, fault_code);
    }
    const mmu::WalkResult walk = pager_.walk_to_cache(
        pc, {.kind = mmu::AccessKind::Execute, .privileged = cpu_.el != 0, .pan = cpu_.pan});
    const bool is_memory = walk.ok() && cpu_.memory.readable(walk.pa & kPageMask, mmu::kPageSize) != nullptr;
    if (!is_memory) {
        if (fault_code != nullptr) *fault_code = walk.ok() ? mmu::kFscSynchronousExternal : walk.fsc();
        return false;
    }
    if (cpu_.memory.page_flags(walk.pa) != 0 && !overlay_permits(walk, pc, fault_code)) [[unlikely]]
        return false;
    if (core_.context.debug != nullptr) [[unlikely]]
        tell_breakpoints(pc & kPageMask, walk.pa & kPageMask);
    core_.tlbs.note_code_page(tlb, pc, walk.page_bits, walk.non_global);
    const bool guarded = walk.guarded && cpu_.config.features.has(a64::Feature::Bti);
    e = {pc & kPageMask, tlb, tlb->epoch, walk.pa & kPageMask, guarded};
    pa = walk.pa;
    return is_there(pa, fault_code);
}

/// Of code at `pc`, which find() has just found.
uint32_t FetchUnit::flags_at(uint64_t pc) {
    return state_.translation_flags | (entry_of(pc).guarded ? a64::translation_flag::kGuarded : 0);
}

/// 0 where there is no memory any more.
uint32_t FetchUnit::word_at(uint64_t pa) const {
    const uint8_t* host = cpu_.memory.readable(pa, 4);
    uint32_t word = 0;
    if (host != nullptr) (void)host::touch([&] { word = *reinterpret_cast<const volatile uint32_t*>(host); });
    return word;
}

/// Whether jump caches may lead to the instruction.
bool FetchUnit::remembers(uint64_t pa) const {
    return !cpu_.config.features.has(a64::Feature::Bti) || !a64::saves_branch_type(word_at(pa));
}

/// Memory that backs the page may be gone (host/memory_fault.h), of a page that is not intercepted too (mmu/host_stage.h).
bool FetchUnit::is_there(uint64_t pa, uint8_t* fault_code) const {
    if ((cpu_.memory.page_flags(pa) & mmu::page_flag::kTracked) != 0)
        core_.context.overlay.mark(pa, mmu::PageOverlay::kAccessed);
    const auto* host = cpu_.memory.readable(pa, 1);
    if (host != nullptr && host::touch([host] { (void)*static_cast<const volatile uint8_t*>(host); }))
        return true;
    if (fault_code != nullptr) *fault_code = mmu::kFscSynchronousExternal;
    return false;
}

/// The page may be entered by what is found now, and by that alone: of what was found before the breakpoints changed nothing
/// is left (Request::ForgetCode).
void FetchUnit::tell_breakpoints(uint64_t page, uint64_t pa) {
    bool forgot = false;
    core_.context.debug->for_each_breakpoint(page, [&](uint64_t offset) {
        forgot |= core_.context.engine.stop_at(pa | offset);
        ++stops_told_;
    });
    if (forgot) core_.clear_all_jumps();
}

bool FetchUnit::overlay_permits(const mmu::WalkResult& walk, uint64_t pc, uint8_t* fault_code) {
    using Kind = mmu::AccessEvent::Kind;
    const mmu::PageOverlay& overlay = core_.context.overlay;
    const uint8_t flags = cpu_.memory.page_flags(walk.pa);
    uint8_t refused = overlay_fault(flags, Kind::Fetch, walk.level);
    if (refused == 0 && (flags & mmu::page_flag::kWatched) != 0) {
        const mmu::PageOverlay::Access guard(overlay);
        if (!overlay.watch({Kind::Fetch, core_.options.index, walk.pa, pc, pc & kPageMask, 4}))
            refused = mmu::kFscSynchronousExternal;
    }
    if (refused == 0 && (flags & mmu::page_flag::kTracked) != 0)
        overlay.mark(walk.pa, mmu::PageOverlay::kAccessed);
    if (refused != 0 && fault_code != nullptr) *fault_code = refused;
    return refused == 0;
}

/// The run loop wants to see every instruction at pc and behind it in its page: nothing may jump there.
bool FetchUnit::steps_through(uint64_t pc) const {
    if (alone_) return true;
    constexpr uint32_t kAny = a64::translation_flag::kSingleStep | a64::translation_flag::kBreakpoints;
    if ((state_.translation_flags & kAny) == 0) return false;
    return (state_.translation_flags & a64::translation_flag::kSingleStep) != 0 ||
           a64::breakpoint_in_page(cpu_, pc);
}

/// Null: Engine::entry() must be asked.
const void* FetchUnit::known_code(uint64_t pa, uint32_t translation_flags) {
    const void* code = core_.context.engine.known_entry(pa, translation_flags);
    if (code != nullptr) ++core_.stats.lookups_unlocked;
    return code;
}

/// Null: the code cache is full.
const void* FetchUnit::entry_of_code(uint64_t pa, uint32_t translation_flags) {
    if (const void* code = known_code(pa, translation_flags)) return code;
    return core_.context.engine.entry(pa, translation_flags, &state_);
}

std::expected<const void*, FetchUnit::NoCode> FetchUnit::code_at(uint64_t pc) {
    const mmu::JumpCacheEntry& cached = state_.tlb->jump_cache[mmu::jump_cache_index(pc)];
    if (cached.pc == pc && !alone_ && cpu_.btype == 0) return cached.code;
    if ((pc & 3) != 0) {
        a64::take_pc_alignment(cpu_, pc);
        return std::unexpected(NoCode::ExceptionTaken);
    }
    uint64_t pa;
    uint8_t fault_code = 0;
    if (!find(pc, pa, &fault_code)) {
        ++core_.stats.instruction_aborts;
        a64::take_instruction_abort(cpu_, pc, fault_code, pc);
        return std::unexpected(NoCode::ExceptionTaken);
    }
    const bool stepping = steps_through(pc);
    // Blocks of one instruction have no stops.
    if (stepping && !alone_ && core_.context.debug != nullptr && core_.context.debug->breakpoint_at(pc))
        return std::unexpected(NoCode::Breakpoint);
    if (stepping && (state_.translation_flags & a64::translation_flag::kBreakpoints) != 0 &&
        a64::breakpoint_matches(cpu_, pc)) {
        a64::take_breakpoint(cpu_, pc);
        return std::unexpected(NoCode::ExceptionTaken);
    }
    const bool guarded = entry_of(pc).guarded;
    if (guarded && !cpu_.guarded_pages) [[unlikely]] {
        cpu_.guarded_pages = true;  // branches mark their targets from now on
        a64::update_translation_flags(cpu_);
        core_.tlbs.use_for_flags(state_.tlb, state_.translation_flags);
    }
    if (const uint64_t type = cpu_.btype; type != 0) [[unlikely]] {
        const uint32_t word = word_at(pa);
        if (guarded && !a64::accepts_branch_type(cpu_, word, type)) {
            a64::take_branch_target(cpu_, pc);
            return std::unexpected(NoCode::ExceptionTaken);
        }
        if (!a64::saves_branch_type(word)) cpu_.btype = 0;
    }
    const void* code = entry_of_code(pa, flags_at(pc) | (stepping ? a64::translation_flag::kSingleStep : 0));
    if (code == nullptr) return std::unexpected(NoCode::CacheFull);
    if (!stepping && remembers(pa)) core_.tlbs.fill_jump(state_.tlb, pc, code);
    return code;
}

const void* FetchUnit::linked_code_at(uint64_t pc, uint32_t link_slot) {
    if (link_slot == spinning_) {
        core_.spin(SpinCause::Loop);  // requests of other CPUs may be carried out meanwhile
        const mmu::JumpCacheEntry& cached = state_.tlb->jump_cache[mmu::jump_cache_index(pc)];
        if (cached.pc == pc && !steps_through(pc)) return cached.code;
    }
    uint64_t pa;
    if (steps_through(pc) || !find(pc, pa) || (entry_of(pc).guarded && !cpu_.guarded_pages)) return nullptr;
    jit::Engine& engine = core_.context.engine;
    mmu::SoftTlb& tlb = *state_.tlb;
    // Linked for another soft TLB, which may be another CPU's, it is left to that one: linking it costs as much as hundreds of
    // look-ups in the jump cache. But where those become many, now and then one is linked for this one.
    const bool often = tlb.cross_page_uses < 0;
    if (often) tlb.cross_page_uses = mmu::SoftTlb::kCrossPageUses;
    if (!often && engine.is_linked_across(link_slot) && remembers(pa)) {
        if (const void* code = known_code(pa, flags_at(pc))) {
            spinning_ = kNoSlot;
            core_.tlbs.fill_jump(&tlb, pc, code);
            return code;
        }
    }
    const jit::Engine::Linked linked = engine.entry_and_link(pa, flags_at(pc), link_slot, tlb.epoch, &state_);
    spinning_ = linked.spins ? link_slot : kNoSlot;
    if (linked.spins) core_.tlbs.fill_jump(&tlb, pc, linked.code);
    return linked.code;
}

const void* FetchUnit::jump_target_at(uint64_t pc) {
    // What is remembered is `pc` with the mark: whoever comes with the same one need not be looked at.
    const uint64_t type = cpu_.guarded_pages ? pc & a64::branch_type::kMask : 0;
    const bool marked = type != 0 && pc == a64::branch_type::mark(state_.branch_target, type);
    const uint64_t target = marked ? state_.branch_target : pc;
    uint64_t pa;
    if (steps_through(target) || !find(target, pa)) return nullptr;
    if (!remembers(pa)) return nullptr;
    if (entry_of(target).guarded &&
        (!cpu_.guarded_pages || (marked && !a64::accepts_branch_type(cpu_, word_at(pa), type))))
        return nullptr;
    const void* code = entry_of_code(pa, flags_at(target));
    if (code != nullptr) core_.tlbs.fill_jump(state_.tlb, pc, code);
    return code;
}

const void* FetchUnit::check_region_entry(uint32_t guard) {
    // Carrying out requests in a walk may change it, and then the pages before must be looked at again.
    const uint32_t epoch = state_.tlb->epoch;
    const uint64_t stops_told = stops_told_;
    const jit::RegionEntryCheck region = core_.context.engine.entry_check(guard);
    // All its blocks are of pages as the entry's.
    uint64_t entry_pa;
    const bool guarded =
        cpu_.guarded_pages && find(state_.page_base, entry_pa) && entry_of(state_.page_base).guarded;
    for (const jit::RegionPage& page : region.pages) {
        const uint64_t pc = state_.page_base + static_cast<uint64_t>(page.offset);
        uint64_t pa;
        if (steps_through(pc) || !find(pc, pa) || pa != page.pa || entry_of(pc).guarded != guarded)
            return region.outside;
    }
    // One of the stops may be in this region, which is then retired.
    if (stops_told_ != stops_told) return region.outside;
    region_epochs_[guard] = epoch;
    return region.inside;
}

uint32_t FetchUnit::current_instruction() const {
    const mmu::WalkResult walk = mmu::walk(
        cpu_.translation, cpu_.memory, core_.helper_pc(),
        {.kind = mmu::AccessKind::Execute, .privileged = cpu_.el != 0, .pan = false, .update = false});
    if (!walk.ok()) return 0;
    return word_at(walk.pa & ~uint64_t{3});
}

}  // namespace arclight::guestos
