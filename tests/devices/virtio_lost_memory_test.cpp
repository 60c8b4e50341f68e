// Devices whose guest's memory is in a file that is truncated: each thing that a request has there, one after the other. A
// disk answers with an I/O error where its status byte is still there; without rings, descriptors or status it fails.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "devices/machine_host.h"
#include "devices/virtio/rng.h"
#include "host/crash_report.h"
#include "host/memory_fault.h"
#include "tests/devices/blk_driver.h"

namespace arclight::devices {
namespace {

using namespace test;
using namespace virtio;

constexpr uint64_t kPage = 4096;
constexpr uint8_t kStatusOk = 0, kStatusError = 1, kUnanswered = 0xee;

/// A page of the guest's in a file.
class FilePage {
  public:
    FilePage(mmu::PageOverlay& overlay, uint64_t pa) : file_(memfd_create("page", MFD_CLOEXEC)) {
        static const bool reporting = (host::report_crashes("test", 0, nullptr), true);
        EXPECT_TRUE(reporting && file_ >= 0 && ftruncate(file_, kPage) == 0);
        memory_ = mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
        fallible_.emplace(memory_, kPage, "a page", host::FallibleMemory::Kind::File);
        EXPECT_TRUE(overlay.prepare());
        overlay.set(pa, {.backing = static_cast<uint8_t*>(memory_), .flags = mmu::page_flag::kIntercepted});
    }
    ~FilePage() {
        fallible_.reset();
        munmap(memory_, kPage);
        close(file_);
    }
    FilePage(const FilePage&) = delete;
    FilePage& operator=(const FilePage&) = delete;
    void lose() { EXPECT_EQ(ftruncate(file_, 0), 0); }

  private:
    int file_;
    void* memory_;
    std::optional<host::FallibleMemory> fallible_;
};

struct Silent final : MachineHost {
    void say(const std::string&) override { said++; }
    void pause(const std::string&) override { pauses++; }
    std::atomic<int> said{0}, pauses{0};
};

/// A disk whose requests have each part in a page of its own.
struct Disk {
    static constexpr uint64_t kHeader = BlkDriver::kData, kPayload = kHeader + kPage,
                              kStatus = kHeader + 2 * kPage, kIndirect = kHeader + 3 * kPage;
    Disk() : driver(make(), kFeatureVersion1 | kFeatureIndirect | kBlkFlush | kBlkDiscard) {}
    std::unique_ptr<Blk> make() {
        // A lost page is no reason to pause: it does not come back.
        return open_blk(
            image.path,
            {.on_read_error = OnDiskError::Stop, .on_write_error = OnDiskError::Stop, .host = &host});
    }
    void describe(uint32_t type, uint64_t sector, uint32_t length, bool indirect = false) {
        driver.at<uint32_t>(kHeader) = type;
        driver.at<uint64_t>(kHeader + 8) = sector;
        driver.at<uint8_t>(kStatus) = kUnanswered;
        const uint64_t table = indirect ? kIndirect : driver.kDescriptors;
        const auto write = static_cast<uint16_t>(type == kIn ? driver.kWrite : 0);
        driver.describe(table, 0, kHeader, 16, driver.kNext, 1);
        driver.describe(table, 1, kPayload, length, driver.kNext | write, 2);
        driver.describe(table, 2, kStatus, 1, driver.kWrite);
        if (indirect) driver.describe(driver.kDescriptors, 0, kIndirect, 48, driver.kIndirect);
    }
    /// Waits for an answer or a failure of the device: the status byte, or nothing.
    std::optional<uint8_t> answer(bool used_is_there = true) {
        EXPECT_TRUE(
            eventually([&] { return driver.broken() || (used_is_there && driver.used_index() != 0); }));
        if (driver.broken()) return {};
        return driver.at<uint8_t>(kStatus);
    }

    static constexpr uint64_t kBlkDiscard = 1 << 13;
    TemporaryImage image{64 * 512};
    Silent host;
    BlkDriver driver;
};

struct Case {
    const char* what;
    uint64_t page;
    uint32_t type;
    uint32_t length;
    std::optional<uint8_t> status;  ///< nothing: the device fails
    bool indirect = false;
};
const Case kCases[] = {
    {"descriptors", VirtioDriver::kDescriptors, kIn, 512, {}},
    {"available ring", VirtioDriver::kAvailable, kIn, 512, {}},
    {"indirect descriptors", Disk::kIndirect, kIn, 512, {}, true},
    {"header", Disk::kHeader, kIn, 512, {}},
    {"status", Disk::kStatus, kIn, 512, {}},
    {"buffer of a read", Disk::kPayload, kIn, 1024, kStatusError},
    {"buffer of a write", Disk::kPayload, kOut, 1024, kStatusError},
    {"ranges of a discard", Disk::kPayload, kDiscard, 16, kStatusError},
    {"ranges of a write of zeros", Disk::kPayload, kWriteZeroes, 16, kStatusError},
};

TEST(VirtioLostMemory, EachPartOfADisksRequest) {
    for (const Case& c : kCases)
        for (const bool lost : {false, true}) {
            SCOPED_TRACE(c.what);
            Disk disk;
            FilePage page(disk.driver.overlay, c.page);
            disk.driver.place_queue();
            disk.describe(c.type, 0, c.length, c.indirect);
            disk.driver.offer(0, false);
            if (lost) page.lose();
            disk.driver.set(0x50, 0);
            const std::optional<uint8_t> status = disk.answer();
            EXPECT_EQ(status, lost ? c.status : std::optional(kStatusOk));
            EXPECT_EQ(disk.host.pauses, 0);
            if (lost && status) {  // the device goes on
                disk.describe(kFlush, 0, 0);
                const auto before = disk.driver.used_index();
                disk.driver.offer(0);
                EXPECT_TRUE(eventually([&] { return disk.driver.used_index() != before; }));
                EXPECT_EQ(disk.driver.at<uint8_t>(Disk::kStatus), kStatusOk);
            }
        }
}

TEST(VirtioLostMemory, TheUsedRing) {
    Disk disk;
    FilePage page(disk.driver.overlay, disk.driver.kUsed);
    disk.describe(kIn, 0, 512);
    disk.driver.offer(0, false);
    page.lose();
    disk.driver.set(0x50, 0);
    EXPECT_EQ(disk.answer(false), std::nullopt);
}

TEST(VirtioLostMemory, TheBufferOfAnEntropyRequest) {
    VirtioDriver driver(std::make_unique<Rng>());
    FilePage page(driver.overlay, driver.kData);
    driver.start();
    driver.describe(driver.kDescriptors, 0, driver.kData, 64, driver.kWrite);
    driver.offer(0, false);
    page.lose();
    driver.set(0x50, 0);
    EXPECT_TRUE(eventually([&] { return driver.used_index() == 1; }));
    EXPECT_EQ(driver.used_length(0), 0U);
    EXPECT_FALSE(driver.broken());
}

}  // namespace
}  // namespace arclight::devices
