// The PCI Express bus: configuration space, BARs and MSI-X of two virtio devices, one behind a root port, by whatever accesses.
// Windows never reach out of the bridge's, lines are what the functions say, and the state that was reached can be loaded.
#include "devices/virtio/pci.h"

#include <memory>

#include "tests/devices/pci_board.h"
#include "tests/devices/state_damage.h"
#include "tests/fuzz/driver/input.h"
#include "tests/fuzz/driver/target.h"
#include "tests/fuzz/targets/virtio_sample.h"

namespace arclight::fuzz {
namespace {

using namespace devices;

struct Board : test::PciBoard {
    static constexpr unsigned kDevice = 1 << 3, kPort = 2 << 3;

    Board() {
        bridge.plug(transitional, kDevice);
        bridge.plug(port, kPort);
        bridge.plug_below(port, behind);
    }
    /// As firmware leaves it.
    void place() {
        for (const auto& [bus_number, devfn, offset, value] : {std::tuple(0u, kDevice, 0x10u, 0x1000u),
                                                               {0u, kDevice, 0x14u, 0x1000'0000u},
                                                               {0u, kDevice, 0x20u, 0x8000u},
                                                               {0u, kDevice, 0x24u, 0x80u},
                                                               {0u, kDevice, 4u, 7u},
                                                               {0u, kPort, 0x18u, 0x0001'0100u},
                                                               {0u, kPort, 0x20u, 0x1010'1010u},
                                                               {0u, kPort, 0x24u, 0x0011'0011u},
                                                               {0u, kPort, 0x28u, 0x80u},
                                                               {0u, kPort, 0x2cu, 0x80u},
                                                               {0u, kPort, 4u, 7u},
                                                               {1u, 0u, 0x14u, 0x1010'0000u},
                                                               {1u, 0u, 0x20u, 0x10'0000u},
                                                               {1u, 0u, 0x24u, 0x80u},
                                                               {1u, 0u, 4u, 7u}})
            bus.write(ecam(bus_number, devfn, offset), 4, value);
    }
    std::array<pci::Function*, 4> functions() {
        return {&bridge.own_function(), &transitional, &port, &behind};
    }

    pci::RootPort port{1};
    virtio::Pci transitional{memory, std::make_unique<Sample>(), {}};
    virtio::Pci behind{
        memory, std::make_unique<Sample>(), {.legacy = false, .express = true, .vectors = 128}};
};

/// A place that something is at, mostly.
uint64_t address(Input& in) {
    const uint8_t where = in.u8();
    const uint16_t offset = in.u16();
    switch (where % 8) {
        case 0: return Board::ecam(0, Board::kDevice, offset % 256);
        case 1: return Board::ecam(0, Board::kPort, offset % 256);
        case 2: return Board::ecam(1, 0, offset % 256);
        case 3: return layout::kPciMemory64.base + 0x8000 + offset % 0x4000;
        case 4: return layout::kPciMemory64.base + 0x10'0000 + offset % 0x4000;
        case 5: return layout::kPciMemory32.base + offset % 0x1000 + (where & 8u) * 0x2'0000;
        case 6: return layout::kPciPorts.base + 0x1000 + offset % 0x80;
        default: return layout::kPciEcam.base + (uint64_t{offset} << 12) + where;
    }
}

void check_windows(const Bus& bus) {
    for (const uint64_t elsewhere :
         {layout::kRamBase, layout::kPciPorts.base + layout::kPciPorts.size, layout::kPciEcam.base - 0x1000,
          layout::kPciMemory32.base - 0x1000, layout::kPciMemory64.base - 0x1000})
        require(bus.lookup(elsewhere, 4) == nullptr, "a BAR is outside of the bridge's windows");
}

void run(std::span<const uint8_t> bytes) {
    Board board;
    Input in(bytes);
    if ((in.u8() & 1) == 0) board.place();
    while (!in.empty()) {
        const uint8_t what = in.u8();
        const unsigned size = 1u << (what >> 3 & 3);
        uint64_t value = 0;
        switch (what & 7) {
            case 0: board.bus.read(address(in), size, value); break;
            case 1: {
                const uint16_t at = in.u16();
                const auto chunk = in.bytes(what >> 3);
                for (size_t i = 0; i < chunk.size(); i++) board.ram[at + i] = chunk[i];
                break;
            }
            case 2: {  // a place for a queue's part, in RAM
                constexpr uint16_t kParts[] = {0x20, 0x28, 0x30};
                board.bus.write(layout::kPciMemory64.base + 0x8000 + kParts[(what >> 3) % 3], 8,
                                layout::kRamBase + in.u16());
                break;
            }
            case 3:
                if (what == 0xfb) board.bridge.reset();
                break;
            default: {
                const uint64_t at = address(in);
                board.bus.write(at, size, size > 2 ? in.u32() : in.u16());
                break;
            }
        }
    }
    check_windows(board.bus);
    for (pci::Function* function : board.functions()) function->quiesce();
    std::array<bool, 4> lines{};
    for (const pci::Function* function : board.functions())
        lines[function->interrupt_line()] |= function->interrupt_asserted();
    for (unsigned line = 0; line < 4; line++)
        require(board.wire(line) == lines[line], "a line is what its functions say");

    Board other;
    other.ram = board.ram;
    for (size_t i = 0; i < board.functions().size(); i++) {
        const auto stream = test::save(*board.functions()[i]);
        other.functions()[i]->quiesce();
        require(test::load(*other.functions()[i], stream).empty(), "a state that was reached can be loaded");
        require(test::save(*other.functions()[i]) == stream, "a loaded state is saved as it was");
    }
    for (pci::Function* function : other.functions()) function->resume();
    check_windows(other.bus);
    for (unsigned line = 0; line < 4; line++) {
        // What waited in the queues is served now.
        require(other.wire(line) || !lines[line], "a loaded bus drives its lines");
    }
    for (pci::Function* function : board.functions()) function->resume();
}

const Registered registered({.name = "pci", .run = run, .max_size = 1024, .words = {}});

}  // namespace
}  // namespace arclight::fuzz
