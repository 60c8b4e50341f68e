// The exception model: entry and return, by the functions that the machine calls.
#include <benchmark/benchmark.h>

#include <vector>

#include "frontend/a64/system/cpu.h"
#include "frontend/a64/system/exceptions.h"
#include "frontend/a64/system/quiet_environment.h"

namespace arclight::frontend::a64 {
namespace {

struct Fixture {
    std::vector<uint8_t> ram = std::vector<uint8_t>(4096);
    mmu::GuestMemory memory{ram.data(), 0x4000'0000, 4096};
    jit::GuestState state{};
    QuietEnvironment accelerator;
    Cpu cpu{state, accelerator, memory, CpuConfig{}};
    Fixture() { cpu.reset(0x4000'0000); }
};

void svc_and_eret(benchmark::State& state) {
    Fixture f;
    f.cpu.registers.vbar = 0x4000'0800;
    // To EL0 first, so that each round crosses the boundary both ways.
    f.state.spsr_el1 = 0;
    f.state.elr_el1 = 0x4000'0100;
    eret(f.cpu);
    for (auto _ : state) {
        take_svc(f.cpu, 0, 0x4000'0100);
        eret(f.cpu);
    }
    if (f.cpu.el != 0) state.SkipWithError("did not come back to EL0");
}
BENCHMARK(svc_and_eret);

void data_abort_and_eret(benchmark::State& state) {
    Fixture f;
    f.state.spsr_el1 = 0;
    f.state.elr_el1 = 0x4000'0100;
    eret(f.cpu);
    for (auto _ : state) {
        take_data_abort(f.cpu, 0x1234, 0b000111, true, 0x4000'0100);
        eret(f.cpu);
    }
}
BENCHMARK(data_abort_and_eret);

void interrupt_and_eret(benchmark::State& state) {
    Fixture f;
    for (auto _ : state) {
        take_exception(f.cpu, ExceptionKind::Irq, 0, 0x4000'0100);
        eret(f.cpu);
    }
}
BENCHMARK(interrupt_and_eret);

}  // namespace
}  // namespace arclight::frontend::a64
