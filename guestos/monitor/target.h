// What a monitor asks of the machine that it controls.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "guestos/machine/board/run_state.h"
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

    virtual std::string name() const = 0;
    virtual std::string uuid() const = 0;
    virtual uint64_t memory_bytes() const = 0;
    /// "0.1.0 (commit ...)"
    virtual std::string version() const = 0;
};

}  // namespace arclight::guestos
