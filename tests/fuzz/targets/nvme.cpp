// An NVMe controller by whatever accesses to its registers, queues and lists of pages. It stays within RAM, a read-only image stays as it
// is, and the state that was reached can be loaded.
#include <fcntl.h>
#include <gtest/gtest.h>

#include "devices/nvme/controller.h"
#include "tests/devices/nvme_driver.h"
#include "tests/devices/state_damage.h"
#include "tests/fuzz/driver/input.h"
#include "tests/fuzz/driver/target.h"
#include "tests/fuzz/targets/scratch_file.h"

namespace arclight::fuzz {
namespace {

using namespace devices;
using Driver = test::NvmeDriver;

constexpr size_t kSize = 64 * 512;

virtio::Disk open_disk(const std::string& path, bool readonly) {
    auto disk = virtio::Disk::open(path, {.image = {.readonly = readonly}, .serial = "fuzz"});
    require(disk.has_value(), "an image can be opened");
    return std::move(*disk);
}

uint64_t address(Input& in) {
    const uint8_t kind = in.u8();
    if (kind < 0xa0) return Driver::kData + kind * 0x400u;
    if (kind < 0xd0) return Driver::kList + (kind & 0x1ffu) * 8;
    if (kind < 0xf0) return layout::kRamBase + Driver::kRamSize - (kind & 31u) * 8;
    return in.u64();
}

void step(Input& in, Driver& driver) {
    const uint8_t what = in.u8();
    switch (what & 7) {
        case 0:
        case 1:
        case 2: {  // a command
            const unsigned queue = what >> 7;
            constexpr uint8_t kAdmin[] = {0, 1, 2, 4, 5, 6, 8, 9, 10, 12}, kIo[] = {0, 1, 2, 8, 9};
            nvme::Command command{};
            const uint8_t opcode = in.u8();
            command.opcode = opcode > 0xf0 ? in.u8()
                             : queue == 0  ? kAdmin[opcode % std::size(kAdmin)]
                                           : kIo[opcode % std::size(kIo)];
            command.nsid = (what & 0x40) != 0 ? in.u8() : 1;
            command.flags = (what & 0x20) != 0 ? in.u8() : 0;
            command.prp1 = address(in), command.prp2 = address(in);
            command.cdw10 = (what & 0x10) != 0 ? in.u32() : in.u8();
            command.cdw11 = (what & 0x08) != 0 ? in.u32() : in.below(4);
            command.cdw12 = in.u8();
            driver.put(queue, command);
            driver.ring(queue);
            break;
        }
        case 3: driver.set(in.u16() % 0x1200, in.u32(), 1u << (what >> 3 & 3)); break;
        case 4: driver.get(in.u16() % 0x1200); break;
        case 5: {
            const uint64_t at = address(in);
            if (driver.memory.contains(at & ~7ull, 8)) driver.at<uint64_t>(at & ~7ull) = address(in);
            break;
        }
        case 6:  // what was completed is read
            driver.set(0x1004 + (what >> 7) * 8u, in.u8() % Driver::kEntries);
            break;
        default:
            driver.device->quiesce();
            driver.device->resume();
            if (what == 0xff) driver.set(0x14, 0);
            if ((what & 0x78) == 0) driver.enable();
            break;
    }
}

void run(std::span<const uint8_t> bytes) {
    Input in(bytes);
    std::vector<uint8_t> content(kSize);
    for (size_t i = 0; i < content.size(); i++) content[i] = static_cast<uint8_t>(i / 512 + i);
    const ScratchFile file(content);
    const bool readonly = (in.u8() & 1) != 0;
    {
        Driver driver(open_disk(file.path(), readonly));
        driver.enable();
        // The pair of queues, without waiting for it.
        nvme::Command create{.opcode = nvme::kCreateCq, .prp1 = Driver::kIoCq};
        create.cdw10 = (Driver::kEntries - 1) << 16 | 1, create.cdw11 = 3;
        driver.put(0, create);
        create.opcode = nvme::kCreateSq, create.prp1 = Driver::kIoSq, create.cdw11 = 1 << 16 | 1;
        driver.put(0, create);
        driver.ring(0);
        while (!in.empty()) step(in, driver);
        driver.device->quiesce();
        const auto stream = test::save(*driver.device);
        require(test::load(*driver.device, stream).empty(), "a state that was reached can be loaded");
        require(test::save(*driver.device) == stream, "a loaded state is saved as it was");
        driver.device->resume();
        driver.bridge.reset();
        require(!driver.wire(driver.device->interrupt_line()),
                "a controller that was reset has no interrupt");
    }
    std::vector<uint8_t> after(content.size() + 1);
    const int fd = open(file.path().c_str(), O_RDONLY | O_CLOEXEC);
    const ssize_t size = pread(fd, after.data(), after.size(), 0);
    close(fd);
    require(size == static_cast<ssize_t>(content.size()), "the image keeps its size");
    after.pop_back();
    if (readonly) require(after == content, "an image that is not written to stays as it is");
}

const Registered registered({.name = "nvme", .run = run, .max_size = 1024, .words = {}});

}  // namespace
}  // namespace arclight::fuzz
