// One run of `arclight run`: builds the machine, boots it, and turns its end into an exit code.
#include "guestos/run_session.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "devices/event_loop.h"
#include "guestos/boot.h"
#include "guestos/chardev/chardevs.h"
#include "guestos/cli/version.h"
#include "guestos/console/session_input.h"
#include "guestos/console/signals.h"
#include "guestos/daemons.h"
#include "guestos/exit_status.h"
#include "guestos/firmware.h"
#include "guestos/gdb/server.h"
#include "guestos/image_server.h"
#include "guestos/lightv/control.h"
#include "guestos/loader.h"
#include "guestos/machine/board/flash_memory.h"
#include "guestos/machine/board/machine.h"
#include "guestos/monitor/hmp.h"
#include "guestos/monitor/machine_target.h"
#include "guestos/monitor/monitor.h"
#include "guestos/net/open_networks.h"
#include "guestos/sandbox/sandbox.h"
#include "guestos/sandbox/speculation.h"
#include "guestos/snapshot/snapshots.h"
#include "jit/engine/cache_key.h"

namespace arclight::guestos {

namespace {

int complain(const std::string& text) {
    std::fprintf(stderr, "arclight: %s\n", text.c_str());
    return 1;
}

Result<void> write_file(const std::string& path, const void* data, size_t size) {
    std::FILE* f = std::fopen(path.c_str(), "wb");
    if (f == nullptr) return failure("cannot write '{}': {}", path, strerror(errno));
    const bool written = std::fwrite(data, 1, size, f) == size;
    const bool closed = std::fclose(f) == 0;
    if (!written || !closed) return failure("cannot write '{}': {}", path, strerror(errno));
    return {};
}

constexpr const char* kFirstSerial = "serial0";
/// How long a monitor's client is waited for that has not read its answers.
constexpr std::chrono::milliseconds kLastWords{2000};

/// Without a word about serial ports: stdin and stdout, and a monitor behind the escape key.
RunOptions with_console(RunOptions options) {
    if (!options.serials.empty()) return options;
    options.chardevs.push_back({.id = kFirstSerial,
                                .kind = ChardevOptions::Kind::Stdio,
                                .signals = false,
                                .mux = true,
                                .escape_on_terminal_only = true});
    options.serials.emplace_back(kFirstSerial);
    options.monitors.push_back({.chardev = kFirstSerial, .mode = MonitorOptions::Mode::Readline});
    return options;
}

struct Nowhere final : devices::CharBackend {
    void write(std::span<const uint8_t>) override {}
};

/// What the back ends' threads know of the machine of the moment.
class CurrentMachine {
  public:
    void set(Machine* machine) {
        const std::lock_guard guard(lock_);
        machine_ = machine;
        if (machine != nullptr && stopped_) machine->stop(Machine::End::Quit);
    }
    /// This one and those that would follow it.
    void stop() {
        const std::lock_guard guard(lock_);
        stopped_ = true;
        if (machine_ != nullptr) machine_->stop(Machine::End::Quit);
    }
    void end_pause() {
        const std::lock_guard guard(lock_);
        if (machine_ != nullptr) machine_->end_pause();
    }

  private:
    std::mutex lock_;
    Machine* machine_ = nullptr;
    bool stopped_ = false;
};

/// The run ends: no monitor waits any more, for the machine or for its client.
class LastWords {
  public:
    LastWords(MachineTarget& target, Chardevs& chardevs) : target_(target), chardevs_(chardevs) {}
    ~LastWords() {
        target_.finish();
        chardevs_.leave_terminal();
        chardevs_.abandon_output();
    }
    LastWords(const LastWords&) = delete;
    LastWords& operator=(const LastWords&) = delete;

  private:
    MachineTarget& target_;
    Chardevs& chardevs_;
};

Ram ram_of(Machine& machine) {
    return {devices::layout::kRamBase, {machine.ram().host(), machine.ram().size()}};
}

/// Code that has taken over this process could file regions of its own if it could read the key's file.
void open_cache_key(RunOptions& options) {
    if (options.jit_cache.empty() || options.jit == JitTier::Interpreter || options.jit == JitTier::Tier1 ||
        options.jit == JitTier::Tier2)
        return;
    auto key = jit::CacheKey::open(options.jit_cache_key, options.jit_cache);
    if (key) {
        options.opened_cache_key = std::move(*key);
    } else {
        fmt::print(stderr, "arclight: no compiled regions are kept: {}\n", key.error());
        options.jit_cache.clear();
    }
}

}  // namespace

int run_session(const RunOptions& given) {
    RunOptions opened = with_console(given);
    if (opened.spectre) sandbox::restrict_speculation();
    devices::EventLoop loop;
    CurrentMachine current;
    std::atomic<bool> hangup{false};
    Result<std::unique_ptr<Chardevs>> made = failure("no chardevs");
    // A CPU that waits for a reader must not keep the machine from ending.
    const auto end_machine = [&] {
        (*made)->abandon_output();
        current.stop();
    };
    Result<void> images, daemons, networks;
    Result<std::unique_ptr<gdb::Server>> debugger;
    const auto open_first = [&] {
        open_cache_key(opened);
        if (!opened.gdb.empty()) debugger = gdb::Server::listen(opened.gdb);
        images = open_images(opened);
        daemons = open_daemons(opened);
        networks = open_networks(opened);
        made = Chardevs::open(opened, loop,
                              {.quit = end_machine,
                               .resume = [&] { current.end_pause(); },
                               .lost =
                                   [&](ChardevActions::Lost why, int) {
                                       hangup = hangup || why == ChardevActions::Lost::Hangup;
                                       end_machine();
                                   }});
    };
    if (const auto jailed = sandbox::enter(opened, open_first); !jailed) return complain(jailed.error());
    if (!images) return complain(images.error());
    if (!daemons) return complain(daemons.error());
    if (!networks) return complain(networks.error());
    if (!made) return complain(made.error());
    if (!debugger) return complain(debugger.error());
    Chardevs& chardevs = **made;
    MachineTarget target(opened, chardevs, cli::kVersion);
    Monitors monitors(target);
    target.set_tell([&](const MonitorEvent& event) { monitors.tell(event); });
    const LastWords last_words(target, chardevs);
    Hmp debugger_monitor(target);
    if (*debugger)
        (*debugger)->set_monitor([&](unsigned cpu, std::string_view command) {
            debugger_monitor.execute(fmt::format("cpu {}", cpu));
            return debugger_monitor.execute(command);
        });
    const auto give_up = [&](const std::string& text) {
        chardevs.leave_terminal();
        return complain(text);
    };
    // Also between two machines, where a guest resets.
    std::atomic<int> signal_number{0};
    const SignalWatch signals(loop, {.end =
                                         [&](int number) {
                                             signal_number = number;
                                             end_machine();
                                         },
                                     .go_on = [&] { current.end_pause(); },
                                     .resized = [&] { chardevs.terminal_resized(); }});
    for (const MonitorOptions& monitor : opened.monitors) {
        auto backend = chardevs.claim_for_run(monitor.chardev);
        if (!backend) return give_up(fmt::format("monitor: {}", backend.error()));
        monitors.add(monitor, **backend, chardevs.find(monitor.chardev)->is_shared());
    }

    // Flash keeps its content when the guest resets, also what no file has.
    auto opened_flash = FlashMemory::open(opened);
    if (!opened_flash) return give_up(opened_flash.error());
    const std::shared_ptr<FlashMemory> flash = std::move(*opened_flash);
    for (;;) {
        std::optional<SnapshotFile> snapshot;
        std::optional<KernelFile> kernel;
        RunOptions options;
        if (!opened.restore.empty()) {
            auto file = SnapshotFile::open(opened.restore);
            if (!file) return give_up(file.error());
            auto completed = options_to_restore(opened, *file);
            if (!completed) return give_up(completed.error());
            snapshot = std::move(*file);
            options = std::move(*completed);
        } else {
            if (opened.kernel.empty() && !opened.needs_no_kernel())
                return give_up("the guest has reset, and there is no --kernel to boot");
            if (!opened.kernel.empty()) {
                auto read = read_kernel(opened.kernel, opened.memory);
                if (!read) return give_up(read.error());
                kernel = std::move(*read);
            }
            options = complete_options(opened, kernel ? kernel->kind : KernelKind::Linux);
        }
        options.start_paused = options.start_paused || target.next_begins_paused();
        opened.start_paused = false;
        chardevs.begin_machine();
        std::array<Nowhere, 2> nowhere;
        std::array<devices::CharBackend*, 2> lines{&nowhere[0], nullptr};
        for (size_t i = 0; i < options.serials.size(); ++i) {
            if (i >= lines.size()) return give_up(fmt::format("more than {} serial ports", lines.size()));
            lines[i] = &nowhere[i];
            if (options.serials[i].empty()) continue;
            auto line = chardevs.claim(options.serials[i]);
            if (!line) return give_up(fmt::format("serial port: {}", line.error()));
            lines[i] = *line;
        }
        SessionInput input(loop, *lines[0], options.session);
        ExitStatus status([&](ConsoleInput form) { input.set_input(form); });
        auto created = Machine::create(options, loop, {input, lines[1], &chardevs}, &status, flash);
        if (!created) return give_up(created.error());
        Machine& machine = **created;
        if (const auto filled =
                fill_fw_cfg(machine.fw_cfg(), options, kernel ? &*kernel : nullptr, machine.boot_order());
            !filled)
            return give_up(filled.error());
        const Ram ram = ram_of(machine);
        std::optional<BootState> boot;
        if (!snapshot) {
            // With neither, the device tree is where firmware has it, and code comes by load_more().
            auto loaded = options.has_firmware() || !kernel
                              ? load_firmware_guest(options, ram, machine.bus())
                              : load_guest(options, *kernel, ram, machine.bus());
            if (!loaded) return give_up(loaded.error());
            boot = std::move(*loaded);
            const auto start = load_more(options.loads, ram);
            if (!start) return give_up(start.error());
            if (*start) boot->entry = **start;
        }
        if (boot && !options.dump_dtb.empty()) {
            const auto written = write_file(options.dump_dtb, boot->dtb.data(), boot->dtb.size());
            return written ? 0 : give_up(written.error());
        }

        std::atomic<bool> saved_for_later = false;
        auto lightv = LightvControl::create(machine, options, [&](int file, bool stop) {
            auto saved = save_snapshot(machine, options, file,
                                       stop ? Machine::AfterSave::Stop : Machine::AfterSave::GoOn);
            if (saved && stop) saved_for_later = true;
            return saved;
        });
        if (!lightv) return give_up(lightv.error());

        mmu::lightv::Json lightv_stats;
        current.set(&machine);
        if (Semihosting* semihosting = machine.semihosting())
            semihosting->console().input_ended = [&input] { return input.input_ended(); };
        chardevs.ready();
        loop.start();
        if (options.on_start) options.on_start();
        if (snapshot) {
            if (const auto restored = restore_snapshot(machine, *snapshot); !restored) {
                loop.stop();
                current.set(nullptr);
                return give_up(restored.error());
            }
            snapshot.reset();
            if (std::ranges::count(options.networks, NetOptions::Kind::User, &NetOptions::kind) != 0)
                complain("the network connections that the guest had when it was saved have ended");
        }
        // Whoever asks for its state, or lets it go on, finds it paused already.
        if (options.start_paused) machine.begin_paused();
        target.attach(machine);
        if (*debugger) (*debugger)->begin(*machine.debugger());
        const Machine::End end = boot ? machine.run(*boot) : machine.run();
        if (*debugger) (*debugger)->end(end == Machine::End::Reset && !options.no_reboot);
        target.detach(end);
        if (*lightv) lightv_stats = (*lightv)->stats();
        lightv->reset();
        const bool again = end == Machine::End::Reset && !options.no_reboot;
        if (!again) {
            target.finish();
            if (!monitors.finish(kLastWords)) chardevs.abandon_output();
        }
        if (signal_number != 0 || hangup || (end == Machine::End::Quit && !saved_for_later))
            chardevs.abandon_output();
        chardevs.flush();
        const int output_error = chardevs.stdout_error();
        loop.stop();
        current.set(nullptr);
        if (!again) chardevs.leave_terminal();

        if (options.stats) machine.stats().print(stderr);
        if (!options.stats_file.empty()) {
            const std::string json = machine.stats().json(lightv_stats) + "\n";
            if (const auto written = write_file(options.stats_file, json.data(), json.size()); !written)
                return give_up(written.error());
        }
        if (end == Machine::End::Failure) return give_up(machine.failure_text());
        if (signal_number != 0) {
            if (options.signal_is_failure) return 128 + signal_number;
            fmt::print(stderr, "arclight: terminating on signal {}\n", signal_number.load());
            return 0;
        }
        if (hangup) return give_up("the console's terminal is gone");
        if (output_error != 0)
            return give_up(fmt::format("cannot write the guest's output: {}", strerror(output_error)));
        if (const Semihosting* semihosting = machine.semihosting(); semihosting && semihosting->status())
            return *semihosting->status();
        if (again) {
            opened.restore.clear();
            continue;
        }
        if (saved_for_later) return 0;
        if (options.session) {
            if (const auto code = status.status()) return *code;
            if (!options.command.empty()) return give_up("the guest stopped before the command ended");
        }
        return 0;
    }
}

}  // namespace arclight::guestos
