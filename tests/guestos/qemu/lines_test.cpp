// The command lines of the tools that start qemu-system-aarch64, as they pass them.
#include <gtest/gtest.h>

#include "tests/guestos/qemu/qemu_line.h"

namespace arclight::guestos::qemu {
namespace {

struct Line {
    std::string_view tool;
    std::string_view words;
    std::string_view devices;  ///< devices_of()
};

const Line kLines[] = {
    {"kunit.py",
     "-nodefaults -m 1024 -kernel Image.gz -append 'console=ttyAMA0 kunit_shutdown=reboot' -no-reboot "
     "-nographic -accel kvm -accel hvf "
     "-accel tcg -serial stdio -machine virt -cpu cortex-a57",
     ""},
    {"Buildroot",
     "-M virt -cpu cortex-a53 -nographic -smp 1 -kernel Image -append \"rootwait root=/dev/vda "
     "console=ttyAMA0\" -netdev user,id=eth0 "
     "-device virtio-net-device,netdev=eth0 -drive file=rootfs.ext4,if=none,format=raw,id=hd0 -device "
     "virtio-blk-device,drive=hd0",
     "virtio-net network=eth0; virtio-blk file=rootfs.ext4 format=raw"},
    {"boot-utils",
     "-display none -nodefaults -cpu max,lpa2=off,pauth-impdef=true -machine "
     "virt,gic-version=max,virtualization=true -append "
     "'console=ttyAMA0 earlycon' -kernel Image.gz -initrd rootfs.cpio -m 512m -smp 2 -serial mon:stdio",
     ""},
    {"tuxrun",
     "-machine virt,virtualization=on,gic-version=3,mte=on -cpu max,pauth-impdef=on -smp 2 -no-reboot "
     "-nographic -kernel Image -append "
     "'console=ttyAMA0,115200 rootwait root=/dev/vda' -nic none -drive "
     "file=rootfs.ext4,format=raw,id=hd0,if=virtio",
     "virtio-blk file=rootfs.ext4 format=raw"},
};

TEST(QemuLines, AreTakenWordForWord) {
    for (const Line& line : kLines) {
        const auto request = request_for_whole(line.words);
        ASSERT_TRUE(request) << line.tool << ": " << request.error();
        EXPECT_EQ(devices_of(*request), line.devices) << line.tool;
    }
}

TEST(QemuLines, Kunit) {
    const auto request = request_for_whole(kLines[0].words);
    ASSERT_TRUE(request) << request.error();
    EXPECT_EQ(request->options.memory, uint64_t{1024} << 20);
    EXPECT_EQ(request->options.append, "console=ttyAMA0 kunit_shutdown=reboot");
    EXPECT_TRUE(request->options.no_reboot && request->options.networks.empty());
    EXPECT_EQ(request->options.gic, 2u);
}

}  // namespace
}  // namespace arclight::guestos::qemu
