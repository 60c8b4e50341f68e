// One thread of this process running inside the virtual machine.
//
// The thread moves there whole: the same code, data and thread-local storage, with a separate stack. A system
// call and the first access to a GiB of memory leave the machine, are handled here, and return inside;
// everything else runs without an exit.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "backend/kvm/kvm_counters.h"
#include "backend/kvm/kvm_device.h"
#include "backend/kvm/process_map.h"
#include "backend/kvm/ring0.h"

namespace arclight::backend::kvm {

/// Exits by cause. The owning thread counts; other threads may read slightly stale values.
struct ExitCounts {
    uint64_t system_calls = 0;
    uint64_t first_touches = 0;      ///< of a GiB of the process's memory, or of code
    uint64_t fastmem_faults = 0;     ///< faults of translated code that were handled outside
    uint64_t invalidations = 0;      ///< TLB invalidations that were carried out outside
    uint64_t asked_for = 0;          ///< leave_once()
    uint64_t interrupted = 0;        ///< by a host signal
    uint64_t refused = 0;            ///< the host has no memory for an access, or withholds it
    uint64_t system_call[512] = {};  ///< by number
    uint64_t total() const {
        return system_calls + first_touches + fastmem_faults + invalidations + asked_for + interrupted +
               refused;
    }
};

/// One line that says why the machine stopped, for an exit that is not handled.
std::string stop_reason(const kvm_run& run, uint64_t rip);

/// One virtual processor. create() throws std::system_error if the host has no memory for the stack.
class ProcessorThread {
  public:
    static Result<std::unique_ptr<ProcessorThread>> create(VirtualMachine& vm, Arena& arena,
                                                           ProcessMap& process, bool native, CodeRange code,
                                                           FastmemFaultFn handler);
    ~ProcessorThread();

    /// Runs `body` inside, on the calling thread. An error means that the machine stopped before the body
    /// ended; the body's work in progress is lost.
    Result<void> run(const std::function<void()>& body);

    /// From inside: invalidates these pages in the processor's TLB; all pages if the list is empty or has
    /// more than Ring0::kMaxPages.
    void invalidate(std::span<const uint64_t> pages);

    /// Leaves the machine and comes back; no effect outside.
    void leave_once() const;

    /// Calls `what` after a host signal has interrupted the thread inside, with the interrupted PC.
    void on_interrupted(void (*what)(uint64_t pc)) { on_interrupted_ = what; }

    /// From outside: seconds that `count` ring-0 instructions take, one entry and one exit included.
    Result<double> time_ring0(uint64_t count);

    Table* root() const { return root_; }
    const ExitCounts& counts() const { return counts_; }
    const KvmCounters& kvm_counters() const { return kvm_counters_; }

  private:
    enum class Service : uint64_t { Return, Invalidate };
    ProcessorThread(Processor processor, Arena& arena, ProcessMap& process, bool native, CodeRange code,
                    FastmemFaultFn handler, Table* root);
    static void inside_main(ProcessorThread* self);
    void call_outside(Service service, uint64_t argument, uint64_t argument2);
    Result<void> enter();
    struct RefusedAccess {
        uint64_t address = 0;  ///< inside; 0: nobody knows
        uint64_t place = 0;    ///< the same in the process; 0: nobody knows
        bool write = false;
    };
    std::array<RefusedAccess, 2> refused_accesses();
    uint64_t place_of(uint64_t address) const;
    bool recover_refused_access();
    Result<bool> handle_exit();
    Result<bool> handle_exception(ExceptionFrame& frame);
    Result<void> run_ring0(uint64_t rip, uint64_t rdi, uint64_t rsi);
    uint64_t carry_out_system_call(const kvm_regs& regs);
    void system_call(ExceptionFrame& frame, uint64_t next);
    void resume(ExceptionFrame& frame);
    std::unexpected<std::string> crash(const ExceptionFrame& frame, const std::string& why = {});

    Processor processor_;
    const KvmCounters kvm_counters_;
    Arena& arena_;
    ProcessMap& process_;
    const bool native_;
    const CodeRange code_;
    const FastmemFaultFn handler_;
    Table* root_;
    Ring0 ring0_;
    uint64_t cr4_features_ = 0;
    uint8_t* stack_ = nullptr;
    const std::function<void()>* body_ = nullptr;
    void (*on_interrupted_)(uint64_t pc) = nullptr;
    bool outside_ = true;
    ExitCounts counts_;
    /// PC and address of an access that was refused without a reason.
    std::pair<uint64_t, uint64_t> last_permitted_{};
};

}  // namespace arclight::backend::kvm
