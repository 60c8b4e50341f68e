// One run of `arclight run`: builds the machine, boots it, and turns its end into an exit code.
#include "guestos/run_session.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstring>
#include <utility>

#include "devices/event_loop.h"
#include "guestos/boot.h"
#include "guestos/console/console.h"
#include "guestos/console/signals.h"
#include "guestos/exit_status.h"
#include "guestos/gdb/monitor.h"
#include "guestos/gdb/server.h"
#include "guestos/lightv/control.h"
#include "guestos/machine/board/machine.h"
#include "guestos/sandbox/sandbox.h"
#include "guestos/sandbox/speculation.h"
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

/// The console exists before the machine, which writes to it, and outlives machines that the guest resets.
struct ConsoleProxy final : devices::CharBackend {
    Console* console = nullptr;
    void write(std::span<const uint8_t> bytes) override {
        if (console != nullptr) console->write(bytes);
    }
};

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
    RunOptions opened = given;
    if (opened.spectre) sandbox::restrict_speculation();
    std::unique_ptr<gdb::Server> debugger;
    if (!opened.gdb.empty()) {
        auto address = gdb::parse_address(opened.gdb);
        if (!address) return complain(address.error());
        auto listening = gdb::Server::listen({.address = std::move(*address),
                                              .start_paused = opened.start_paused,
                                              .monitor = gdb::basic_monitor});
        if (!listening) return complain(listening.error());
        debugger = std::move(*listening);
    }
    if (const auto jailed = sandbox::enter(opened, [&] { open_cache_key(opened); }); !jailed)
        return complain(jailed.error());
    devices::EventLoop loop;
    for (;;) {
        const auto kernel = read_kernel(opened.kernel, opened.memory);
        if (!kernel) return complain(kernel.error());
        const RunOptions options = complete_options(opened, kernel->kind);
        ConsoleProxy proxy;
        Console* console_for_status = nullptr;
        ExitStatus status([&](ConsoleInput input) {
            if (console_for_status != nullptr) console_for_status->set_input(input);
        });
        auto created = Machine::create(options, loop, proxy, &status);
        if (!created) return complain(created.error());
        Machine& machine = **created;
        auto boot = load_guest(options, *kernel,
                               Ram{devices::layout::kRamBase, {machine.ram().host(), machine.ram().size()}},
                               machine.bus());
        if (!boot) return complain(boot.error());
        if (!options.dump_dtb.empty()) {
            const auto written = write_file(options.dump_dtb, boot->dtb.data(), boot->dtb.size());
            return written ? 0 : complain(written.error());
        }

        auto lightv = LightvControl::create(machine, options);
        if (!lightv) return complain(lightv.error());

        mmu::lightv::Json lightv_stats;
        int signal_number = 0;
        SignalWatch signals(
            loop,
            [&](int s) {
                signal_number = s;
                machine.stop(Machine::End::Quit);
            },
            [&] { machine.end_pause(); });
        bool hangup = false;
        int output_error = 0;
        Machine::End end;
        {
            Console console(
                loop, {.wait_for_guest = options.session, .on_resume_key = [&] { machine.end_pause(); }},
                [&](Console::End why) {
                    hangup = why == Console::End::Hangup;
                    machine.stop(Machine::End::Quit);
                });
            proxy.console = console_for_status = &console;
            console.attach(machine.uart());
            if (Semihosting* semihosting = machine.semihosting())
                semihosting->console().input_ended = [&console] { return console.input_ended(); };
            loop.start();
            if (debugger != nullptr) debugger->begin(*machine.debugger());
            end = machine.run(*boot);
            if (debugger != nullptr) debugger->end(end == Machine::End::Reset && !options.no_reboot);
            if (*lightv) lightv_stats = (*lightv)->stats();
            lightv->reset();
            if (signal_number != 0 || hangup || end == Machine::End::Quit) console.abandon_output();
            console.flush();
            output_error = console.output_error();
            loop.stop();
            proxy.console = console_for_status = nullptr;
        }
        if (options.stats) machine.stats().print(stderr);
        if (!options.stats_file.empty()) {
            const std::string json = machine.stats().json(lightv_stats) + "\n";
            if (const auto written = write_file(options.stats_file, json.data(), json.size()); !written)
                return complain(written.error());
        }
        if (end == Machine::End::Failure) return complain(machine.failure_text());
        if (signal_number != 0) return 128 + signal_number;
        if (hangup) return complain("the console's terminal is gone");
        if (output_error != 0)
            return complain(fmt::format("cannot write the guest's output: {}", strerror(output_error)));
        if (const Semihosting* semihosting = machine.semihosting(); semihosting && semihosting->status())
            return *semihosting->status();
        if (end == Machine::End::Reset && !options.no_reboot) continue;
        if (options.session) {
            if (const auto code = status.status()) return *code;
            if (!options.command.empty()) return complain("the guest stopped before the command ended");
        }
        return 0;
    }
}

}  // namespace arclight::guestos
