#include "guestos/machine/cpu/vcpu_core.h"

#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <chrono>

#include "guestos/machine/cpu/cpu_peers.h"
#include "guestos/machine/cpu/nap_length.h"
#include "guestos/machine/cpu/vcpu.h"
#include "host/cores.h"

namespace arclight::guestos {

namespace {
using namespace std::chrono_literals;

/// How long a core is left for at most. A CPU that has to answer an SGI says when it has; one that holds a lock does not say
/// when it releases it. Many CPUs would do little else than look whether they may go on.
std::chrono::nanoseconds limit_of(HandOverCause cause, unsigned cpus) {
    constexpr unsigned kFew = 8;
    return cause == HandOverCause::Receiver ? std::chrono::nanoseconds(2ms)
                                            : CrossCpuWork::kNap * std::max(1u, cpus / kFew);
}

/// Before it counts as waiting for somebody who has no core, of whom more is not known.
std::chrono::nanoseconds patience(HandOverCause cause) {
    return cause == HandOverCause::Receiver ? GuestSpin::kUnanswered : GuestSpin::kLong;
}

/// The host's kernel and back: the least of some, measured once.
std::chrono::nanoseconds cost_of_leaving() {
    static const std::chrono::nanoseconds cost = [] {
        auto least = std::chrono::nanoseconds::max();
        for (int i = 0; i < 5; ++i) {
            const auto start = std::chrono::steady_clock::now();
            syscall(SYS_gettid);
            least = std::min<std::chrono::nanoseconds>(least, std::chrono::steady_clock::now() - start);
        }
        return least;
    }();
    return cost;
}
}  // namespace

void VcpuCore::spin(SpinCause cause) {
    if (options.cpus == 1) return;
    ++stats.spins[static_cast<size_t>(cause)];
    const auto waited = spin_.waited();
    if (waited <= GuestSpin::kShort || options.spin == SpinPolicy::Off) return _mm_pause();
    const Target to = options.spin == SpinPolicy::HandOver ? hand_over_target() : Target{};
    if (!to.preempted && waited <= patience(to.cause) && !context.peers.short_of_cores()) {
        for (int i = 0; i < 16; ++i) _mm_pause();  // about 1 us
        return;
    }
    wake_waiters();  // two CPUs that wait for each other do not sleep both
    if (to.preempted && go_apart()) return;
    const auto cpus = context.peers.cpus();
    const auto awake = static_cast<unsigned>(
        std::ranges::count_if(cpus, [](const Vcpu* other) { return !other->halted(); }));
    const auto enough = limit_of(to.cause, options.cpus);
    const auto limit = nap_length(enough, cost_of_leaving(), awake);
    const auto start = std::chrono::steady_clock::now();
    work.nap(limit, [&] {
        if (cause == SpinCause::Event && cpu.event_register) return false;
        // Where leaving is dear, one that gets on wakes those alone that wait for its answer: of many that wait for a lock most would
        // find that it is another's.
        if (to.cpu == nullptr || (limit > enough && to.cause != HandOverCause::Receiver)) return true;
        to.cpu->hand_over().add_waiter(options.index);
        return to.cause != HandOverCause::Receiver || to.cpu->hand_over().has_sgi_of(options.index);
    });
    const auto slept = std::chrono::steady_clock::now() - start;
    // It has interrupts masked, or this CPU waits for something else.
    if (to.cause == HandOverCause::Receiver && slept >= limit)
        to.cpu->hand_over().forget_sgi_of(options.index);
    ++stats.naps;
    ++stats.hand_overs[static_cast<size_t>(to.cause)];
    stats.nap_ns += static_cast<uint64_t>(slept.count());
    spin_.slept();
}

/// Beginning with the next CPU, so that not all wait for the same one.
VcpuCore::Target VcpuCore::hand_over_target() const {
    const auto cpus = context.peers.cpus();
    const int core = last_core.get();
    Target best;
    for (size_t i = 1; i < cpus.size(); ++i) {
        Vcpu& other = *cpus[(options.index + i) % cpus.size()];
        const bool receiver = other.hand_over().has_sgi_of(options.index);
        if (!receiver && best.cause == HandOverCause::Kernel) continue;
        // It wants to run, and cannot while this thread does.
        const bool preempted = core >= 0 && !other.work().outside() && other.last_core().get() == core;
        if (receiver) return {&other, HandOverCause::Receiver, preempted};
        if (!preempted) continue;
        if (other.in_kernel())
            best = {&other, HandOverCause::Kernel, true};
        else if (best.cpu == nullptr)
            best = {&other, HandOverCause::User, true};
    }
    return best;
}

/// The host has put two CPUs of this machine on one core, where what one waits for comes only when that one sleeps, and leaves
/// them there, since CPUs that sleep look like little load. So this one goes to a core that runs no other CPU of this
/// machine. After Sukwong and Kim, "Is Co-scheduling Too Expensive for SMP VMs?" (EuroSys 2011), where the host's
/// scheduler does so ("balance scheduling"). False: there is no such core, or it did not help just now.
bool VcpuCore::go_apart() {
    constexpr auto kHelps = 1ms;  // many times what it costs
    const auto now = std::chrono::steady_clock::now();
    if (now - went_apart_ < kHelps) return false;
    host::CoreSet taken;
    for (Vcpu* other : context.peers.cpus())
        if (const int core = other->last_core().get(); core >= 0 && !other->work().outside())
            taken.add(static_cast<unsigned>(core));
    if (!host::go_to_core_outside(taken)) return false;
    went_apart_ = now;
    ++stats.went_apart;
    return true;
}

void VcpuCore::end_naps(uint64_t cpus) {
    stats.waiters_woken += static_cast<uint64_t>(std::popcount(cpus));
    for (; cpus != 0; cpus &= cpus - 1)
        context.peers.works()[static_cast<size_t>(std::countr_zero(cpus))]->end_nap();
}

}  // namespace arclight::guestos
