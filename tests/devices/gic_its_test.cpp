// LPIs and the ITS: tables in guest memory, every command, malformed ones, state. And the GICv2m frame.
#include "devices/gic_its.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "devices/gic_v2.h"
#include "devices/gic_v2m.h"
#include "devices/gic_v3.h"
#include "tests/devices/fakes.h"
#include "tests/devices/state_damage.h"

namespace arclight::devices {
namespace {

constexpr uint32_t icc(unsigned crn, unsigned crm, unsigned op2) {
    return 3u << 14 | crn << 7 | crm << 3 | op2;
}
constexpr uint32_t kPmr = icc(4, 6, 0), kIar1 = icc(12, 12, 0), kEoir1 = icc(12, 12, 1),
                   kHppir1 = icc(12, 12, 2), kIgrpen1 = icc(12, 12, 7), kRpr = icc(12, 11, 3);
constexpr uint64_t kTranslater = 0x0809'0040;

/// Two CPUs with LPIs on, the ITS set up as a driver does.
struct Board {
    static constexpr unsigned kCpus = 2;
    static constexpr uint64_t kRam = layout::kRamBase, kRamSize = 2 << 20;
    static constexpr uint64_t kQueue = kRam + 0x1'0000, kDevices = kRam + 0x2'0000,
                              kCollections = kRam + 0x3'0000, kConfig = kRam + 0x4'0000,
                              kPending = kRam + 0x6'0000, kItt = kRam + 0x10'0000,
                              kSecondLevel = kRam + 0x12'0000;

    std::vector<uint8_t> ram = std::vector<uint8_t>(kRamSize);
    mmu::GuestMemory memory{ram.data(), kRam, kRamSize};
    test::FakeSink sink;
    GicV3 gic{kCpus, sink, &memory};
    GicIts its{gic, memory};
    Bus bus;

    Board() {
        gic.map(bus);
        its.map(bus);
    }
    void set(uint64_t pa, uint64_t value, unsigned size = 4) { EXPECT_TRUE(bus.write(pa, size, value)); }
    uint64_t get(uint64_t pa, unsigned size = 4) {
        uint64_t value = 0;
        EXPECT_TRUE(bus.read(pa, size, value));
        return value;
    }
    template <typename T>
    T& at(uint64_t pa) {
        return *reinterpret_cast<T*>(memory.host(pa, sizeof(T)));
    }
    void start(bool indirect = false) {
        set(0x0800'0000, 3);
        for (unsigned cpu = 0; cpu < kCpus; cpu++) {
            const uint64_t frame = 0x080a'0000 + cpu * 0x2'0000;
            set(frame + 0x70, kConfig | 15, 8);
            set(frame + 0x78, kPending + cpu * 0x1'0000, 8);
            set(frame, 1);
            EXPECT_TRUE(gic.write_sysreg(cpu, kPmr, 0xf8));
            EXPECT_TRUE(gic.write_sysreg(cpu, kIgrpen1, 1));
        }
        set(0x0808'0100, 1ull << 63 | (indirect ? 1ull << 62 : 0) | kDevices | 7, 8);
        set(0x0808'0108, 1ull << 63 | kCollections | 1, 8);
        if (indirect) at<uint64_t>(kDevices) = 1ull << 63 | kSecondLevel;
        set(0x0808'0080, 1ull << 63 | kQueue | 1, 8);
        set(0x0808'0000, 1);
        for (unsigned cpu = 0; cpu < kCpus; cpu++) mapc(static_cast<uint16_t>(cpu), cpu);
    }
    // ---- commands
    void command(uint64_t a, uint64_t b = 0, uint64_t c = 0, uint64_t d = 0) {
        const uint64_t at_ = get(0x0808'0088, 8);
        const uint64_t words[] = {a, b, c, d};
        std::memcpy(memory.host(kQueue + at_, 32), words, 32);
        const uint64_t next = (at_ + 32) % 0x2000;
        set(0x0808'0088, next, 8);
    }
    bool idle() { return get(0x0808'0090, 8) == get(0x0808'0088, 8); }
    static uint64_t head(unsigned code, uint32_t device = 0) { return code | uint64_t{device} << 32; }
    void mapd(uint32_t device, uint64_t itt, unsigned bits, bool valid = true) {
        command(head(8, device), bits - 1, itt | (valid ? 1ull << 63 : 0));
    }
    void mapc(uint16_t collection, uint64_t cpu, bool valid = true) {
        command(head(9), 0, collection | cpu << 16 | (valid ? 1ull << 63 : 0));
    }
    void mapti(uint32_t device, uint32_t event, uint32_t intid, uint16_t collection) {
        command(head(10, device), event | uint64_t{intid} << 32, collection);
    }
    void configure(uint32_t intid, uint8_t byte = 0xa1) { at<uint8_t>(kConfig + intid - 8192) = byte; }
    void send(uint32_t device, uint32_t event) { EXPECT_TRUE(its.message(device, kTranslater, event)); }
    uint64_t sysreg(unsigned cpu, uint32_t reg) {
        uint64_t value = 0;
        EXPECT_TRUE(gic.read_sysreg(cpu, reg, value));
        return value;
    }
    /// Takes the interrupt and ends it.
    uint64_t take(unsigned cpu) {
        const uint64_t intid = sysreg(cpu, kIar1);
        if (intid != 1023) gic.write_sysreg(cpu, kEoir1, intid);
        return intid;
    }
};

class ItsTest : public testing::Test, protected Board {
  protected:
    ItsTest() {
        start();
        for (uint32_t intid = 8192; intid < 8200; intid++) configure(intid);
        mapd(8, kItt, 5);
        mapti(8, 0, 8192, 0);
        mapti(8, 1, 8193, 1);
    }
};

TEST(Its, Identity) {
    Board board;
    EXPECT_EQ(board.get(0x0800'0004) >> 17 & 1, 1u) << "GICD_TYPER.LPIS";
    EXPECT_EQ(board.get(0x080a'0008) & 1, 1u) << "GICR_TYPER.PLPIS";
    EXPECT_EQ(board.get(0x0808'ffe8) & 0xf0, 0x30u) << "GICv3";
    const uint64_t typer = board.get(0x0808'0008, 8);
    EXPECT_EQ(typer & 1, 1u);
    EXPECT_EQ(typer >> 4 & 15, 7u);
    EXPECT_EQ(typer >> 8 & 31, 15u);
    EXPECT_EQ(typer >> 13 & 31, 15u);
    EXPECT_EQ(board.get(0x0808'0000), 1u << 31) << "quiescent";
    EXPECT_EQ(board.get(0x0808'0100, 8), 0x0107'0000'0000'0000u);
    EXPECT_EQ(board.get(0x0808'0108, 8), 0x0407'0000'0000'0000u);
    EXPECT_EQ(board.get(0x0808'0110, 8), 0u) << "no other tables";
    board.set(0x0808'0100, ~0ull, 8);
    EXPECT_EQ(board.get(0x0808'0100, 8), 0xf9e7'ffff'ffff'ffffu);
}

TEST_F(ItsTest, MessagesBecomeLpis) {
    EXPECT_TRUE(idle());
    send(8, 0);
    EXPECT_TRUE(sink.irqs[0]);
    EXPECT_FALSE(sink.irqs[1]);
    EXPECT_EQ(sysreg(0, kHppir1), 8192u);
    EXPECT_EQ(sysreg(0, kIar1), 8192u);
    EXPECT_EQ(sysreg(0, kRpr), 0xa0u);
    EXPECT_FALSE(sink.irqs[0]);
    send(8, 0);  // again, while it is handled: pending, and not active
    EXPECT_FALSE(sink.irqs[0]) << "its priority does not preempt itself";
    gic.write_sysreg(0, kEoir1, 8192);
    EXPECT_TRUE(sink.irqs[0]);
    EXPECT_EQ(take(0), 8192u);
    EXPECT_EQ(take(0), 1023u);
    EXPECT_EQ(sysreg(0, kRpr), 0xffu);
    send(8, 1);
    EXPECT_EQ(take(1), 8193u);
    // What is not mapped is dropped.
    for (const auto& [device, event] :
         {std::pair(8u, 2u), {8u, 32u}, {9u, 0u}, {0xffffu, 0u}, {0x1'0000u, 0u}, {8u, ~0u}})
        send(device, event);
    EXPECT_FALSE(sink.irqs[0] || sink.irqs[1]);
    EXPECT_FALSE(its.message(8, 0x4000'0000, 0)) << "another address";
    EXPECT_TRUE(its.message(8, kTranslater + 4, 0));
    EXPECT_FALSE(sink.irqs[0]);
}

TEST_F(ItsTest, ConfigurationDecides) {
    configure(8192, 0xa0);
    send(8, 0);
    EXPECT_FALSE(sink.irqs[0]) << "disabled";
    configure(8192, 0xa1);
    command(head(12, 8), 0);  // INV
    EXPECT_TRUE(sink.irqs[0]);
    // Of two, the more urgent; of equals, the lower.
    mapti(8, 2, 8194, 0);
    configure(8194, 0x81);
    send(8, 2);
    EXPECT_EQ(take(0), 8194u);
    mapti(8, 3, 8195, 0);
    send(8, 3);
    EXPECT_EQ(take(0), 8192u);
    EXPECT_EQ(take(0), 8195u);
    // An SPI beside it.
    set(0x0800'0400 + 40, 0xc0, 1);
    set(0x0800'0080 + 4, 1u << 8);
    set(0x0800'0100 + 4, 1u << 8);
    gic.set_spi(8, true);
    send(8, 0);
    EXPECT_EQ(take(0), 8192u);
    EXPECT_EQ(sysreg(0, kIar1), 40u);
}

TEST_F(ItsTest, IntAndClear) {
    command(head(3, 8), 1);
    EXPECT_TRUE(sink.irqs[1]);
    command(head(4, 8), 1);
    EXPECT_FALSE(sink.irqs[1]);
    send(8, 1);
    EXPECT_EQ(take(1), 8193u);
}

TEST_F(ItsTest, EventsMove) {
    configure(8192, 0xa0);
    send(8, 0);
    command(head(1, 8), 0, 1);  // MOVI to CPU 1, with what is pending
    configure(8192, 0xa1);
    command(head(13), 0, 0);  // INVALL
    EXPECT_FALSE(sink.irqs[0]);
    EXPECT_EQ(take(1), 8192u);
    send(8, 0);
    EXPECT_EQ(take(1), 8192u);
    send(8, 0);
    send(8, 1);
    command(head(14), 0, 1ull << 16, 0);  // MOVALL
    EXPECT_FALSE(sink.irqs[1]);
    EXPECT_EQ(take(0), 8192u);
    EXPECT_EQ(take(0), 8193u);
    // A collection that goes to another CPU takes its events along.
    mapc(1, 0);
    send(8, 1);
    EXPECT_EQ(take(0), 8193u);
}

TEST_F(ItsTest, DiscardAndUnmap) {
    send(8, 0);
    command(head(15, 8), 0);
    EXPECT_FALSE(sink.irqs[0]);
    send(8, 0);
    EXPECT_FALSE(sink.irqs[0]);
    command(head(11, 8), 0x2001, 0);  // MAPI: beyond the device's events
    command(head(11, 8), 4, 0);       // MAPI: event 4 is no LPI
    mapc(1, 0, false);
    send(8, 1);
    EXPECT_FALSE(sink.irqs[0] || sink.irqs[1]);
    mapc(1, 1);
    send(8, 1);
    EXPECT_EQ(take(1), 8193u);
    mapd(8, 0, 1, false);
    send(8, 1);
    EXPECT_FALSE(sink.irqs[1]);
    mapd(8, kItt, 16);
    command(head(11, 8), 8196, 0);
    send(8, 8196);
    EXPECT_EQ(take(0), 8196u) << "MAPI: the event is the LPI";
}

TEST_F(ItsTest, MalformedCommandsAreSkipped) {
    mapti(8, 2, 8191, 0);
    mapti(8, 3, 0x1'0000, 0);
    mapti(0x1'0008, 2, 8194, 0);
    mapti(9, 0, 8194, 0);
    mapc(0xffff, 0);
    mapc(5, 2);
    mapd(7, kItt, 17);
    mapd(6, 0x7fff'ffff'ff00, 5);
    mapti(6, 0, 8194, 0);
    command(head(1, 8), 0, 5);
    command(head(1, 8), 9, 1);
    command(head(14), 0, 9ull << 16, 77ull << 16);
    command(head(14), 0, 0xffff'ffffull << 16, 0);
    command(0);
    command(~0ull, ~0ull, ~0ull, ~0ull);
    command(0xff);
    EXPECT_TRUE(idle());
    for (const uint32_t device : {6u, 7u, 9u}) send(device, 0);
    send(8, 2);
    send(8, 3);
    EXPECT_FALSE(sink.irqs[0] || sink.irqs[1]);
    send(8, 0);
    EXPECT_EQ(take(0), 8192u) << "the others are as they were";
}

TEST_F(ItsTest, QueueStallsWhereThereIsNoMemory) {
    set(0x0808'0000, 0);
    set(0x0808'0080, 1ull << 63 | 0x1000'0000 | 1, 8);
    EXPECT_EQ(get(0x0808'0090, 8), 0u);
    set(0x0808'0000, 1);
    EXPECT_EQ(get(0x0808'0090, 8) & 1, 1u) << "Stalled: CWRITER is where it was";
    set(0x0808'0088, 0x40, 8);
    EXPECT_EQ(get(0x0808'0090, 8), 1u);
    set(0x0808'0088, 0x41, 8);
    EXPECT_EQ(get(0x0808'0090, 8), 1u) << "tried again, with the same end";
    set(0x0808'0000, 0);
    set(0x0808'0080, 1ull << 63 | kQueue | 1, 8);
    set(0x0808'0088, 0x2000, 8);  // behind the queue's end
    set(0x0808'0000, 1);
    EXPECT_EQ(get(0x0808'0090, 8), 0u);
    set(0x0808'0088, 0x1fe0, 8);
    EXPECT_EQ(get(0x0808'0090, 8), 0x1fe0u);
}

TEST_F(ItsTest, RegistersOfAnEnabledItsAreFixed) {
    set(0x0808'0100, 0, 8);
    EXPECT_EQ(get(0x0808'0100, 8) >> 63, 1u);
    set(0x0808'0080, 0, 8);
    EXPECT_EQ(get(0x0808'0080, 8) >> 63, 1u);
    set(0x0808'0000, 0);
    send(8, 0);
    EXPECT_FALSE(sink.irqs[0]) << "disabled";
    EXPECT_EQ(get(0x0808'0000), 1u << 31);
}

TEST(Its, TwoLevelTables) {
    Board board;
    board.start(true);
    board.configure(8192);
    board.mapd(300, Board::kItt, 2);
    board.mapti(300, 3, 8192, 1);
    EXPECT_EQ(board.at<uint64_t>(Board::kSecondLevel + 300 * 8) & 1, 1u);
    board.send(300, 3);
    EXPECT_EQ(board.take(1), 8192u);
    board.mapd(600, Board::kItt + 0x1000, 2);  // its first-level entry is not valid
    board.mapti(600, 0, 8192, 1);
    board.send(600, 0);
    EXPECT_FALSE(board.sink.irqs[1]);
}

// 5.1.2: the pending table is read when LPIs are enabled, and written when they are disabled.
TEST(Its, PendingTable) {
    Board board;
    board.at<uint8_t>(Board::kPending + 8193 / 8) = 1 << (8193 % 8);
    board.at<uint8_t>(Board::kPending + 100 / 8) = 0xff;  // what is below the LPIs means nothing
    board.start();
    board.configure(8193);
    board.command(Board::head(13));
    EXPECT_TRUE(board.sink.irqs[0]);
    board.set(0x080a'0000, 0);
    EXPECT_FALSE(board.sink.irqs[0]);
    board.at<uint8_t>(Board::kPending + 8200 / 8) = 1 << (8200 % 8);
    board.configure(8200);
    board.set(0x080a'0000, 1);
    EXPECT_EQ(board.take(0), 8193u) << "what was pending was written";
    EXPECT_EQ(board.take(0), 8200u);
    board.set(0x080a'0000, 0);
    EXPECT_EQ(board.at<uint8_t>(Board::kPending + 8200 / 8), 0);
    board.at<uint8_t>(Board::kPending + 8193 / 8) = 0xff;
    board.set(0x080a'0078, 1ull << 62 | Board::kPending, 8);
    EXPECT_EQ(board.get(0x080a'0078, 8), Board::kPending) << "PTZ reads as zero";
    board.set(0x080a'0000, 1);
    EXPECT_FALSE(board.sink.irqs[0]) << "PTZ: the table is all zero, whatever is there";
    board.set(0x080a'0070, 0, 8);
    EXPECT_NE(board.get(0x080a'0070, 8), 0u) << "fixed while LPIs are enabled";
}

TEST(Its, FewerInterruptIds) {
    Board board;
    board.start();
    board.set(0x080a'0000, 0);
    board.set(0x080a'0070, Board::kConfig | 13, 8);  // 14 bits: up to 16383
    board.set(0x080a'0000, 1);
    board.mapd(1, Board::kItt, 2);
    board.mapti(1, 0, 16383, 0);
    board.mapti(1, 1, 16384, 0);
    board.configure(16383);
    board.configure(16384);
    board.send(1, 1);
    EXPECT_FALSE(board.sink.irqs[0]);
    board.send(1, 0);
    EXPECT_EQ(board.take(0), 16383u);
}

TEST_F(ItsTest, StateMovesToAnotherMachine) {
    send(8, 0);
    send(8, 1);
    mapti(8, 7, 8199, 1);
    const auto gic_stream = test::save(gic), its_stream = test::save(its);
    Board other;
    other.ram = ram;
    ASSERT_EQ(test::load(other.gic, gic_stream), "");
    ASSERT_EQ(test::load(other.its, its_stream), "");
    other.gic.resume();
    EXPECT_TRUE(other.sink.irqs[0] && other.sink.irqs[1]);
    EXPECT_EQ(test::save(other.gic), gic_stream);
    EXPECT_EQ(test::save(other.its), its_stream);
    EXPECT_EQ(other.take(0), 8192u);
    EXPECT_EQ(other.take(1), 8193u);
    other.send(8, 7);
    EXPECT_EQ(other.take(1), 8199u);
    other.mapti(8, 8, 8198, 0);
    other.send(8, 8);
    EXPECT_EQ(other.take(0), 8198u);
}

TEST_F(ItsTest, DamagedStateIsRefused) {
    send(8, 0);
    std::mt19937_64 random(11);
    test::survives_damage(test::save(its), random, [&](const std::vector<uint8_t>& stream) {
        Board other;
        other.ram = ram;
        const bool loaded = test::load(other.its, stream).empty();
        other.set(0x0808'0088, 0x20, 8);
        other.its.message(8, kTranslater, 0);
        return loaded;
    });
}

TEST_F(ItsTest, ResetForgetsAll) {
    send(8, 0);
    its.reset();
    gic.reset();
    EXPECT_FALSE(sink.irqs[0]);
    EXPECT_EQ(get(0x0808'0000), 1u << 31);
    EXPECT_EQ(get(0x0808'0080, 8), 0u);
    EXPECT_EQ(get(0x080a'0000), 2u);
    start();
    mapd(8, kItt, 5);
    send(8, 0);
    EXPECT_EQ(take(0), 8192u) << "a driver begins anew; the tables are still in memory";
}

// ---- GICv2m

TEST(GicV2m, MessagesAreEdgesOfSpis) {
    test::FakeSink sink;
    GicV2 gic(1, sink);
    GicV2m frame(gic);
    Bus bus;
    gic.map(bus);
    frame.map(bus);
    uint64_t value = 0;
    ASSERT_TRUE(bus.read(0x0802'0008, 4, value));
    EXPECT_EQ(value, 80u << 16 | 64);
    ASSERT_TRUE(bus.write(0x0800'0000, 4, 1));
    ASSERT_TRUE(bus.write(0x0801'0000, 4, 1));
    ASSERT_TRUE(bus.write(0x0801'0004, 4, 0xff));
    for (const unsigned intid : {80u, 143u}) {
        ASSERT_TRUE(bus.write(0x0800'0c00 + intid / 16 * 4, 4, 2u << intid % 16 * 2));
        ASSERT_TRUE(bus.write(0x0800'0100 + intid / 32 * 4, 4, 1u << intid % 32));
        EXPECT_TRUE(frame.message(8, 0x0802'0040, intid));
        EXPECT_TRUE(sink.irqs[0]);
        ASSERT_TRUE(bus.read(0x0801'000c, 4, value));
        EXPECT_EQ(value, intid);
        ASSERT_TRUE(bus.write(0x0801'0010, 4, intid));
        EXPECT_FALSE(sink.irqs[0]) << "an edge, once";
        ASSERT_TRUE(bus.write(0x0802'0040, 4, intid));  // by a CPU
        EXPECT_TRUE(sink.irqs[0]);
        ASSERT_TRUE(bus.read(0x0801'000c, 4, value));
        ASSERT_TRUE(bus.write(0x0801'0010, 4, intid));
    }
    for (const uint32_t outside : {0u, 33u, 79u, 144u, 1023u})
        EXPECT_TRUE(frame.message(8, 0x0802'0040, outside));
    EXPECT_TRUE(frame.message(8, 0x0802'0044, 80));
    EXPECT_FALSE(frame.message(8, 0x0803'0040, 80));
    EXPECT_FALSE(sink.irqs[0]);
}

}  // namespace
}  // namespace arclight::devices
