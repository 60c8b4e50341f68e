// MMIO through the bus, and an interrupt from a device's line to its end.
#include <benchmark/benchmark.h>

#include "devices/bus.h"
#include "devices/gic_v3.h"
#include "devices/layout.h"
#include "devices/pl011.h"

namespace arclight::devices {
namespace {

struct Sink final : CpuInterruptSink {
    bool irq = false;
    void set_irq_line(unsigned, bool level, bool) override { irq = level; }
};
struct Nowhere final : CharBackend {
    void write(std::span<const uint8_t>) override {}
};

struct Board {
    Sink sink;
    Nowhere nowhere;
    GicV3 gic{1, sink};
    Pl011 uart{nowhere, IrqLine()};
    Bus bus;
    Board() {
        gic.map(bus);
        bus.map(0x0900'0000, 0x1000, uart, "uart");
    }
};

void mmio_read(benchmark::State& state) {
    Board b;
    uint64_t value = 0;
    for (auto _ : state) benchmark::DoNotOptimize(b.bus.read(0x0900'0018, 4, value));
}
BENCHMARK(mmio_read);

void mmio_write(benchmark::State& state) {
    Board b;
    for (auto _ : state) benchmark::DoNotOptimize(b.bus.write(0x0900'0000, 4, 'x'));
}
BENCHMARK(mmio_write);

constexpr uint32_t encoding(unsigned op0, unsigned op1, unsigned crn, unsigned crm, unsigned op2) {
    return op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2;
}

void interrupt_delivery(benchmark::State& state) {  // line up, IRQ, acknowledge, line down, end of interrupt
    constexpr unsigned kSpi = 1;
    constexpr uint32_t kPmr = encoding(3, 0, 4, 6, 0), kIar = encoding(3, 0, 12, 12, 0),
                       kEoir = encoding(3, 0, 12, 12, 1), kIgrpen1 = encoding(3, 0, 12, 12, 7);
    Board b;
    const uint64_t distributor = 0x0800'0000;
    b.bus.write(distributor, 4, 0x12);                // affinity routing, group 1
    b.bus.write(distributor + 0x84, 4, 0xffff'ffff);  // all of 32..63 in group 1
    b.bus.write(distributor + 0x104, 4, 1u << kSpi);  // enabled
    b.gic.write_sysreg(0, kPmr, 0xff);
    b.gic.write_sysreg(0, kIgrpen1, 1);
    for (auto _ : state) {
        b.gic.set_spi(kSpi, true);
        uint64_t intid = 0;
        b.gic.read_sysreg(0, kIar, intid);
        b.gic.set_spi(kSpi, false);
        b.gic.write_sysreg(0, kEoir, intid);
        if (intid != 32 + kSpi || b.sink.irq) state.SkipWithError("the interrupt was not delivered");
    }
}
BENCHMARK(interrupt_delivery);

}  // namespace
}  // namespace arclight::devices
