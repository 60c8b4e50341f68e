// The network device with several pairs of queues: rings of all of them, commands on the control queue, frames from the network, and
// its state.
#include "devices/virtio/net.h"
#include "tests/devices/net_driver.h"
#include "tests/devices/queues_driver.h"
#include "tests/devices/state_damage.h"
#include "tests/fuzz/driver/input.h"
#include "tests/fuzz/driver/target.h"

namespace arclight::fuzz {
namespace {

using namespace devices;
using Driver = test::QueuesDriver;

constexpr unsigned kPairs = 3;

struct Machine {
    Machine(bool headers, unsigned lanes) : network(true, headers, lanes) {}
    void run_lanes() {
        network.run();
        for (const auto& lane : network.others) lane->run();
    }
    test::FakeNetwork& lane(unsigned i) {
        const size_t nth = i % (network.others.size() + 1);
        return nth == 0 ? network : *network.others[nth - 1];
    }
    test::FakeNetwork network;
    Driver driver{std::make_unique<virtio::Net>(network, virtio::Net::Options{.pairs = kPairs})};
};

uint64_t address(Input& in) {
    const uint8_t kind = in.u8();
    if (kind < 0xc0) return Driver::kData + kind * 64u;
    if (kind < 0xe0) return layout::kRamBase + Driver::kRamSize - (kind & 31u);
    return in.u64();
}

/// Ethernet's header with one of the types that somebody looks into, and what the input has behind it.
std::vector<uint8_t> frame_of(Input& in) {
    std::vector<uint8_t> frame(14);
    static constexpr uint16_t kTypes[] = {0x0800, 0x86dd, 0x8100, 0x0806};
    const uint8_t what = in.u8();
    const uint16_t type = kTypes[what & 3];
    frame[0] = (what & 4) != 0 ? 1 : 0x52;
    frame[12] = static_cast<uint8_t>(type >> 8), frame[13] = static_cast<uint8_t>(type);
    const auto bytes = in.bytes(in.u8());
    frame.insert(frame.end(), bytes.begin(), bytes.end());
    if ((what & 8) != 0) frame.resize(frame.size() + in.u16());
    if ((what & 16) != 0) frame.resize(in.u8() % 15);
    return frame;
}

void receive(Machine& machine, Input& in) {
    const std::vector<uint8_t> frame = frame_of(in);
    const uint8_t how = in.u8();
    virtio::NetHeader header{};
    if ((how & 1) != 0) {
        header.flags = in.u8();
        header.gso_type = in.u8();
        header.gso_size = in.u16();
        header.checksum_start = in.u16();
        header.checksum_offset = in.u16();
    }
    machine.lane(how >> 4).receive(
        ReceivedFrame{.bytes = frame,
                      .segment_bytes = static_cast<uint16_t>((how & 2) != 0 ? 1448 : 0),
                      .checked = (how & 4) != 0,
                      .header = (how & 1) != 0 ? &header : nullptr});
}

void command(Driver& driver, std::span<const uint8_t> bytes, unsigned queue) {
    if (!bytes.empty())
        std::memcpy(driver.memory.host(driver.buffer(queue, 0), bytes.size()), bytes.data(), bytes.size());
    driver.describe(driver.table(queue), 0, driver.buffer(queue, 0), static_cast<uint32_t>(bytes.size()),
                    Driver::kNext, 1);
    driver.describe(driver.table(queue), 1, driver.buffer(queue, 1), 1, Driver::kWrite);
    driver.offer_in(queue, 0);
}

void step(Machine& machine, Input& in) {
    Driver& driver = machine.driver;
    const uint8_t what = in.u8();
    const unsigned queue = what >> 4 & 7;
    switch (what & 15) {
        case 0:
        case 1: {
            const uint64_t at = address(in);
            const uint32_t length = in.u16();
            const uint16_t flags = in.u8() & 7;
            driver.describe(Driver::table(queue), in.u8() & 7, at, length, flags, in.u8() & 15);
            break;
        }
        case 2: driver.offer_in(queue, in.u8() & 15); break;
        case 3: driver.room(queue, in.u8()); break;
        case 4:
        case 5: {
            std::string bytes(sizeof(virtio::NetHeader), '\0');
            const auto header = in.bytes((what & 15) == 4 ? 0 : 12);
            std::ranges::copy(header, bytes.begin());
            const auto frame = frame_of(in);
            bytes.append(frame.begin(), frame.end());
            bytes.resize(std::min<size_t>(bytes.size(), Driver::kBuffer));
            driver.send(queue, bytes);
            break;
        }
        case 6:
        case 7: receive(machine, in); break;
        case 8: {
            const auto bytes = in.bytes(in.u8() & 63);
            command(driver, bytes, (what & 0x80) != 0 ? 2 : 2 * kPairs);
            break;
        }
        case 9: {
            const std::array<uint8_t, 4> pairs{4, 0, static_cast<uint8_t>(what >> 4), 0};
            command(driver, pairs, 2 * kPairs);
            break;
        }
        case 10:
        case 11: machine.run_lanes(); break;
        case 12: driver.device.write(in.u16() % 0x200, in.u32(), 1u << (what >> 4 & 3)); break;
        case 13: driver.device.read(in.u16() % 0x200, 1u << (what >> 4 & 3)); break;
        case 14: {
            driver.device.quiesce();
            const auto stream = test::save(driver.device);
            driver.device.resume();
            Machine other(machine.network.takes_headers(),
                          static_cast<unsigned>(machine.network.others.size()) + 1);
            other.driver.ram = driver.ram;
            if (test::load(other.driver.device, stream).empty())
                require(test::save(other.driver.device) == stream, "a loaded state is saved as it was");
            break;
        }
        default: driver.start_queues(in.u32()); break;
    }
}

void run(std::span<const uint8_t> bytes) {
    Input in(bytes);
    const uint8_t form = in.u8();
    Machine machine((form & 1) != 0, 1 + (form >> 1) % kPairs);
    machine.driver.start_queues(in.u32());
    while (!in.empty()) step(machine, in);
    machine.run_lanes();
    const size_t sent = machine.network.sent.size();
    machine.driver.device.reset();
    machine.run_lanes();
    require(machine.network.sent.size() == sent, "a device that was reset sends nothing");
    require(!machine.driver.wire(), "a device that was reset has no interrupt");
}

const Registered registered({.name = "virtio_net", .run = run, .max_size = 2048, .words = {}});

}  // namespace
}  // namespace arclight::fuzz
