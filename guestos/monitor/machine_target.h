// The machines of one run, as its monitors see them: one after another, since a reset makes a new one.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>

#include "guestos/chardev/chardevs.h"
#include "guestos/machine/board/machine.h"
#include "guestos/monitor/qmp.h"
#include "guestos/monitor/target.h"

namespace arclight::guestos {

class MachineTarget final : public MonitorTarget {
  public:
    using Tell = std::function<void(const MonitorEvent&)>;
    /// `tell`: who is told of events; any thread, with locks held.
    MachineTarget(const RunOptions& options, Chardevs& chardevs, std::string version);

    // ---- Of the run, on its own thread
    void set_tell(Tell tell) { tell_ = std::move(tell); }
    /// The machine that is controlled from now on; before it runs.
    void attach(Machine& machine);
    /// It is taken apart. Returns when no monitor uses it any more.
    void detach(Machine::End end);
    /// There will be no further machine.
    void finish();
    /// The last machine stood when it was reset: so does the next one.
    bool next_begins_paused() const { return stood_at_end_; }
    /// The file that the next machine goes on from; empty: it boots.
    std::string take_snapshot_to_load();

    // ---- MonitorTarget
    RunState run_state() override;
    void stop() override;
    void resume() override;
    void quit() override;
    void reset() override;
    void power_down() override;
    std::vector<Cpu> cpus() override;
    std::optional<std::vector<uint8_t>> read_memory(uint64_t address, size_t bytes,
                                                    std::optional<unsigned> cpu) override;
    std::optional<uint64_t> register_value(unsigned cpu, std::string_view name) override;
    std::string registers(unsigned cpu) override;
    std::string memory_tree() override;
    std::string jit_statistics() override;
    std::vector<Disk> disks() override;
    std::vector<Network> networks() override;
    std::vector<Device> devices() override;
    std::vector<MonitorTarget::Chardev> chardevs() override;
    Result<std::vector<uint8_t>> read_ring(std::string_view chardev, size_t most) override;
    std::optional<Balloon> balloon() override;
    bool set_balloon(uint64_t guest_bytes) override;
    bool set_balloon_poll_interval(unsigned seconds) override;
    Result<std::vector<Snapshot>> snapshots() override;
    Result<void> save_snapshot(const std::string& name) override;
    Result<void> load_snapshot(const std::string& name) override;
    Result<void> delete_snapshot(const std::string& name) override;
    bool run_job(const std::string& id, const std::string& type,
                 const std::function<Result<void>()>& work) override;
    std::vector<Job> jobs() override;
    bool dismiss_job(const std::string& id) override;
    Result<void> place(const std::vector<std::string>& words) override;
    std::string placement() override;
    void set_watchdog_action(WatchdogAction action) override;
    std::string name() const override { return options_.name; }
    std::string uuid() const override { return options_.uuid; }
    uint64_t memory_bytes() const override { return options_.memory; }
    std::string version() const override { return version_; }

  private:
    /// Calls use(machine) once there is one; not at all if there will be none.
    template <typename Use>
    void with_machine(Use&& use);
    /// Ends the machine; later calls of with_machine() are for the next one.
    void end(Machine& machine, Machine::End why);
    void tell_end(const char* event, bool by_guest, const char* reason);

    const RunOptions& options_;
    Chardevs& chardevs_;
    const std::string version_;
    Tell tell_;
    std::mutex lock_;
    std::condition_variable changed_;
    Machine* machine_ = nullptr;
    bool ending_ = false;  ///< it resets or quits: whoever asks waits for the next one
    unsigned users_ = 0;
    bool finished_ = false;
    std::atomic<bool> end_told_{false};
    bool stood_at_end_ = false;
    // What the next machine gets too; under lock_.
    std::optional<uint64_t> balloon_target_;
    WatchdogAction watchdog_action_;
    std::string to_load_;
    std::vector<Job> jobs_;
};

}  // namespace arclight::guestos
