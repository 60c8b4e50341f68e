// A flash bank: commands in any order, state that moves.
#include "devices/firmware/cfi_flash.h"
#include "tests/devices/state_damage.h"
#include "tests/fuzz/driver/input.h"
#include "tests/fuzz/driver/target.h"

namespace arclight::fuzz {
namespace {

using namespace devices;

constexpr uint64_t kBytes = 2 * CfiFlash::kBlock;

struct Bank {
    std::vector<uint8_t> memory = std::vector<uint8_t>(kBytes);
    FlashBank bank{memory};
    CfiFlash flash{0, bank, {}};
};

void run(std::span<const uint8_t> bytes) {
    static Bank board;
    std::ranges::fill(board.memory, 0);
    board.flash.reset();
    Input in(bytes);
    while (!in.empty()) {
        const uint8_t what = in.u8();
        const unsigned size = 1u << (what >> 4 & 3);
        const uint64_t offset = in.u32() % (kBytes - size + 1);
        switch (what & 3) {
            case 0: board.flash.read(offset, size); break;
            case 1: board.flash.write(offset, in.u8() * 0x0001'0001u, size); break;
            case 2: board.flash.write(offset, in.u64(), size); break;
            default:
                if ((what & 0x80) != 0) board.flash.reset();
        }
    }
    const auto stream = test::save(board.flash);
    static Bank other;
    std::ranges::fill(other.memory, 0xee);
    require(test::load(other.flash, stream).empty(), "a state that was reached can be loaded");
    require(other.memory == board.memory, "a loaded bank has the same content");
    require(test::save(other.flash) == stream, "a loaded state is saved as it was");
    for (uint64_t at = 0; at < 0x400; at += 4)
        require(other.flash.read(at, 4) == board.flash.read(at, 4), "a loaded bank answers in the same way");
}

const Registered registered({.name = "flash", .run = run, .max_size = 1024, .words = {}});

}  // namespace
}  // namespace arclight::fuzz
