#include "guestos/machine/cpu/vcpu.h"

#include <sys/mman.h>

#include <cstring>
#include <memory>
#include <new>
#include <system_error>
#include <utility>

#include "frontend/a64/system/branch_type.h"
#include "frontend/a64/system/exceptions.h"
#include "frontend/a64/system/quiet_environment.h"
#include "frontend/a64/system/translation_flags.h"
#include "frontend/a64/translate/translator.h"
#include "guestos/machine/cpu/cpu_state.h"
#include "guestos/machine/cpu/virtual_memory.h"
#include "host/memory_fault.h"
#include "host/translated_access.h"

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

Vcpu::Vcpu(const CpuContext& context, const VcpuOptions& options)
    : state_(map_state()),
      environment_(core_, fetch_, memory_),
      core_(context, options, state_, environment_, environment_),
      pager_(core_),
      fetch_(core_, pager_),
      memory_(core_, pager_) {
    state_.cpu = this;
    state_.exclusive_addr = jit::kNoExclusive;
    core_.cpu.traced = context.trace.exceptions();
    if (options.cpus == 1) state_.translation_flags |= a64::translation_flag::kSerial;
    if (fastmem() != nullptr && !core_.tlbs.has_fastmem_on_demand())
        state_.translation_flags |= a64::translation_flag::kFastmem;
    if (context.pmu != nullptr)
        context.pmu->set_due([this] {
            pmu_due_ = true;
            kick();
        });
    fill_runtime_table();
    state_.region_epochs = fetch_.region_epochs();
    context.engine.add_cpu({&passes_, fetch_.region_epochs(), &state_.failed_assumptions});
}

Vcpu::~Vcpu() { munmap(&state_, sizeof(GuestState)); }

// ---- Power, waiting, cross-CPU work

void Vcpu::power_on(uint64_t entry, uint64_t x0) {
    const std::lock_guard guard(wait_lock_);
    if (power_ == Power::On) return;
    entry_ = entry;
    entry_x0_ = x0;
    power_ = Power::On;
    wait_.notify_all();
}

void Vcpu::kick() {
    core_.work.interrupt();
    if (halted_) {
        const std::lock_guard guard(wait_lock_);
        wait_.notify_all();
    }
}

void Vcpu::set_irq_line(bool irq, bool fiq) {
    core_.lines.set(irq, fiq);
    if (irq || fiq) kick();
}

void Vcpu::signal_event() {
    core_.cpu.event_register = true;
    core_.work.end_nap();
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

thread_local Vcpu* Vcpu::running_ = nullptr;

void Vcpu::thread_main() {
    running_ = this;
    host_thread_ = gettid();
    host::set_memory_fault_hooks(lost_memory_fault, note_lent_page);
    if (core_.tlbs.has_fastmem_on_demand()) host::set_translated_access_hook(direct_memory_fault);
    devices::set_current_cpu(index());
    core_.last_core.adopt();
    while (!core_.context.peers.stopping()) {
        {
            const Rest rest(*this);
            std::unique_lock guard(wait_lock_);
            wait_.wait(guard, [&] { return power_ == Power::On || core_.context.peers.stopping(); });
        }
        core_.context.peers.safepoint(*this);
        if (core_.context.peers.stopping()) break;
        if (!loaded_) {
            core_.cpu.reset(entry_);
            state_.x[0] = entry_x0_;
            state_.exclusive_addr = jit::kNoExclusive;
        }
        loaded_ = false;
        started_ = true;
        power_off_requested_ = false;
        pass_over_ = kNowhere;
        if (held_) state_.interrupt = 1;
        a64::update_translation_flags(core_.cpu);
        environment_.translation_changed();
        run();
        started_ = false;
        power_off_requested_ = false;
        power_ = Power::Off;
    }
    core_.last_core.release();
    core_.work.leave();
    halted_ = true;
}

void Vcpu::wait_for_interrupt() {
    ++core_.stats.halts;
    core_.wake_waiters();
    // Requests need no wake-up: they are carried out before guest code runs again.
    const Halt halt(*this);
    std::unique_lock guard(wait_lock_);
    wait_.wait(guard, [&] {
        return core_.lines.irq() || core_.lines.fiq() || pmu_due_ || core_.context.peers.wake_wanted();
    });
}

// A hint, which may be old: nothing depends on it but who is waited for.
__attribute__((no_sanitize("thread"))) bool Vcpu::in_kernel() const {
    return *const_cast<const volatile uint8_t*>(&core_.cpu.el) != 0;
}

/// The CPU goes on meanwhile: a copy is good when two in a row are the same.
mmu::TranslationRegs Vcpu::translation_snapshot() const {
    mmu::TranslationRegs regs[2];
    const auto copy = [&](mmu::TranslationRegs& to) {
        std::atomic_signal_fence(std::memory_order_seq_cst);
        std::memcpy(static_cast<void*>(&to), static_cast<const void*>(&core_.cpu.translation), sizeof to);
    };
    do {
        copy(regs[0]);
        copy(regs[1]);
    } while (std::memcmp(static_cast<void*>(&regs[0]), static_cast<void*>(&regs[1]), sizeof regs[0]) != 0);
    return regs[0];
}

/// Runs inside the virtual machine or, where that cannot be, beside it.
const void* Vcpu::fastmem_fault(const void* host_pc, uint64_t address) {
    Vcpu& self = *running_;
    VcpuCore& core = self.core_;
    ++core.stats.fastmem_faults;
    self.memory_.note_fastmem_fault();
    core.context.trace.fastmem_fault(core.cpu, host_pc);
    jit::Engine& engine = core.context.engine;
    const void* next = engine.fastmem_fault(host_pc);
    return next != nullptr && engine.in_region(host_pc) && self.memory_.refill_fastmem(host_pc, address)
               ? host_pc
               : next;
}

/// In the signal's handler. Code that is no translated code never comes to fastmem: a fault of it is a fault.
const void* Vcpu::direct_memory_fault(const void* host_pc, const void* address) {
    if (!in_translated_code(host_pc) || !running_->core_.has_fastmem()) return nullptr;
    const void* next = fastmem_fault(host_pc, reinterpret_cast<uint64_t>(address));
    if (next != nullptr) running_->environment_.direct_memory().note_fault();
    return next;
}

bool Vcpu::in_translated_code(const void* host_pc) {
    if (running_ == nullptr) return false;
    const jit::CodeBuffer& code = running_->core_.context.engine.code();
    const auto offset = static_cast<uint64_t>(static_cast<const uint8_t*>(host_pc) - code.base());
    return offset >> code.range_log2() == 0;
}

// ---- Memory that the host took away

const void* Vcpu::lost_memory_fault(const void* host_pc) {
    return in_translated_code(host_pc) ? running_->core_.context.engine.fastmem_fault(host_pc) : nullptr;
}

/// Of a region that reaches memory by the soft TLB: the guest's registers are not where anybody could find them until it is
/// left.
void Vcpu::note_lent_page(const void* address, bool write) {
    if (running_ == nullptr) return;
    Vcpu& self = *running_;
    LateAbort& late = self.late_abort_;
    if (!late.pending) late = {.pending = true, .write = write, .address = address, .el = self.core_.cpu.el};
    if (address == nullptr) {
        late.unknown_pages = true;
    } else {
        const void*& place = late.pages[late.lent++ % late.pages.size()];
        if (place != nullptr) host::lose_page(place);
        place = address;
    }
    self.state_.interrupt = 1;
}

/// The abort is as precise as it can be still: at the next block boundary. Where that is in another exception level already,
/// or the address is not known, it is an SError interrupt, which may come late (ARM ARM D1.3.5.5, asynchronous external
/// aborts).
void Vcpu::take_late_abort() {
    const LateAbort late = std::exchange(late_abort_, {});
    if (late.unknown_pages) host::lose_lent_pages();
    for (const void* page : late.pages)
        if (page != nullptr) host::lose_page(page);
    const std::optional<uint64_t> va = late.el == core_.cpu.el ? address_of(late) : std::nullopt;
    // So that accesses to what else is gone, of this CPU and of others, are looked at before they are made.
    environment_.forget_translations();
    for (CrossCpuWork* other : core_.context.peers.works())
        if (other != &core_.work)
            other->post({CrossCpuWork::Request::Kind::Tlbi, {.kind = mmu::TlbiRequest::Kind::All}}, nullptr);
    if (va) return a64::take_data_abort(core_.cpu, *va, mmu::kFscSynchronousExternal, late.write, state_.pc);
    constexpr uint32_t kSErrorClass = 0x2f, kInstructionLength = 1;
    a64::take_exception(core_.cpu, a64::ExceptionKind::SError, kSErrorClass << 26 | kInstructionLength << 25,
                        state_.pc);
}

/// Of the guest: by the soft TLB that the access went through.
std::optional<uint64_t> Vcpu::address_of(const LateAbort& late) const {
    if (late.address == nullptr) return std::nullopt;
    for (const mmu::SoftTlb* tlb : {state_.tlb, state_.user_tlb})
        for (const mmu::TlbEntry& e : tlb->entries) {
            const uint64_t tag = late.write ? e.write_tag : e.read_tag;
            const uint64_t va = reinterpret_cast<uint64_t>(late.address) - e.addend;
            if (tag != mmu::TlbEntry::kInvalidTag && (va & kPageMask) == (tag & kPageMask)) return va;
        }
    return std::nullopt;
}

// ---- State

/// A CPU that was powered on and has not begun is saved as one that begins.
CpuState Vcpu::capture_state() const {
    if (powered_off() || started_ || loaded_) return CpuState::capture(core_.cpu);
    a64::QuietEnvironment environment;
    const auto state = std::make_unique<GuestState>();
    a64::Cpu cpu(*state, environment, core_.cpu.memory, core_.cpu.config);
    cpu.reset(entry_);
    cpu.registers.cntfrq = devices::GuestClock::kFrequency;
    state->x[0] = entry_x0_;
    return CpuState::capture(cpu);
}

void Vcpu::replace_state(const CpuState& state) {
    state.apply(core_.cpu);
    state_.interrupt = 1;
    loaded_ = true;
}

void Vcpu::save(devices::StateWriter& out) const {
    out.section("vcpu", CpuState::kVersion, [&] {
        const bool on = !powered_off() && !power_off_requested_;
        out(uint32_t{index()}, on, core_.lines.irq(), core_.lines.fiq(), capture_state());
    });
}

devices::StateResult Vcpu::load(devices::StateReader& in) {
    CpuState state;
    uint32_t index_saved = 0;
    bool on = false, irq = false, fiq = false;
    const auto loaded = in.section("vcpu", CpuState::kVersion, [&] {
        in(index_saved, on, irq, fiq, state);
        in.require(index_saved == index(), "another virtual CPU");
        state.check(in);
    });
    if (!loaded) return loaded;
    state.apply(core_.cpu);
    core_.lines.set(irq, fiq);
    state_.interrupt = 1;
    const std::lock_guard guard(wait_lock_);
    loaded_ = on;
    power_off_requested_ = !on && power_ == Power::On;
    if (on) power_ = Power::On;
    wait_.notify_all();
    return {};
}

void Vcpu::resume() {
    a64::pmu_update(core_.cpu);
    if (core_.context.pmu != nullptr) core_.context.pmu->refresh();
}

// ---- A debugger

void Vcpu::hold(bool held) {
    {
        const std::lock_guard guard(wait_lock_);
        held_ = held;
        wait_.notify_all();
    }
    kick();
}

void Vcpu::stand_while_held() {
    if (!held_) return;
    const Rest rest(*this);
    std::unique_lock guard(wait_lock_);
    wait_.wait(guard, [&] { return !held_ || core_.context.peers.stopping(); });
}

void Vcpu::stop_for_debugger(const DebugPoints::Stop& stop) {
    step_ = Step::None;
    held_ = true;
    state_.interrupt = 1;
    core_.context.debug->stopped(index(), stop);
}

// ---- The loop

void Vcpu::take_pending_interrupt() {
    if (core_.lines.fiq_deliverable(state_.daif))
        a64::take_exception(core_.cpu, a64::ExceptionKind::Fiq, 0, state_.pc);
    else
        a64::take_exception(core_.cpu, a64::ExceptionKind::Irq, 0, state_.pc);
    core_.hand_over.interrupt_taken();
    ++core_.stats.interrupts;
}

/// What others want of this CPU, until the interrupt flag stays clear.
void Vcpu::look_up() {
    while (state_.interrupt.load(std::memory_order_relaxed) != 0) {
        // Cleared before the causes are looked at: one that comes later, or at the safepoint, sets it again.
        state_.interrupt.store(0);
        core_.work.carry_out();
        if (const std::chrono::nanoseconds cpu(sampled_ns_.exchange(0)); cpu.count() != 0)
            // NOLINTNEXTLINE(performance-no-int-to-ptr): a register is a number
            core_.context.engine.sample(reinterpret_cast<const void*>(sampled_pc_.load()), cpu);
        if (pmu_due_.exchange(false)) a64::pmu_update(core_.cpu);
        core_.work.hand_over_if_asked();
        // Not before it has taken the interrupt that they may wait for.
        if (!core_.lines.irq() && !core_.lines.fiq()) core_.wake_waiters();
        if (core_.held.full()) environment_.forget_translations();
        stand_while_held();
        core_.context.peers.safepoint(*this);
        if (std::exchange(loaded_, false)) {
            a64::update_translation_flags(core_.cpu);
            environment_.translation_changed();
        }
    }
}

void Vcpu::run() {
    for (;;) {
        look_up();
        if (core_.context.peers.stopping() || power_off_requested_) return;
        if (late_abort_.pending) [[unlikely]]
            take_late_abort();
        const Step step = step_;
        constexpr DebugPoints::Stop kStepped{};
        if (core_.interrupt_deliverable() && step != Step::Masked) {
            take_pending_interrupt();
            if (step != Step::None) {
                stop_for_debugger(kStepped);
                continue;
            }
        }

        const bool stepping = (state_.translation_flags & a64::translation_flag::kSingleStep) != 0;
        if (stepping && a64::step_pending(core_.cpu)) {
            a64::take_step(core_.cpu);
            if (step != Step::None) stop_for_debugger(kStepped);
            continue;
        }
        // BranchAddr (D1.2.1): the PC never holds a tag. Indirect exits do not take it off, since code is
        // entered in the jump cache without it: a tagged address is found nowhere, and comes here.
        const uint64_t pc = state_.pc = a64::branch_address(core_.cpu, state_.pc);
        // From here on what is found is not freed. Somebody who frees it either sees that, or has set the interrupt flag
        // before: the jump caches are to be cleared first (jit/engine/retired_blocks.h).
        passes_.fetch_add(1);
        if (state_.interrupt.load() != 0) {
            passes_.fetch_add(1);
            continue;
        }
        fetch_.set_alone(step != Step::None || pc == pass_over_);
        const auto code = fetch_.code_at(pc);
        if (!code) {
            passes_.fetch_add(1);
            switch (code.error()) {
                case FetchUnit::NoCode::CacheFull: core_.context.peers.flush_code(*this); break;
                case FetchUnit::NoCode::Breakpoint:
                    stop_for_debugger({.why = DebugPoints::Stop::Why::Breakpoint});
                    break;
                case FetchUnit::NoCode::ExceptionTaken:
                    if (step != Step::None) stop_for_debugger(kStepped);
                    break;
            }
            continue;
        }
        if (!has_run_) [[unlikely]] {
            has_run_ = true;
            core_.context.peers.begin_guest_code();
        }
        state_.exit_request = 0;
        const ExitReason reason = core_.context.accelerator.run(state_, *code);
        passes_.fetch_add(1);
        ++core_.stats.exits[static_cast<unsigned>(reason) & 15];
        handle_exit(reason);
        // Whatever ended the block, its one instruction completed or raised an exception, which clears
        // PSTATE.SS too; unless an interrupt or a debugger came first.
        if (reason == ExitReason::Stop || (reason == ExitReason::Interrupt && state_.pc == pc)) continue;
        if (stepping) a64::step_done(core_.cpu);
        pass_over_ = kNowhere;
        if (step != Step::None) stop_for_debugger(kStepped);
    }
}

/// True: done, go on behind the instruction.
bool Vcpu::semihosting_call(uint32_t number) {
    SemihostingPort* port = core_.context.semihosting;
    if (port == nullptr || number != kSemihostingHlt) return false;
    VirtualMemory memory(core_, pager_, [this](const std::function<void()>& host) {
        const Halt halt(*this);
        host();
    });
    const auto result =
        port->call(core_.cpu.el == 0, static_cast<uint32_t>(state_.x[0]), state_.x[1], memory);
    if (!result) return false;
    state_.x[0] = *result;
    core_.cpu.btype = 0;
    state_.pc += 4;
    return true;
}

void Vcpu::handle_exit(ExitReason reason) {
    const uint64_t pc = state_.pc;
    switch (reason) {
        case ExitReason::None:
        case ExitReason::Exception:
        case ExitReason::Redirect: return;
        case ExitReason::Lookup:
        case ExitReason::Interrupt:
            if (core_.cpu.config.features.has(a64::Feature::Bti)) a64::take_branch_type(core_.cpu);
            return;
        case ExitReason::Halt:
            if (!core_.interrupt_deliverable() && step_ == Step::None) wait_for_interrupt();
            return;
        case ExitReason::Stop:
            if (const auto hit = memory_.take_debug_hit())
                stop_for_debugger(*hit);
            else if (core_.context.debug != nullptr && core_.context.debug->breakpoint_at(pc))
                stop_for_debugger({.why = DebugPoints::Stop::Why::Breakpoint});
            else
                pass_over_ = pc;
            return;
        case ExitReason::Svc: a64::take_svc(core_.cpu, state_.exit_info, pc); break;
        case ExitReason::Brk: a64::take_brk(core_.cpu, state_.exit_info, pc); break;
        case ExitReason::Hvc:
            state_.insn_offset = static_cast<uint32_t>(pc & ~kPageMask);
            core_.context.trace.hypervisor_call(core_.cpu, state_.exit_info);
            if (a64::execute_hvc(core_.cpu))
                state_.pc = pc + 4;
            else
                a64::take_undefined(core_.cpu, pc);
            break;
        case ExitReason::Smc: a64::take_undefined(core_.cpu, pc); break;
        case ExitReason::Undefined:
            if (state_.exit_info & a64::kUndefinedIllegalState)
                a64::take_illegal_state(core_.cpu, pc);
            else if (state_.exit_info & a64::kUndefinedFpTrap)
                a64::take_fp_trap(core_.cpu, pc);
            else if ((state_.exit_info & a64::kUndefinedHlt) != 0 &&
                     semihosting_call(state_.exit_info & 0xffff))
                return;
            else
                a64::take_undefined(core_.cpu, pc);
            break;
    }
}

}  // namespace arclight::guestos
