// The serial port: registers, input, and state that moves.
#include "devices/pl011.h"

#include "tests/devices/fakes.h"
#include "tests/devices/state_damage.h"
#include "tests/fuzz/driver/input.h"
#include "tests/fuzz/driver/target.h"

namespace arclight::fuzz {
namespace {

using namespace devices;

struct Port {
    test::FakeController controller;
    test::FakeTerminal terminal;
    Pl011 uart{terminal, IrqLine(controller, 33)};
    unsigned space_told = 0;
    Port() {
        terminal.on_accept = [this] { space_told++; };
    }
    bool wire() const { return controller.spis[1]; }
};

void run(std::span<const uint8_t> bytes) {
    Port port;
    Input in(bytes);
    bool refused = false;
    unsigned told = 0;
    while (!in.empty()) {
        const uint8_t what = in.u8();
        const unsigned size = 1u << (what >> 4 & 3);
        const uint64_t offset = (what & 0x80) != 0 ? in.u16() % 0x1000 : (in.u8() * 4u) % 0x60;
        switch (what & 7) {
            case 0:
            case 1: port.uart.read(offset, size); break;
            case 2:
            case 3:
            case 4: port.uart.write(offset, size > 4 ? in.u64() : in.u32(), size); break;
            case 5: {
                const bool taken = test::type(port.uart, static_cast<char>(in.u8()));
                if (!taken && !refused) {
                    refused = true;
                    told = port.space_told;
                }
                break;
            }
            case 6: port.uart.reset(); break;
            default:
                // The masked interrupt status and the wire say the same.
                require((port.uart.read(0x40, 4) != 0) == port.wire(), "UARTMIS is what the wire is");
        }
        // Whoever was refused is told as soon as there is room.
        if (refused && port.space_told != told) refused = false;
    }
    require((port.uart.read(0x40, 4) != 0) == port.wire(), "UARTMIS is what the wire is");

    const auto stream = test::save(port.uart);
    Port other;
    require(test::load(other.uart, stream).empty(), "a state that was reached can be loaded");
    require(test::save(other.uart) == stream, "a loaded state is saved as it was");
    other.uart.resume();
    require(other.wire() == port.wire(), "a loaded port drives its wire in the same way");
}

const Registered registered({.name = "pl011", .run = run, .max_size = 1024, .words = {}});

}  // namespace
}  // namespace arclight::fuzz
