// The watchdog: its configuration space and registers by whatever accesses; a locked one stays locked, and a state is saved as it
// was loaded.
#include "devices/pci/i6300esb.h"

#include <atomic>

#include "tests/devices/pci_board.h"
#include "tests/devices/state_damage.h"
#include "tests/fuzz/driver/input.h"
#include "tests/fuzz/driver/target.h"

namespace arclight::fuzz {
namespace {

using namespace devices;

struct Machine {
    static constexpr unsigned kDevfn = 1 << 3;
    static constexpr uint64_t kBar = layout::kPciMemory32.base;

    Machine() {
        board.bridge.plug(watchdog, kDevfn);
        board.set_config(0, kDevfn, 0x10, kBar);
        board.set_config(0, kDevfn, 0x04, 2, 2);
    }
    EventLoop loop;
    GuestClock clock;
    test::PciBoard board;
    pci::I6300Esb watchdog{loop, clock, nullptr};
};

void step(Machine& machine, Input& in) {
    test::PciBoard& board = machine.board;
    const uint8_t what = in.u8();
    const unsigned size = 1u << (what >> 4 & 3);
    switch (what & 7) {
        case 0: board.write(Machine::kBar + (in.u8() & 15), in.u32(), size); break;
        case 1:
            board.write(Machine::kBar + 0xc, 0x80, 2);
            board.write(Machine::kBar + 0xc, 0x86, 2);
            break;
        case 2: board.read(Machine::kBar + (in.u8() & 15), size); break;
        case 3:
            board.set_config(0, Machine::kDevfn, 0x60 + (in.u8() & 15), in.u32(), std::min(size, 4u));
            break;
        case 4: board.set_config(0, Machine::kDevfn, in.u8(), in.u32(), std::min(size, 4u)); break;
        case 5: {
            const uint64_t before = board.config(0, Machine::kDevfn, 0x68, 1);
            board.set_config(0, Machine::kDevfn, 0x68, in.u8(), 1);
            require((before & 1) == 0 || board.config(0, Machine::kDevfn, 0x68, 1) == before, "it is locked");
            break;
        }
        case 6: {
            machine.watchdog.quiesce();
            const auto stream = test::save(machine.watchdog);
            machine.watchdog.resume();
            Machine other;
            other.watchdog.quiesce();
            require(test::load(other.watchdog, stream).empty(), "a saved state can be loaded");
            require(test::save(other.watchdog) == stream, "a loaded state is saved as it was");
            other.watchdog.resume();
            break;
        }
        default: machine.watchdog.reset();
    }
}

void run(std::span<const uint8_t> bytes) {
    Input in(bytes);
    Machine machine;
    while (!in.empty()) step(machine, in);
    machine.watchdog.reset();
    require(machine.board.config(0, Machine::kDevfn, 0x68, 1) == 0, "a device that was reset is not enabled");
}

const Registered registered({.name = "i6300esb", .run = run, .max_size = 512, .words = {}});

}  // namespace
}  // namespace arclight::fuzz
