// One virtual CPU: its power state, how it waits, and the loop that runs translated code for it.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "devices/state.h"
#include "guestos/machine/cpu/cpu_environment.h"
#include "guestos/machine/cpu/cpu_state.h"
#include "guestos/machine/cpu/cross_cpu_work.h"
#include "guestos/machine/cpu/fetch_unit.h"
#include "guestos/machine/cpu/memory_path.h"
#include "guestos/machine/cpu/shadow_pager.h"
#include "guestos/machine/cpu/vcpu_core.h"

namespace arclight::guestos {

class Vcpu final : public devices::Stateful {
  public:
    Vcpu(const CpuContext& context, const VcpuOptions& options);
    ~Vcpu() override;
    Vcpu(const Vcpu&) = delete;
    Vcpu& operator=(const Vcpu&) = delete;

    /// The thread's function: waits to be powered on, runs, until CpuPeers::stopping().
    void thread_main();

    // ---- From any thread
    /// No effect unless powered_off().
    void power_on(uint64_t entry, uint64_t x0);
    bool powered_off() const { return power_ == Power::Off; }
    void set_irq_line(bool irq, bool fiq);
    /// Makes the CPU look up before it goes on: at its work, the safepoint, the end of the machine.
    void kick();
    /// SEV
    void signal_event();
    /// On its thread, in a signal's handler or outside of the virtual machine: it was interrupted at host_pc, after so much more
    /// CPU time. The engine is told when the CPU looks up, which is soon.
    void note_sample(uint64_t host_pc, std::chrono::nanoseconds cpu) {
        sampled_pc_.store(host_pc, std::memory_order_relaxed);
        sampled_ns_.store(cpu.count(), std::memory_order_relaxed);
        state_.interrupt = 1;
    }
    /// Wakes it, halted or powered off, to see that the machine stops.
    void stop_waiting();
    /// It is not in guest code, and looks up before it is again.
    bool halted() const { return halted_; }
    /// It stands at the safepoint, or is off: while the world is stopped its state does not change.
    bool at_rest() const { return at_rest_; }
    CrossCpuWork& work() { return core_.work; }
    HandOver& hand_over() { return core_.hand_over; }
    const LastCore& last_core() const { return core_.last_core; }
    /// It runs guest code of EL1, or did a moment ago.
    bool in_kernel() const;
    /// On its own thread: it has ended an interrupt.
    void interrupt_ended() {
        if (core_.hand_over.awaited()) core_.work.interrupt();  // so that it looks up, and wakes who waits
    }
    const HeldTranslations& held() const { return core_.held; }
    /// What it translates with at some moment between the call and its return.
    mmu::TranslationRegs translation_snapshot() const;

    unsigned index() const { return core_.options.index; }
    /// The thread that it runs on, as gettid() names it; 0: it has none yet.
    int host_thread() const { return host_thread_; }
    const VcpuStats& stats() const { return core_.stats; }
    const mmu::ShadowStats& shadow_stats() const { return core_.tlbs.shadow_stats(); }
    const mmu::FastmemSet* fastmem() const { return core_.tlbs.fastmem(); }
    const frontend::a64::Cpu& cpu() const { return core_.cpu; }

    // ---- On its own thread, or while the thread does not run or is at_rest()
    frontend::a64::Cpu& cpu() { return core_.cpu; }

    // ---- For a debugger (DebugPoints), while the world is stopped or the thread does not run; any thread but a CPU's
    /// Held, it stays where it is when the world goes on.
    void hold(bool held);
    enum class Step : uint8_t {
        None,
        Masked,    ///< interrupts wait
        Unmasked,  ///< an interrupt that is taken is the step
    };
    /// After one instruction, or an exception, it is held, and DebugPoints::stopped() is told. WFI does not wait.
    void set_step(Step step) { step_ = step; }
    /// It is off, or its registers are those that power_on() has given it, or later ones.
    bool has_begun() const { return powered_off() || started_; }
    CpuState capture_state() const;
    /// Of a CPU that is on.
    void replace_state(const CpuState& state);

    // ---- On its own thread
    /// Outside translated code. While it exists the CPU counts as halted, and looks at what others want
    /// before it runs guest code again.
    class Halt {
      public:
        explicit Halt(Vcpu& vcpu) : vcpu_(vcpu) {
            vcpu_.core_.work.leave();
            vcpu_.halted_ = true;
        }
        ~Halt() {
            vcpu_.halted_ = false;
            vcpu_.core_.work.enter();
        }
        Halt(const Halt&) = delete;
        Halt& operator=(const Halt&) = delete;

      private:
        Vcpu& vcpu_;
    };
    /// A halt at the safepoint, or without power. It ends at the safepoint, if the world is stopped.
    class Rest {
      public:
        explicit Rest(Vcpu& vcpu) : halt_(vcpu), vcpu_(vcpu) { vcpu_.at_rest_ = true; }
        ~Rest() { vcpu_.at_rest_ = false; }
        Rest(const Rest&) = delete;
        Rest& operator=(const Rest&) = delete;

      private:
        Halt halt_;
        Vcpu& vcpu_;
    };
    /// After the code cache was emptied.
    void forget_code() {
        environment_.forget_code();
        fetch_.forget_code();
    }
    /// Powers off after the current instruction.
    void request_power_off() { power_off_requested_ = true; }

    // ---- For the functions behind jit::RuntimeTable, in translated code's calls
    VcpuCore& core() { return core_; }
    FetchUnit& fetch() { return fetch_; }
    MemoryPath& memory() { return memory_; }
    CpuEnvironment& environment() { return environment_; }
    /// For backend::KvmAccelerator.
    static const void* fastmem_fault(const void* host_pc, uint64_t address);
    /// For host::set_translated_access_hook(): fastmem of this process (backend/direct_tables.h).
    static const void* direct_memory_fault(const void* host_pc, const void* address);
    /// For host::set_memory_fault_hooks(): memory of the guest that the host took away.
    static const void* lost_memory_fault(const void* host_pc);
    static void note_lent_page(const void* address, bool write);

    // ---- devices::Stateful, while the world is stopped (CpuGroup::pause()); any thread but a CPU's
    /// CpuState, whether the CPU is on, and its interrupt lines.
    void save(devices::StateWriter& out) const override;
    devices::StateResult load(devices::StateReader& in) override;
    void resume() override;  ///< the performance monitors go on

  private:
    enum class Power : uint8_t { Off, On };

    /// Whether the address is code of the virtual CPU whose thread this is.
    static bool in_translated_code(const void* host_pc);
    void fill_runtime_table();
    void run();
    void look_up();
    void handle_exit(jit::ExitReason reason);
    bool semihosting_call(uint32_t number);
    void take_pending_interrupt();
    struct LateAbort;
    void take_late_abort();
    std::optional<uint64_t> address_of(const LateAbort& late) const;
    void wait_for_interrupt();
    void stand_while_held();
    void stop_for_debugger(const DebugPoints::Stop& stop);

    jit::GuestState& state_;
    CpuEnvironment environment_;
    VcpuCore core_;
    ShadowPager pager_;
    FetchUnit fetch_;
    MemoryPath memory_;
    std::atomic<uint64_t> passes_{0};    ///< odd while in translated code, and from before it is looked up
    static thread_local Vcpu* running_;  ///< on this thread

    std::atomic<uint64_t> sampled_pc_{0};
    std::atomic<int64_t> sampled_ns_{0};  ///< 0: the engine knows
    std::atomic<bool> pmu_due_{false};    ///< the performance monitors are to be looked at

    std::mutex wait_lock_;
    std::condition_variable wait_;
    std::atomic<int> host_thread_{0};
    std::atomic<bool> halted_{true};
    std::atomic<bool> at_rest_{true};
    std::atomic<Power> power_{Power::Off};
    bool power_off_requested_ = false;
    bool has_run_ = false;              ///< it has executed guest code
    std::atomic<bool> started_{false};  ///< has taken up what power_on() said
    bool loaded_ = false;               ///< load() has replaced the state of a CPU that is on
    uint64_t entry_ = 0, entry_x0_ = 0;
    std::atomic<bool> held_{false};
    Step step_ = Step::None;
    static constexpr uint64_t kNowhere = 1;  ///< no instruction is there
    uint64_t pass_over_ = kNowhere;          ///< a stop at this PC is for another address of its page
    /// The first access that was carried out on a lent page, and all pages that were lent since then: an instruction of the host
    /// reaches two at most, so the oldest may be taken back early.
    struct LateAbort {
        bool pending = false, write = false;
        const void* address = nullptr;
        unsigned el = 0;
        bool unknown_pages = false;  ///< host::lend_lost_pages() has them
        unsigned lent = 0;           ///< the last ones of them are in `pages`
        std::array<const void*, 16> pages{};
    } late_abort_;
};

}  // namespace arclight::guestos
