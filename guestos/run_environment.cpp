#include "guestos/run_environment.h"

#include <fmt/format.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "guestos/cli/version.h"
#include "guestos/daemons.h"
#include "guestos/host_devices.h"
#include "guestos/image_server.h"
#include "guestos/net/open_networks.h"
#include "guestos/sandbox/sandbox.h"
#include "guestos/sandbox/speculation.h"
#include "host/cores.h"
#include "host/file_hash.h"
#include "jit/engine/cache_directory.h"
#include "mmu/host_stage.h"

namespace arclight::guestos {

namespace {

/// How long a monitor's client is waited for that has not read its answers.
constexpr std::chrono::milliseconds kLastWords{2000};

/// Code that has taken over this process could file regions of its own if it could read the key's file.
void open_cache_key(RunOptions& options) {
    const bool regions = options.jit == JitTier::Auto || options.jit == JitTier::Tiered;
    if (options.jit_cache.empty() || options.jit == JitTier::Interpreter ||
        (!regions && !options.jit_cache_blocks))
        return;
    // Nor is the program's own file for a jail to read.
    if (options.jit_cache_blocks) host::program_hash();
    // The directory is looked at here, too: both stores would complain of it.
    auto cache = jit::OwnCache::open(options.jit_cache, options.jit_cache_key, nullptr);
    if (cache) {
        options.opened_cache_key = std::move(cache->key);
    } else {
        fmt::print(stderr, "arclight: no compiled code is kept: {}\n", cache.error());
        options.jit_cache.clear();
    }
}

}  // namespace

// ---- CurrentMachine

void CurrentMachine::set(Machine* machine) {
    const std::lock_guard guard(lock_);
    machine_ = machine;
    if (machine != nullptr && stopped_) machine->stop(Machine::End::Quit);
}

void CurrentMachine::stop() {
    const std::lock_guard guard(lock_);
    stopped_ = true;
    if (machine_ != nullptr) machine_->stop(Machine::End::Quit);
}

void CurrentMachine::end_pause() {
    const std::lock_guard guard(lock_);
    if (machine_ != nullptr) machine_->end_pause();
}

// ---- RunEnvironment

Result<std::unique_ptr<RunEnvironment>> RunEnvironment::open(RunOptions& options) {
    if (options.spectre) sandbox::restrict_speculation();
    if (options.placed()) {
        if (!host::place_threads(options.placement)) return failure("--place: {}", std::strerror(errno));
        if (const auto& cores = options.placement[static_cast<size_t>(host::ThreadGroup::Vcpus)])
            host::prefer_node_of(*cores);
    }
    if (options.cache_ways != 0) {
        auto part = host::CachePart::open(options.cache_ways);
        if (!part) return failure("--place l3={}: {}", host::way_list(options.cache_ways), part.error());
        options.opened_cache_part = std::make_shared<host::CachePart>(std::move(*part));
    }
    // It wants a right that the sandbox gives up.
    if ((!options.lightv.empty() || !options.control.empty()) && options.lightv_stage != LightvStage::Fill)
        options.opened_fault_file = mmu::FaultFile::open();
    std::unique_ptr<RunEnvironment> environment(new RunEnvironment(options));
    if (const auto jailed = sandbox::enter(options, [&] { environment->open_first(); }); !jailed)
        return std::unexpected(jailed.error());
    if (auto connected = environment->connect(); !connected) return std::unexpected(connected.error());
    return environment;
}

RunEnvironment::~RunEnvironment() {
    flash_.reset();
    signals_.reset();
    debugger_monitor_.reset();
    if (!connected_) return;
    target_->finish();
    chardevs().leave_terminal();
    chardevs().abandon_output();
}

void RunEnvironment::open_first() {
    open_cache_key(options_);
    if (!options_.gdb.empty()) debugger_ = gdb::Server::listen(options_.gdb);
    images_ = open_images(options_);
    daemons_ = open_daemons(options_);
    host_devices_ = open_host_devices(options_);
    networks_ = open_networks(options_);
    chardevs_ = Chardevs::open(options_, loop_,
                               {.quit = [this] { end_machine(); },
                                .resume = [this] { current_.end_pause(); },
                                .lost =
                                    [this](ChardevActions::Lost why, int) {
                                        hangup_ = hangup_ || why == ChardevActions::Lost::Hangup;
                                        end_machine();
                                    }});
}

/// A CPU that waits for a reader must not keep the machine from ending.
void RunEnvironment::end_machine() {
    chardevs().abandon_output();
    current_.stop();
}

Result<void> RunEnvironment::connect() {
    for (const Result<void>& opened : {images_, daemons_, host_devices_, networks_})
        if (!opened) return opened;
    if (!chardevs_) return std::unexpected(chardevs_.error());
    if (!debugger_) return std::unexpected(debugger_.error());
    target_.emplace(options_, chardevs(), cli::kVersion);
    monitors_.emplace(*target_);
    target_->set_tell([this](const MonitorEvent& event) { monitors_->tell(event); });
    connected_ = true;
    debugger_monitor_.emplace(*target_);
    if (debugger() != nullptr)
        debugger()->set_monitor([this](unsigned cpu, std::string_view command) {
            debugger_monitor_->execute(fmt::format("cpu {}", cpu));
            return debugger_monitor_->execute(command);
        });
    signals_.emplace(loop_, SignalWatch::Actions{.end =
                                                     [this](int number) {
                                                         signal_number_ = number;
                                                         end_machine();
                                                     },
                                                 .go_on = [this] { current_.end_pause(); },
                                                 .resized = [this] { chardevs().terminal_resized(); }});
    for (const MonitorOptions& monitor : options_.monitors) {
        auto backend = chardevs().claim_for_run(monitor.chardev);
        if (!backend) return failure("monitor: {}", backend.error());
        monitors_->add(monitor, **backend, chardevs().find(monitor.chardev)->is_shared());
    }
    auto flash = FlashMemory::open(options_);
    if (!flash) return std::unexpected(flash.error());
    flash_ = std::move(*flash);
    return {};
}

void RunEnvironment::finish_monitors() {
    target_->finish();
    if (!monitors_->finish(kLastWords)) chardevs().abandon_output();
}

}  // namespace arclight::guestos
