#pragma once

#include <algorithm>
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
    std::vector<Device> devices() override {
        if (!balloon_state) return {};
        return {{.type = "virtio-balloon", .id = "b", .place = "pci", .options = {}}};
    }
    std::vector<MonitorTarget::Chardev> chardevs() override { return {{"serial0", "null", true}}; }
    Result<std::vector<uint8_t>> read_ring(std::string_view chardev, size_t most) override {
        if (chardev != "ring") return failure("Device '{}' not found", chardev);
        return std::vector<uint8_t>(std::min<size_t>(most, 2), 'r');
    }
    std::optional<Balloon> balloon() override { return balloon_state; }
    bool set_balloon(uint64_t guest_bytes) override {
        if (!balloon_state) return false;
        asked += "balloon " + std::to_string(guest_bytes) + ";";
        return true;
    }
    bool set_balloon_poll_interval(unsigned seconds) override {
        if (balloon_state) balloon_state->poll_interval = seconds;
        return balloon_state.has_value();
    }
    Result<std::vector<Snapshot>> snapshots() override { return saved; }
    Result<void> save_snapshot(const std::string& tag) override {
        saved.push_back({.name = tag, .bytes = 3 << 20, .saved = 0});
        return {};
    }
    Result<void> load_snapshot(const std::string& tag) override {
        if (std::ranges::count(saved, tag, &Snapshot::name) == 0) return failure("there is no '{}'", tag);
        asked += "load " + tag + ";";
        return {};
    }
    Result<void> delete_snapshot(const std::string& tag) override {
        if (std::erase_if(saved, [&](const Snapshot& one) { return one.name == tag; }) == 0)
            return failure("there is no '{}'", tag);
        return {};
    }
    bool run_job(const std::string& id, const std::string& type,
                 const std::function<Result<void>()>& work) override {
        if (std::ranges::count(all_jobs, id, &Job::id) != 0) return false;
        const Result<void> done = work();
        all_jobs.push_back(
            {.id = id, .type = type, .error = done ? std::nullopt : std::optional(done.error())});
        return true;
    }
    std::vector<Job> jobs() override { return all_jobs; }
    bool dismiss_job(const std::string& id) override {
        return std::erase_if(all_jobs, [&](const Job& job) { return job.id == id; }) != 0;
    }
    Result<void> place(const std::vector<std::string>& words) override {
        if (words.front() == "bad") return failure("'bad' is no set of cores");
        placed = words;
        return {};
    }
    std::string placement() override {
        std::string text;
        for (const std::string& word : placed) text += word + "\n";
        return text;
    }
    std::vector<std::string> placed;
    void set_watchdog_action(WatchdogAction action) override { watchdog = action; }
    std::string name() const override { return machine_name; }
    std::string uuid() const override { return ""; }
    uint64_t memory_bytes() const override { return 1 << 20; }
    std::string version() const override { return "0.1.0"; }

    RunState state = RunState::Running;
    std::string asked, machine_name;
    std::optional<Balloon> balloon_state;
    std::vector<Snapshot> saved;
    std::vector<Job> all_jobs;
    WatchdogAction watchdog = WatchdogAction::Reset;
    std::function<void()> on_stop;
    std::vector<uint8_t> memory = [] {
        std::vector<uint8_t> bytes(64);
        for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * 37);
        return bytes;
    }();
};

}  // namespace arclight::guestos::test
