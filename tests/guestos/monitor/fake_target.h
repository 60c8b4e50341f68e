#pragma once

#include <functional>

#include "guestos/monitor/target.h"

namespace arclight::guestos::test {

/// A machine of two CPUs and 64 bytes of memory at 0x1000.
struct FakeTarget final : MonitorTarget {
    RunState run_state() override { return state; }
    void stop() override {
        if (on_stop) on_stop();
        state = RunState::Paused;
    }
    void resume() override { state = RunState::Running; }
    void quit() override { asked += "quit;"; }
    void reset() override { asked += "reset;"; }
    void power_down() override { asked += "powerdown;"; }
    std::vector<Cpu> cpus() override {
        return {{.index = 0, .host_thread = 77}, {.index = 1, .host_thread = 78}};
    }
    std::optional<std::vector<uint8_t>> read_memory(uint64_t address, size_t bytes,
                                                    std::optional<unsigned> cpu) override {
        const uint64_t base = cpu ? 0x8000 : 0x1000;
        if (address < base || address - base + bytes > memory.size()) return {};
        const auto begin = memory.begin() + static_cast<ptrdiff_t>(address - base);
        return std::vector<uint8_t>(begin, begin + static_cast<ptrdiff_t>(bytes));
    }
    std::optional<uint64_t> register_value(unsigned, std::string_view name) override {
        if (name == "pc") return 0x8000;
        return {};
    }
    std::string registers(unsigned cpu) override { return " PC=" + std::to_string(cpu) + "\n"; }
    std::string memory_tree() override { return "tree\n"; }
    std::string jit_statistics() override { return "blocks\n"; }
    std::vector<Disk> disks() override {
        return {{.name = "virtio0", .file = "/a.img", .format = "raw", .virtual_bytes = 512}};
    }
    std::vector<Network> networks() override { return {}; }
    std::vector<Device> devices() override { return {}; }
    std::vector<MonitorTarget::Chardev> chardevs() override { return {{"serial0", "null", true}}; }
    Result<std::vector<uint8_t>> read_ring(std::string_view chardev, size_t most) override {
        if (chardev != "ring") return failure("Device '{}' not found", chardev);
        return std::vector<uint8_t>(std::min<size_t>(most, 2), 'r');
    }
    std::string name() const override { return machine_name; }
    std::string uuid() const override { return ""; }
    uint64_t memory_bytes() const override { return 1 << 20; }
    std::string version() const override { return "0.1.0"; }

    RunState state = RunState::Running;
    std::string asked, machine_name;
    std::function<void()> on_stop;
    std::vector<uint8_t> memory = [] {
        std::vector<uint8_t> bytes(64);
        for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * 37);
        return bytes;
    }();
};

}  // namespace arclight::guestos::test
