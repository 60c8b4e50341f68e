// Memory beside RAM that is only read: a flash bank's array.
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "mmu/guest_memory.h"
#include "mmu/table_pages.h"
#include "mmu/walk.h"
#include "tests/mmu/page_tables.h"

namespace arclight::mmu {
namespace {

using namespace test::descriptor;
using test::kRamBase;
using test::kRamSize;

constexpr uint64_t kFlash = 0x10'0000, kFlashSize = 0x4000;
constexpr uint8_t kFscExternalOnWalk = 0b010100;  // and the level
constexpr uint64_t kVa = 0x1234'5000;

struct Board {
    std::vector<uint8_t> ram = std::vector<uint8_t>(kRamSize);
    alignas(8) uint8_t flash[kFlashSize] = {};
    GuestMemory memory{ram.data(), kRamBase, kRamSize,
                       nullptr,    nullptr,  {.host = flash, .base = kFlash, .size = kFlashSize}};
    TranslationRegs regs;

    /// kVa's page by tables in flash, each in a page of its own.
    explicit Board(uint64_t entry) {
        regs.sctlr = 1;
        regs.tcr = 16 | 16 << 16 | uint64_t{2} << 30 | uint64_t{2} << 32 | uint64_t{1} << 39;  // HA
        regs.mair = 0xff;
        regs.ttbr0 = kFlash;
        regs.update();
        for (unsigned level = 0; level < 4; ++level) {
            const uint64_t value = level == 3 ? entry : (kFlash + 0x1000 * (level + 1)) | kTable;
            const uint64_t index = kVa >> (39 - 9 * level) & 511;
            std::memcpy(flash + 0x1000 * level + index * 8, &value, sizeof value);
        }
    }
};

TEST(ReadOnlyMemory, IsReadableAndNothingElse) {
    Board board(0);
    EXPECT_EQ(board.memory.readable(kFlash, kFlashSize), board.flash);
    EXPECT_EQ(board.memory.readable(kFlash + kFlashSize - 4, 4), board.flash + kFlashSize - 4);
    EXPECT_EQ(board.memory.readable(kFlash + kFlashSize - 4, 5), nullptr);
    EXPECT_EQ(board.memory.readable(kFlash - 1, 2), nullptr);
    EXPECT_EQ(board.memory.readable(kRamBase, 8), board.ram.data());
    EXPECT_EQ(board.memory.host(kFlash, 1), nullptr);
    EXPECT_FALSE(board.memory.contains(kFlash, 1));
    EXPECT_FALSE(board.memory.pieces(kFlash, 4, false, [](const uint8_t*, uint64_t) {}));
    const GuestMemory without(board.ram.data(), kRamBase, kRamSize);
    EXPECT_EQ(without.readable(0, 0), nullptr);
    EXPECT_EQ(without.page_number(0), GuestMemory::kNoPage);
}

TEST(ReadOnlyMemory, PagesHaveNumbersBehindThoseOfRam) {
    const Board board(0);
    EXPECT_EQ(board.memory.pages(), (kRamSize + kFlashSize) / 4096);
    for (const uint64_t pa : {kRamBase, kRamBase + kRamSize - 4096, kFlash, kFlash + kFlashSize - 4096}) {
        const uint64_t number = board.memory.page_number(pa);
        EXPECT_LT(number, board.memory.pages());
        EXPECT_EQ(board.memory.page_address(number), pa);
    }
    EXPECT_EQ(board.memory.page_number(kFlash - 1), GuestMemory::kNoPage);
    EXPECT_EQ(board.memory.page_number(kFlash + kFlashSize), GuestMemory::kNoPage);
    EXPECT_EQ(board.memory.page_number(kRamBase + kRamSize), GuestMemory::kNoPage);
}

// As edk2's first tables are.
TEST(ReadOnlyMemory, TablesMayLieThere) {
    const Board board(kRamBase | kPage | kAf);
    EXPECT_EQ(walk(board.regs, board.memory, kVa + 8, {}).pa, kRamBase + 8);
}

// The access flag would have to be set there.
TEST(ReadOnlyMemory, HardwareDoesNotUpdateThem) {
    const Board board(kRamBase | kPage);
    const std::vector<uint8_t> before(board.flash, board.flash + kFlashSize);
    EXPECT_EQ(walk(board.regs, board.memory, kVa, {}).fsc(), kFscExternalOnWalk | 3);
    EXPECT_TRUE(std::equal(before.begin(), before.end(), board.flash));
}

// Traditional shadow paging has nothing to protect of them.
TEST(ReadOnlyMemory, TablesThereAreNoTablePages) {
    const Board board(kRamBase | kPage | kAf);
    TablePages pages(board.memory);
    WalkPath path;
    ASSERT_TRUE(walk(board.regs, board.memory, kVa, {}, &path).ok());
    EXPECT_TRUE(pages.in_use(path, kVa, kFlash));
    const auto change = pages.begin(path, kVa, kFlash);
    EXPECT_TRUE(change.protect.empty() && change.pages.empty());
    EXPECT_EQ(pages.count(), 0u);
    EXPECT_FALSE(pages.is_protected(kFlash));
}

}  // namespace
}  // namespace arclight::mmu
