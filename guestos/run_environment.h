// What of a run outlives its machines, of which a reset of the guest makes a new one: event loop, chardevs, monitors, the debugger's
// connection, signals, flash.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "devices/event_loop.h"
#include "guestos/chardev/chardevs.h"
#include "guestos/console/signals.h"
#include "guestos/gdb/server.h"
#include "guestos/machine/board/flash_memory.h"
#include "guestos/machine/board/machine.h"
#include "guestos/monitor/hmp.h"
#include "guestos/monitor/machine_target.h"
#include "guestos/monitor/monitor.h"
#include "guestos/options.h"
#include "mmu/result.h"

namespace arclight::guestos {

/// What the back ends' threads know of the machine of the moment.
class CurrentMachine {
  public:
    void set(Machine* machine);
    /// This one and those that would follow it.
    void stop();
    void end_pause();

  private:
    std::mutex lock_;
    Machine* machine_ = nullptr;
    bool stopped_ = false;
};

class RunEnvironment {
  public:
    /// Opens what is opened first, and enters the sandbox. `options` gets what was opened and outlives the environment. An error
    /// is one line for the user.
    static Result<std::unique_ptr<RunEnvironment>> open(RunOptions& options);
    /// No monitor waits any more, for the machine or for its client.
    ~RunEnvironment();
    RunEnvironment(const RunEnvironment&) = delete;
    RunEnvironment& operator=(const RunEnvironment&) = delete;

    devices::EventLoop& loop() { return loop_; }
    CurrentMachine& current() { return current_; }
    Chardevs& chardevs() { return **chardevs_; }
    MachineTarget& target() { return *target_; }
    /// Null: without.
    gdb::Server* debugger() { return debugger_ ? debugger_->get() : nullptr; }
    /// Keeps its content when the guest resets, also what no file has; null: without.
    const std::shared_ptr<FlashMemory>& flash() { return flash_; }

    /// The signal that has ended the run; 0: none.
    int signal_number() const { return signal_number_; }
    /// The console's terminal is gone.
    bool hangup() const { return hangup_; }

    /// The last machine has ended: monitors have their say.
    void finish_monitors();

  private:
    explicit RunEnvironment(RunOptions& options) : options_(options) {}
    void open_first();
    Result<void> connect();
    void end_machine();

    RunOptions& options_;
    devices::EventLoop loop_;
    CurrentMachine current_;
    std::atomic<bool> hangup_{false};
    std::atomic<int> signal_number_{0};
    Result<void> images_, daemons_, host_devices_, networks_;
    Result<std::unique_ptr<gdb::Server>> debugger_;
    Result<std::unique_ptr<Chardevs>> chardevs_ = failure("no chardevs");
    std::optional<MachineTarget> target_;
    std::optional<Monitors> monitors_;
    std::optional<Hmp> debugger_monitor_;
    std::optional<SignalWatch> signals_;  // also between two machines
    std::shared_ptr<FlashMemory> flash_;
    bool connected_ = false;
};

}  // namespace arclight::guestos
