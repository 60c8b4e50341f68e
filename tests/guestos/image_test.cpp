#include "guestos/image.h"

#include <gtest/gtest.h>

#include <random>

#include "guestos/cpu_choice.h"
#include "tests/guestos/packings.h"
#include "tests/guestos/test_files.h"

namespace arclight::guestos {
namespace {

using namespace test;

constexpr uint64_t kBase = 0x4000'0000;
constexpr uint64_t kMiB = 1 << 20;

Result<LoadedKernel> load_kernel_bytes(const std::string& name, Bytes file, Ram ram,
                                       uint64_t mmfr0 = default_mmfr0()) {
    const auto kernel = unpack_kernel(name, std::move(file));
    if (!kernel) return std::unexpected(kernel.error());
    return load_kernel(*kernel, ram, mmfr0);
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
    EXPECT_EQ(kernel->kind, KernelKind::Linux);
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

// ID_AA64MMFR0_EL1: TGran4 is 0 or 15, TGran64 likewise, TGran16 is 1 or 0.
TEST(Image, PageSizesAreThoseOfTheCpu) {
    constexpr uint64_t kOnly4 = uint64_t{15} << 24, kNo4 = uint64_t{15} << 28, kWith16 = uint64_t{1} << 20;
    const auto load = [](uint64_t size, uint64_t mmfr0) {
        TestRam ram(64 * kMiB);
        const auto result =
            load_kernel_bytes("k", linux_image(0, kMiB, 4096, size << 1 | 8), ram.view, mmfr0);
        return result ? "loaded" : result.error();
    };
    for (const uint64_t size : {0, 1}) EXPECT_EQ(load(size, kOnly4), "loaded") << size;
    EXPECT_EQ(load(2, kOnly4),
              "kernel 'k' uses 16 KiB pages, which this CPU does not have; use a 4 KiB kernel");
    EXPECT_EQ(load(3, kOnly4),
              "kernel 'k' uses 64 KiB pages, which this CPU does not have; use a 4 KiB kernel");
    EXPECT_EQ(load(2, kOnly4 | kWith16), "loaded");
    EXPECT_EQ(load(3, kOnly4 | kWith16),
              "kernel 'k' uses 64 KiB pages, which this CPU does not have; use a 4 KiB or 16 KiB kernel");
    EXPECT_EQ(load(3, kWith16), "loaded");
    EXPECT_EQ(load(1, kNo4),
              "kernel 'k' uses 4 KiB pages, which this CPU does not have; use a 64 KiB kernel");
    for (const uint64_t size : {1, 2, 3}) EXPECT_EQ(load(size, default_mmfr0()), "loaded") << size;
    EXPECT_EQ(load(2, CpuChoice::of_model("cortex-a57")->mmfr0()),
              "kernel 'k' uses 16 KiB pages, which this CPU does not have; use a 4 KiB or 64 KiB kernel");
}

// The way of Linux's zboot: a header, the payload, and what the linker leaves behind it.
TEST(Image, ZbootIsUnpacked) {
    const Bytes plain = linux_image(0, kMiB, 300'000);
    const auto zboot = [](const Bytes& payload, std::string_view compression) {
        Bytes file(4096);
        std::memcpy(file.data(), "MZ\0\0zimg", 8);
        put<uint32_t>(file, 8, 4096);
        put<uint32_t>(file, 12, uint32_t(payload.size()));
        std::memcpy(file.data() + 24, compression.data(), compression.size());
        append(file, payload.data(), payload.size());
        append(file, "tail", 4);
        return file;
    };
    TestRam ram(64 * kMiB);
    const auto kernel = load_kernel_bytes("k", zboot(gzip(plain), "gzip"), ram.view);
    ASSERT_TRUE(kernel) << kernel.error();
    EXPECT_EQ(std::memcmp(ram.bytes.data() + 2 * kMiB, plain.data(), plain.size()), 0);
    for (const auto& [name, pack] : kPackings)
        EXPECT_EQ(error_of(zboot(pack(plain), name)), "loaded") << name;
    EXPECT_EQ(error_of(zboot(gzip(plain), "zstd22")), "kernel 'k' holds damaged zstd data");
    EXPECT_EQ(error_of(zboot(gzip(plain), "brotli")),
              "kernel 'k' is packed in a way that is not known ('brotli')");
    EXPECT_EQ(
        error_of(zboot(gzip(plain), "lzo")),
        "kernel 'k' is packed with lzo, which is not supported (gzip, zstd, xz, lzma and lz4 are); unpack "
        "it first");
    EXPECT_EQ(error_of(zboot(zboot(gzip(plain), "gzip"), "gzip")), "kernel 'k' holds damaged gzip data");
    Bytes cut = zboot(gzip(plain), "gzip");
    cut.resize(5000);
    EXPECT_TRUE(error_of(cut).starts_with("kernel 'k' is truncated")) << error_of(cut);
}

TEST(Image, FlatGoesWhereQemuPutsIt) {
    TestRam ram(4 * kMiB);
    const Bytes file = {0x00, 0x00, 0x00, 0x14, 0xff, 0xfe};  // b .
    const auto kernel = load_kernel_bytes("k", file, ram.view);
    ASSERT_TRUE(kernel) << kernel.error();
    EXPECT_EQ(kernel->kind, KernelKind::Flat);
    EXPECT_EQ(kernel->entry, kBase + 0x80000);
    EXPECT_EQ(std::memcmp(ram.bytes.data() + 0x80000, file.data(), file.size()), 0);
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
    EXPECT_EQ(kernel->kind, KernelKind::Elf);
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
    EXPECT_EQ(error_of(Bytes(20, 'x')), "kernel 'k' is text, not a kernel");
    EXPECT_EQ(error_of(Bytes(5000)),
              "kernel 'k' is neither an arm64 Linux Image nor an AArch64 ELF, nor does it begin with an "
              "instruction");
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
    const auto missing = read_kernel(directory.path() / "none");
    EXPECT_EQ(missing.error(), "kernel '" + (directory.path() / "none").native() + "' does not exist");
    const auto folder = read_kernel(directory.path());
    EXPECT_EQ(folder.error(), "kernel '" + directory.path().native() + "' is a directory");
    const auto good = read_kernel(directory.write("good", linux_image(0, kMiB)));
    ASSERT_TRUE(good) << good.error();
    EXPECT_TRUE(load_kernel(*good, ram.view));
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
