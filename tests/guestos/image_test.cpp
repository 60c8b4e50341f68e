#include "guestos/image.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <random>

#include "tests/guestos/test_files.h"

namespace arclight::guestos {
namespace {

using namespace test;

constexpr uint64_t kBase = 0x4000'0000;
constexpr uint64_t kMiB = 1 << 20;

Bytes gzip(const Bytes& plain) {
    z_stream stream{};
    deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
    Bytes packed(deflateBound(&stream, plain.size()) + 64);
    stream.next_in = const_cast<Bytef*>(plain.data());
    stream.avail_in = uInt(plain.size());
    stream.next_out = packed.data();
    stream.avail_out = uInt(packed.size());
    deflate(&stream, Z_FINISH);
    packed.resize(stream.total_out);
    deflateEnd(&stream);
    return packed;
}

std::string error_of(Bytes file, uint64_t memory = 64 * kMiB) {
    TestRam ram(memory);
    const auto result = load_kernel_bytes("k", std::move(file), ram.view);
    return result ? "loaded" : result.error();
}

TEST(Image, LinuxGoesTwoMiBUpForOffsetZero) {
    TestRam ram(64 * kMiB);
    const Bytes file = linux_image(0, 3 * kMiB);
    const auto kernel = load_kernel_bytes("k", file, ram.view);
    ASSERT_TRUE(kernel) << kernel.error();
    EXPECT_EQ(kernel->entry, kBase + 2 * kMiB);
    EXPECT_EQ(kernel->end, kBase + 5 * kMiB);
    EXPECT_TRUE(kernel->is_linux);
    EXPECT_EQ(std::memcmp(ram.bytes.data() + 2 * kMiB, file.data(), file.size()), 0);
}

TEST(Image, LinuxTextOffsetIsKept) {
    TestRam ram(64 * kMiB);
    const auto kernel = load_kernel_bytes("k", linux_image(0x80000, kMiB), ram.view);
    ASSERT_TRUE(kernel);
    EXPECT_EQ(kernel->entry, kBase + 0x80000);
}

TEST(Image, LinuxOfOldHasNoSize) {
    TestRam ram(64 * kMiB);
    const auto kernel = load_kernel_bytes("k", linux_image(0, 0, 8192), ram.view);
    ASSERT_TRUE(kernel);
    EXPECT_EQ(kernel->entry, kBase + 0x80000);
    EXPECT_EQ(kernel->end, kBase + 0x80000 + 8192);
}

TEST(Image, OtherPageSizesAreFine) {
    EXPECT_EQ(error_of(linux_image(0, kMiB, 4096, 0xc)), "loaded");
    EXPECT_EQ(error_of(linux_image(0, kMiB, 4096, 0xe)), "loaded");
}

TEST(Image, GzipIsUnpacked) {
    TestRam ram(64 * kMiB);
    const Bytes file = linux_image(0, kMiB, 300'000);
    const auto kernel = load_kernel_bytes("k", gzip(file), ram.view);
    ASSERT_TRUE(kernel) << kernel.error();
    EXPECT_EQ(std::memcmp(ram.bytes.data() + 2 * kMiB, file.data(), file.size()), 0);
}

TEST(Image, ElfGoesToItsPhysicalAddressAndBssIsCleared) {
    TestRam ram(4 * kMiB);
    std::ranges::fill(ram.bytes, 0xff);
    const auto kernel = load_kernel_bytes("k", bare_metal_elf(kBase + 0x10000, kBase + 0x10004), ram.view);
    ASSERT_TRUE(kernel) << kernel.error();
    EXPECT_EQ(kernel->entry, kBase + 0x10004);
    EXPECT_EQ(kernel->low, kBase + 0x10000);
    EXPECT_EQ(kernel->end, kBase + 0x10040);
    EXPECT_FALSE(kernel->is_linux);
    EXPECT_EQ(ram.bytes[0x10000], 0xa0);
    EXPECT_EQ(ram.bytes[0x1000f], 0xaf);
    EXPECT_EQ(ram.bytes[0x10010], 0);
    EXPECT_EQ(ram.bytes[0x1003f], 0);
    EXPECT_EQ(ram.bytes[0x10040], 0xff);
}

TEST(Image, ElfEntryFollowsFromVirtualToPhysical) {
    TestRam ram(4 * kMiB);
    Bytes elf = bare_metal_elf(kBase, 0xffff'0000'0000'0008);
    put<uint64_t>(elf, sizeof(Elf64_Ehdr) + offsetof(Elf64_Phdr, p_vaddr), 0xffff'0000'0000'0000);
    const auto kernel = load_kernel_bytes("k", elf, ram.view);
    ASSERT_TRUE(kernel) << kernel.error();
    EXPECT_EQ(kernel->entry, kBase + 8);
}

TEST(Image, EachMistakeHasItsOwnWords) {
    EXPECT_EQ(error_of({}), "kernel 'k' is empty");
    EXPECT_EQ(error_of(Bytes(20, 'x')), "kernel 'k' is truncated (20 bytes are less than a header)");
    EXPECT_EQ(error_of(Bytes(5000, 'x')), "kernel 'k' is neither an arm64 Linux Image nor an AArch64 ELF");
    EXPECT_EQ(error_of(linux_image(0, kMiB, 4096, 0xb)), "kernel 'k' is big-endian, which is not supported");
    EXPECT_EQ(error_of(linux_image(0, 100 * kMiB)),
              "kernel 'k' does not fit: it needs 100 MiB of memory at 0x40200000, the guest has 64 MiB");
    EXPECT_EQ(error_of(linux_image(0, kMiB), kMiB),
              "kernel 'k' does not fit: it needs 1 MiB of memory at 0x40200000, the guest has 1 MiB");
    EXPECT_EQ(error_of(linux_image(UINT64_MAX - 100, kMiB)).substr(0, 23), "kernel 'k' does not fit");
    EXPECT_EQ(error_of(linux_image(0, UINT64_MAX - 100)).substr(0, 23), "kernel 'k' does not fit");
}

TEST(Image, WrongArchitectures) {
    const auto elf_for = [](uint16_t machine, uint8_t bits, uint8_t order = ELFDATA2LSB) {
        Bytes elf = bare_metal_elf(kBase, kBase);
        put<uint16_t>(elf, offsetof(Elf64_Ehdr, e_machine), machine);
        elf[EI_CLASS] = bits;
        elf[EI_DATA] = order;
        return elf;
    };
    EXPECT_EQ(error_of(elf_for(EM_X86_64, ELFCLASS64)), "kernel 'k' is for x86, not for AArch64");
    EXPECT_EQ(error_of(elf_for(EM_386, ELFCLASS32)), "kernel 'k' is for x86, not for AArch64");
    EXPECT_EQ(error_of(elf_for(EM_ARM, ELFCLASS32)), "kernel 'k' is for 32-bit ARM, not for AArch64");
    EXPECT_EQ(error_of(elf_for(EM_RISCV, ELFCLASS64)),
              "kernel 'k' is for another architecture (ELF machine 243), not for AArch64");
    EXPECT_EQ(error_of(elf_for(EM_AARCH64, ELFCLASS64, ELFDATA2MSB)),
              "kernel 'k' is big-endian, which is not supported");
    EXPECT_EQ(error_of(elf_for(EM_AARCH64, ELFCLASS32)), "kernel 'k' is a 32-bit ELF, not for AArch64");
    Bytes x86_linux(1024);
    std::memcpy(x86_linux.data() + 0x202, "HdrS", 4);
    EXPECT_EQ(error_of(x86_linux), "kernel 'k' is for x86, not for AArch64");
    Bytes arm_linux(1024);
    put<uint32_t>(arm_linux, 0x24, 0x016f2818);
    EXPECT_EQ(error_of(arm_linux), "kernel 'k' is for 32-bit ARM, not for AArch64");
}

TEST(Image, Truncated) {
    const Bytes packed = gzip(linux_image(0, kMiB, 300'000));
    EXPECT_EQ(error_of(Bytes(packed.begin(), packed.begin() + 100)),
              "kernel 'k' is truncated (gzip data ends early)");
    Bytes damaged = packed;
    for (size_t i = 200; i < 400; ++i) damaged[i] ^= 0x55;
    EXPECT_EQ(error_of(damaged), "kernel 'k' holds damaged gzip data");

    const Bytes elf = bare_metal_elf(kBase, kBase);
    EXPECT_EQ(error_of(Bytes(elf.begin(), elf.end() - 1)), "kernel 'k' is truncated (ELF segment 0)");
    EXPECT_EQ(error_of(Bytes(elf.begin(), elf.begin() + 80)),
              "kernel 'k' is truncated (ELF program headers)");
    EXPECT_EQ(error_of(Bytes(elf.begin(), elf.begin() + 60)), "kernel 'k' is truncated (ELF header)");
    EXPECT_EQ(error_of(Bytes(elf.begin(), elf.begin() + 30)), "kernel 'k' is truncated (ELF header)");

    // An Image with an EFI stub: "MZ", a PE header at 64 with one section that ends with the file.
    Bytes image = linux_image(0, kMiB, 8192);
    image[0] = 'M';
    image[1] = 'Z';
    put<uint32_t>(image, 60, 64);
    std::memcpy(image.data() + 64, "PE\0\0", 4);
    put<uint16_t>(image, 64 + 6, 1);
    put<uint16_t>(image, 64 + 20, 0);
    put<uint32_t>(image, 64 + 24 + 16, 4096);
    put<uint32_t>(image, 64 + 24 + 20, 4096);
    EXPECT_EQ(error_of(image), "loaded");
    image.resize(8000);
    EXPECT_EQ(error_of(image), "kernel 'k' is truncated (8000 bytes are too few for its sections)");
}

TEST(Image, DamagedElfs) {
    EXPECT_EQ(
        error_of(bare_metal_elf(0x1000, 0x1000)),
        "kernel 'k' does not fit: segment 0 wants 0x40 bytes at 0x1000, RAM is 0x40000000 to 0x44000000");
    EXPECT_EQ(error_of(bare_metal_elf(kBase, kBase, UINT64_MAX - kBase)).substr(0, 23),
              "kernel 'k' does not fit");
    EXPECT_EQ(error_of(bare_metal_elf(kBase, kBase, 8)), "kernel 'k' has a damaged ELF segment 0");
    EXPECT_EQ(error_of(bare_metal_elf(kBase, 0)), "kernel 'k' has its entry point 0x0 outside RAM");
    EXPECT_EQ(error_of(bare_metal_elf(kBase, kBase, 0)), "kernel 'k' has nothing to load");
}

TEST(Image, Files) {
    TestRam ram(8 * kMiB);
    const TemporaryDirectory directory;
    const auto missing = load_kernel(directory.path() / "none", ram.view);
    EXPECT_EQ(missing.error(), "kernel '" + (directory.path() / "none").native() + "' does not exist");
    const auto folder = load_kernel(directory.path(), ram.view);
    EXPECT_EQ(folder.error(), "kernel '" + directory.path().native() + "' is a directory");
    EXPECT_TRUE(load_kernel(directory.write("good", linux_image(0, kMiB)), ram.view));
}

// Whatever the bytes, the answer is a value; AddressSanitizer builds make this a memory test.
TEST(Image, RandomDamageIsSurvived) {
    std::mt19937_64 random(20261121);
    const Bytes seeds[] = {linux_image(0, kMiB), bare_metal_elf(kBase, kBase), gzip(linux_image(0, kMiB))};
    TestRam ram(4 * kMiB);
    unsigned loaded = 0;
    for (unsigned round = 0; round < 20'000; ++round) {
        Bytes file = seeds[round % 3];
        for (unsigned changes = 1 + random() % 8; changes > 0; --changes) {
            const size_t header = std::min<size_t>(file.size(), 160);
            file[random() % header] = uint8_t(random());
        }
        if (random() % 4 == 0) file.resize(random() % file.size());
        const auto result = load_kernel_bytes("k", std::move(file), ram.view);
        loaded += result.has_value();
        if (result) {
            EXPECT_TRUE(ram.view.contains(result->entry, 4));
        } else {
            EXPECT_EQ(result.error().find('\n'), std::string::npos);
        }
    }
    EXPECT_GT(loaded, 0u);
    EXPECT_LT(loaded, 20'000u);
}

}  // namespace
}  // namespace arclight::guestos
