// The virtual CPUs of one machine, as one of them sees them: whom cross-CPU work is posted to, and the
// safepoint where all of them stop.
#pragma once

#include <atomic>
#include <optional>
#include <span>
#include <vector>

#include "guestos/machine/cpu/cross_cpu_work.h"
#include "host/process_time.h"

namespace arclight::guestos {

class Vcpu;

class CpuPeers {
  public:
    /// All virtual CPUs, by index. Complete before the first one runs.
    std::span<Vcpu* const> cpus() const { return cpus_; }
    std::span<CrossCpuWork* const> works() const { return works_; }
    template <typename F>
    void for_each_other(const Vcpu& self, F&& f) const {
        for (Vcpu* cpu : cpus_)
            if (cpu != &self) f(*cpu);
    }

    /// The machine stops: every CPU's thread is to end.
    bool stopping() const { return stopping_.load(std::memory_order_relaxed); }
    /// A CPU that waits must look up: the machine stops, or the world is to be stopped.
    bool wake_wanted() const { return stopping() || safepoint_.load(std::memory_order_relaxed); }
    /// On a CPU's own thread, outside translated code: blocks while the world is stopped.
    void safepoint(Vcpu& self) {
        if (safepoint_.load()) [[unlikely]]
            wait_at_safepoint(self);
    }
    /// On a CPU's own thread: empties the code cache while no other CPU is in translated code. When it
    /// returns, another CPU may have been the one to do it.
    virtual void flush_code(Vcpu& self) = 0;
    /// More virtual CPUs want to run than the host has cores for this process.
    virtual bool short_of_cores() const = 0;

    /// On a CPU's own thread: its first instruction is next.
    void begin_guest_code() {
        if (begun_.exchange(true)) return;
        first_instruction_ = host::process_time();
        first_known_ = true;
    }
    /// When the first of them began; nothing: none has.
    std::optional<host::ProcessTime> first_instruction() const {
        return first_known_ ? std::optional(first_instruction_) : std::nullopt;
    }

  protected:
    ~CpuPeers() = default;
    virtual void wait_at_safepoint(Vcpu& self) = 0;

    std::vector<Vcpu*> cpus_;
    std::vector<CrossCpuWork*> works_;
    std::atomic<bool> stopping_{false};
    std::atomic<bool> safepoint_{false};  ///< the world is stopped, or about to be

  private:
    std::atomic<bool> begun_{false}, first_known_{false};
    host::ProcessTime first_instruction_{};  ///< written once, before first_known_
};

}  // namespace arclight::guestos
