// A run from options to exit status: machine after machine, as the guest resets.
#include "guestos/run_session.h"

#include <cstdio>
#include <optional>
#include <string>
#include <utility>

#include "guestos/machine_run.h"
#include "guestos/run_environment.h"
#include "guestos/snapshot/snapshot_store.h"

namespace arclight::guestos {

namespace {

constexpr const char* kFirstSerial = "serial0";

int complain(const std::string& text) {
    std::fprintf(stderr, "arclight: %s\n", text.c_str());
    return 1;
}

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

/// The run's status after one of its machines; nothing: another one follows.
Result<std::optional<int>> run_machine(RunEnvironment& environment, const RunOptions& options) {
    MachineRun machine(environment, options);
    if (auto made = machine.make(); !made) return std::unexpected(made.error());
    if (const auto tree = machine.device_tree(); tree && !options.dump_dtb.empty()) {
        if (auto written = write_output(options.dump_dtb, *tree); !written)
            return std::unexpected(written.error());
        return 0;
    }
    if (auto run = machine.run(); !run) return std::unexpected(run.error());
    return machine.exit_status();
}

}  // namespace

int run_session(const RunOptions& given) {
    RunOptions options = SnapshotStore::resolve(with_console(given));
    const auto opened = RunEnvironment::open(options);
    if (!opened) return complain(opened.error());
    RunEnvironment& environment = **opened;
    for (;;) {
        const auto status = run_machine(environment, options);
        if (!status) {
            environment.chardevs().leave_terminal();
            return complain(status.error());
        }
        if (*status) return **status;
        options.start_paused = false;
        options.restore = environment.target().take_snapshot_to_load();
    }
}

}  // namespace arclight::guestos
