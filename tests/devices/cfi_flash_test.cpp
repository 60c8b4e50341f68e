#include "devices/firmware/cfi_flash.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "devices/layout.h"
#include "tests/devices/fakes.h"
#include "tests/devices/state_damage.h"

namespace arclight::devices {
namespace {

constexpr uint64_t kBlock = CfiFlash::kBlock, kBytes = 4 * kBlock;
constexpr uint32_t kReadArray = 0x00ff'00ff, kProgram = 0x0040'0040, kErase = 0x0020'0020,
                   kConfirm = 0x00d0'00d0, kBuffer = 0x00e8'00e8, kClearStatus = 0x0050'0050,
                   kStatus = 0x0070'0070, kReady = 0x0080'0080;

struct Chip {
    std::vector<uint8_t> memory = std::vector<uint8_t>(kBytes);
    FlashBank bank{memory};
    std::vector<std::string> said;
    CfiFlash flash{0, bank, [this](const std::string& line) { said.push_back(line); }};

    void command(uint32_t value, uint64_t at = 0) { flash.write(at, value, 4); }
    uint32_t word(uint64_t at) { return static_cast<uint32_t>(flash.read(at, 4)); }
    void program(uint64_t at, uint32_t value) {
        command(kProgram, at);
        command(value, at);
    }
};

/// A file in a directory of its own.
struct ImageFile {
    std::string directory = testing::TempDir() + "arclight-flash-XXXXXX", path;
    explicit ImageFile(size_t bytes, char fill = 'x') {
        EXPECT_NE(mkdtemp(directory.data()), nullptr);
        path = directory + "/flash.img";
        std::ofstream(path) << std::string(bytes, fill);
    }
    ~ImageFile() {
        unlink(path.c_str());
        rmdir(directory.c_str());
    }
    std::string content() const {
        std::ifstream in(path);
        return {std::istreambuf_iterator<char>(in), {}};
    }
};

TEST(CfiFlash, ArrayIsReadInAnySizeAndAlignment) {
    Chip chip;
    for (size_t i = 0; i < 32; ++i) chip.memory[i] = static_cast<uint8_t>(i);
    EXPECT_EQ(chip.flash.read(0, 4), 0x03020100u);
    EXPECT_EQ(chip.flash.read(3, 1), 3u);
    EXPECT_EQ(chip.flash.read(5, 8), 0x0c0b'0a09'0807'0605u);
    EXPECT_EQ(chip.flash.read(kBytes - 8, 8), 0u);
}

// What QEMU 7.2's virt board answers ("pmemsave" after the command): both chips, each in its 16 bits.
TEST(CfiFlash, QueryIsTheBoards) {
    std::vector<uint8_t> memory(layout::kFlashBank);
    FlashBank bank(memory);
    CfiFlash flash(0, bank, {});
    flash.write(0x55 * 4, 0x0098'0098, 4);
    const auto query = [&](unsigned at) { return flash.read(at * 4, 4); };
    EXPECT_EQ(query(0x10), 0x0051'0051u);
    EXPECT_EQ(query(0x11), 0x0052'0052u);
    EXPECT_EQ(query(0x12), 0x0059'0059u);
    EXPECT_EQ(query(0x13), 0x0001'0001u);
    EXPECT_EQ(query(0x27), 0x0019'0019u);  // 32 MiB a chip
    EXPECT_EQ(query(0x2a), 0x000b'000bu);  // 2 KiB of buffer a chip
    EXPECT_EQ(query(0x2d), 0x00ff'00ffu);  // 256 blocks
    EXPECT_EQ(query(0x2f), 0u);
    EXPECT_EQ(query(0x30), 0x0002'0002u);  // of 128 KiB
    EXPECT_EQ(query(0x1000), 0u);
    flash.write(0, kReadArray, 4);
    EXPECT_EQ(query(0x10), 0u);
}

TEST(CfiFlash, Identity) {
    Chip chip;
    chip.command(0x0090'0090);
    EXPECT_EQ(chip.word(0), 0x0089'0089u);
    EXPECT_EQ(chip.word(4), 0x0018'0018u);
    EXPECT_EQ(chip.flash.read(0, 2), 0x89u);
    EXPECT_EQ(chip.flash.read(2, 2), 0x89u);
    EXPECT_EQ(chip.word(8), 0u);
}

TEST(CfiFlash, EraseAndProgram) {
    Chip chip;
    chip.command(kErase, kBlock + 0x1234);
    chip.command(kConfirm, kBlock + 0x1234);
    EXPECT_EQ(chip.word(0), kReady);
    chip.command(kReadArray);
    EXPECT_EQ(chip.word(kBlock - 4), 0u);
    EXPECT_EQ(chip.word(kBlock), ~0u);
    EXPECT_EQ(chip.word(2 * kBlock - 4), ~0u);
    EXPECT_EQ(chip.word(2 * kBlock), 0u);

    chip.program(kBlock + 8, 0x1234'5678);
    EXPECT_EQ(chip.word(0), kReady);
    chip.command(kReadArray);
    EXPECT_EQ(chip.word(kBlock + 8), 0x1234'5678u);
    EXPECT_EQ(chip.word(kBlock + 12), ~0u);
    chip.command(kStatus);
    EXPECT_EQ(chip.word(0), kReady);
    chip.command(kClearStatus);
    EXPECT_EQ(chip.word(kBlock + 8), 0x1234'5678u);
}

// A 64-bit store is two of the bank's words: a command, and what it wants.
TEST(CfiFlash, BusIsFourBytesWide) {
    Chip chip;
    chip.flash.write(0x100, uint64_t{0xcafe'f00d} << 32 | kProgram, 8);
    chip.command(kReadArray);
    EXPECT_EQ(chip.word(0x104), 0xcafe'f00du);
    EXPECT_EQ(chip.word(0x100), 0u);
}

TEST(CfiFlash, BufferedProgram) {
    Chip chip;
    constexpr uint64_t kAt = kBlock + 0x1000;
    chip.command(kBuffer, kAt);
    EXPECT_EQ(chip.word(kAt), kReady);
    chip.command(0x0002'0002, kAt);  // three words
    for (uint32_t i = 0; i < 3; ++i) chip.command(0x1111'1111 * (i + 1), kAt + 4 * i);
    chip.command(kConfirm, kAt);
    EXPECT_EQ(chip.word(kAt), kReady);
    chip.command(kReadArray);
    for (uint32_t i = 0; i < 3; ++i) EXPECT_EQ(chip.word(kAt + 4 * i), 0x1111'1111u * (i + 1));
    EXPECT_EQ(chip.word(kAt + 12), 0u);
}

TEST(CfiFlash, BufferThatIsNotConfirmedIsDropped) {
    Chip chip;
    chip.command(kBuffer);
    chip.command(0);
    chip.command(0xdead'beef, 0x40);
    chip.command(kReadArray);
    EXPECT_EQ(chip.word(0x40), 0u);
}

TEST(CfiFlash, BufferStaysInItsBlock) {
    Chip chip;
    chip.command(kBuffer);
    chip.command(0x0001'0001);
    chip.command(0xaaaa'aaaa, 0x10);
    chip.command(0xbbbb'bbbb, CfiFlash::kBufferBytes + 0x10);
    chip.command(kConfirm);
    EXPECT_EQ(chip.word(0), kReady | 0x0010'0010u);  // an error of programming
    chip.command(kReadArray);
    EXPECT_EQ(chip.word(0x10), 0u);
    EXPECT_EQ(chip.word(CfiFlash::kBufferBytes + 0x10), 0u);
}

TEST(CfiFlash, ReadOnlyBankTellsOfErrors) {
    Chip chip;
    const ImageFile file(kBytes);
    ASSERT_TRUE(chip.bank.open(file.path, false, virtio::ImageLocking::Auto));
    chip.program(0, 1);
    EXPECT_EQ(chip.word(0), kReady | 0x0010'0010u);
    chip.command(kClearStatus);
    chip.command(kErase);
    chip.command(kConfirm);
    EXPECT_EQ(chip.word(0), kReady | 0x0020'0020u);
    chip.command(kReadArray);
    EXPECT_EQ(chip.word(0), 0x7878'7878u);
    EXPECT_EQ(file.content(), std::string(kBytes, 'x'));
    EXPECT_TRUE(chip.said.empty());
}

TEST(CfiFlash, WhatIsProgrammedIsInTheFileAtOnce) {
    Chip chip;
    const ImageFile file(kBlock, '\0');
    ASSERT_TRUE(chip.bank.open(file.path, true, virtio::ImageLocking::Auto));
    chip.program(0x100, 0x6463'6261);
    EXPECT_EQ(file.content().substr(0x100, 4), "abcd");
    chip.program(2 * kBlock, 0x6463'6261);  // behind the file's end: it grows
    ASSERT_EQ(file.content().size(), 2 * kBlock + 4);
    EXPECT_EQ(file.content().substr(2 * kBlock), "abcd");
    EXPECT_EQ(file.content()[kBlock + 5], '\0');
}

TEST(CfiFlash, ShortImageIsPaddedAndALongOneRefused) {
    Chip chip;
    const ImageFile small(5000), large(kBytes + 1);
    ASSERT_TRUE(chip.bank.open(small.path, false, virtio::ImageLocking::Auto));
    EXPECT_EQ(chip.flash.read(4999, 1), 'x');
    EXPECT_EQ(chip.flash.read(5000, 1), 0u);
    Chip other;
    const auto opened = other.bank.open(large.path, false, virtio::ImageLocking::Auto);
    ASSERT_FALSE(opened);
    EXPECT_NE(opened.error().find("the bank 1 MiB"), std::string::npos) << opened.error();
    EXPECT_FALSE(other.bank.open(small.directory, false, virtio::ImageLocking::Auto));
    EXPECT_FALSE(other.bank.open(small.path + ".not", false, virtio::ImageLocking::Auto));
}

TEST(CfiFlash, ImageIsLocked) {
    const ImageFile file(kBytes);
    Chip first, second, reader;
    ASSERT_TRUE(first.bank.open(file.path, true, virtio::ImageLocking::On));
    EXPECT_FALSE(second.bank.open(file.path, true, virtio::ImageLocking::On));
    EXPECT_FALSE(reader.bank.open(file.path, false, virtio::ImageLocking::On));
}

// The file cannot grow any more: the guest is told, the array has the old content, and the user is told once.
TEST(CfiFlash, FileThatCannotBeWritten) {
    Chip chip;
    const ImageFile file(kBlock, '\0');
    ASSERT_TRUE(chip.bank.open(file.path, true, virtio::ImageLocking::Auto));
    rlimit old{};
    ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
    auto* const handler = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{kBlock, old.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    chip.program(2 * kBlock, 1);
    const uint32_t status = chip.word(0);
    chip.program(2 * kBlock, 2);
    setrlimit(RLIMIT_FSIZE, &old);
    std::signal(SIGXFSZ, handler);
    EXPECT_EQ(status, kReady | 0x0010'0010u);
    chip.command(kReadArray);
    EXPECT_EQ(chip.word(2 * kBlock), 0u);
    EXPECT_EQ(chip.said.size(), 1u);
}

TEST(CfiFlash, WrongSequencesLeadBackToTheArray) {
    for (const uint32_t first : {kErase, 0x0060'0060u, 0x00ab'00abu}) {
        Chip chip;
        chip.command(first, kBlock);
        chip.command(0x0012'0012, kBlock);
        chip.command(kReadArray);
        chip.memory[0] = 7;
        EXPECT_EQ(chip.flash.read(0, 1), 7u) << first;
    }
}

TEST(CfiFlash, StateMoves) {
    Chip chip, other;
    chip.program(0x123 * 4, 0x5555'aaaa);
    chip.command(kErase, 3 * kBlock);
    chip.command(kConfirm, 3 * kBlock);
    chip.command(kBuffer);
    chip.command(0x0001'0001);
    chip.command(0x1234'5678, 0x20);
    const auto stream = test::save(chip.flash);
    ASSERT_EQ(test::load(other.flash, stream), "");
    EXPECT_EQ(test::save(other.flash), stream);
    EXPECT_EQ(other.memory, chip.memory);
    other.command(0x9abc'def0, 0x24);
    other.command(kConfirm);
    other.command(kReadArray);
    EXPECT_EQ(other.word(0x20), 0x1234'5678u);
    EXPECT_EQ(other.word(0x24), 0x9abc'def0u);
}

TEST(CfiFlash, DamagedStateIsRefusedOrHarmless) {
    Chip chip;
    chip.program(0, 1);
    chip.command(kBuffer);
    chip.command(0);
    chip.command(3, 0x20);
    const auto stream = test::save(chip.flash);
    std::mt19937_64 random(1);
    for (int i = 0; i < 300; ++i) {
        Chip other;
        (void)test::load(other.flash, test::damage(stream, random));
        for (int access = 0; access < 20; ++access) other.flash.write(random() % (kBytes - 8), random(), 4);
        other.flash.read(0, 8);
    }
}

}  // namespace
}  // namespace arclight::devices
