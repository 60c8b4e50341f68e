// The firmware configuration device: registers, and DMA by descriptors that the guest writes.
#include "devices/firmware/fw_cfg.h"

#include <bit>
#include <cstring>

#include "tests/devices/state_damage.h"
#include "tests/fuzz/driver/input.h"
#include "tests/fuzz/driver/target.h"

namespace arclight::fuzz {
namespace {

using namespace devices;

constexpr uint64_t kBase = 0x4000'0000, kRam = 1 << 14;

struct Machine {
    std::vector<uint8_t> ram = std::vector<uint8_t>(kRam);
    mmu::GuestMemory memory{ram.data(), kBase, kRam};
    FwCfg device{memory};
    Machine() {
        (void)device.add_file("etc/one", FwCfg::Bytes(300, 1));
        (void)device.add_file("opt/two", {});
        device.finish();
    }
};

void run(std::span<const uint8_t> bytes) {
    Machine machine;
    Input in(bytes);
    while (!in.empty()) {
        const uint8_t what = in.u8();
        const unsigned size = 1u << (what >> 4 & 3);
        switch (what & 3) {
            case 0: machine.device.read(in.u8() % (25 - size), size); break;
            case 1: machine.device.write(in.u8() % (25 - size), in.u64(), size); break;
            case 2: {
                // A descriptor that is near to something, and its address.
                const uint64_t at = in.u16() % (kRam - 15);
                const uint32_t words[] = {std::byteswap(in.u32() & 0x0021'001f),
                                          std::byteswap(in.u32() >> in.u8() % 32)};
                const uint64_t address = std::byteswap(kBase - 64 + in.u32() % (kRam + 128));
                std::memcpy(machine.ram.data() + at, words, sizeof words);
                std::memcpy(machine.ram.data() + at + 8, &address, sizeof address);
                machine.device.write(16, std::byteswap(kBase + at), 8);
                break;
            }
            default:
                if ((what & 0x80) != 0) machine.device.reset();
        }
    }
    const auto stream = test::save(machine.device);
    Machine other;
    require(test::load(other.device, stream).empty(), "a state that was reached can be loaded");
    require(test::save(other.device) == stream, "a loaded state is saved as it was");
    require(other.device.read(0, 8) == machine.device.read(0, 8), "a loaded device goes on where it was");
}

const Registered registered({.name = "fw_cfg", .run = run, .max_size = 1024, .words = {}});

}  // namespace
}  // namespace arclight::fuzz
