#include "guestos/cli/accelerators.h"

#include <fmt/format.h>

#include "backend/kvm/probe.h"
#include "guestos/sandbox/sandbox.h"

namespace arclight::guestos::cli {

std::vector<Accelerator> find_accelerators() {
    const backend::kvm::Probe kvm = backend::kvm::probe();
    return {{"process", true, "guest code runs in the host process"},
            {"kvm", kvm.usable,
             !kvm.usable        ? kvm.why_not
             : kvm.native_ring0 ? "/dev/kvm, ring 0 native"
                                : "/dev/kvm, ring 0 emulated"}};
}

int print_probe() {
    const backend::kvm::Probe p = backend::kvm::probe();
    if (!p.usable) {
        fmt::print("kvm                 not usable: {}\n", p.why_not);
    } else {
        fmt::print("kvm                 usable\n");
        fmt::print("ring 0              {}, {:.1f} ns an instruction\n",
                   p.native_ring0 ? "native" : "emulated", p.ring0_ns);
        fmt::print("exit and return     {:.1f} us, {:.0f} times a system call\n", p.exit_us,
                   p.exit_us / p.call_us);
        fmt::print("clock inside        {}\n", p.same_clock ? "the host's" : "another");
        fmt::print("vector registers    {}\n", p.full_vectors ? "as outside" : "fewer than outside");
        fmt::print("physical addresses  {} bits\n", p.physical_bits);
        fmt::print("memory slots        {}\n", p.memory_slots);
    }
    fmt::print("sandbox             {}\n", sandbox::describe_support());
    fmt::print("probe               {:.1f} ms\n", p.probe_ms);
    fmt::print("--accel auto        {}\n", p.reason());
    return 0;
}

}  // namespace arclight::guestos::cli
