// The machine as a debugger sees it: what the remote protocol (session.h) asks of it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace arclight::guestos::gdb {

/// Everything but the events is called on one thread, the debugger's. CPUs count from zero. Registers, memory and points are
/// for a machine that stands (stop()).
class DebugTarget {
  public:
    virtual unsigned cpus() const = 0;
    /// One line about a CPU, such as "running" or "off".
    virtual std::string describe_cpu(unsigned cpu) = 0;

    // ---- Registers. Numbers are those of the target description, values as the protocol has them: little-endian.
    /// An XML document of the description; `annex`: "target.xml" and what it includes. Empty: there is none.
    virtual std::string_view description(std::string_view annex) const = 0;
    /// The first so many are in the packets 'g' and 'G'.
    virtual unsigned general_registers() const = 0;
    /// Appends the value. False: no such register.
    virtual bool read_register(unsigned cpu, unsigned number, std::vector<uint8_t>& out) = 0;
    /// Takes the value's bytes from the front of `in`; how many. 0: no such register, or it cannot have that value.
    virtual size_t write_register(unsigned cpu, unsigned number, std::span<const uint8_t> in) = 0;
    virtual uint64_t pc(unsigned cpu) = 0;
    virtual bool set_pc(unsigned cpu, uint64_t pc) = 0;

    // ---- Memory: by the CPU's translation at its exception level, whatever permissions say; or physical, with devices.
    /// How many bytes from the first on could be read.
    virtual size_t read_memory(unsigned cpu, uint64_t address, std::span<uint8_t> out, bool physical) = 0;
    /// All or, where not all of it is memory, perhaps some and false.
    virtual bool write_memory(unsigned cpu, uint64_t address, std::span<const uint8_t> in, bool physical) = 0;

    // ---- Where CPUs stop: by virtual address, in every address space
    struct Point {
        enum class Kind : uint8_t { Breakpoint, Write, Read, Access } kind = Kind::Breakpoint;
        uint64_t va = 0;
        uint64_t bytes = 4;  ///< that are watched
        auto operator<=>(const Point&) const = default;
    };
    /// False: not there, or too much of it. A point that is inserted twice is one.
    virtual bool insert(const Point& point) = 0;
    virtual void remove(const Point& point) = 0;
    virtual void remove_all() = 0;

    // ---- Running
    /// Before the machine runs for the first time: what is inserted takes effect; `held`: all CPUs stand before their first
    /// instruction until resume().
    virtual void start(bool held) = 0;
    /// Returns when all CPUs stand between two instructions, and guest time with them. False: the machine ends.
    virtual bool stop() = 0;
    enum class Action : uint8_t { Stand, Step, Continue };
    struct StepOptions {
        bool mask_interrupts = true;  ///< while a CPU steps
    };
    /// Lets the machine go on; actions[i] is what CPU i does.
    virtual void resume(std::span<const Action> actions, const StepOptions& step) = 0;
    struct Event {
        unsigned cpu = 0;
        enum class Why : uint8_t { Breakpoint, Watchpoint, Step } why = Why::Step;
        Point watchpoint{};    ///< of Why::Watchpoint
        uint64_t address = 0;  ///< likewise: what was to be accessed
    };
    /// Why a CPU has stopped since resume(); the machine is still to be stopped. Any thread.
    virtual std::optional<Event> take_event() = 0;
    /// `notify` is called, on any thread, when there is an event.
    virtual void on_event(std::function<void()> notify) = 0;
    /// stop() has succeeded and resume() has not come since.
    virtual bool stopped() const = 0;

    // ---- The end
    virtual void power_off() = 0;  ///< of the whole machine: 'k'
    virtual void reset() = 0;

  protected:
    ~DebugTarget() = default;
};

}  // namespace arclight::guestos::gdb
