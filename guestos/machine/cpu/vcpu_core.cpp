#include "guestos/machine/cpu/vcpu_core.h"

#include <immintrin.h>

#include <chrono>

#include "guestos/machine/cpu/cpu_peers.h"

namespace arclight::guestos {

void VcpuCore::spin(SpinCause cause) {
    if (options.cpus == 1) return;
    ++stats.spins[static_cast<size_t>(cause)];
    const auto waited = spin_.waited();
    if (waited <= GuestSpin::kShort) return _mm_pause();
    if (waited <= GuestSpin::kLong && !context.peers.short_of_cores()) {
        for (int i = 0; i < 16; ++i) _mm_pause();  // about 1 us
        return;
    }
    const auto start = std::chrono::steady_clock::now();
    work.nap(cause == SpinCause::Event ? &cpu.event_register : nullptr);
    ++stats.naps;
    stats.nap_ns += static_cast<uint64_t>((std::chrono::steady_clock::now() - start).count());
    spin_.slept();
}

}  // namespace arclight::guestos
