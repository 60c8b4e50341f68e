// A machine of two CPUs without any: what a debugger's session asks of it is written down.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <set>
#include <string>
#include <vector>

#include "guestos/gdb/debug_target.h"

namespace arclight::guestos::gdb {

class FakeTarget final : public DebugTarget {
  public:
    static constexpr unsigned kCpus = 2, kGeneral = 3;            ///< two of eight bytes, one of four
    static constexpr uint64_t kRam = 0x1000, kRamBytes = 0x1000;  ///< less than a packet holds

    FakeTarget() { ram.resize(kRamBytes); }

    unsigned cpus() const override { return kCpus; }
    std::string describe_cpu(unsigned cpu) override { return fmt::format("CPU {}", cpu); }
    std::string_view description(std::string_view annex) const override {
        return annex == "target.xml" ? std::string_view("<target/>") : std::string_view();
    }
    unsigned general_registers() const override { return kGeneral; }
    bool read_register(unsigned cpu, unsigned number, std::vector<uint8_t>& out) override {
        if (number > kGeneral) return false;
        const auto* bytes = reinterpret_cast<const uint8_t*>(&registers[cpu][number]);
        out.insert(out.end(), bytes, bytes + size_of(number));
        return true;
    }
    size_t write_register(unsigned cpu, unsigned number, std::span<const uint8_t> in) override {
        if (number > kGeneral || in.size() < size_of(number)) return 0;
        std::memcpy(&registers[cpu][number], in.data(), size_of(number));
        return size_of(number);
    }
    uint64_t pc(unsigned cpu) override { return registers[cpu][1]; }
    bool set_pc(unsigned cpu, uint64_t pc) override {
        registers[cpu][1] = pc;
        return true;
    }
    size_t read_memory(unsigned, uint64_t address, std::span<uint8_t> out, bool physical) override {
        log += physical ? "physical " : "";
        size_t n = 0;
        for (; n < out.size() && address + n - kRam < kRamBytes; ++n) out[n] = ram[address + n - kRam];
        return n;
    }
    bool write_memory(unsigned, uint64_t address, std::span<const uint8_t> in, bool) override {
        for (size_t n = 0; n < in.size(); ++n) {
            if (address + n - kRam >= kRamBytes) return false;
            ram[address + n - kRam] = in[n];
        }
        return true;
    }
    bool insert(const Point& point) override { return points.insert(point), true; }
    void remove(const Point& point) override { points.erase(point); }
    void remove_all() override { points.clear(); }
    void start(bool held) override { log += held ? "held " : "started "; }
    bool stop() override {
        if (gone) return false;
        if (!is_stopped) log += "stop ";
        return is_stopped = true;
    }
    void resume(std::span<const Action> actions, const StepOptions& step) override {
        is_stopped = false;
        for (const Action a : actions) log += a == Action::Step ? 's' : a == Action::Continue ? 'c' : '-';
        log += step.mask_interrupts ? " " : "! ";
        if (on_resume) on_resume();
    }
    std::optional<Event> take_event() override {
        if (events.empty()) return std::nullopt;
        const Event event = events.front();
        events.pop_front();
        return event;
    }
    void on_event(std::function<void()> told) override { notify = std::move(told); }
    bool stopped() const override { return is_stopped; }
    void power_off() override {
        log += "off ";
        gone = true;
    }
    void reset() override { log += "reset "; }

    std::array<std::array<uint64_t, kGeneral + 1>, kCpus> registers{};
    std::vector<uint8_t> ram;
    std::set<Point> points;
    std::deque<Event> events;
    std::function<void()> notify = [] {};
    std::function<void()> on_resume;  ///< empty: nothing comes of it
    std::string log;
    bool is_stopped = false, gone = false;

  private:
    static size_t size_of(unsigned number) { return number == kGeneral - 1 ? 4 : 8; }
};

}  // namespace arclight::guestos::gdb
