// The whole machine: RAM, devices, translation engine and virtual CPUs, wired as QEMU's virt board.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backend/accelerator.h"
#include "devices/event_loop.h"
#include "devices/psci.h"
#include "guestos/boot.h"
#include "guestos/exit_status.h"
#include "guestos/lightv/machine_access.h"
#include "guestos/machine/board/board_devices.h"
#include "guestos/machine/board/cpu_group.h"
#include "guestos/machine/board/flash_memory.h"
#include "guestos/machine/board/machine_debugger.h"
#include "guestos/machine/board/machine_services.h"
#include "guestos/machine/board/machine_stats.h"
#include "guestos/machine/board/pause_control.h"
#include "guestos/machine/board/ram_mapping.h"
#include "guestos/machine/board/sampling_profiler.h"
#include "guestos/machine/board/tag_state.h"
#include "guestos/machine/cpu/contextidr_tracker.h"
#include "guestos/machine/cpu/cpu_trace.h"
#include "guestos/options.h"
#include "guestos/prepare/module.h"
#include "guestos/semihosting.h"
#include "jit/engine/engine.h"
#include "mmu/guest_memory.h"
#include "mmu/result.h"
#include "mmu/table_pages.h"

namespace arclight::guestos {

/// A machine's state at one moment, in memory.
struct MachineSnapshot {
    struct Page {
        uint64_t pa;
        std::array<uint8_t, mmu::kPageSize> bytes;
    };
    std::vector<uint8_t> parts;  ///< StatefulParts::save()
    std::vector<Page> pages;     ///< of RAM, by address: all that are not zero
};

class Machine final : public MachineAccess, public devices::CpuInterruptSink, public devices::CpuPower {
  public:
    /// Why it has stopped; None: it has not.
    enum class End : uint8_t {
        None,
        PowerOff,
        Reset,
        Load,  ///< another one goes on from a snapshot
        Quit,
        Failure
    };

    /// `flash`: what an earlier machine of the run has left in it; null: from its images.
    static Result<std::unique_ptr<Machine>> create(const RunOptions& options, devices::EventLoop& loop,
                                                   const BoardSerial& serial, ExitStatus* exit_status,
                                                   std::shared_ptr<FlashMemory> flash = nullptr);
    ~Machine() override;
    RamMapping& ram() { return *ram_; }
    const RunOptions& options() const { return options_; }
    devices::FwCfg& fw_cfg() { return devices_->board_firmware().fw_cfg(); }
    /// What firmware is to try first (BootOrder::text()).
    std::string boot_order() const { return devices_->boot_order().text(); }
    /// Presses the power key; any thread. A guest that listens to it shuts itself down.
    void power_key() { devices_->board_firmware().gpio().power_key(); }

    /// Binds the sites of a prepared kernel, whose image is at the physical address `start`. Before run().
    void bind_sites(std::span<const prepare::Site> sites, std::span<const uint8_t> image, uint64_t start);
    /// Starts the first CPU and returns when the machine has stopped.
    End run(const BootState& boot);
    /// The same for a machine whose CPUs are as load() has left them.
    End run();
    /// Stops the machine; any thread.
    void stop(End why);
    /// The same as far as the options let it: with no_reboot a reset is a shutdown, and with pause_at_shutdown one is a pause for good.
    void reset();
    void shut_down(End why);
    /// Pauses it, or ends a pause, whoever has asked for that. They return when it is done; false: the machine ends. Any
    /// thread but a CPU's and the event loop's.
    bool pause() { return pause_control_->pause_now(); }
    bool resume() { return pause_control_->go_on_now(); }
    /// Before run(): the machine stands from its first instruction on.
    void begin_paused() { pause_control_->begin_paused(); }
    /// Ends a pause soon; any thread.
    void end_pause();
    RunState run_state() const { return pause_control_->state(); }
    /// See PauseControl::observe(). Before run().
    void observe_run_state(PauseControl::Observer observer) { pause_control_->observe(std::move(observer)); }
    void observe_services(MachineServices::Observer observer) { services_->observe(std::move(observer)); }
    void set_watchdog_action(WatchdogAction action) { services_->set_watchdog_action(action); }
    /// Null: the machine has none.
    devices::virtio::Balloon* balloon() { return devices_->balloon(); }
    /// Calls look() while the CPUs stand between two instructions, paused or not; false: the machine ends. Threads as
    /// pause().
    bool while_cpus_stand(const std::function<void()>& look);
    /// Why the machine ended with End::Failure: one line.
    const std::string& failure_text() const { return failure_; }
    /// Null: without.
    gdb::DebugTarget* debugger() { return debugger_.get(); }
    /// Null: without.
    Semihosting* semihosting() { return semihosting_.get(); }
    MachineStats stats() const;
    /// Its registers are its own unless it stands.
    const Vcpu& cpu(unsigned index) const { return std::as_const(*cpus_).cpu(index); }

    enum class AfterSave : uint8_t {
        GoOn,
        Stop,  ///< End::Quit, without another instruction of the guest's
    };
    /// The state of a machine that runs, or never ran; guest time stands meanwhile. Any thread but a CPU's and
    /// the event loop's. An error is one line: some part cannot be saved, or the machine stops.
    Result<MachineSnapshot> save(AfterSave after);
    /// The same, into what `take` makes of it: it gets the parts (StatefulParts::save()), while RAM stands still. Its error is
    /// this one's, and the machine goes on.
    Result<void> save(AfterSave after,
                      const std::function<Result<void>(std::span<const uint8_t> parts)>& take);
    /// Puts a machine with the same options into that state. After an error it must be discarded.
    Result<void> load(const MachineSnapshot& snapshot);
    /// The same; `fill` puts RAM's content where it is.
    Result<void> load(std::span<const uint8_t> parts, const std::function<Result<void>()>& fill);
    /// All parts with state but RAM: devices, virtual CPUs.
    devices::StatefulParts& stateful_parts() { return devices_->stateful_parts(); }

    // ---- MachineAccess
    const mmu::GuestMemory& memory() const override { return memory_; }
    mmu::PageOverlay& page_overlay() override { return overlay_; }
    void forget_pages(std::span<const uint64_t> pages, bool content) override;
    void forget_code(std::span<const uint64_t> pages, bool content, bool fetches) override;
    devices::Bus& bus() override { return devices_->bus(); }
    void ask_before_saves(std::function<std::optional<std::string>()> unsaved) override;
    devices::GuestClock& clock() override { return devices_->clock(); }
    devices::Pl011& uart() override { return devices_->uart(); }
    devices::IrqLine uart_line() override { return devices_->uart_line(); }
    std::span<devices::virtio::SharedDisk* const> shared_disks() const override {
        return devices_->shared_disks();
    }
    unsigned cpus() const override { return cpus_->size(); }
    bool cpu_powered_off(unsigned cpu) const override { return cpus_->cpu(cpu).powered_off(); }
    mmu::TranslationRegs cpu_translation(unsigned cpu) const override {
        return cpus_->cpu(cpu).translation_snapshot();
    }
    uint64_t cpu_vectors(unsigned cpu) const override {
        return std::as_const(*cpus_).cpu(cpu).cpu().registers.vbar;
    }
    Process wait_for_process(uint32_t id, std::chrono::milliseconds limit) override;

    // ---- devices::CpuInterruptSink, devices::CpuPower
    void set_irq_line(unsigned cpu, bool irq, bool fiq) override;
    void sgi_sent(unsigned sender, unsigned receiver) override;
    void interrupt_ended(unsigned cpu) override;
    devices::PsciResult cpu_on(uint64_t target, uint64_t entry, uint64_t context) override;
    void cpu_off(unsigned cpu) override;
    int32_t affinity_info(uint64_t target, unsigned level) override;
    void suspend(unsigned) override {}
    void system_off() override { shut_down(End::PowerOff); }
    void system_reset() override { reset(); }

  private:
    struct FileCloser {
        void operator()(std::FILE* file) const {
            if (file != stderr) std::fclose(file);
        }
    };

    Machine(const RunOptions& options, devices::EventLoop& loop, std::unique_ptr<RamMapping> ram,
            std::shared_ptr<FlashMemory> flash, std::unique_ptr<mmu::TagMemory> tags);
    Result<void> build(const BoardSerial& serial, ExitStatus* exit_status);
    Result<void> open_trace();
    void make_engine();
    Result<void> choose_accelerator();
    void make_process_accelerator();
    void print_accelerator() const;
    Result<void> make_semihosting(devices::CharBackend& console);
    void make_cpus();
    Result<void> quiesce();
    void go_on();
    void fail(const std::string& why);

    const RunOptions& options_;
    ContextidrTracker contextidr_tracker_;
    devices::EventLoop& loop_;
    std::unique_ptr<RamMapping> ram_;
    std::shared_ptr<FlashMemory> flash_;  ///< null: none
    mmu::PageOverlay overlay_;
    const std::unique_ptr<mmu::TablePages> table_pages_;  ///< null: another policy
    const std::unique_ptr<mmu::TagMemory> tags_;          ///< null: the CPUs have no FEAT_MTE
    std::optional<TagState> tag_state_;
    const mmu::GuestMemory memory_;
    std::unique_ptr<std::FILE, FileCloser> trace_file_;
    std::optional<CpuTrace> trace_;
    std::unique_ptr<SamplingProfiler> profiler_;  ///< null: nobody asks
    frontend::a64::FeatureSet features_;          ///< of the CPUs
    std::unique_ptr<const jit::Frontend> frontend_;
    std::unique_ptr<jit::Engine> engine_;
    std::unique_ptr<backend::Accelerator> accelerator_;
    std::optional<prepare::BoundSites> bound_sites_;  ///< nothing: no prepared kernel
    std::string accelerator_reason_;
    const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
    std::mutex failure_lock_;
    std::string failure_;  // under failure_lock_ until all CPUs have ended
    std::unique_ptr<CpuGroup> cpus_;
    std::unique_ptr<PauseControl> pause_control_;
    std::unique_ptr<MachineServices> services_;
    std::unique_ptr<BoardDevices> devices_;
    std::unique_ptr<Semihosting> semihosting_;
    std::unique_ptr<MachineDebugger> debugger_;  ///< null: without
    std::mutex unsaved_lock_;
    std::function<std::optional<std::string>()> unsaved_;  // under unsaved_lock_
    std::atomic<End> end_{End::None};
};

}  // namespace arclight::guestos
