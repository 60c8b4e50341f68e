// The console device: rings of all its queues, control messages, and what its back ends do meanwhile.
#include "devices/virtio/console.h"
#include "tests/devices/console_driver.h"
#include "tests/devices/state_damage.h"
#include "tests/fuzz/driver/input.h"
#include "tests/fuzz/driver/target.h"

namespace arclight::fuzz {
namespace {

using namespace devices;
using Driver = test::ConsoleDriver;

struct Machine {
    EventLoop loop;
    test::FakeChardev console, agent;
    std::vector<virtio::Console::PortOptions> ports{{.number = 0, .console = true, .chardev = "a"},
                                                    {.number = 2, .chardev = "b", .name = "agent"}};
    Driver driver{
        std::make_unique<virtio::Console>(loop, ports, std::vector<CharBackend*>{&console, &agent})};
};

uint64_t address(Input& in) {
    const uint8_t kind = in.u8();
    if (kind < 0xc0) return Driver::kData + kind * 64u;
    if (kind < 0xe0) return layout::kRamBase + Driver::kRamSize - (kind & 31u);
    return in.u64();
}

void step(Machine& machine, Input& in) {
    Driver& driver = machine.driver;
    const uint8_t what = in.u8();
    const unsigned queue = what >> 4 & 7;
    test::FakeChardev& end = (what & 0x80) != 0 ? machine.agent : machine.console;
    switch (what & 15) {
        case 0:
        case 1: {
            const uint64_t at = address(in);
            const uint32_t length = in.u16();
            const uint16_t flags = in.u8() & 7;
            driver.describe(Driver::table(queue), in.u8() & 7, at, length, flags, in.u8() & 15);
            break;
        }
        case 2:
        case 3: driver.offer_in(queue, in.u8() & 15); break;
        case 4:
        case 5: driver.control(in.u8() & 3, in.u8() & 7, in.u8() & 1); break;
        case 6: driver.room(queue, in.u8()); break;
        case 7: {
            const auto bytes = in.bytes(in.u8() & 63);
            driver.send(queue, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
            break;
        }
        case 8: {
            const std::string typed(in.u8(), 'k');
            require(end.type(typed) <= typed.size(), "no more is taken than was offered");
            break;
        }
        case 9: end.set_open(in.flag()); break;
        case 10: end.set_size({.columns = in.u16(), .rows = in.u16()}); break;
        case 11: end.give_room(in.u8()); break;
        case 12: driver.device.write(in.u16() % 0x200, in.u32(), 1u << (what >> 4 & 3)); break;
        case 13: driver.device.read(in.u16() % 0x200, 1u << (what >> 4 & 3)); break;
        case 14: {
            driver.device.quiesce();
            const auto stream = test::save(driver.device);
            driver.device.resume();
            Machine other;
            other.driver.ram = driver.ram;
            if (test::load(other.driver.device, stream).empty())
                require(test::save(other.driver.device) == stream, "a loaded state is saved as it was");
            break;
        }
        default: driver.start_console(in.u8() & 7, in.flag());
    }
}

void run(std::span<const uint8_t> bytes) {
    Input in(bytes);
    Machine machine;
    machine.driver.start_console(in.u8() & 7, in.flag());
    while (!in.empty()) step(machine, in);
    machine.driver.device.reset();
    require(machine.console.type("x") == 0, "a device that was reset takes nothing");
    require(!machine.driver.wire(), "a device that was reset has no interrupt");
}

const Registered registered({.name = "virtio_console", .run = run, .max_size = 1024, .words = {}});

}  // namespace
}  // namespace arclight::fuzz
