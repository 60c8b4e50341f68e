// The whole machine: RAM, devices, translation engine and virtual CPUs, wired as QEMU's virt board.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "backend/accelerator.h"
#include "devices/bus.h"
#include "devices/event_loop.h"
#include "devices/gic_v2.h"
#include "devices/gic_v3.h"
#include "devices/guest_clock.h"
#include "devices/pl011.h"
#include "devices/pl031.h"
#include "devices/psci.h"
#include "devices/timer.h"
#include "devices/virtio/mmio.h"
#include "guestos/boot.h"
#include "guestos/exit_status.h"
#include "guestos/machine/cpu/cross_cpu_work.h"
#include "guestos/machine/cpu/contextidr_tracker.h"
#include "guestos/machine/board/sampling_profiler.h"
#include "guestos/options.h"
#include "guestos/result.h"
#include "jit/engine/engine.h"
#include "mmu/guest_memory.h"
#include "mmu/lightv/module.h"
#include "mmu/table_pages.h"

namespace arclight::guestos {

class Vcpu;

/// Guest RAM: anonymous memory, huge pages where the host gives them.
class RamMapping {
  public:
    /// An error is one line for the user.
    static Result<std::unique_ptr<RamMapping>> allocate(uint64_t bytes);
    ~RamMapping();
    uint8_t* host() const { return host_; }
    uint64_t size() const { return size_; }

  private:
    RamMapping(uint8_t* host, uint64_t size) : host_(host), size_(size) {}
    uint8_t* host_;
    uint64_t size_;
};

class Machine final : public devices::CpuInterruptSink, public devices::CpuPower {
  public:
    enum class End : uint8_t { PowerOff, Reset, Quit, Failure };

    static Result<std::unique_ptr<Machine>> create(const RunOptions& options, devices::EventLoop& loop,
                                                 devices::CharBackend& console, ExitStatus* exit_status);
    ~Machine() override;

    devices::Pl011& uart() { return *uart_; }
    devices::Bus& bus() { return bus_; }
    devices::GuestClock& clock() { return clock_; }
    /// All parts with state but the virtual CPUs and RAM.
    devices::StatefulParts& stateful_parts() { return stateful_parts_; }
    RamMapping& ram() { return *ram_; }

    /// Starts the first CPU and returns when the machine has stopped.
    End run(const BootState& boot);
    /// Stops the machine; any thread.
    void stop(End why);
    /// Why the machine ended with End::Failure: one line.
    const std::string& failure_text() const { return failure_; }
    bool stopping() const { return stopping_.load(std::memory_order_relaxed); }
    void print_stats(std::FILE* out) const;
    uint64_t instructions() const;  ///< guest instructions of all CPUs, if they are counted
    /// `lightv`: what its modules say, or null.
    std::string stats_json(const mmu::lightv::Json& lightv) const;

    // ---- For LightV (guestos/lightv)
    /// Returns when no CPU has anything of these pages in a soft TLB or fastmem any more, nor, with `content`,
    /// in translated code. Not on a virtual CPU's thread.
    void forget_pages(std::span<const uint64_t> pages, bool content);
    unsigned cpus() const { return static_cast<unsigned>(vcpus_.size()); }
    const Vcpu& vcpu(unsigned index) const { return *vcpus_[index]; }
    devices::IrqLine uart_line();
    ContextidrTracker& contextidr_tracker() { return contextidr_tracker_; }

    // ---- For virtual CPUs
    const RunOptions& options() const { return options_; }
    const mmu::GuestMemory& memory() const { return memory_; }
    /// Null but for traditional shadow paging.
    mmu::TablePages* table_pages() { return table_pages_.get(); }
    mmu::PageOverlay& page_overlay() { return overlay_; }
    jit::Engine& engine() { return *engine_; }
    backend::Accelerator& accelerator() { return *accelerator_; }
    bool icc_read(unsigned cpu, uint32_t encoding, uint64_t& value);
    bool icc_write(unsigned cpu, uint32_t encoding, uint64_t value);
    uint64_t timer_read(unsigned cpu, uint32_t encoding);
    void timer_write(unsigned cpu, uint32_t encoding, uint64_t value);
    uint64_t psci(unsigned cpu, uint64_t x0, uint64_t x1, uint64_t x2, uint64_t x3) {
        return psci_.call(cpu, x0, x1, x2, x3);
    }
    template <typename F>
    void for_each_other(const Vcpu& self, F&& f) {
        for (auto& v : vcpus_)
            if (v.get() != &self) f(*v);
    }
    /// Of all virtual CPUs.
    std::span<CrossCpuWork* const> works() const { return works_; }
    /// More virtual CPUs want to run than the host has cores for this process.
    bool short_of_cores() const;
    /// Something that a waiting CPU must look at: the machine stops, or another CPU wants it parked.
    bool attention() const { return stopping() || exclusive_.load(std::memory_order_relaxed); }
    /// Blocks while another CPU works alone (flush_code).
    void park_if_asked(Vcpu& self);
    /// Empties the code cache while no other CPU is in translated code.
    void flush_code(Vcpu& self);
    void trace_exception(Vcpu& cpu, const char* what) {
        if (options_.trace.exceptions) print_exception(cpu, what);
    }
    /// `detail`: the physical address of a walk, a fault status code, or the kind of a TLBI.
    void trace_mmu(Vcpu& cpu, const char* what, uint64_t va, unsigned asid, uint64_t detail) {
        if (options_.trace.mmu) print_mmu(cpu, what, va, asid, detail);
    }
    void trace_fastmem_fault(Vcpu& cpu, const void* host_pc) {
        if (options_.trace.mmu) print_fastmem_fault(cpu, host_pc);
    }

    // ---- devices::CpuInterruptSink, devices::CpuPower
    void set_irq_line(unsigned cpu, bool irq, bool fiq) override;
    devices::PsciResult cpu_on(uint64_t target, uint64_t entry, uint64_t context) override;
    void cpu_off(unsigned cpu) override;
    int32_t affinity_info(uint64_t target, unsigned level) override;
    void suspend(unsigned) override {}
    void system_off() override { stop(End::PowerOff); }
    void system_reset() override { stop(End::Reset); }

  private:
    Machine(const RunOptions& options, devices::EventLoop& loop, std::unique_ptr<RamMapping> ram);
    void print_exception(Vcpu& cpu, const char* what);
    void print_mmu(Vcpu& cpu, const char* what, uint64_t va, unsigned asid, uint64_t detail);
    void print_fastmem_fault(Vcpu& cpu, const void* host_pc);
    Result<void> choose_accelerator();
    void print_accelerator() const;
    void fail(const std::string& why);
    bool flush_code_alone(Vcpu& self);  ///< false: another CPU is at it
    Result<void> build(devices::CharBackend& console, ExitStatus* exit_status);
    Result<std::vector<std::unique_ptr<devices::virtio::Backend>>> make_virtio_devices();

    const RunOptions& options_;
    JitTier tier_ = JitTier::tier1;  ///< what options_ asks for, or what there is
    ContextidrTracker contextidr_tracker_;
    devices::EventLoop& loop_;
    devices::GuestClock clock_;
    std::unique_ptr<RamMapping> ram_;
    mmu::PageOverlay overlay_;
    const mmu::GuestMemory memory_;
    std::unique_ptr<mmu::TablePages> table_pages_;
    devices::Bus bus_;
    std::unique_ptr<jit::Engine> engine_;
    std::unique_ptr<backend::Accelerator> accelerator_;
    std::string accelerator_reason_;
    std::unique_ptr<SamplingProfiler> profiler_;  ///< null: nobody asks
    const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
    std::string failure_;  // under exclusive_lock_ until all CPUs have ended
    std::vector<std::unique_ptr<Vcpu>> vcpus_;
    std::vector<CrossCpuWork*> works_;
    const unsigned host_cores_;
    std::unique_ptr<devices::GicV2> gic2_;
    std::unique_ptr<devices::GicV3> gic3_;
    devices::Psci psci_{*this};
    std::vector<std::unique_ptr<devices::GenericTimer>> timers_;
    std::unique_ptr<devices::Device> timer_node_;
    std::unique_ptr<devices::Pl011> uart_;
    std::unique_ptr<devices::Pl031> rtc_;
    std::vector<std::unique_ptr<devices::virtio::Mmio>> virtio_;
    devices::StatefulParts stateful_parts_;

    std::atomic<bool> stopping_{false};
    std::atomic<End> end_{End::PowerOff};

    std::mutex exclusive_lock_;
    std::condition_variable exclusive_changed_;
    std::atomic<bool> exclusive_{false};

    std::mutex trace_lock_;
    std::FILE* trace_file_ = nullptr;
};

}  // namespace arclight::guestos
