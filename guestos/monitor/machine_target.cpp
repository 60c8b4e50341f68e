#include "guestos/monitor/machine_target.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "devices/virtio/nbd.h"
#include "guestos/chardev/ringbuf.h"
#include "guestos/device_requests.h"
#include "guestos/monitor/register_text.h"
#include "guestos/monitor/words.h"
#include "guestos/placement.h"
#include "guestos/snapshot/snapshot_store.h"
#include "guestos/snapshot/snapshots.h"
#include "host/cores.h"
#include "host/memory_fault.h"
#include "mmu/walk.h"

namespace arclight::guestos {

namespace {

/// Of a device that is asked for; empty: it is not given.
std::string option(const devices::DeviceRequest& request, std::string_view name) {
    std::string found;
    for (const auto& [option, value] : request.options)
        if (option == name) found = value;  // the last one counts
    return found;
}

}  // namespace

MachineTarget::MachineTarget(const RunOptions& options, Chardevs& chardevs, std::string version)
    : options_(options),
      chardevs_(chardevs),
      version_(std::move(version)),
      watchdog_action_(options.watchdog) {}

void MachineTarget::attach(Machine& machine) {
    machine.observe_run_state(
        [this](RunState state) { tell_(MonitorEvent::now(state == RunState::Running ? "RESUME" : "STOP")); });
    machine.observe_services(
        {.balloon =
             [this](uint64_t bytes) {
                 tell_(MonitorEvent::now("BALLOON_CHANGE", {{"actual", bytes}}));
             },
         .watchdog =
             [this](WatchdogAction action) {
                 tell_(MonitorEvent::now("WATCHDOG", {{"action", watchdog_action_word(action)}}));
             },
         .shutdown =
             [this](bool by_reset) {
                 tell_(MonitorEvent::now(
                     "SHUTDOWN", {{"guest", true}, {"reason", by_reset ? "guest-reset" : "guest-shutdown"}}));
             }});
    const std::lock_guard guard(lock_);
    machine.set_watchdog_action(watchdog_action_);
    if (balloon_target_ && machine.balloon() != nullptr) machine.balloon()->set_target(*balloon_target_);
    machine_ = &machine;
    ending_ = false;
    end_told_ = false;
    changed_.notify_all();
}

void MachineTarget::detach(Machine::End end) {
    std::unique_lock held(lock_);
    if (machine_ == nullptr) return;
    stood_at_end_ = machine_->run_state() != RunState::Running;
    machine_ = nullptr;
    changed_.wait(held, [this] { return users_ == 0; });
    held.unlock();
    switch (end) {
        case Machine::End::PowerOff: tell_end("SHUTDOWN", true, "guest-shutdown"); break;
        case Machine::End::Reset:
            tell_end(options_.no_reboot ? "SHUTDOWN" : "RESET", true, "guest-reset");
            break;
        case Machine::End::Load: break;
        case Machine::End::Failure: tell_end("SHUTDOWN", false, "host-error"); break;
        default: tell_end("SHUTDOWN", false, "host-signal"); break;
    }
}

void MachineTarget::finish() {
    const std::lock_guard guard(lock_);
    finished_ = true;
    changed_.notify_all();
}

void MachineTarget::end(Machine& machine, Machine::End why) {
    {
        const std::lock_guard guard(lock_);
        ending_ = true;
    }
    machine.stop(why);
}

void MachineTarget::tell_end(const char* event, bool by_guest, const char* reason) {
    if (end_told_.exchange(true)) return;
    tell_(MonitorEvent::now(event, {{"guest", by_guest}, {"reason", reason}}));
}

// The lock is not held meanwhile: the machine may be ended by others.
template <typename Use>
void MachineTarget::with_machine(Use&& use) {
    std::unique_lock held(lock_);
    changed_.wait(held, [this] { return (machine_ != nullptr && !ending_) || finished_; });
    if (machine_ == nullptr || ending_) return;
    Machine& machine = *machine_;
    users_++;
    held.unlock();
    use(machine);
    held.lock();
    users_--;
    changed_.notify_all();
}

RunState MachineTarget::run_state() {
    RunState state = RunState::Paused;
    with_machine([&](Machine& machine) { state = machine.run_state(); });
    return state;
}

void MachineTarget::stop() {
    with_machine([](Machine& machine) { machine.pause(); });
}

void MachineTarget::resume() {
    with_machine([](Machine& machine) { machine.resume(); });
}

void MachineTarget::quit() {
    with_machine([this](Machine& machine) {
        tell_end("SHUTDOWN", false, "host-qmp-quit");
        chardevs_.abandon_output();
        end(machine, Machine::End::Quit);
    });
}

void MachineTarget::reset() {
    with_machine([this](Machine& machine) {
        // It is a shutdown, and that a pause.
        if (options_.no_reboot && options_.pause_at_shutdown) {
            machine.reset();
            return;
        }
        tell_end(options_.no_reboot ? "SHUTDOWN" : "RESET", false, "host-qmp-system-reset");
        end(machine, Machine::End::Reset);
    });
}

void MachineTarget::power_down() {
    with_machine([this](Machine& machine) {
        machine.power_key();
        tell_(MonitorEvent::now("POWERDOWN"));
    });
}

std::vector<MonitorTarget::Cpu> MachineTarget::cpus() {
    std::vector<Cpu> all;
    with_machine([&](Machine& machine) {
        for (unsigned i = 0; i < machine.cpus(); ++i)
            all.push_back({.index = i,
                           .host_thread = machine.cpu(i).host_thread(),
                           .halted = machine.cpu_powered_off(i)});
    });
    return all;
}

std::optional<std::vector<uint8_t>> MachineTarget::read_memory(uint64_t address, size_t bytes,
                                                               std::optional<unsigned> cpu) {
    std::optional<std::vector<uint8_t>> result;
    with_machine([&](Machine& machine) {
        const mmu::GuestMemory& memory = machine.memory();
        const auto dma = memory.dma();
        std::vector<uint8_t> read;
        bool there = true;
        while (read.size() < bytes) {
            const uint64_t at = address + read.size();
            const size_t step = std::min<size_t>(bytes - read.size(), mmu::kPageSize - (at & mmu::kPageMask));
            uint64_t pa = at;
            if (cpu && *cpu < machine.cpus()) {
                const auto walk = mmu::walk(machine.cpu_translation(*cpu), memory, at,
                                            {.privileged = true, .update = false});
                if (!walk.ok()) return;
                pa = walk.pa;
            }
            if (!memory.contains(pa, step) ||
                !memory.pieces(pa, step, false, [&](const uint8_t* host, uint64_t n) {
                    const size_t before = read.size();
                    read.resize(before + n);
                    there = there && host::touch([&] { std::memcpy(read.data() + before, host, n); });
                }))
                return;
            if (!there) return;
        }
        result = std::move(read);
    });
    return result;
}

std::optional<uint64_t> MachineTarget::register_value(unsigned cpu, std::string_view name) {
    std::optional<uint64_t> value;
    with_machine([&](Machine& machine) {
        if (cpu >= machine.cpus()) return;
        machine.while_cpus_stand([&] { value = register_by_name(machine.cpu(cpu).cpu(), name); });
    });
    return value;
}

std::string MachineTarget::registers(unsigned cpu) {
    std::string text;
    with_machine([&](Machine& machine) {
        if (cpu >= machine.cpus()) return;
        machine.while_cpus_stand([&] { text = register_text(machine.cpu(cpu).cpu()); });
    });
    return text;
}

std::string MachineTarget::memory_tree() {
    std::string text;
    with_machine([&](Machine& machine) {
        text = "address-space: memory\n";
        const auto line = [&](uint64_t base, uint64_t size, std::string_view kind, std::string_view name) {
            text += fmt::format("    {:016x}-{:016x} (prio 0, {}): {}\n", base, base + size - 1, kind, name);
        };
        for (const auto& window : machine.bus().stats())
            if (window.base != devices::Bus::Mapping::kNowhere)
                line(window.base, window.size, "i/o", window.name);
        line(machine.memory().base(), machine.memory().size(), "ram", "mach-virt.ram");
    });
    return text;
}

std::string MachineTarget::jit_statistics() {
    std::string text;
    with_machine([&](Machine& machine) {
        char* bytes = nullptr;
        size_t size = 0;
        std::FILE* file = open_memstream(&bytes, &size);
        if (file == nullptr) return;
        machine.while_cpus_stand([&] { machine.stats().print(file); });
        std::fclose(file);
        text.assign(bytes, size);
        std::free(bytes);
    });
    return text;
}

std::vector<MonitorTarget::Disk> MachineTarget::disks() {
    std::vector<Disk> all;
    for (const DeviceOptions& device : options_.devices) {
        if (!is_disk(device.request.name)) continue;
        const std::string path = option(device.request, "file");
        if (path.empty()) continue;  // a drive without a medium
        Disk disk{.name = device.id.empty() ? fmt::format("virtio{}", all.size()) : device.id,
                  .file = path,
                  .format = "raw",
                  .readonly = option(device.request, "readonly") == "on"};
        struct stat about {};
        if (stat(disk.file.c_str(), &about) == 0) {
            disk.virtual_bytes = static_cast<uint64_t>(about.st_size);
            disk.allocated_bytes = static_cast<uint64_t>(about.st_blocks) * 512;
        }
        if (const auto format = options_.image_formats.find(path); format != options_.image_formats.end())
            disk.format = format->second;
        if (const auto served = options_.images.find(path); served != options_.images.end())
            disk.virtual_bytes = served->second->size();
        all.push_back(std::move(disk));
    }
    return all;
}

static std::string_view type_of(const std::vector<NetOptions>& networks, const std::string& id) {
    const auto network = std::ranges::find(networks, id, &NetOptions::id);
    switch (network != networks.end() ? network->kind : NetOptions::Kind::User) {
        case NetOptions::Kind::User: return "user";
        case NetOptions::Kind::Tap: return "tap";
        case NetOptions::Kind::Stream: return "stream";
        case NetOptions::Kind::Datagram: return "dgram";
        case NetOptions::Kind::Passt: return "passt";
    }
    return "";
}

std::vector<MonitorTarget::Network> MachineTarget::networks() {
    std::vector<Network> all;
    for (const DeviceOptions& device : options_.devices) {
        if (device.request.name != "virtio-net") continue;
        const std::string id = option(device.request, "network");
        all.push_back({.device = device.id.empty() ? fmt::format("virtio-net.{}", all.size()) : device.id,
                       .model = device.request.name,
                       .mac = option(device.request, "mac"),
                       .backend = fmt::format("{}: index=0,type={}", id, type_of(options_.networks, id))});
    }
    return all;
}

std::vector<MonitorTarget::Device> MachineTarget::devices() {
    std::vector<Device> all;
    for (const DeviceOptions& device : options_.devices)
        all.push_back({.type = device.request.name,
                       .id = device.id,
                       .place = device.bus == DeviceBus::Pci    ? "pci"
                                : device.bus == DeviceBus::Scsi ? "scsi"
                                                                : "virtio-mmio",
                       .options = device.request.options});
    return all;
}

std::vector<MonitorTarget::Chardev> MachineTarget::chardevs() {
    std::vector<MonitorTarget::Chardev> all;
    for (const auto& one : chardevs_.all())
        all.push_back(
            {.label = one->label(), .filename = one->filename(), .frontend_open = one->has_frontend()});
    return all;
}

std::optional<MonitorTarget::Balloon> MachineTarget::balloon() {
    std::optional<Balloon> result;
    with_machine([&](Machine& machine) {
        devices::virtio::Balloon* const balloon = machine.balloon();
        if (balloon == nullptr) return;
        const auto statistics = balloon->statistics();
        result = {.guest_bytes = balloon->actual(),
                  .statistics = {},
                  .updated = statistics.updated,
                  .poll_interval = balloon->poll_interval()};
        for (unsigned tag = 0; tag < statistics.values.size(); ++tag)
            result->statistics.emplace_back(devices::virtio::Balloon::statistic_name(tag),
                                            statistics.values[tag].value_or(~uint64_t{0}));
    });
    return result;
}

bool MachineTarget::set_balloon(uint64_t guest_bytes) {
    bool there = false;
    with_machine([&](Machine& machine) {
        there = machine.balloon() != nullptr;
        if (!there) return;
        machine.balloon()->set_target(guest_bytes);
        const std::lock_guard guard(lock_);
        balloon_target_ = guest_bytes;
    });
    return there;
}

bool MachineTarget::set_balloon_poll_interval(unsigned seconds) {
    bool there = false;
    with_machine([&](Machine& machine) {
        there = machine.balloon() != nullptr;
        if (there) machine.balloon()->set_poll_interval(seconds);
    });
    return there;
}

Result<std::vector<MonitorTarget::Snapshot>> MachineTarget::snapshots() {
    auto found = SnapshotStore(options_.snapshots).list();
    if (!found) return std::unexpected(found.error());
    std::vector<Snapshot> all;
    for (SnapshotStore::Entry& entry : *found)
        all.push_back({.name = std::move(entry.name), .bytes = entry.bytes, .saved = entry.saved});
    return all;
}

Result<void> MachineTarget::save_snapshot(const std::string& name) {
    Result<void> saved = failure("the machine ends");
    with_machine([&](Machine& machine) { saved = SnapshotStore(options_.snapshots).save(machine, name); });
    return saved;
}

// What the new machine would find wrong is told while there is still the old one.
Result<void> MachineTarget::load_snapshot(const std::string& name) {
    Result<void> loaded = failure("the machine ends");
    with_machine([&](Machine& machine) {
        const auto path = SnapshotStore(options_.snapshots).find(name);
        if (!path) {
            loaded = std::unexpected(path.error());
            return;
        }
        RunOptions options = machine.options();
        options.restore = *path;
        const auto file = SnapshotFile::open(*path);
        const auto good = file ? can_restore(options, *file) : Result<void>(std::unexpected(file.error()));
        if (!good) {
            loaded = good;
            return;
        }
        {
            const std::lock_guard guard(lock_);
            to_load_ = *path;
        }
        loaded = {};
        end(machine, Machine::End::Load);
    });
    return loaded;
}

Result<void> MachineTarget::delete_snapshot(const std::string& name) {
    return SnapshotStore(options_.snapshots).remove(name);
}

std::string MachineTarget::take_snapshot_to_load() {
    const std::lock_guard guard(lock_);
    return std::exchange(to_load_, {});
}

bool MachineTarget::run_job(const std::string& id, const std::string& type,
                            const std::function<Result<void>()>& work) {
    {
        const std::lock_guard guard(lock_);
        if (std::ranges::count(jobs_, id, &Job::id) != 0) return false;
    }
    const auto tell_status = [&](const char* status) {
        tell_(MonitorEvent::now("JOB_STATUS_CHANGE", {{"status", status}, {"id", id}}));
    };
    tell_status("created");
    tell_status("running");
    const Result<void> done = work();
    for (const char* status : {"waiting", "pending"})
        if (done) tell_status(status);
    if (!done) tell_status("aborting");
    {
        const std::lock_guard guard(lock_);
        jobs_.push_back({.id = id, .type = type, .error = done ? std::nullopt : std::optional(done.error())});
    }
    tell_status("concluded");
    return true;
}

std::vector<MonitorTarget::Job> MachineTarget::jobs() {
    const std::lock_guard guard(lock_);
    return jobs_;
}

bool MachineTarget::dismiss_job(const std::string& id) {
    {
        const std::lock_guard guard(lock_);
        if (std::erase_if(jobs_, [&](const Job& job) { return job.id == id; }) == 0) return false;
    }
    tell_(MonitorEvent::now("JOB_STATUS_CHANGE", {{"status", "null"}, {"id", id}}));
    return true;
}

Result<void> MachineTarget::place(const std::vector<std::string>& words) {
    const auto ways = parse_cache_ways(words);
    if (!ways) return std::unexpected(ways.error());
    const auto colourer = host::page_colourer();
    const auto colours = parse_colours(words, colourer != nullptr ? colourer->colours().of : CPU_SETSIZE);
    if (!colours) return std::unexpected(colours.error());
    const auto placement = parse_placement(words, options_.host_cores);
    if (!placement) return std::unexpected(placement.error());
    // The sandbox was told so at the start.
    if (*ways != 0 && options_.opened_cache_part == nullptr)
        return failure("only a run with --place l3=WAYS can be given other ways");
    if (colours->of != 0 && colourer == nullptr)
        return failure("only a run with --place colours=COLOURS can be given other colours");
    if (places_threads(words) && !options_.placed())
        return failure("only threads of a run with --place can be moved");
    if (*ways != 0)
        if (const auto used = options_.opened_cache_part->use(*ways); !used)
            return std::unexpected(used.error());
    if (colours->of != 0) {
        Result<void> done = failure("the machine ends");
        with_machine([&](Machine& machine) {
            // Nobody has or reaches guest memory meanwhile that a snapshot could not be told of.
            done = machine.save(Machine::AfterSave::GoOn, [&](std::span<const uint8_t>) {
                return Result<void>(colourer->recolour(machine.ram().host(), machine.ram().size(), *colours));
            });
        });
        if (!done) return done;
    }
    if (places_threads(words) && !host::place_threads(*placement)) return failure("{}", std::strerror(errno));
    return {};
}

std::string MachineTarget::placement() {
    std::string text = placement_text(host::placement());
    if (options_.opened_cache_part != nullptr)
        text += fmt::format("l3: {}\n", host::way_list(options_.opened_cache_part->ways()));
    if (const auto colourer = host::page_colourer()) {
        const host::PageColours colours = colourer->colours();
        text += fmt::format("colours: {}/{}\n", colours.chosen.text(), colours.of);
    }
    return text;
}

void MachineTarget::set_watchdog_action(WatchdogAction action) {
    with_machine([&](Machine& machine) {
        machine.set_watchdog_action(action);
        const std::lock_guard guard(lock_);
        watchdog_action_ = action;
    });
}

Result<std::vector<uint8_t>> MachineTarget::read_ring(std::string_view chardev, size_t most) {
    guestos::Chardev* found = chardevs_.find(chardev);
    if (found == nullptr) return failure("Device '{}' not found", chardev);
    auto* ring = dynamic_cast<RingbufChardev*>(found);
    if (ring == nullptr) return failure("{} is not a ringbuf device", chardev);
    return ring->take(most);
}

}  // namespace arclight::guestos
