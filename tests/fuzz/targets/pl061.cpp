// The GPIO: registers, lines, and state that moves.
#include "devices/pl061.h"

#include "tests/devices/fakes.h"
#include "tests/devices/state_damage.h"
#include "tests/fuzz/driver/input.h"
#include "tests/fuzz/driver/target.h"

namespace arclight::fuzz {
namespace {

using namespace devices;

struct Board {
    test::FakeController controller;
    EventLoop loop;
    Pl061 gpio{loop, IrqLine(controller, layout::kFirstSpiIntid + layout::kSpiGpio)};
    bool wire() const { return controller.spis[layout::kSpiGpio]; }
};

void run(std::span<const uint8_t> bytes) {
    Board board;
    Input in(bytes);
    while (!in.empty()) {
        const uint8_t what = in.u8();
        const unsigned size = 1u << (what >> 4 & 3);
        const uint64_t offset = (what & 0x80) != 0 ? in.u16() % 0xff8 : 0x3f8 + in.u8() % 0x30;
        switch (what & 3) {
            case 0: board.gpio.read(offset, size); break;
            case 1: board.gpio.write(offset, in.u32(), size); break;
            case 2: board.gpio.set_input(in.u8() % 9, (what & 4) != 0); break;
            default: (what & 4) != 0 ? board.gpio.power_key() : board.gpio.reset();
        }
        require(board.wire() == (board.gpio.read(0x418, 4) != 0), "GPIOMIS is what the wire is");
    }
    const auto stream = test::save(board.gpio);
    Board other;
    require(test::load(other.gpio, stream).empty(), "a state that was reached can be loaded");
    require(test::save(other.gpio) == stream, "a loaded state is saved as it was");
    other.gpio.resume();
    require(other.wire() == board.wire(), "a loaded GPIO drives its wire in the same way");
}

const Registered registered({.name = "pl061", .run = run, .max_size = 1024, .words = {}});

}  // namespace
}  // namespace arclight::fuzz
