// The serial port on PCI: its registers and configuration space by whatever accesses, input meanwhile, and its state.
#include "devices/pci/serial.h"
#include "tests/devices/pci_board.h"
#include "tests/devices/state_damage.h"
#include "tests/fuzz/driver/input.h"
#include "tests/fuzz/driver/target.h"

namespace arclight::fuzz {
namespace {

using namespace devices;

struct Line final : CharBackend {
    void write(std::span<const uint8_t> bytes) override { sent += bytes.size(); }
    void connect(CharFrontend* to) override { frontend = to; }
    CharFrontend* frontend = nullptr;
    size_t sent = 0;
};

struct Machine {
    static constexpr unsigned kDevfn = 1 << 3;
    static constexpr uint64_t kPort = 0x1000, kBar = layout::kPciPorts.base + kPort;

    Machine() {
        board.bridge.plug(serial, kDevfn);
        board.set_config(0, kDevfn, 0x10, kPort);
        board.set_config(0, kDevfn, 0x04, 1, 2);
    }
    test::PciBoard board;
    Line line;
    pci::Serial serial{line};
};

void step(Machine& machine, Input& in) {
    test::PciBoard& board = machine.board;
    const uint8_t what = in.u8();
    const unsigned size = 1u << (what >> 4 & 3);
    switch (what & 7) {
        case 0:
        case 1: board.write(Machine::kBar + (in.u8() & 7), in.u8(), 1); break;
        case 2: board.read(Machine::kBar + (in.u8() & 7), size); break;
        case 3: board.write(Machine::kBar + (in.u8() & 7), in.u64(), size); break;
        case 4: board.set_config(0, Machine::kDevfn, in.u8(), in.u32(), std::min(size, 4u)); break;
        case 5: {
            const auto bytes = in.bytes(what >> 4);
            require(machine.line.frontend->receive(bytes) <= bytes.size(),
                    "no more is taken than was offered");
            break;
        }
        case 6: {
            machine.line.frontend->event(CharEvent::Break);
            machine.serial.quiesce();
            const auto stream = test::save(machine.serial);
            machine.serial.resume();
            Machine other;
            other.serial.quiesce();
            require(test::load(other.serial, stream).empty(), "a saved state can be loaded");
            require(test::save(other.serial) == stream, "a loaded state is saved as it was");
            other.serial.resume();
            break;
        }
        default: machine.serial.reset();
    }
}

void run(std::span<const uint8_t> bytes) {
    Input in(bytes);
    Machine machine;
    while (!in.empty()) step(machine, in);
    machine.serial.reset();
    require(!machine.board.wire(machine.serial.interrupt_line()), "a device that was reset has no interrupt");
}

const Registered registered({.name = "pci_serial", .run = run, .max_size = 512, .words = {}});

}  // namespace
}  // namespace arclight::fuzz
