#include <gtest/gtest.h>

#include <random>

#include "devices/gic_its.h"
#include "devices/gic_v2.h"
#include "devices/gic_v2m.h"
#include "devices/gic_v3.h"
#include "devices/pci/host_bridge.h"
#include "devices/pl031.h"
#include "devices/timer.h"
#include "devices/virtio/mmio.h"
#include "devices/virtio/pci.h"
#include "devices/virtio/rng.h"
#include "tests/devices/fakes.h"
#include "tests/devices/state_damage.h"

namespace arclight::devices {
namespace {

// A whole board under random accesses of every size and alignment, from two threads.
struct Board {
    explicit Board(bool v2) : v2(v2) {
        if (v2) {
            gic2.map(bus);
            v2m.map(bus);
        } else {
            gic3.map(bus);
            its.map(bus);
        }
        bridge.map();
        EXPECT_TRUE(bridge.plug(port, 2 << 3));
        EXPECT_TRUE(bridge.plug_below(port, behind));
        EXPECT_TRUE(bridge.plug(rng, 1 << 3));
        bus.map(layout::kUart.base, layout::kUart.size, uart, "uart");
        bus.map(layout::kRtc.base, layout::kRtc.size, rtc, "rtc");
        for (unsigned i = 0; i < 4; i++) {
            slots.push_back(
                std::make_unique<virtio::Mmio>(i, memory, IrqLine(controller(), 48 + i),
                                               i == 0 ? nullptr : std::make_unique<virtio::Rng>()));
            bus.map(layout::virtio_slot_base(i), layout::kVirtioSlotSize, *slots.back(), "virtio");
        }
        loop.start();
        parts.add("clock", clock);
        parts.add("timer", timer);
        parts.add("uart", uart);
        parts.add("rtc", rtc);
        for (unsigned i = 0; i < slots.size(); i++) parts.add("virtio" + std::to_string(i), *slots[i]);
        if (v2) {
            parts.add("gic", gic2);
        } else {
            parts.add("gic", gic3);
            parts.add("its", its);
        }
        for (pci::Function* function :
             {&bridge.own_function(), static_cast<pci::Function*>(&port),
              static_cast<pci::Function*>(&behind), static_cast<pci::Function*>(&rng)})
            parts.add(function->name(), *function);
    }
    MsiTarget& msi() {
        if (v2) return v2m;
        return its;
    }
    InterruptController& controller() {
        if (v2) return gic2;
        return gic3;
    }

    bool v2;
    test::FakeSink sink;
    test::FakeTerminal terminal;
    std::vector<uint8_t> ram = std::vector<uint8_t>(1 << 16);
    mmu::GuestMemory memory{ram.data(), layout::kRamBase, ram.size()};
    EventLoop loop;
    GuestClock clock;
    Bus bus;
    GicV3 gic3{8, sink, &memory};
    GicIts its{gic3, memory};
    GicV2 gic2{8, sink};
    GicV2m v2m{gic2};
    Pl011 uart{terminal, IrqLine(controller(), 33)};
    Pl031 rtc{loop, clock, IrqLine(controller(), 34)};
    std::vector<std::unique_ptr<virtio::Mmio>> slots;
    pci::HostBridge bridge{bus,
                           {IrqLine(controller(), 35), IrqLine(controller(), 36), IrqLine(controller(), 37),
                            IrqLine(controller(), 38)},
                           &msi()};
    pci::RootPort port{1};
    virtio::Pci rng{memory, std::make_unique<virtio::Rng>(), {}};
    virtio::Pci behind{memory, std::make_unique<virtio::Rng>(), {.legacy = false}};
    GenericTimer timer{loop, clock, controller(), 0};
    StatefulParts parts;
};

void hammer(Board& board, uint64_t seed, int accesses) {
    static const std::pair<uint64_t, uint64_t> regions[] = {
        {0x0800'0000, 0x1'0000},       {0x0801'0000, 0x1'0000},  {0x080a'0000, 0x10'0000},
        {0x0900'0000, 0x1000},         {0x0901'0000, 0x1000},    {0x0a00'0000, 0x800},
        {0x0800'0000, 0x1000},         {0x0801'0000, 0x100},     {0x080b'0000, 0x1000},
        {0x0900'0000, 0x50},           {0x0802'0000, 0x1000},    {0x0808'0000, 0x2'0000},
        {0x0808'0000, 0x120},          {0x1000'0000, 0x2000},    {0x3eff'0000, 0x100},
        {0x40'1000'0000, 0x1000'0000}, {0x40'1000'8000, 0x100},  {0x40'1001'0000, 0x100},
        {0x40'1010'0000, 0x100},       {0x80'0000'0000, 0x8000}, {0, ~0ull}};
    std::mt19937_64 random(seed);
    for (int i = 0; i < accesses; i++) {
        set_current_cpu(static_cast<unsigned>(random() % 10));
        const auto& [base, size] = regions[random() % std::size(regions)];
        const uint64_t pa = base + random() % size;
        const auto width = static_cast<unsigned>(1u << random() % 4);
        uint64_t value = random() >> random() % 64;
        switch (random() % 8) {
            case 0:
            case 1:
            case 2: board.bus.read(pa, width, value); break;
            case 3:
            case 4: board.bus.write(pa, width, value); break;
            case 5: board.bus.write(pa & ~7ull, 4, value); break;
            case 6: {
                const auto encoding = static_cast<uint32_t>(3u << 14 | 12u << 7 | random() % 0x80);
                const auto cpu = static_cast<unsigned>(random() % 9);
                if (random() % 2 != 0) {
                    board.gic3.read_sysreg(cpu, encoding, value);
                } else {
                    board.gic3.write_sysreg(cpu, encoding, value);
                }
                break;
            }
            default: {
                const auto kind =
                    random() % 2 != 0 ? GenericTimer::Kind::Physical : GenericTimer::Kind::Virtual;
                if (random() % 2 != 0) {
                    board.timer.write_cval(kind, value);
                } else {
                    board.timer.write_ctl(kind, value);
                }
                board.timer.read_tval(kind);
                test::type(board.uart, static_cast<char>(value));
                board.controller().set_spi(static_cast<unsigned>(random() % 300), random() % 2 != 0);
            }
        }
    }
    set_current_cpu(0);
}

class Fuzz : public testing::TestWithParam<bool> {};

TEST_P(Fuzz, RandomAccessesAreSurvived) {
    Board board(GetParam());
    std::thread other([&] { hammer(board, 1, 300'000); });
    hammer(board, 2, 300'000);
    other.join();
    // Still alive and sane.
    board.bus.reset();
    uint64_t value = 0;
    ASSERT_TRUE(board.bus.read(layout::kUart.base + 0x18, 4, value));
    EXPECT_EQ(value & 0x80, 0x80u);
    ASSERT_TRUE(board.bus.read(layout::kGicDistributor.base + 8, 4, value));
    EXPECT_EQ(value, 0x43bu);
}

// A whole board, in whatever state random accesses have left it, moves to another one: the same state there,
// and the same answers.
TEST_P(Fuzz, BoardsMove) {
    for (uint64_t seed = 1; seed <= 5; seed++) {
        Board board(GetParam()), other(GetParam());
        std::thread noise([&] { hammer(board, seed, 20'000); });
        hammer(board, seed + 100, 20'000);
        noise.join();
        board.parts.quiesce();
        EXPECT_EQ(board.loop.pending_timers(), 0u);
        other.ram = board.ram;
        const auto stream = board.parts.save();
        ASSERT_TRUE(stream.has_value());
        other.parts.quiesce();
        const auto loaded = other.parts.load(*stream);
        ASSERT_TRUE(loaded.has_value()) << loaded.error();
        EXPECT_EQ(other.parts.save().value(), *stream);
        // Only what quiesced parts tell; time stands.
        for (unsigned cpu = 0; cpu < 8; cpu++) {
            set_current_cpu(cpu);
            for (uint64_t offset = 0; offset < 0x1000; offset += 4) {
                uint64_t here = 0, there = 0;
                ASSERT_TRUE(board.bus.read(layout::kGicDistributor.base + offset, 4, here));
                ASSERT_TRUE(other.bus.read(layout::kGicDistributor.base + offset, 4, there));
                ASSERT_EQ(here, there) << std::hex << offset;
            }
        }
        set_current_cpu(0);
        other.parts.resume();
        board.parts.resume();
        for (unsigned cpu = 0; cpu < 8; cpu++) {
            EXPECT_EQ(board.sink.irqs[cpu], other.sink.irqs[cpu]) << cpu;
            EXPECT_EQ(board.sink.fiqs[cpu], other.sink.fiqs[cpu]) << cpu;
        }
        hammer(other, seed, 5'000);
    }
}

TEST_P(Fuzz, DamagedBoardsAreSurvived) {
    Board board(GetParam());
    hammer(board, 3, 50'000);
    board.parts.quiesce();
    const auto stream = board.parts.save().value();
    std::mt19937_64 random(11);
    test::survives_damage(stream, random, [&](const std::vector<uint8_t>& damaged) {
        Board other(GetParam());
        other.parts.quiesce();
        const auto loaded = other.parts.load(damaged);
        if (!loaded) {
            EXPECT_EQ(loaded.error().find('\n'), std::string::npos) << "one line for the user";
        }
        other.parts.resume();
        hammer(other, 4, 200);
        other.bus.reset();
        return loaded.has_value();
    });
}

INSTANTIATE_TEST_SUITE_P(Gic, Fuzz, testing::Bool(),
                         [](const auto& info) { return info.param ? "v2" : "v3"; });

}  // namespace
}  // namespace arclight::devices
