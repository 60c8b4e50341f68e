#include "devices/firmware/fw_cfg.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <string>
#include <vector>

#include "devices/layout.h"
#include "tests/devices/state_damage.h"

namespace arclight::devices {
namespace {

constexpr uint32_t kError = 1, kRead = 2, kSkip = 4, kSelect = 8, kWrite = 16;
constexpr uint64_t kBase = layout::kRamBase, kRam = 1 << 16;

struct Machine {
    std::vector<uint8_t> ram = std::vector<uint8_t>(kRam);
    mmu::GuestMemory memory{ram.data(), kBase, kRam};
    FwCfg device{memory};

    Machine() {
        EXPECT_TRUE(device.add_file("opt/b", {'h', 'e', 'l', 'l', 'o'}));
        EXPECT_TRUE(device.add_file("etc/a", {1, 2, 3}));
        device.set_u16(FwCfg::kCpus, 4);
        device.finish();
    }
    void select(uint16_t key) { device.write(8, std::byteswap(key), 2); }
    std::string bytes(size_t count) {
        std::string all;
        for (size_t i = 0; i < count; ++i) all += static_cast<char>(device.read(0, 1));
        return all;
    }
    /// What the control word is then.
    uint32_t dma(uint32_t control, uint32_t length, uint64_t address, uint64_t at = kBase + 0x100) {
        const uint32_t words[] = {std::byteswap(control), std::byteswap(length)};
        const uint64_t to = std::byteswap(address);
        if (memory.contains(at, 16)) {
            std::memcpy(ram.data() + (at - kBase), words, 8);
            std::memcpy(ram.data() + (at - kBase) + 8, &to, 8);
        }
        device.write(16, std::byteswap(static_cast<uint32_t>(at >> 32)), 4);
        device.write(20, std::byteswap(static_cast<uint32_t>(at)), 4);
        uint32_t result = 0;
        if (memory.contains(at, 16)) std::memcpy(&result, ram.data() + (at - kBase), 4);
        return std::byteswap(result);
    }
    std::string text(uint64_t pa, size_t count) const {
        return {reinterpret_cast<const char*>(ram.data()) + (pa - kBase), count};
    }
};

TEST(FwCfg, SignatureAndFeatures) {
    Machine m;
    m.select(FwCfg::kSignature);
    EXPECT_EQ(m.bytes(6), std::string("QEMU\0\0", 6));
    m.select(FwCfg::kId);
    EXPECT_EQ(m.device.read(0, 4), 3u);
    m.select(FwCfg::kCpus);
    EXPECT_EQ(m.device.read(0, 2), 4u);
    // The register by which DMA is found, big-endian.
    EXPECT_EQ(std::byteswap(m.device.read(16, 8)), 0x51454d5520434647u);
    EXPECT_EQ(std::byteswap(static_cast<uint32_t>(m.device.read(20, 4))), 0x20434647u);
}

TEST(FwCfg, WideReadsGiveBytesInOrder) {
    Machine m;
    m.select(FwCfg::kFirstFile + 1);
    EXPECT_EQ(m.device.read(0, 8), 0x6f'6c6c'6568u);  // "hello", and zeros
    EXPECT_EQ(m.device.read(0, 8), 0u);
}

TEST(FwCfg, DirectoryIsSortedByName) {
    Machine m;
    m.select(FwCfg::kFileDirectory);
    const std::string directory = m.bytes(4 + 2 * 64 + 1);
    EXPECT_EQ(directory.substr(0, 4), std::string("\0\0\0\2", 4));
    EXPECT_EQ(directory.substr(4, 8), std::string("\0\0\0\3\0\x20\0\0", 8));
    EXPECT_EQ(directory.substr(12, 6), std::string("etc/a\0", 6));
    EXPECT_EQ(directory.substr(68, 8), std::string("\0\0\0\5\0\x21\0\0", 8));
    EXPECT_EQ(directory.substr(76, 6), std::string("opt/b\0", 6));
}

TEST(FwCfg, NamesAreChecked) {
    Machine m;
    EXPECT_TRUE(m.device.add_file(std::string(55, 'n'), {}));
    EXPECT_FALSE(m.device.add_file(std::string(55, 'n'), {}));
    EXPECT_FALSE(m.device.add_file(std::string(56, 'n'), {}));
    EXPECT_FALSE(m.device.add_file("", {}));
}

TEST(FwCfg, UnknownItemsAreEmpty) {
    Machine m;
    m.select(0x7777);
    EXPECT_EQ(m.device.read(0, 8), 0u);
    EXPECT_EQ(m.dma(kSelect | kRead | 0x7777u << 16, 16, kBase + 0x200), 0u);
}

TEST(FwCfg, DmaReadsAndGoesOn) {
    Machine m;
    m.ram[0x205] = 9;
    EXPECT_EQ(m.dma(kSelect | kRead | 0x21u << 16, 2, kBase + 0x200), 0u);
    EXPECT_EQ(m.text(kBase + 0x200, 3), std::string("he\0", 3));
    EXPECT_EQ(m.dma(kSkip, 1, 0), 0u);
    EXPECT_EQ(m.dma(kRead, 4, kBase + 0x200), 0u);  // past the end: zeros
    EXPECT_EQ(m.text(kBase + 0x200, 6), std::string("lo\0\0\0\x9", 6));
}

TEST(FwCfg, NothingCanBeWritten) {
    Machine m;
    EXPECT_EQ(m.dma(kSelect | kWrite | 0x21u << 16, 2, kBase + 0x200), kError);
    m.select(0x21);
    m.device.write(0, ~0u, 4);
    EXPECT_EQ(m.bytes(5), "hello");
}

// Transfers to where there is no memory, wholly and in part, and accesses that are nowhere.
TEST(FwCfg, HostileDma) {
    Machine m;
    EXPECT_EQ(m.dma(kSelect | kRead | 0x21u << 16, 5, 0), kError);
    EXPECT_EQ(m.dma(kSelect | kRead | 0x21u << 16, 5, kBase + kRam - 2), kError);
    EXPECT_EQ(m.dma(kSelect | kRead | 0x21u << 16, ~0u, kBase), kError);
    EXPECT_EQ(m.dma(kSelect | kRead | 0x21u << 16, 5, ~uint64_t{0} - 2), kError);
    EXPECT_EQ(m.dma(kSkip, ~0u, 0), 0u);
    EXPECT_EQ(m.dma(kRead, 4, kBase + 0x300), 0u);  // at the end then
    EXPECT_EQ(m.text(kBase + 0x300, 4), std::string(4, '\0'));
    const auto before = m.ram;
    for (const uint64_t at : {uint64_t{0}, kBase + kRam - 8, ~uint64_t{0} - 7, kBase - 8}) {
        m.device.write(16, std::byteswap(static_cast<uint32_t>(at >> 32)), 4);
        m.device.write(20, std::byteswap(static_cast<uint32_t>(at)), 4);
    }
    EXPECT_EQ(m.ram, before);
    // A transfer over its own description.
    EXPECT_EQ(m.dma(kSelect | kRead | 0x21u << 16, 16, kBase + 0x400, kBase + 0x400), 0u);
    EXPECT_EQ(m.text(kBase + 0x404, 1), "o");
}

TEST(FwCfg, AccessesOfOtherSizesDoNothing) {
    Machine m;
    m.select(0x21);
    m.device.write(8, 0, 1);
    m.device.write(9, 0, 2);
    m.device.write(20, 0, 2);
    m.device.write(18, 0, 4);
    EXPECT_EQ(m.bytes(5), "hello");
    for (uint64_t offset = 0; offset < 24; ++offset)
        for (const unsigned size : {1u, 2u, 4u, 8u}) m.device.read(offset, size);
}

TEST(FwCfg, StateMoves) {
    Machine m, other;
    m.select(0x21);
    m.bytes(2);
    ASSERT_EQ(test::load(other.device, test::save(m.device)), "");
    EXPECT_EQ(other.bytes(3), "llo");
    std::mt19937_64 random(1);
    for (int i = 0; i < 300; ++i) {
        (void)test::load(other.device, test::damage(test::save(m.device), random));
        other.device.read(0, 8);
        other.dma(kRead, 64, kBase);
    }
}

}  // namespace
}  // namespace arclight::devices
