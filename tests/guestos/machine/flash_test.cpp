// Guest code in flash: fetched from read-only memory, while data accesses go to the device.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <utility>

#include "devices/firmware/cfi_flash.h"
#include "tests/guestos/machine/test_machine.h"

namespace arclight::guestos {
namespace {

using namespace insn;
using M = TestMachine;
using Values = std::vector<uint64_t>;

constexpr uint64_t kSyncVector = M::kVectors + 0x200;
constexpr unsigned kEcShift = 26;

struct FlashMachine : M {
    devices::FlashBank bank{flash};
    devices::CfiFlash chip{0, bank, {}};
    FlashMachine() { bus.map(kFlash, kFlashBytes, chip, "flash"); }
    void put(uint64_t offset, const std::vector<uint32_t>& words) {
        std::memcpy(flash.data() + offset, words.data(), words.size() * 4);
    }
    /// x9 is the device then.
    void put_program(uint64_t offset, std::initializer_list<uint32_t> words) {
        std::vector<uint32_t> code;
        put_constant(code, 9, kDevice);
        put_constant(code, 11, kFlash);
        code.insert(code.end(), words);
        put(offset, code);
    }
};

TEST(Flash, CodeRunsThereAndReadsItsData) {
    FlashMachine m;
    m.put(0x1000, {0x1234'5678, 0x9abc'def0});
    // A loop, so that blocks are linked; a load; a jump to RAM and back.
    m.put_program(
        0, {movz(1, 3), movz(2, 0x1000), add(2, 2, 0), add(3, 3, 1), 0xd100'0421 /* sub x1, x1, #1 */,
            0xb5ff'ffc1 /* cbnz x1, -2 */, str(3, 9), 0x8b02'0164 /* add x4, x11, x2 */, ldr(5, 4), str(5, 9),
            movz(6, 0x4000, 16), blr(6), str(7, 9), str(9, 9, 8), b(0)});
    m.write(M::kRam, {movz(7, 77), kRet});
    m.group.cpu(0).power_on(M::kFlash, 0);
    ASSERT_TRUE(m.run());
    EXPECT_EQ(m.device.values, (Values{3, 0x9abc'def0'1234'5678, 77}));
}

// Both sides of a page, and as the engine sees them: a block ends there.
TEST(Flash, CodeCrossesItsPages) {
    FlashMachine m;
    m.put_program(0x1000 - 4 * 5, {add(1, 1, 1), add(1, 1, 1), str(1, 9), str(9, 9, 8), b(0)});
    m.group.cpu(0).power_on(M::kFlash + 0x1000 - 4 * 5, 0);
    ASSERT_TRUE(m.run());
    EXPECT_EQ(m.device.values, Values{2});
}

TEST(Flash, FetchBehindItsEndIsAnAbort) {
    FlashMachine m;
    m.write_program(M::kRam, {movz(1, M::kFlash >> 16, 16), add(1, 1, 0),
                              0x9140'0821 /* add x1, x1, #2, lsl 12 */, br(1)});
    m.write(kSyncVector, {mrs_esr(1), str(1, 9), mrs_far(1), str(1, 9), str(9, 9, 8), b(0)});
    m.group.cpu(0).power_on(M::kRam, 0);
    ASSERT_TRUE(m.run());
    EXPECT_EQ(m.device.values, (Values{0x21u << kEcShift | 1u << 25 | 0x10, M::kFlash + M::kFlashBytes}));
}

// A program command of the guest's, seen by the next fetch after cache maintenance, as with a cache in front of a chip.
TEST(Flash, ProgrammedCodeIsSeenAfterMaintenance) {
    FlashMachine m;
    m.put(0x1000, {movz(1, 1), kRet});
    std::vector<uint32_t> code;
    M::put_constant(code, 9, M::kDevice);
    M::put_constant(code, 11, M::kFlash + 0x1000);
    M::put_constant(code, 12, 0x0040'0040);
    M::put_constant(code, 13, movz(1, 2));
    M::put_constant(code, 14, 0x00ff'00ff);
    for (const uint32_t word :
         {blr(11), str(1, 9), str_w(12, 11), str_w(13, 11), ldr_w(2, 11), str(2, 9), str_w(14, 11),
          ldr_w(2, 11), str(2, 9), ic_ivau(11), kDsb, kIsb, blr(11), str(1, 9), str(9, 9, 8), b(0)})
        code.push_back(word);
    m.write(M::kRam, code);
    m.group.cpu(0).power_on(M::kRam, 0);
    ASSERT_TRUE(m.run());
    EXPECT_EQ(m.device.values, (Values{1, 0x0080'0080, movz(1, 2), 2}));
}

}  // namespace
}  // namespace arclight::guestos
