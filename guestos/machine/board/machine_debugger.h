// A machine under a debugger: stops and goes on with all its CPUs, and gives their registers and memory.
#pragma once

#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "devices/bus.h"
#include "frontend/a64/cpu_features.h"
#include "guestos/gdb/debug_target.h"
#include "guestos/gdb/registers.h"
#include "guestos/machine/board/cpu_group.h"
#include "guestos/machine/cpu/debug_points.h"
#include "jit/engine/engine.h"
#include "mmu/guest_memory.h"

namespace arclight::guestos {

class MachineDebugger final : public gdb::DebugTarget, public DebugPoints {
  public:
    /// All of it outlives the debugger.
    struct Parts {
        CpuGroup& cpus;
        jit::Engine& engine;
        const mmu::GuestMemory& memory;
        devices::Bus& bus;
        std::function<bool()>
            pause;  ///< returns when CPUs, devices and guest time stand; false: the machine ends
        std::function<void()> go_on;  ///< ends a pause
        std::function<void()> power_off, reset;
    };
    MachineDebugger(Parts parts, frontend::a64::FeatureSet features)
        : parts_(std::move(parts)), registers_(features) {}

    // ---- gdb::DebugTarget
    unsigned cpus() const override { return parts_.cpus.size(); }
    std::string describe_cpu(unsigned cpu) override;
    std::string_view description(std::string_view annex) const override {
        return registers_.description(annex);
    }
    unsigned general_registers() const override { return gdb::Registers::kGeneral; }
    bool read_register(unsigned cpu, unsigned number, std::vector<uint8_t>& out) override;
    size_t write_register(unsigned cpu, unsigned number, std::span<const uint8_t> in) override;
    uint64_t pc(unsigned cpu) override { return parts_.cpus.cpu(cpu).capture_state().pc; }
    bool set_pc(unsigned cpu, uint64_t pc) override;
    size_t read_memory(unsigned cpu, uint64_t address, std::span<uint8_t> out, bool physical) override;
    bool write_memory(unsigned cpu, uint64_t address, std::span<const uint8_t> in, bool physical) override;
    bool insert(const Point& point) override;
    void remove(const Point& point) override;
    void remove_all() override;
    void start(bool held) override;
    bool stop() override;
    void resume(std::span<const Action> actions, const StepOptions& step) override;
    std::optional<Event> take_event() override;
    void on_event(std::function<void()> notify) override { notify_ = std::move(notify); }
    bool stopped() const override { return stopped_; }
    void power_off() override { parts_.power_off(); }
    void reset() override { parts_.reset(); }

    // ---- DebugPoints
    void stopped(unsigned cpu, const Stop& stop) override;

  private:
    void apply_breakpoints();
    void apply_watchpoints();
    void add_event(const Event& event);
    /// Calls access(pa, offset, bytes) for each page, in order, until one is not there or access() returns false.
    template <typename Access>
    void for_each_page(unsigned cpu, uint64_t address, uint64_t bytes, bool physical, Access&& access);
    bool read_device(uint64_t pa, std::span<uint8_t> out);
    bool write_device(uint64_t pa, std::span<const uint8_t> in);
    void forget_content(uint64_t pa, uint64_t bytes);

    const Parts parts_;
    const gdb::Registers registers_;
    std::set<uint64_t> wanted_;  ///< breakpoints; breakpoints_ has those that are in effect
    bool started_ = false;       ///< some CPU has had power
    bool stopped_ = false;
    std::function<void()> notify_ = [] {};
    std::mutex event_lock_;
    std::deque<Event> events_;
};

}  // namespace arclight::guestos
