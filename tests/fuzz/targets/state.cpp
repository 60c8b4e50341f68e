// Saved state of a whole board from anywhere: it is refused in one line, or the devices go on with it.
#include "devices/gic_v3.h"
#include "devices/pl011.h"
#include "devices/pl031.h"
#include "devices/timer.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/mmio.h"
#include "devices/virtio/rng.h"
#include "tests/devices/fakes.h"
#include "tests/devices/state_damage.h"
#include "tests/fuzz/driver/input.h"
#include "tests/fuzz/driver/target.h"
#include "tests/fuzz/targets/scratch_file.h"

namespace arclight::fuzz {
namespace {

using namespace devices;

struct Board {
    Board() {
        gic.map(bus);
        bus.map(layout::kUart.base, layout::kUart.size, uart, "uart");
        bus.map(layout::kRtc.base, layout::kRtc.size, rtc, "rtc");
        disk.resize(1 << 17);
        auto blk = virtio::Blk::open(disk.path(), {.image = {.snapshot = true}, .serial = "fuzz"});
        require(blk.has_value(), "an image can be opened");
        slots.push_back(
            std::make_unique<virtio::Mmio>(0, memory, IrqLine(gic, 48), std::make_unique<virtio::Rng>()));
        slots.push_back(std::make_unique<virtio::Mmio>(1, memory, IrqLine(gic, 49), std::move(*blk)));
        for (unsigned i = 0; i < slots.size(); i++) {
            bus.map(layout::virtio_slot_base(i), layout::kVirtioSlotSize, *slots[i], "virtio");
            parts.add("virtio" + std::to_string(i), *slots[i]);
        }
        parts.add("clock", clock);
        parts.add("timer", timer);
        parts.add("uart", uart);
        parts.add("rtc", rtc);
        parts.add("gic", gic);
    }

    test::FakeSink sink;
    test::FakeTerminal terminal;
    ScratchFile disk;
    std::vector<uint8_t> ram = std::vector<uint8_t>(1 << 14);
    mmu::GuestMemory memory{ram.data(), layout::kRamBase, ram.size()};
    EventLoop loop;
    GuestClock clock;
    Bus bus;
    GicV3 gic{2, sink};
    Pl011 uart{terminal, IrqLine(gic, 33)};
    Pl031 rtc{loop, clock, IrqLine(gic, 34)};
    std::vector<std::unique_ptr<virtio::Mmio>> slots;
    GenericTimer timer{loop, clock, gic, 0};
    StatefulParts parts;
};

std::vector<uint8_t> pristine() {
    Board board;
    board.parts.quiesce();
    return board.parts.save().value();
}

// The stream is a fresh board's with changes, each three bytes of place and some of content: whole ones are too long to be
// found again, and most of them is the interrupt controller.
void run(std::span<const uint8_t> bytes) {
    static const std::vector<uint8_t> fresh = pristine();
    std::vector<uint8_t> stream = fresh;
    Input in(bytes);
    while (!in.empty()) {
        const uint8_t what = in.u8();
        const size_t at =
            test::kStreamHeader +
            (in.u16() | (what & 0x80u) << 9) % (stream.size() - test::kStreamHeader - test::kStreamChecksum);
        const auto place = stream.begin() + static_cast<ptrdiff_t>(at);
        const auto content = in.bytes(1 + (what & 15));
        switch (what >> 4 & 3) {
            case 0: stream.insert(place, content.begin(), content.end()); break;
            case 1:
                stream.erase(place, place + std::min<ptrdiff_t>(static_cast<ptrdiff_t>(content.size()),
                                                                stream.end() - place - 8));
                break;
            default:
                for (size_t i = 0; i < content.size() && at + i < stream.size(); i++)
                    stream[at + i] = content[i];
        }
        if (stream.size() < 64) return;
    }
    Board board;
    board.parts.quiesce();
    const auto loaded = board.parts.load(test::sealed(std::move(stream)));
    if (!loaded) require_one_line(loaded.error());
    board.parts.resume();
    uint64_t value = 0;
    for (const uint64_t base : {0x0800'0000ull, 0x080a'0000ull, 0x080b'0000ull, 0x0900'0000ull,
                                0x0901'0000ull, 0x0a00'0000ull, 0x0a00'0200ull}) {
        for (uint64_t offset = 0; offset < 0x200; offset += 4) board.bus.read(base + offset, 4, value);
        board.bus.write(base + 0x50, 4, 0);
    }
    for (uint32_t low = 0; low < 0x80; low++) board.gic.read_sysreg(1, 3u << 14 | 12u << 7 | low, value);
    board.parts.quiesce();
    require(!loaded || board.parts.save().has_value(), "a state that was loaded can be saved");
}

const Registered registered(
    {.name = "state", .run = run, .max_size = 256, .words = {"gic", "uart", "virtio0", "ARCSTATE"}});

}  // namespace
}  // namespace arclight::fuzz
