// The real-time clock: registers, and state that moves.
#include "devices/pl031.h"

#include "tests/devices/fakes.h"
#include "tests/devices/state_damage.h"
#include "tests/fuzz/driver/input.h"
#include "tests/fuzz/driver/target.h"

namespace arclight::fuzz {
namespace {

using namespace devices;

struct Rtc {
    // Not started: alarms are made due by reading the time.
    EventLoop loop;
    GuestClock clock;
    test::FakeController controller;
    Pl031 rtc{loop, clock, IrqLine(controller, 34)};
    bool wire() const { return controller.spis[2]; }
};

void run(std::span<const uint8_t> bytes) {
    Rtc board;
    Input in(bytes);
    while (!in.empty()) {
        const uint8_t what = in.u8();
        const unsigned size = 1u << (what >> 4 & 3);
        const uint64_t offset = (what & 0x80) != 0 ? in.u16() % 0x1000 : (in.u8() * 4u) % 0x20;
        switch (what & 7) {
            case 0:
            case 1: board.rtc.read(offset, size); break;
            case 2:
            case 3:
            case 4: board.rtc.write(offset, size > 4 ? in.u64() : in.u32(), size); break;
            case 5:  // Within what a saved clock may have.
                board.clock.set_wall_offset_ns(static_cast<int64_t>(in.u64()) >> (1 + (what >> 4)));
                break;
            case 6: board.rtc.reset(); break;
            // An alarm at the next second.
            default: board.rtc.write(4, board.rtc.read(0, 4) + in.below(2), 4); break;
        }
    }
    board.rtc.quiesce();
    const auto stream = test::save(board.rtc);
    Rtc other;
    other.rtc.quiesce();
    require(test::load(other.rtc, stream).empty(), "a state that was reached can be loaded");
    require(test::save(other.rtc) == stream, "a loaded state is saved as it was");
    board.rtc.resume();
    other.rtc.resume();
}

const Registered registered({.name = "pl031", .run = run, .max_size = 256, .words = {}});

}  // namespace
}  // namespace arclight::fuzz
