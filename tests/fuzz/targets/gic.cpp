// Both interrupt controllers, by their registers and their wires. What they have become can be saved, and a new one that loads
// it drives the CPUs in the same way.
#include <memory>

#include "devices/gic_v2.h"
#include "devices/gic_v3.h"
#include "tests/devices/fakes.h"
#include "tests/devices/state_damage.h"
#include "tests/fuzz/driver/input.h"
#include "tests/fuzz/driver/target.h"

namespace arclight::fuzz {
namespace {

using namespace devices;

constexpr unsigned kCpus = 3;

template <typename Gic>
struct Board {
    test::FakeSink sink;
    Bus bus;
    Gic gic{kCpus, sink};
    Board() { gic.map(bus); }
};

constexpr uint64_t kBases[] = {0x0800'0000, 0x0801'0000, 0x080a'0000, 0x080b'0000,
                               0x080c'0000, 0x080d'0000, 0x080e'0000};

template <typename Gic, typename SystemRegister>
void run(std::span<const uint8_t> bytes, SystemRegister&& system_register) {
    Board<Gic> board;
    Input in(bytes);
    while (!in.empty()) {
        const uint8_t what = in.u8();
        const unsigned cpu = what >> 6;
        set_current_cpu(cpu);
        switch (what & 7) {
            case 0: board.gic.set_spi(in.u8(), (what & 8) != 0); break;
            case 1: board.gic.set_ppi(cpu % kCpus, 16 + in.below(16), (what & 8) != 0); break;
            case 2: system_register(board.gic, cpu % kCpus, (what & 8) != 0, in); break;
            default: {
                const uint64_t base = kBases[in.below(std::size(kBases))];
                const uint64_t pa = base + in.u16();
                const unsigned size = 1u << (what >> 4 & 3);
                uint64_t value = 0;
                if ((what & 8) != 0) {
                    board.bus.read(pa, size, value);
                } else {
                    board.bus.write(pa, size, size > 4 ? in.u64() : in.u32());
                }
            }
        }
    }
    set_current_cpu(0);

    const auto stream = test::save(board.gic);
    Board<Gic> other;
    require(test::load(other.gic, stream).empty(), "a state that was reached can be loaded");
    require(test::save(other.gic) == stream, "a loaded state is saved as it was");
    other.gic.resume();
    for (unsigned cpu = 0; cpu < kCpus; cpu++) {
        require(board.sink.irqs[cpu] == other.sink.irqs[cpu],
                "a loaded controller drives IRQ in the same way");
        require(board.sink.fiqs[cpu] == other.sink.fiqs[cpu],
                "a loaded controller drives FIQ in the same way");
    }
}

void run_v2(std::span<const uint8_t> bytes) {
    run<GicV2>(bytes, [](GicV2& gic, unsigned, bool, Input&) { gic.reset(); });
}

void run_v3(std::span<const uint8_t> bytes) {
    run<GicV3>(bytes, [](GicV3& gic, unsigned cpu, bool write, Input& in) {
        // ICC_*_EL1: op0 3, op1 0, CRn 4 or 12, and all of CRm and op2.
        const uint8_t low = in.u8();
        const uint32_t encoding = 3u << 14 | (low >= 0x80 ? 4u : 12u) << 7 | (low & 0x7fu);
        uint64_t value = write ? in.u64() : 0;
        if (write) {
            gic.write_sysreg(cpu, encoding, value);
        } else {
            gic.read_sysreg(cpu, encoding, value);
        }
    });
}

const Registered v2({.name = "gic_v2", .run = run_v2, .max_size = 1024, .words = {}});
const Registered v3({.name = "gic_v3", .run = run_v3, .max_size = 1024, .words = {}});

}  // namespace
}  // namespace arclight::fuzz
