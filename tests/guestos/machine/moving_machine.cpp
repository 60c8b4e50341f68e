// `arclight run` on a machine that is moved all the time: every so often it is saved, in memory, and the guest
// goes on in a new machine made from that. What the guest prints must be what it prints without.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <future>
#include <memory>
#include <thread>

#include "devices/event_loop.h"
#include "guestos/boot.h"
#include "guestos/cli/commands.h"
#include "guestos/machine/board/machine.h"

namespace arclight::guestos {
namespace {

/// How long the guest runs between two moves; MOVING_STAY_MS in the environment says otherwise.
std::chrono::milliseconds stay() {
    const char* const wanted = std::getenv("MOVING_STAY_MS");
    return std::chrono::milliseconds(wanted != nullptr ? std::atoi(wanted) : 3);
}
constexpr unsigned kMaxMoves = 25;

struct Output final : devices::CharBackend {
    void write(std::span<const uint8_t> bytes) override {
        (void)std::fwrite(bytes.data(), 1, bytes.size(), stdout);
    }
};

int complain(const std::string& why) {
    std::fprintf(stderr, "moving machine: %s\n", why.c_str());
    return 1;
}

int run_moving(const RunOptions& given) {
    const auto kernel = read_kernel(given.kernel);
    if (!kernel) return complain(kernel.error());
    const RunOptions options = complete_options(given, kernel->kind);
    devices::EventLoop loop;
    Output output;
    auto first = Machine::create(options, loop, {output}, nullptr);
    if (!first) return complain(first.error());
    std::unique_ptr<Machine> machine = std::move(*first);
    const auto boot = load_guest(
        options, *kernel, Ram{devices::layout::kRamBase, {machine->ram().host(), machine->ram().size()}},
        machine->bus());
    if (!boot) return complain(boot.error());
    loop.start();
    unsigned moves = 0;
    auto run = std::async(std::launch::async, [&m = *machine, &boot] { return m.run(*boot); });
    // A machine that is moved before that would stay off.
    while (machine->cpu_powered_off(0)) std::this_thread::yield();
    while (run.wait_for(stay()) == std::future_status::timeout) {
        if (moves == kMaxMoves) {
            run.wait();
            break;
        }
        const int64_t saved_at = machine->clock().wall_ns();
        auto snapshot = machine->save(Machine::AfterSave::Stop);
        if (!snapshot) {
            // It has stopped in between.
            run.wait();
            break;
        }
        run.wait();
        auto next = Machine::create(options, loop, {output}, nullptr);
        if (!next) return complain(next.error());
        if (const auto loaded = (*next)->load(*snapshot); !loaded) return complain(loaded.error());
        // The time of day goes on in a pause. A program that compares it with the counter is not to see that.
        devices::GuestClock& clock = (*next)->clock();
        clock.set_wall_offset_ns(clock.wall_offset_ns() - (clock.wall_ns() - saved_at));
        machine = std::move(*next);
        run = std::async(std::launch::async, [&m = *machine] { return m.run(); });
        ++moves;
    }
    const Machine::End end = run.get();
    loop.stop();
    std::fflush(stdout);
    std::fprintf(stderr, "moved %u times\n", moves);
    if (end == Machine::End::Failure) return complain(machine->failure_text());
    return moves == 0 ? complain("the guest ended before it was moved") : 0;
}

}  // namespace
}  // namespace arclight::guestos

int main(int argc, char** argv) {
    using namespace arclight::guestos;
    try {
        return cli::main_with({argv + 1, argv + argc}, "test", run_moving);
    } catch (const std::exception& error) {
        return cli::complain(error.what());
    }
}
