#include "guestos/initramfs.h"

#include <gtest/gtest.h>

#include "guestos/kernel_modules.h"
#include "tests/guestos/test_files.h"

namespace arclight::guestos {
namespace {

using namespace test;

Bytes fake_busybox() {
    Bytes elf = bare_metal_elf(0, 0);
    const std::string_view applets("\0[\0[[\0ash\0cat\0ls\0sh\0\0other\0", 27);
    append(elf, applets.data(), applets.size());
    return elf;
}

// An object file with nothing but a .modinfo section.
Bytes fake_module(std::string_view modinfo) {
    const std::string_view names("\0.modinfo\0.shstrtab\0", 20);
    Bytes elf(sizeof(Elf64_Ehdr));
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_shentsize = sizeof(Elf64_Shdr);
    header.e_shnum = 3;
    header.e_shstrndx = 2;
    Elf64_Shdr sections[3]{};
    sections[1] = {.sh_name = 1, .sh_type = SHT_PROGBITS, .sh_offset = elf.size(), .sh_size = modinfo.size()};
    append(elf, modinfo.data(), modinfo.size());
    sections[2] = {.sh_name = 10, .sh_type = SHT_STRTAB, .sh_offset = elf.size(), .sh_size = names.size()};
    append(elf, names.data(), names.size());
    header.e_shoff = elf.size();
    append(elf, sections, sizeof sections);
    put(elf, 0, header);
    return elf;
}

Bytes fake_module(const std::string& depends, const std::string& alias) {
    return fake_module("license=GPL" + std::string(1, '\0') + "depends=" + depends + '\0' + "alias=" + alias +
                       '\0');
}

struct ModuleTree {
    TemporaryDirectory directory;
    ModuleTree() {
        directory.write("kernel/drivers/virtio/virtio.ko", fake_module("", ""));
        directory.write("kernel/drivers/virtio/virtio_ring.ko", fake_module("virtio", ""));
        directory.write("kernel/drivers/virtio/virtio_mmio.ko",
                        fake_module("virtio,virtio_ring", "of:virtio,mmio"));
        directory.write("kernel/drivers/char/hw_random/virtio-rng.ko", fake_module("virtio_ring", ""));
        directory.write("modules.builtin", "kernel/fs/ext4/ext4.ko\nkernel/lib/crc-x.ko\n");
    }
};

TEST(KernelModules, DependenciesComeFirst) {
    const ModuleTree tree;
    const auto modules = KernelModules::scan(tree.directory.path());
    ASSERT_TRUE(modules) << modules.error();
    const std::string wanted[] = {"virtio-mmio", "virtio_rng", "no_such"};
    EXPECT_EQ(modules->closure(wanted),
              (std::vector<std::string>{"virtio", "virtio_ring", "virtio_mmio", "virtio_rng"}));
    EXPECT_TRUE(modules->is_builtin("crc_x"));
    EXPECT_FALSE(modules->is_builtin("virtio"));
    const std::string one[] = {"virtio_mmio"};
    EXPECT_EQ(modules->dep_text(one),
              "kernel/drivers/virtio/virtio_mmio.ko: kernel/drivers/virtio/virtio_ring.ko "
              "kernel/drivers/virtio/virtio.ko\n");
    EXPECT_EQ(modules->alias_text(one), "alias of:virtio,mmio virtio_mmio\n");
}

TEST(KernelModules, DamagedFilesAreNamed) {
    const ModuleTree tree;
    const auto file = tree.directory.write("kernel/bad.ko", "not a module");
    const auto modules = KernelModules::scan(tree.directory.path());
    ASSERT_FALSE(modules);
    EXPECT_EQ(modules.error(), "kernel module '" + file.native() + "' is damaged");
    EXPECT_FALSE(KernelModules::scan(tree.directory.path() / "none"));
}

TEST(Initramfs, AppletsComeFromBusyboxItself) {
    EXPECT_EQ(busybox_applets(fake_busybox()),
              (std::vector<std::string>{"[", "[[", "ash", "cat", "ls", "sh"}));
    EXPECT_TRUE(busybox_applets(Bytes(100, 'x')).empty());
    const std::string_view endless("\0[\0[[\0ash", 9);
    EXPECT_TRUE(busybox_applets(Bytes(endless.begin(), endless.end())).empty());
}

TEST(Initramfs, HoldsWhatAGuestNeeds) {
    const ModuleTree tree;
    const TemporaryDirectory directory;
    directory.write("tree/sub/file", "content");
    std::filesystem::create_symlink("sub/file", directory.path() / "tree/link");
    InitramfsOptions options{
        .busybox = directory.write("busybox", fake_busybox()),
        .modules = tree.directory.path(),
        .kernel_version = "6.1.0-x",
        .additions = {{directory.path() / "tree", "/opt"}, {directory.path() / "tree/sub/file", "/bin/cat"}}};
    const auto image = build_initramfs(options);
    ASSERT_TRUE(image) << image.error();
    EXPECT_EQ(*image, *build_initramfs(options));
    const auto file = directory.write("a.cpio", *image).native();
    const std::string out = (directory.path() / "list").native();
    ASSERT_EQ(std::system(("cpio -tv --quiet < " + file + " > " + out).c_str()), 0);
    const auto raw = *read_file("list", out, 1 << 20);
    const std::string list(raw.begin(), raw.end());
    for (const char* part :
         {" init\n", " bin/busybox\n", "bin/ls -> busybox\n", " dev/console\n", " opt/sub/file\n",
          "opt/link -> sub/file\n", " lib/modules/6.1.0-x/kernel/drivers/virtio/virtio_mmio.ko\n",
          " lib/modules/6.1.0-x/modules.dep\n"})
        EXPECT_NE(list.find(part), std::string::npos) << part << list;
    EXPECT_EQ(list.find("bin/cat -> busybox"), std::string::npos);
}

TEST(Initramfs, Mistakes) {
    const TemporaryDirectory directory;
    const ModuleTree tree;
    const auto error = [](const InitramfsOptions& options) {
        const auto result = build_initramfs(options);
        return result ? "built" : result.error();
    };
    EXPECT_NE(error({.busybox = directory.path() / "none"}).find("does not exist"), std::string::npos);
    EXPECT_NE(error({.busybox = "/bin/sh"}).find("is not an AArch64 program"), std::string::npos);
    const auto busybox = directory.write("busybox", fake_busybox());
    EXPECT_EQ(error({.busybox = busybox,
                     .modules = tree.directory.path(),
                     .kernel_version = "1",
                     .extra_modules = {"zfs"}}),
              "this kernel has no module 'zfs'");
    EXPECT_NE(
        error({.busybox = busybox, .additions = {{directory.path() / "none", "/x"}}}).find("cannot add"),
        std::string::npos);
}

}  // namespace
}  // namespace arclight::guestos
