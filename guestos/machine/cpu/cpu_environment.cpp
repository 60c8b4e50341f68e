#include "guestos/machine/cpu/cpu_environment.h"

#include "guestos/machine/cpu/late_wakes.h"
#include "guestos/machine/cpu/vcpu.h"

namespace arclight::guestos {

using devices::GenericTimer;
using Request = CrossCpuWork::Request;

// ---- Translation

void CpuEnvironment::forget_translations() {
    memory_.translations_changed();
    core_.tlbs.flush_all();
    core_.tlbs.finish_invalidation();
    core_.held.clear();
}

void CpuEnvironment::forget_code() {
    core_.tlbs.clear_jump_caches();
    core_.tlbs.renew_epochs();
}

void CpuEnvironment::context_changed() {
    const frontend::a64::Cpu& cpu = core_.cpu;
    jit::GuestState& state = core_.state;
    core_.stats.el_switches += cpu.el != last_el_;
    last_el_ = cpu.el;
    note_tables();
    if (cpu.el == 0) {
        state.tlb = state.user_tlb = core_.tlbs.select(0, false, core_.root());
        if (core_.tlbs.note_user(state.tlb)) core_.shadow_exit(mmu::ShadowExit::Switch);
        memory_.synchronise(state.tlb);
        if (ContextidrTracker* tracker = core_.context.contextidr_tracker)
            tracker->running(state.contextidr_el1, cpu.translation);
    } else {
        state.user_tlb = core_.tlbs.select_unprivileged(core_.root());
        state.tlb = core_.tlbs.select(cpu.el, cpu.pan, core_.root());
    }
    direct_memory_.context_changed();
    core_.tlbs.use_for_flags(state.tlb, state.translation_flags);
    core_.tlbs.finish_invalidation();
}

/// What was found through other tables, or for another ASID, holds no longer.
void CpuEnvironment::note_tables() {
    const mmu::TranslationRegs& t = core_.cpu.translation;
    const std::array<uint64_t, 3> tables{t.half[0].table, t.half[1].table, t.asid};
    if (tables == tables_) return;
    tables_ = tables;
    memory_.translations_changed();
}

void CpuEnvironment::translation_changed() {
    const mmu::TranslationRegs& t = core_.cpu.translation;
    core_.tlbs.use_page_sizes(t.half[0].granule_bits, t.half[1].granule_bits);
    core_.state.address_tag = t.enabled && t.half[0].tbi ? uint64_t{0xff} << 56 : 0;
    forget_translations();
    context_changed();
}

void CpuEnvironment::tlbi(mmu::TlbiRequest request, bool broadcast) {
    ++core_.stats.tlbi;
    core_.state.exit_info = jit::kNoLinkSlot;  // a page may become a guarded one: SharedStubs::lookup_region
    ++core_.stats.tlbi_kinds[static_cast<unsigned>(request.kind)];
    memory_.translations_changed();
    core_.context.trace.mmu(core_.cpu, "tlbi", request.va, request.asid, static_cast<unsigned>(request.kind));
    using Kind = mmu::TlbiRequest::Kind;
    const bool unsynchronised = core_.options.shadow.policy == mmu::ShadowPolicy::TspUnsync;
    if (const mmu::TablePages* tables = core_.context.table_pages;
        tables != nullptr && request.kind != Kind::All) {
        // Single pages and address spaces are up to date already, but for what a device has written.
        if (tables->device_has_written_since(device_writes_)) {
            request.kind = Kind::All;
        } else if (!unsynchronised) {
            ++core_.stats.tlbi_ignored;
            return;
        }
    }
    core_.shadow_exit(mmu::ShadowExit::Invalidation);
    if (unsynchronised) {
        if (request.kind == Kind::Asid || request.kind == Kind::All) memory_.synchronise_tables();
        if (request.kind == Kind::Asid) return;
        if (request.kind == Kind::Va) request.kind = Kind::VaAllAsids;
    }
    if (request.kind == Kind::All) {
        forget_translations();
    } else {
        core_.tlbs.apply(request);
        memory_.rewrite_leaves();
    }
    if (!broadcast || core_.options.cpus == 1) return;
    if (unsynchronised) return core_.broadcast({Request::Kind::Tlbi, request});
    HeldTranslations::fence();
    for (Vcpu* other : core_.context.peers.cpus())
        if (other->index() != core_.options.index && other->held().may_hold(request))
            core_.ask(other->work(), {Request::Kind::Tlbi, request});
}

// ---- Code

void CpuEnvironment::ic_iallu(bool) {
    ++core_.stats.ic;
    // Blocks are shared, so the local form drops them for all as well.
    if (core_.context.engine.invalidate_all()) core_.clear_all_jumps();
}

// ---- Devices of this CPU

void CpuEnvironment::interrupts_unmasked() {
    if (core_.interrupt_deliverable()) core_.state.interrupt.store(1, std::memory_order_relaxed);
}

// A thread that has set a line sets the interrupt flag next, and may lose its core between the two.
uint64_t CpuEnvironment::pending_interrupts() {
    interrupts_unmasked();
    return (core_.lines.irq() ? 1u << 7 : 0) | (core_.lines.fiq() ? 1u << 6 : 0);
}

bool CpuEnvironment::icc_read(uint32_t encoding, uint64_t& value) {
    devices::GicV3* gic = core_.context.gic;
    return gic != nullptr && gic->read_sysreg(core_.options.index, encoding, value);
}

bool CpuEnvironment::icc_write(uint32_t encoding, uint64_t value) {
    devices::GicV3* gic = core_.context.gic;
    // Of an SGI's receivers each takes the controller's lock as soon as it wakes.
    const LateWakes late;
    return gic != nullptr && gic->write_sysreg(core_.options.index, encoding, value);
}

namespace {
// CNTP_* is CRm 2, CNTV_* CRm 3; op2 0 is TVAL, 1 CTL, 2 CVAL (ARM ARM D19.12).
GenericTimer::Kind timer_kind(uint32_t encoding) {
    return (encoding >> 3 & 15) == 2 ? GenericTimer::Kind::Physical : GenericTimer::Kind::Virtual;
}
}  // namespace

uint64_t CpuEnvironment::timer_read(uint32_t encoding) {
    GenericTimer* timer = core_.context.timer;
    if (timer == nullptr) return 0;
    switch (encoding & 7) {
        case 0: return timer->read_tval(timer_kind(encoding));
        case 1: return timer->read_ctl(timer_kind(encoding));
        default: return timer->read_cval(timer_kind(encoding));
    }
}

void CpuEnvironment::timer_write(uint32_t encoding, uint64_t value) {
    GenericTimer* timer = core_.context.timer;
    if (timer == nullptr) return;
    switch (encoding & 7) {
        case 0: return timer->write_tval(timer_kind(encoding), value);
        case 1: return timer->write_ctl(timer_kind(encoding), value);
        default: return timer->write_cval(timer_kind(encoding), value);
    }
}

uint64_t CpuEnvironment::counter() {
    const uint64_t ticks = core_.context.clock.ticks();
    if (core_.context.timer != nullptr) core_.context.timer->counter_read(ticks);
    return ticks;
}

uint64_t CpuEnvironment::counter_frequency() { return devices::GuestClock::kFrequency; }

uint64_t CpuEnvironment::cycles() { return core_.context.clock.ticks() * devices::GuestClock::kNsPerTick; }

void CpuEnvironment::pmu_interrupt(bool level) {
    if (core_.context.pmu != nullptr) core_.context.pmu->set(level);
}

void CpuEnvironment::pmu_look_within(uint64_t cycles) {
    if (core_.context.pmu != nullptr) core_.context.pmu->look_within(cycles);
}

uint64_t CpuEnvironment::hvc(uint64_t x0, uint64_t x1, uint64_t x2, uint64_t x3) {
    devices::Psci* firmware = core_.context.firmware;
    return firmware != nullptr ? firmware->call(core_.options.index, x0, x1, x2, x3)
                               : static_cast<uint64_t>(devices::PsciResult::NotSupported);
}

// ---- Cross-CPU work

void CpuEnvironment::carry_out(std::span<const Request> requests, bool may_walk) {
    memory_.translations_changed();
    bool all = false;
    for (const Request& r : requests) {
        switch (r.kind) {
            case Request::Kind::Tlbi:
                all |= r.tlbi.kind == mmu::TlbiRequest::Kind::All;
                core_.tlbs.apply(r.tlbi);
                break;
            case Request::Kind::ClearJumps: core_.tlbs.clear_jump_caches(); break;
            case Request::Kind::ForgetCode: forget_code(); break;
            case Request::Kind::DropDerived: core_.tlbs.drop(r.derived); break;
            case Request::Kind::WriteProtect: core_.tlbs.write_protect(r.derived.va); break;
            case Request::Kind::ForgetPages:
                core_.tlbs.forget_pages(*r.pages, core_.context.memory);
                forget_code();
                break;
        }
    }
    core_.tlbs.finish_invalidation();
    // Fastmem hold nothing of it any more either.
    if (all) core_.held.clear();
    for (const Request& r : requests)
        if (r.kind == Request::Kind::Tlbi && r.tlbi.kind == mmu::TlbiRequest::Kind::Asid)
            core_.held.clear(r.tlbi.asid);
    // Last: what is held of them must stay known.
    if (may_walk)
        memory_.rewrite_leaves();
    else
        (void)core_.tlbs.take_dropped_leaves();
}

}  // namespace arclight::guestos
