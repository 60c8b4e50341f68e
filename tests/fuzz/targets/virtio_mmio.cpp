// The transport's registers alone, of a device with queues of all three services and a configuration, and its state.
#include <array>

#include "devices/virtio/mmio.h"
#include "tests/devices/fakes.h"
#include "tests/devices/state_damage.h"
#include "tests/fuzz/driver/input.h"
#include "tests/fuzz/driver/target.h"
#include "tests/fuzz/targets/virtio_sample.h"

namespace arclight::fuzz {
namespace {

using namespace devices;

struct Board {
    std::vector<uint8_t> ram = std::vector<uint8_t>(1 << 16);
    mmu::GuestMemory memory{ram.data(), layout::kRamBase, ram.size()};
    test::FakeController controller;
    virtio::Mmio device{3, memory, IrqLine(controller, 50), std::make_unique<Sample>()};
    bool wire() const { return controller.spis[18]; }
};

void run(std::span<const uint8_t> bytes) {
    Board board;
    Input in(bytes);
    while (!in.empty()) {
        const uint8_t what = in.u8();
        switch (what & 7) {
            case 0: {
                const uint16_t at = in.u16();
                const auto chunk = in.bytes(what >> 3);
                for (size_t i = 0; i < chunk.size() && at + i < board.ram.size(); i++)
                    board.ram[at + i] = chunk[i];
                break;
            }
            case 1: board.device.read(in.u16() % 0x200, 1u << (what >> 3 & 3)); break;
            case 2: board.device.write(in.u16() % 0x200, in.u64(), 1u << (what >> 3 & 3)); break;
            case 3: {  // a place for a queue's part, in RAM
                constexpr uint16_t kParts[] = {0x80, 0x90, 0xa0};
                const uint16_t part = kParts[(what >> 3) % 3];
                board.device.write(part, layout::kRamBase + in.u16(), 4);
                board.device.write(part + 4u, 0, 4);
                break;
            }
            default: board.device.write(in.u8() * 4u % 0x110, in.u32(), 4); break;
        }
    }
    board.device.quiesce();
    require((board.device.read(0x60, 4) != 0) == board.wire(), "InterruptStatus is what the wire is");
    const auto stream = test::save(board.device);
    Board other;
    other.ram = board.ram;
    other.device.quiesce();
    require(test::load(other.device, stream).empty(), "a state that was reached can be loaded");
    require(test::save(other.device) == stream, "a loaded state is saved as it was");
    other.device.resume();
    board.device.resume();
}

const Registered registered({.name = "virtio_mmio", .run = run, .max_size = 1024, .words = {}});

}  // namespace
}  // namespace arclight::fuzz
