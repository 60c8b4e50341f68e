// LPIs and the ITS: registers, commands, messages and the tables in guest memory, all as the input says. What they have become
// can be saved, and new ones that load it drive the CPUs in the same way.
#include "devices/gic_its.h"

#include <memory>

#include "devices/gic_v3.h"
#include "tests/devices/fakes.h"
#include "tests/devices/state_damage.h"
#include "tests/fuzz/driver/input.h"
#include "tests/fuzz/driver/target.h"

namespace arclight::fuzz {
namespace {

using namespace devices;

constexpr unsigned kCpus = 3;
constexpr uint64_t kRam = layout::kRamBase, kRamSize = 1 << 19;
constexpr uint64_t kQueue = kRam + 0x1'0000, kDevices = kRam + 0x2'0000, kCollections = kRam + 0x3'0000,
                   kConfig = kRam + 0x4'0000, kPending = kRam + 0x5'0000, kItt = kRam + 0x6'0000;
constexpr uint64_t kQueueWrite = 0x0808'0088;

struct Board {
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
    void start() {
        bus.write(0x0800'0000, 4, 3);
        for (unsigned cpu = 0; cpu < kCpus; cpu++) {
            const uint64_t frame = 0x080a'0000 + cpu * layout::kGicRedistributorStride;
            bus.write(frame + 0x70, 8, kConfig | 15);
            bus.write(frame + 0x78, 8, kPending);
            bus.write(frame, 4, 1);
            gic.write_sysreg(cpu, 3u << 14 | 4u << 7 | 6u << 3, 0xf8);
            gic.write_sysreg(cpu, 3u << 14 | 12u << 7 | 12u << 3 | 7, 1);
        }
        std::fill(ram.begin() + 0x4'0000, ram.begin() + 0x4'1000, 0xa1);
        bus.write(0x0808'0100, 8, 1ull << 63 | kDevices);
        bus.write(0x0808'0108, 8, 1ull << 63 | kCollections);
        bus.write(0x0808'0080, 8, 1ull << 63 | kQueue);
        bus.write(0x0808'0000, 4, 1);
    }
    void command(uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
        uint64_t at = 0;
        bus.read(kQueueWrite, 8, at);
        const uint64_t words[] = {a, b, c, d};
        if (uint8_t* host = memory.host(kQueue + at, 32); host != nullptr) std::memcpy(host, words, 32);
        bus.write(kQueueWrite, 8, (at + 32) % 0x1000);
    }
};

void step(Board& board, Input& in) {
    const uint8_t what = in.u8();
    const unsigned cpu = (what >> 3) % kCpus;
    uint64_t value = 0;
    switch (what & 7) {
        case 0:
        case 1: {  // a command that can be
            const uint64_t device = in.u8() & 15, event = in.u8() & 31;
            const uint64_t intid = 8192 + (in.u8() & 31u), collection = in.u8() & 7;
            const uint64_t place = (kItt + device * 0x100);
            const uint64_t valid = (what & 0x80) != 0 ? 0 : 1ull << 63;
            const uint64_t code = in.u8() & 15;
            const uint64_t third =
                code == 8 ? (place & ~0xffull) | valid : collection | uint64_t{cpu} << 16 | valid;
            board.command(code | device << 32, code == 8 ? event & 7 : event | intid << 32, third,
                          collection << 16);
            break;
        }
        case 2: board.command(in.u64(), in.u64(), in.u64(), in.u64()); break;
        case 3: board.its.message(in.u8() & 15, 0x0809'0040, in.u8() & 31); break;
        case 4: {
            constexpr uint64_t kBases[] = {0x0808'0000, 0x0808'0080, 0x0808'0100,
                                           0x0809'0000, 0x080a'0000, 0x080c'0070};
            const uint64_t pa = kBases[in.below(std::size(kBases))] + (in.u8() & 0x7f);
            const unsigned size = 1u << (what >> 3 & 3);
            if ((what & 0x80) != 0)
                board.bus.read(pa, size, value);
            else
                board.bus.write(pa, size, in.u64());
            break;
        }
        case 5: {  // a word of a table
            const uint64_t at = in.u32() % (kRamSize - 8);
            const uint64_t word = in.u64();
            std::memcpy(&board.ram[at & ~7ull], &word, 8);
            break;
        }
        case 6: {  // acknowledge and end
            board.gic.read_sysreg(cpu, 3u << 14 | 12u << 7 | 12u << 3, value);
            if ((what & 0x80) == 0) board.gic.write_sysreg(cpu, 3u << 14 | 12u << 7 | 12u << 3 | 1, value);
            break;
        }
        default:
            board.ram[0x4'0000 + (in.u8() & 31u)] = in.u8();
            board.gic.lpis_changed();
            break;
    }
}

void run(std::span<const uint8_t> bytes) {
    Board board;
    Input in(bytes);
    if ((in.u8() & 1) == 0) board.start();
    while (!in.empty()) step(board, in);
    // Configuration is read when it is looked at.
    board.gic.lpis_changed();

    const auto gic = test::save(board.gic), its = test::save(board.its);
    Board other;
    other.ram = board.ram;
    require(test::load(other.gic, gic).empty() && test::load(other.its, its).empty(),
            "a state that was reached can be loaded");
    require(test::save(other.gic) == gic && test::save(other.its) == its,
            "a loaded state is saved as it was");
    other.gic.resume();
    for (unsigned cpu = 0; cpu < kCpus; cpu++)
        require(board.sink.irqs[cpu] == other.sink.irqs[cpu],
                "a loaded controller drives IRQ in the same way");
    uint64_t read = 0, write = 0;
    board.bus.read(0x0808'0090, 8, read);
    board.bus.read(kQueueWrite, 8, write);
    require((read & ~0xf'ffe1ull) == 0 && (write & ~0xf'ffe0ull) == 0, "the queue's registers are offsets");
}

const Registered registered({.name = "gic_its", .run = run, .max_size = 1024, .words = {}});

}  // namespace
}  // namespace arclight::fuzz
