#include "guestos/machine/cpu/vcpu.h"

#include <immintrin.h>
#include <sys/mman.h>

#include <new>
#include <system_error>

#include "devices/timer.h"
#include "frontend/a64/system/exceptions.h"
#include "frontend/a64/system/hardware_debug.h"
#include "frontend/a64/system/translation_flags.h"
#include "frontend/a64/translate/translator.h"
#include "guestos/machine/board/machine.h"

namespace arclight::guestos {

namespace a64 = frontend::a64;
using jit::ExitReason;
using jit::GuestState;
using mmu::kPageMask;

namespace {
GuestState& map_state() {
    void* p = mmap(nullptr, sizeof(GuestState), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        throw std::system_error(errno, std::generic_category(), "cannot map a virtual CPU's state");
    return *new (p) GuestState();
}
}  // namespace

Vcpu::Vcpu(Machine& machine, unsigned index)
    : machine_(machine),
      index_(index),
      state_(map_state()),
      cpu_(state_, *this, machine.memory(),
           {.index = index,
            .features = machine.options().gic == 3 ? a64::kDefaultFeatures
                                                 : a64::kDefaultFeatures.without(a64::Feature::Gic)}),
      tlbs_(machine.accelerator().host_tables(index), machine.options().shadow, &machine.memory()),
      work_(state_.interrupt, *this) {
    state_.cpu = this;
    state_.exclusive_addr = jit::kNoExclusive;
    if (machine.options().cpus == 1) state_.translation_flags |= a64::translation_flag::kSerial;
    if (tlbs_.fastmem() != nullptr) state_.translation_flags |= a64::translation_flag::kFastmem;
    if (machine.options().count_instructions) state_.translation_flags |= a64::translation_flag::kCount;
    fill_runtime_table();
    region_epochs_.assign(jit::Tier2::kGuards, jit::kUnlinkedEpoch);
    state_.region_epochs = region_epochs_.data();
    machine.engine().add_cpu({&passes_, region_epochs_.data(), &state_.wrong_guesses});
}

Vcpu::~Vcpu() { munmap(&state_, sizeof(GuestState)); }

// ---- Power, waiting, requests
// -----------------------------------------------------------------------------------

void Vcpu::power_on(uint64_t entry, uint64_t x0) {
    const std::lock_guard guard(wait_lock_);
    if (power_ == Power::On) return;
    entry_ = entry;
    entry_x0_ = x0;
    power_ = Power::On;
    wait_.notify_all();
}

void Vcpu::kick() {
    work_.interrupt();
    if (halted_) {
        const std::lock_guard guard(wait_lock_);
        wait_.notify_all();
    }
}

void Vcpu::set_irq_line(bool irq, bool fiq) {
    irq_line_ = irq;
    fiq_line_ = fiq;
    if (irq || fiq) kick();
}

void Vcpu::signal_event() {
    cpu_.event_register = true;
    work_.end_nap();
    if (halted_) {
        const std::lock_guard guard(wait_lock_);
        wait_.notify_all();
    }
}

void Vcpu::stop_waiting() {
    kick();
    const std::lock_guard guard(wait_lock_);
    wait_.notify_all();
}

void Vcpu::forget_code() {
    tlbs_.clear_jump_caches();
    tlbs_.renew_epochs();
}

thread_local Vcpu* Vcpu::running_ = nullptr;

void Vcpu::thread_main() {
    running_ = this;
    devices::set_current_cpu(index_);
    while (!machine_.stopping()) {
        {
            const Halt halt(*this);
            std::unique_lock guard(wait_lock_);
            wait_.wait(guard, [&] { return power_ == Power::On || machine_.stopping(); });
        }
        if (machine_.stopping()) break;
        cpu_.reset(entry_);
        forget_translations();
        state_.x[0] = entry_x0_;
        state_.exclusive_addr = jit::kNoExclusive;
        power_off_requested_ = false;
        a64::update_translation_flags(cpu_);
        context_changed();
        run();
        power_ = Power::Off;
    }
    work_.leave();
    halted_ = true;
}

void Vcpu::wait_for_interrupt() {
    ++stats_.halts;
    // Requests need no wake-up: they are carried out before guest code runs again.
    const Halt halt(*this);
    std::unique_lock guard(wait_lock_);
    wait_.wait(guard, [&] { return irq_line_ || fiq_line_ || machine_.attention(); });
}

void Vcpu::carry_out(std::span<const Request> requests) {
    ++translation_changes_;
    bool all = false;
    for (const Request& r : requests) {
        switch (r.kind) {
            case Request::Kind::Tlbi:
                all |= r.tlbi.kind == mmu::TlbiRequest::Kind::All;
                tlbs_.apply(r.tlbi);
                break;
            case Request::Kind::ClearJumps: tlbs_.clear_jump_caches(); break;
            case Request::Kind::ForgetCode: forget_code(); break;
            case Request::Kind::DropDerived: tlbs_.drop(r.derived); break;
            case Request::Kind::WriteProtect: tlbs_.write_protect(r.derived.va); break;
        }
    }
    tlbs_.finish_invalidation();
    // Fastmem hold nothing of it any more either.
    if (all) held_.clear();
    for (const Request& r : requests)
        if (r.kind == Request::Kind::Tlbi && r.tlbi.kind == mmu::TlbiRequest::Kind::Asid)
            held_.clear(r.tlbi.asid);
}

void Vcpu::broadcast(const Request& request) {
    machine_.for_each_other(*this, [&](Vcpu& other) { other.work().post(request, &work_.batch()); });
}

void Vcpu::wait_for_broadcasts() {
    tlbs_.finish_invalidation();
    work_.wait_outside(machine_.works());
}

/// All of them, and at once.
void Vcpu::forget_translations() {
    ++translation_changes_;
    tlbs_.flush_all();
    tlbs_.finish_invalidation();
    held_.clear();
}

void Vcpu::spin_once(bool wfe) {
    if (machine_.options().cpus == 1) return;
    const auto waited = spin_.waited();
    if (waited <= GuestSpin::kShort) return _mm_pause();
    if (waited <= GuestSpin::kLong && !machine_.short_of_cores()) {
        for (int i = 0; i < 16; ++i) _mm_pause();  // about 1 us
        return;
    }
    work_.nap(wfe ? &cpu_.event_register : nullptr);
    spin_.slept();
}

// ---- Environment
// ------------------------------------------------------------------------------------------------

void Vcpu::context_changed() {
    stats_.el_switches += cpu_.el != last_el_;
    last_el_ = cpu_.el;
    note_tables();
    state_.user_tlb = tlbs_.select(0, false, root());
    state_.tlb = cpu_.el == 0 ? state_.user_tlb : tlbs_.select(cpu_.el, cpu_.pan, root());
    if (cpu_.el == 0) {
        tlbs_.note_user(state_.tlb);
        machine_.contextidr_tracker().running(state_.contextidr_el1, cpu_.translation);
    }
    tlbs_.use_for_flags(state_.tlb, state_.translation_flags);
    tlbs_.finish_invalidation();
}

/// What was found through other tables, or for another ASID, holds no longer.
void Vcpu::note_tables() {
    const mmu::TranslationRegs& t = cpu_.translation;
    const std::array<uint64_t, 3> tables{t.half[0].table, t.half[1].table, t.asid};
    if (tables == tables_) return;
    tables_ = tables;
    ++translation_changes_;
}

void Vcpu::translation_changed() {
    forget_translations();
    context_changed();
}

void Vcpu::tlbi(const mmu::TlbiRequest& request, bool broadcast) {
    ++stats_.tlbi;
    ++stats_.tlbi_kinds[static_cast<unsigned>(request.kind)];
    ++translation_changes_;
    machine_.trace_mmu(*this, "tlbi", request.va, request.asid, static_cast<unsigned>(request.kind));
    // Single pages and address spaces are up to date already. All of it is done even so: a device may have
    // written the tables.
    if (machine_.table_pages() != nullptr && request.kind != mmu::TlbiRequest::Kind::All) {
        ++stats_.tlbi_ignored;
        return;
    }
    if (request.kind == mmu::TlbiRequest::Kind::All)
        forget_translations();
    else
        tlbs_.apply(request);
    if (!broadcast || machine_.options().cpus == 1) return;
    HeldTranslations::fence();
    machine_.for_each_other(*this, [&](Vcpu& other) {
        if (other.held().may_hold(request)) other.work().post({Request::Kind::Tlbi, request}, &work_.batch());
    });
}

void Vcpu::clear_all_jumps() {
    tlbs_.clear_jump_caches();
    // Not waited for. No look-up and no linked jump leads to the blocks any more; another CPU can be in one,
    // or have it in its jump cache, until it looks at its interrupt flag. It does so at the latest when it
    // synchronises its context (ISB, exceptions and their returns), and only from there on the architecture
    // promises it the new instructions (ARM ARM B2.2.5). The flag is set before any later store of this CPU
    // can be seen.
    machine_.for_each_other(*this,
                          [&](Vcpu& other) { other.work().post({Request::Kind::ClearJumps}, nullptr); });
}

void Vcpu::ic_ivau(uint64_t, uint64_t pa) {
    ++stats_.ic;
    if (machine_.engine().line_has_code(pa) && machine_.engine().invalidate(pa & ~uint64_t{63}, 64))
        clear_all_jumps();
}

void Vcpu::ic_iallu(bool) {
    ++stats_.ic;
    // Blocks are shared, so the local form drops them for all as well.
    if (machine_.engine().invalidate_all()) clear_all_jumps();
}

bool Vcpu::interrupt_deliverable() const {
    return (irq_line_.load(std::memory_order_relaxed) && (state_.daif & a64::kDaifI) == 0) ||
           (fiq_line_.load(std::memory_order_relaxed) && (state_.daif & a64::kDaifF) == 0);
}

void Vcpu::interrupts_unmasked() {
    if (interrupt_deliverable()) state_.interrupt.store(1, std::memory_order_relaxed);
}

bool Vcpu::icc_read(uint32_t encoding, uint64_t& value) { return machine_.icc_read(index_, encoding, value); }
bool Vcpu::icc_write(uint32_t encoding, uint64_t value) { return machine_.icc_write(index_, encoding, value); }
uint64_t Vcpu::timer_read(uint32_t encoding) { return machine_.timer_read(index_, encoding); }
void Vcpu::timer_write(uint32_t encoding, uint64_t value) { machine_.timer_write(index_, encoding, value); }
uint64_t Vcpu::counter() { return machine_.clock().ticks(); }
uint64_t Vcpu::counter_frequency() { return devices::GenericTimer::kFrequency; }
uint64_t Vcpu::hvc(uint64_t x0, uint64_t x1, uint64_t x2, uint64_t x3) {
    return machine_.psci(index_, x0, x1, x2, x3);
}

/// Reads the guest's memory again, which may not be what was translated any more: good for the Rt that the
/// guest is told of its own instruction, and for no decision.
uint32_t Vcpu::current_instruction() {
    uint64_t pa;
    const uint64_t pc = helper_pc();
    const mmu::WalkResult walk = mmu::walk(
        cpu_.translation, cpu_.memory, pc,
        {.kind = mmu::AccessKind::Execute, .privileged = cpu_.el != 0, .pan = false, .update = false});
    if (!walk.ok()) return 0;
    pa = walk.pa;
    const uint8_t* host = cpu_.memory.host(pa & ~uint64_t{3}, 4);
    return host != nullptr ? *reinterpret_cast<const uint32_t*>(host) : 0;
}

// ---- Code
// -------------------------------------------------------------------------------------------------------

/// The physical address to fetch pc from. False: it faults, and `fault_code` says how; or it is misaligned or
/// has a tag, which the run loop sees to.
bool Vcpu::find_fetch(uint64_t pc, uint64_t& pa, uint8_t* fault_code) {
    if ((pc & 3) != 0 || a64::branch_address(cpu_, pc) != pc) return false;
    FetchEntry& e = fetch_[pc >> mmu::kPageBits & (kFetchEntries - 1)];
    mmu::SoftTlb* tlb = state_.tlb;
    if (e.va_page == (pc & kPageMask) && e.tlb == tlb && e.epoch == tlb->epoch) {
        pa = e.pa_page | (pc & ~kPageMask);
        return true;
    }
    const mmu::WalkResult walk =
        walk_to_cache(pc, {.kind = mmu::AccessKind::Execute, .privileged = cpu_.el != 0, .pan = cpu_.pan});
    const bool in_ram = walk.ok() && cpu_.memory.host(walk.pa & kPageMask, mmu::kPageSize) != nullptr;
    if (!in_ram) {
        if (fault_code != nullptr) *fault_code = walk.ok() ? mmu::kFscSynchronousExternal : walk.fsc();
        return false;
    }
    if (cpu_.memory.page_flags(walk.pa) != 0 && !fetch_intercepted(walk, pc, fault_code)) [[unlikely]]
        return false;
    tlbs_.note_code_page(tlb, pc, walk.page_bits, walk.non_global);
    e = {pc & kPageMask, tlb, tlb->epoch, walk.pa & kPageMask};
    pa = walk.pa;
    return true;
}

/// The run loop wants to see every instruction at pc and behind it in its page: nothing may jump there.
bool Vcpu::steps_through(uint64_t pc) const {
    constexpr uint32_t kAny = a64::translation_flag::kSingleStep | a64::translation_flag::kBreakpoints;
    if ((state_.translation_flags & kAny) == 0) return false;
    return (state_.translation_flags & a64::translation_flag::kSingleStep) != 0 ||
           a64::breakpoint_in_page(cpu_, pc);
}

/// Null: an exception was taken, or the code cache was flushed; look again.
const void* Vcpu::code_at(uint64_t pc) {
    const mmu::JumpCacheEntry& cached = state_.tlb->jump_cache[mmu::jump_cache_index(pc)];
    if (cached.pc == pc) return cached.code;
    if ((pc & 3) != 0) {
        a64::take_pc_alignment(cpu_, pc);
        return nullptr;
    }
    uint64_t pa;
    uint8_t fault_code = 0;
    if (!find_fetch(pc, pa, &fault_code)) {
        ++stats_.instruction_aborts;
        a64::take_instruction_abort(cpu_, pc, fault_code, pc);
        return nullptr;
    }
    const bool stepping = steps_through(pc);
    if (stepping && (state_.translation_flags & a64::translation_flag::kBreakpoints) != 0 &&
        a64::breakpoint_matches(cpu_, pc)) {
        a64::take_breakpoint(cpu_, pc);
        return nullptr;
    }
    const void* code = machine_.engine().entry(
        pa, state_.translation_flags | (stepping ? a64::translation_flag::kSingleStep : 0), &state_);
    if (code == nullptr) {
        machine_.flush_code(*this);
        return nullptr;
    }
    if (!stepping) tlbs_.fill_jump(state_.tlb, pc, code);
    return code;
}

/// For a direct exit in translated code. Null: leave, and let the run loop find out why.
const void* Vcpu::linked_code_at(uint64_t pc, uint32_t site) {
    uint64_t pa;
    if (steps_through(pc) || !find_fetch(pc, pa)) return nullptr;
    return machine_.engine().entry_and_link(pa, state_.translation_flags, site, state_.tlb->epoch, &state_);
}

// ---- The loop
// ---------------------------------------------------------------------------------------------------

bool Vcpu::take_pending_interrupt() {
    if (fiq_line_.load(std::memory_order_relaxed) && (state_.daif & a64::kDaifF) == 0) {
        a64::take_exception(cpu_, a64::ExceptionKind::Fiq, 0, state_.pc);
    } else if (irq_line_.load(std::memory_order_relaxed) && (state_.daif & a64::kDaifI) == 0) {
        a64::take_exception(cpu_, a64::ExceptionKind::Irq, 0, state_.pc);
    } else {
        return false;
    }
    ++stats_.interrupts;
    machine_.trace_exception(*this, "interrupt");
    return true;
}

void Vcpu::run() {
    for (;;) {
        while (state_.interrupt.load(std::memory_order_relaxed) != 0) {
            // Cleared before the causes are looked at: one that comes later, or while parked, sets it again.
            state_.interrupt.store(0);
            work_.carry_out();
            work_.hand_over_if_asked();
            if (held_.full()) forget_translations();
            machine_.park_if_asked(*this);
        }
        if (machine_.stopping() || power_off_requested_) return;
        if (interrupt_deliverable()) take_pending_interrupt();

        const bool stepping = (state_.translation_flags & a64::translation_flag::kSingleStep) != 0;
        if (stepping && a64::step_pending(cpu_)) {
            a64::take_step(cpu_);
            continue;
        }
        // BranchAddr (D1.2.1): the PC never holds a tag. Indirect exits do not take it off, since code is
        // entered in the jump cache without it: a tagged address is found nowhere, and comes here.
        const uint64_t pc = state_.pc = a64::branch_address(cpu_, state_.pc);
        const void* code = code_at(pc);
        if (code == nullptr) continue;
        state_.exit_request = 0;
        passes_.fetch_add(1);
        const ExitReason reason = machine_.accelerator().run(state_, code);
        passes_.fetch_add(1);
        ++stats_.exits[static_cast<unsigned>(reason) & 15];
        handle_exit(reason);
        // Whatever ended the block, its one instruction completed or raised an exception, which clears
        // PSTATE.SS too; unless an interrupt came first.
        if (stepping && (reason != ExitReason::Interrupt || state_.pc != pc)) a64::step_done(cpu_);
    }
}

void Vcpu::handle_exit(ExitReason reason) {
    const uint64_t pc = state_.pc;
    switch (reason) {
        case ExitReason::None:
        case ExitReason::Lookup:
        case ExitReason::Interrupt:
        case ExitReason::Exception:
        case ExitReason::Stop: return;
        case ExitReason::Redirect: machine_.trace_exception(*this, "redirect"); return;
        case ExitReason::Halt:
            if (!interrupt_deliverable()) wait_for_interrupt();
            return;
        case ExitReason::Svc: a64::take_svc(cpu_, state_.exit_info, pc); break;
        case ExitReason::Brk: a64::take_brk(cpu_, state_.exit_info, pc); break;
        case ExitReason::Hvc:
            state_.insn_offset = static_cast<uint32_t>(pc & ~kPageMask);
            if (a64::execute_hvc(cpu_))
                state_.pc = pc + 4;
            else
                a64::take_undefined(cpu_, pc);
            break;
        case ExitReason::Smc: a64::take_undefined(cpu_, pc); break;
        case ExitReason::Undefined:
            if (state_.exit_info & a64::kUndefinedIllegalState)
                a64::take_illegal_state(cpu_, pc);
            else if (state_.exit_info & a64::kUndefinedFpTrap)
                a64::take_fp_trap(cpu_, pc);
            else
                a64::take_undefined(cpu_, pc);
            break;
    }
    machine_.trace_exception(*this, "synchronous");
}

void Vcpu::leave(ExitReason reason, uint64_t pc) {
    state_.pc = pc;
    state_.exit_reason = reason;
    state_.exit_request = 1;
}

}  // namespace arclight::guestos
