// What a monitor asks of the machine that it controls.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "guestos/machine/board/run_state.h"
#include "guestos/options.h"
#include "mmu/result.h"

namespace arclight::guestos {

class MonitorTarget {
  public:
    virtual ~MonitorTarget() = default;

    /// As QEMU has them: "reset" only announces one.
    virtual RunState run_state() = 0;
    /// These return when the machine stands, or runs.
    virtual void stop() = 0;
    virtual void resume() = 0;
    virtual void quit() = 0;
    virtual void reset() = 0;
    virtual void power_down() = 0;

    struct Cpu {
        unsigned index = 0;
        int host_thread = 0;  ///< 0: it has not begun
        bool halted = false;
    };
    virtual std::vector<Cpu> cpus() = 0;
    /// Reads guest memory: physical, or as this CPU translates just now. Nothing: it is not there, or not RAM.
    virtual std::optional<std::vector<uint8_t>> read_memory(uint64_t address, size_t bytes,
                                                            std::optional<unsigned> cpu) = 0;
    /// x0 to x30, sp, pc by name; nothing: there is no such register.
    virtual std::optional<uint64_t> register_value(unsigned cpu, std::string_view name) = 0;
    /// In QEMU's form.
    virtual std::string registers(unsigned cpu) = 0;
    /// Windows of the physical address space, one a line.
    virtual std::string memory_tree() = 0;
    virtual std::string jit_statistics() = 0;

    struct Disk {
        std::string name, file, format;
        bool readonly = false;
        uint64_t virtual_bytes = 0, allocated_bytes = 0;
    };
    virtual std::vector<Disk> disks() = 0;
    struct Network {
        std::string device, model, mac, backend;
    };
    virtual std::vector<Network> networks() = 0;
    struct Device {
        std::string type, id, place;
        std::vector<std::pair<std::string, std::string>> options;
    };
    virtual std::vector<Device> devices() = 0;
    struct Chardev {
        std::string label, filename;
        bool frontend_open = false;
    };
    virtual std::vector<Chardev> chardevs() = 0;
    /// Of a ringbuf; an error is one line.
    virtual Result<std::vector<uint8_t>> read_ring(std::string_view chardev, size_t most) = 0;

    struct Balloon {
        uint64_t guest_bytes = 0;                                  ///< what the guest has now
        std::vector<std::pair<std::string, uint64_t>> statistics;  ///< by QEMU's names; all ones: not told
        int64_t updated = 0;         ///< of the statistics: seconds since 1970; 0: never
        unsigned poll_interval = 0;  ///< in seconds; 0: nobody asks
    };
    /// Nothing: the machine has none.
    virtual std::optional<Balloon> balloon() = 0;
    /// These return false without one.
    virtual bool set_balloon(uint64_t guest_bytes) = 0;
    virtual bool set_balloon_poll_interval(unsigned seconds) = 0;

    struct Snapshot {
        std::string name;
        uint64_t bytes = 0;
        int64_t saved = 0;  ///< seconds since 1970
    };
    /// By name, in the run's directory for them. An error is one line. The machine goes on after save_snapshot(), and after
    /// load_snapshot() as it was: another one is in its place, which runs if the old one did.
    virtual Result<std::vector<Snapshot>> snapshots() = 0;
    virtual Result<void> save_snapshot(const std::string& name) = 0;
    virtual Result<void> load_snapshot(const std::string& name) = 0;
    virtual Result<void> delete_snapshot(const std::string& name) = 0;

    /// What a client has begun and is told the end of.
    struct Job {
        std::string id, type;
        std::optional<std::string> error;
    };
    /// Carries it out and keeps what became of it; clients see its states as QEMU's jobs have them. False: the id is taken.
    virtual bool run_job(const std::string& id, const std::string& type,
                         const std::function<Result<void>()>& work) = 0;
    /// Those that are over and not dismissed.
    virtual std::vector<Job> jobs() = 0;
    /// False: there is none of that id.
    virtual bool dismiss_job(const std::string& id) = 0;

    /// Moves the guest's threads to other cores of the host (guestos/placement.h). An error is one line.
    virtual Result<void> place(const std::vector<std::string>& words) = 0;
    /// Where they are, one group a line.
    virtual std::string placement() = 0;

    virtual void set_watchdog_action(WatchdogAction action) = 0;

    virtual std::string name() const = 0;
    virtual std::string uuid() const = 0;
    virtual uint64_t memory_bytes() const = 0;
    /// "0.1.0 (commit ...)"
    virtual std::string version() const = 0;
};

}  // namespace arclight::guestos
