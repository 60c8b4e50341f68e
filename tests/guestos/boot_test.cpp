#include "guestos/boot.h"

#include <gtest/gtest.h>
#include <libfdt.h>

#include "tests/guestos/test_files.h"

namespace arclight::guestos {
namespace {

using namespace test;

constexpr uint64_t kBase = 0x4000'0000;
constexpr uint64_t kMiB = 1 << 20;

struct Guest {
    TemporaryDirectory directory;
    devices::Bus bus;
    RunOptions options;

    explicit Guest(const Bytes& kernel) { options.kernel = directory.write("kernel", kernel).native(); }
    Result<BootState> load(TestRam& ram) {
        options.memory = ram.bytes.size();
        const auto kernel = read_kernel(options.kernel);
        if (!kernel) return std::unexpected(kernel.error());
        return load_guest(options, *kernel, ram.view, bus);
    }
};

TEST(Boot, LinuxPlacesAreQemus) {
    Guest guest(linux_image(0, 4 * kMiB));
    guest.options.initrd = guest.directory.write("initrd", Bytes(10'000, 'i')).native();
    TestRam ram(64 * kMiB);
    const auto state = guest.load(ram);
    ASSERT_TRUE(state) << state.error();
    EXPECT_EQ(state->entry, kBase + 2 * kMiB);
    EXPECT_EQ(state->initrd_start, kBase + 32 * kMiB);  // half of memory, at most 128 MiB
    EXPECT_EQ(state->initrd_end, kBase + 32 * kMiB + 10'000);
    EXPECT_EQ(state->x0, kBase + 34 * kMiB);
    EXPECT_EQ(ram.bytes[32 * kMiB], 'i');
    EXPECT_EQ(fdt_check_full(ram.bytes.data() + 34 * kMiB, state->dtb.size()), 0);
}

TEST(Boot, InitrdStaysBehindALargeKernel) {
    Guest guest(linux_image(0, 20 * kMiB + 1));
    guest.options.initrd = guest.directory.write("initrd", Bytes(100, 'i')).native();
    TestRam ram(32 * kMiB);
    const auto state = guest.load(ram);
    ASSERT_TRUE(state) << state.error();
    EXPECT_EQ(state->initrd_start, kBase + 22 * kMiB + 4096);
}

TEST(Boot, InitrdLargerThanMemory) {
    Guest guest(linux_image(0, 4 * kMiB));
    guest.options.initrd = guest.directory.write("initrd", Bytes(20 * kMiB)).native();
    TestRam ram(32 * kMiB);
    const auto state = guest.load(ram);
    ASSERT_FALSE(state);
    EXPECT_EQ(state.error(),
              "initrd '" + guest.options.initrd + "' (20 MiB) does not fit into 32 MiB of memory");
}

TEST(Boot, InitrdMissingOrEmpty) {
    Guest guest(linux_image(0, 4 * kMiB));
    TestRam ram(32 * kMiB);
    guest.options.initrd = (guest.directory.path() / "none").native();
    EXPECT_EQ(guest.load(ram).error(), "initrd '" + guest.options.initrd + "' does not exist");
    guest.options.initrd = guest.directory.write("empty", Bytes()).native();
    EXPECT_EQ(guest.load(ram).error(), "initrd '" + guest.options.initrd + "' is empty");
}

TEST(Boot, NoRoomForTheTree) {
    Guest guest(linux_image(0, 2 * kMiB));
    TestRam ram(4 * kMiB);
    EXPECT_EQ(guest.load(ram).error(),
              "the device tree does not fit behind kernel and initrd in 4 MiB of memory");
}

TEST(Boot, ElfFindsTheTreeAtTheStartOfRam) {
    Guest guest(bare_metal_elf(kBase + kMiB, kBase + kMiB));
    TestRam ram(4 * kMiB);
    const auto state = guest.load(ram);
    ASSERT_TRUE(state) << state.error();
    EXPECT_EQ(state->entry, kBase + kMiB);
    EXPECT_EQ(state->x0, 0u);
    EXPECT_EQ(fdt_check_full(ram.bytes.data(), state->dtb.size()), 0);
}

TEST(Boot, ElfAtTheStartOfRamIsLeftWhole) {
    Guest guest(bare_metal_elf(kBase, kBase));
    TestRam ram(4 * kMiB);
    ASSERT_TRUE(guest.load(ram));
    EXPECT_EQ(ram.bytes[0], 0xa0);
}

TEST(Boot, WhatIsLeftOpenFollowsTheKernel) {
    for (const KernelKind kind : {KernelKind::Elf, KernelKind::Flat}) {
        const RunOptions open = complete_options({}, kind);
        EXPECT_EQ(open.gic, 2u);
        EXPECT_EQ(open.virtio, VirtioMmio::Legacy);
    }
    const RunOptions open = complete_options({}, KernelKind::Linux);
    EXPECT_EQ(open.gic, 3u);
    EXPECT_EQ(open.virtio, VirtioMmio::Modern);
    RunOptions given;
    given.gic = 3;
    given.virtio = VirtioMmio::Modern;
    given = complete_options(given, KernelKind::Elf);
    EXPECT_EQ(given.gic, 3u);
    EXPECT_EQ(given.virtio, VirtioMmio::Modern);
}

TEST(Boot, FlatTakesTheTreeAsLinuxDoes) {
    Guest guest({0x00, 0x00, 0x00, 0x14});
    TestRam ram(64 * kMiB);
    const auto state = guest.load(ram);
    ASSERT_TRUE(state) << state.error();
    EXPECT_EQ(state->entry, kBase + 0x80000);
    EXPECT_EQ(state->x0, state->dtb_start);
}

TEST(Boot, ElfTakesNoInitrd) {
    Guest guest(bare_metal_elf(kBase, kBase));
    guest.options.initrd = guest.directory.write("initrd", Bytes(10)).native();
    TestRam ram(4 * kMiB);
    EXPECT_EQ(guest.load(ram).error(),
              "--initrd needs a Linux kernel, '" + guest.options.kernel + "' is a bare-metal ELF");
}

TEST(Boot, ASessionFollowsTheInitrdAligned) {
    Guest guest(linux_image(0, 4 * kMiB));
    guest.options.initrd = guest.directory.write("initrd", Bytes(1001, 'i')).native();
    guest.options.session = true;
    guest.options.command = {"echo", "hi"};
    TestRam ram(64 * kMiB);
    const auto state = guest.load(ram);
    ASSERT_TRUE(state) << state.error();
    const std::string_view behind(reinterpret_cast<const char*>(ram.bytes.data()) + 32 * kMiB + 1004,
                                  state->initrd_end - state->initrd_start - 1004);
    EXPECT_TRUE(behind.starts_with("070701"));
    EXPECT_NE(behind.find("set -- 'echo' 'hi'"), std::string_view::npos);
}

}  // namespace
}  // namespace arclight::guestos
