#include "backend/kvm/probe.h"

#include <fmt/format.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <optional>

#include "backend/kvm/processor_thread.h"

namespace arclight::backend::kvm {

namespace {
constexpr uint64_t kRing0Instructions = 1000;
constexpr unsigned kRing0Rounds = 4;
constexpr double kNativeNs =
    100;  ///< between one instruction of any processor and one of any emulation of ring 0
constexpr unsigned kExits = 10, kExitRounds = 3;
constexpr size_t kArenaBytes = size_t{8} << 20;
constexpr uint64_t kVectorState = 0xe7;

double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::optional<std::string> measure(Probe& p) {
    auto vm = VirtualMachine::create();
    if (!vm) return vm.error();
    p.physical_bits = vm->physical_bits();
    p.memory_slots = vm->max_memory_slots();
    Arena arena(kArenaBytes);
    ProcessMap process(*vm, arena);
    auto thread = ProcessorThread::create(*vm, arena, process, false, CodeRange{0, 12}, nullptr);
    if (!thread) return thread.error();

    uint64_t inside_state = 0, inside_tsc = 0;
    const uint64_t tsc_before = __rdtsc();
    const auto look = [&] {
        inside_state = _xgetbv(0);
        inside_tsc = __rdtsc();
    };
    if (auto ran = (*thread)->run(look); !ran) return ran.error();
    p.same_clock = inside_tsc >= tsc_before && inside_tsc <= __rdtsc();
    p.full_vectors = ((inside_state ^ _xgetbv(0)) & kVectorState) == 0;

    double exit_seconds = 0;
    const auto leave_often = [&] {
        (void)syscall(SYS_getppid);
        const auto start = std::chrono::steady_clock::now();
        for (unsigned i = 0; i < kExits; ++i) (void)syscall(SYS_getppid);
        exit_seconds = seconds_since(start);
    };
    const auto best_of_rounds = [&](const auto& leave) -> Result<double> {
        double best = std::numeric_limits<double>::infinity();
        for (unsigned i = 0; i < kExitRounds; ++i) {
            if (auto ran = leave(); !ran) return std::unexpected(ran.error());
            best = std::min(best, exit_seconds / kExits * 1e6);
        }
        return best;
    };
    const auto inside = best_of_rounds([&] { return (*thread)->run(leave_often); });
    if (!inside) return inside.error();
    p.exit_us = *inside;
    p.call_us = *best_of_rounds([&] {
        leave_often();
        return Result<void>{};
    });

    // The minimum of several rounds, with and without the instructions: on a busy host another process may
    // run between.
    double exit_alone = std::numeric_limits<double>::infinity(), with_work = exit_alone;
    for (unsigned i = 0; i < kRing0Rounds; ++i) {
        for (const auto& [count, best] :
             {std::pair(uint64_t{0}, &exit_alone), {kRing0Instructions, &with_work}}) {
            const auto seconds = (*thread)->time_ring0(count);
            if (!seconds) return seconds.error();
            *best = std::min(*best, *seconds);
        }
    }
    p.ring0_ns = std::max(0.0, (with_work - exit_alone) / kRing0Instructions * 1e9);
    p.native_ring0 = p.ring0_ns < kNativeNs;
    if (!p.same_clock) return "the time-stamp counter differs inside the virtual machine";
    if (!p.full_vectors) return "the virtual machine lacks vector registers that the host's code uses";
    return std::nullopt;
}
}  // namespace

Probe probe() {
    Probe p;
    const auto start = std::chrono::steady_clock::now();
    try {
        if (auto why_not = measure(p))
            p.why_not = *why_not;
        else
            p.usable = true;
    } catch (const std::exception& e) {
        p.why_not = e.what();
    }
    p.probe_ms = seconds_since(start) * 1e3;
    return p;
}

std::string Probe::reason() const {
    if (!usable) return fmt::format("process: {}", why_not);
    if (native_ring0 && !cheap_exit())
        return fmt::format("process: /dev/kvm takes {:.1f} us an exit, {:.0f} times a system call", exit_us,
                           exit_us / call_us);
    if (native_ring0) return fmt::format("kvm: ring 0 is native, an exit costs {:.1f} us", exit_us);
    return fmt::format("process: /dev/kvm emulates ring 0 ({:.0f} ns an instruction, {:.0f} us an exit)",
                       ring0_ns, exit_us);
}

}  // namespace arclight::backend::kvm
