// The balloon: rings of its queues, statistics, what the user asks for meanwhile. What the host is given is inside RAM, by pages.
#include "devices/virtio/balloon.h"
#include "tests/devices/balloon_driver.h"
#include "tests/devices/state_damage.h"
#include "tests/fuzz/driver/input.h"
#include "tests/fuzz/driver/target.h"

namespace arclight::fuzz {
namespace {

using namespace devices;
using Driver = test::BalloonDriver;

/// Takes nothing, so that the rings stay.
struct Host final : MachineHost {
    void say(const std::string&) override {}
    void pause(const std::string&) override {}
    void give_back(std::span<uint8_t> pages) override {
        require(!pages.empty() && pages.size() % 4096 == 0, "whole pages");
        require(ram.empty() ||
                    (pages.data() >= ram.data() && pages.data() + pages.size() <= ram.data() + ram.size()),
                "inside RAM");
    }
    std::span<uint8_t> ram;
};

struct Machine {
    Machine() : driver(make()) { host.ram = driver.ram; }
    std::unique_ptr<virtio::Backend> make() {
        auto made =
            std::make_unique<virtio::Balloon>(loop, virtio::Balloon::Options{.ram_bytes = Driver::kRamSize,
                                                                             .deflate_on_oom = true,
                                                                             .free_page_reporting = true,
                                                                             .host = &host});
        balloon = made.get();
        return made;
    }
    EventLoop loop;
    Host host;
    virtio::Balloon* balloon = nullptr;
    Driver driver;
};

uint64_t address(Input& in) {
    const uint8_t kind = in.u8();
    if (kind < 0xc0) return Driver::kData + kind * 4096u;
    if (kind < 0xe0) return layout::kRamBase + Driver::kRamSize - (kind & 31u);
    return in.u64();
}

void settle(Machine& machine) {
    machine.driver.device.quiesce();
    machine.driver.device.resume();
}

void step(Machine& machine, Input& in) {
    Driver& driver = machine.driver;
    const uint8_t what = in.u8();
    const unsigned queue = what >> 4 & 3;
    switch (what & 15) {
        case 0:
        case 1: {
            const uint64_t at = address(in);
            const uint32_t length = (what & 0x80) != 0 ? in.u32() : in.u16();
            const uint16_t flags = in.u8() & 7;
            driver.describe(Driver::table(queue), in.u8() & 7, at, length, flags, in.u8() & 15);
            break;
        }
        case 2:
        case 3: driver.offer_in(queue, in.u8() & 15); break;
        case 4: {
            settle(machine);
            const std::array<uint32_t, 2> pages{Driver::page_number(Driver::kData) + in.u8(), in.u32()};
            driver.give(queue & 1, pages);
            break;
        }
        case 5: {  // numbers of pages, or statistics
            const auto bytes = in.bytes(in.u8() & 63);
            if (!bytes.empty())
                std::memcpy(driver.memory.host(Driver::kData, bytes.size()), bytes.data(), bytes.size());
            break;
        }
        case 6: machine.balloon->set_target(in.u32()); break;
        case 7: machine.balloon->set_poll_interval(in.u8() & 1); break;
        case 8: {
            const auto statistics = machine.balloon->statistics();
            require(machine.balloon->actual() <= Driver::kRamSize, "no more than there is");
            require(statistics.updated >= 0, "a time");
            break;
        }
        case 9: driver.device.write(in.u16() % 0x200, in.u32(), 1u << (what >> 4 & 3)); break;
        case 10: driver.device.read(in.u16() % 0x200, 1u << (what >> 4 & 3)); break;
        case 11: settle(machine); break;
        case 12: {
            driver.device.quiesce();
            const auto stream = test::save(driver.device);
            driver.device.resume();
            Machine other;
            other.driver.ram = driver.ram;
            other.host.ram = {};
            if (test::load(other.driver.device, stream).empty())
                require(test::save(other.driver.device) == stream, "a loaded state is saved as it was");
            break;
        }
        default: settle(machine), driver.start_balloon(in.u8());
    }
}

void run(std::span<const uint8_t> bytes) {
    Input in(bytes);
    Machine machine;
    machine.driver.start_balloon(in.u8());
    while (!in.empty()) step(machine, in);
    settle(machine);
    machine.driver.device.reset();
    require(!machine.driver.wire(), "a device that was reset has no interrupt");
}

const Registered registered({.name = "virtio_balloon", .run = run, .max_size = 1024, .words = {}});

}  // namespace
}  // namespace arclight::fuzz
