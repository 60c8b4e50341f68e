// The virtual CPUs of one machine together: their threads, stopping the world, and invalidations that all of
// them carry out.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "backend/accelerator.h"
#include "guestos/machine/board/sampling_profiler.h"
#include "guestos/machine/cpu/cpu_context.h"
#include "guestos/machine/cpu/vcpu.h"

namespace arclight::guestos {

class CpuGroup final : public CpuPeers {
  public:
    explicit CpuGroup(jit::Engine& engine);
    ~CpuGroup();
    CpuGroup(const CpuGroup&) = delete;
    CpuGroup& operator=(const CpuGroup&) = delete;

    /// Before run(). `context.peers` is this group; indices count from zero.
    Vcpu& add(const CpuContext& context, const VcpuOptions& options);
    unsigned size() const { return static_cast<unsigned>(cpus_.size()); }
    Vcpu& cpu(unsigned index) { return *owned_[index]; }
    const Vcpu& cpu(unsigned index) const { return *owned_[index]; }

    /// Runs each CPU on a thread of its own until stop(). `failed`: an accelerator gave up, in one line; the
    /// caller stops the group. `profiler`: null, if nobody asks.
    void run(backend::Accelerator& accelerator, const std::function<void(const std::string&)>& failed,
             SamplingProfiler* profiler = nullptr);
    /// Any thread.
    void stop();

    /// Any thread but a CPU's: returns when every CPU stands between two instructions and stays there, or the
    /// machine stops (false). Calls do not nest.
    bool pause();
    void resume();

    /// Any thread but a CPU's: returns when every CPU has carried the request out, or does so before it runs guest code again.
    void have_carried_out(const CrossCpuWork::Request& request);

    // ---- CpuPeers
    void flush_code(Vcpu& self) override;
    bool short_of_cores() const override;

  private:
    void wait_at_safepoint(Vcpu& self) override;
    bool try_flush_code(Vcpu& self);

    jit::Engine& engine_;
    std::vector<std::unique_ptr<Vcpu>> owned_;
    const unsigned host_cores_;
    std::mutex world_lock_;
    std::condition_variable world_changed_;
};

}  // namespace arclight::guestos
