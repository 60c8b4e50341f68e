// A host with one PCI device to give: its directories and files, and a kernel that answers VFIO's requests.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <linux/vfio.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "devices/vfio/system.h"

namespace arclight::devices::test {

/// BAR 0: 64-bit memory of 16 KiB with an MSI-X table of four at 0x2000 and its pending bits at 0x3000. BAR 2: ports. BAR 3: memory that
/// only its middle page is mapped of.
class FakeVfio {
    struct Window {
        uint64_t first, last;
    };

  public:
    static constexpr const char* kAddress = "0000:01:00.0";
    static constexpr uint64_t kBar0 = 0, kBar2 = 0x1'0000, kBar3 = 0x2'0000, kConfig = 0x4'0000,
                              kEnd = 0x5'0000;
    static constexpr unsigned kPower = 0x40, kMsi = 0x50, kHidden = 0x70, kMsix = 0x80, kExpress = 0x90,
                              kVendor = 0xd0;

    FakeVfio() {
        std::string pattern = (std::filesystem::temp_directory_path() / "arclight-vfio-XXXXXX").string();
        root_ = mkdtemp(pattern.data());
        add_device(kAddress, "vfio-pci", "7");
        std::filesystem::create_directories(root_ / "dev/vfio");
        for (const char* name : {"vfio", "7"}) std::ofstream(root_ / "dev/vfio" / name);
        memory_ = memfd_create("device", MFD_CLOEXEC);
        EXPECT_EQ(ftruncate(memory_, kEnd), 0);
        make_config();
    }
    ~FakeVfio() {
        std::filesystem::remove_all(root_);
        close(memory_);
    }

    /// Empty: without one.
    void add_device(const std::string& address, const std::string& driver, const std::string& group) {
        const std::filesystem::path device = root_ / "sys/bus/pci/devices" / address;
        std::filesystem::create_directories(device);
        for (const auto& [link, name] : {std::pair("driver", driver), std::pair("iommu_group", group)}) {
            std::filesystem::remove(device / link);
            if (!name.empty())
                std::filesystem::create_symlink(std::filesystem::path("../../somewhere") / name,
                                                device / link);
        }
    }
    const std::filesystem::path& root() const { return root_; }

    vfio::System system() {
        return {.sysfs = root_ / "sys",
                .dev = root_ / "dev",
                .ioctl = [this](int, unsigned long request, void* argument) {
                    return answer(request, argument);
                }};
    }

    /// What was asked for since the last call: map, unmap, reset, start, stop, unmask, with their numbers.
    std::vector<std::string> take() {
        const std::lock_guard guard(lock_);
        return std::exchange(log_, {});
    }
    /// The interrupt of a device whose interrupts have begun.
    void raise(unsigned number) {
        const std::lock_guard guard(lock_);
        ASSERT_LT(number, events_.size());
        const uint64_t one = 1;
        ASSERT_EQ(write(events_[number], &one, sizeof one), ssize_t{sizeof one});
    }

    /// Whether somebody has read the event of that.
    bool is_taken(unsigned number) {
        const std::lock_guard guard(lock_);
        pollfd event{events_.at(number), POLLIN, 0};
        return poll(&event, 1, 0) == 0;
    }

    uint64_t peek(uint64_t place, unsigned size) const {
        uint64_t value = 0;
        EXPECT_EQ(pread(memory_, &value, size, static_cast<off_t>(place)), ssize_t(size));
        return value;
    }
    void poke(uint64_t place, uint64_t value, unsigned size) const {
        EXPECT_EQ(pwrite(memory_, &value, size, static_cast<off_t>(place)), ssize_t(size));
    }

    int iommu_error = 0;  ///< of VFIO_SET_IOMMU
    int map_error = 0;    ///< of the mapping that is `map_error_at`
    unsigned map_error_at = 0;
    bool viable = true;
    std::vector<Window> windows{{0, 0xfedf'ffff}, {0xfef0'0000, 0x7f'ffff'ffff}};

  private:
    static constexpr size_t kInfoBytes =
        24;  ///< of vfio_iommu_type1_info, with the place of its capabilities

    static void put(std::vector<uint8_t>& bytes, unsigned at, uint64_t value, unsigned size) {
        std::memcpy(bytes.data() + at, &value, size);
    }

    void make_config() {
        std::vector<uint8_t> c(4096);
        put(c, 0x00, 0x5845'1af4, 4);
        put(c, 0x06, 0x0018, 2);  // capabilities, and an interrupt
        put(c, 0x08, 0x0108'0203, 4);
        put(c, 0x0e, 0x80, 1);
        put(c, 0x10, 4, 4);  // 64-bit memory
        put(c, 0x18, 1, 4);  // ports
        put(c, 0x2c, 0x1100'1af4, 4);
        put(c, 0x30, 0xfffe'0000, 4);
        put(c, 0x34, kPower, 1);
        put(c, 0x3c, 0x0105, 2);
        put(c, kPower, 0x0003'0000 | kMsi << 8 | 0x01, 4);
        put(c, kPower + 4, 0x000b, 2);
        put(c, kMsi, 0x0184'0000 | kHidden << 8 | 0x05, 4);  // four vectors, 64-bit, maskable
        put(c, kHidden, kMsix << 8 | 0x12, 2);
        put(c, kMsix, 0x8003'0000 | kExpress << 8 | 0x11, 4);
        put(c, kMsix + 4, 0x2000, 4);
        put(c, kMsix + 8, 0x3000, 4);
        put(c, kExpress, 0x0002'0000 | kVendor << 8 | 0x10, 4);
        put(c, kExpress + 0x0c, 0x0004'1011, 4);
        put(c, kExpress + 0x2c, 0x0e, 4);
        put(c, kVendor, 0x0008'0000 | 0x09, 4);
        put(c, kVendor + 4, 0x1234'5678, 4);
        // Error reporting, a serial number, virtual functions, something of the vendor's.
        put(c, 0x100, 0x1401'0001, 4);
        put(c, 0x140, 0x1501'0003, 4);
        put(c, 0x144, 0x1122'3344'5566'7788, 8);
        put(c, 0x150, 0x1801'0010, 4);
        put(c, 0x180, 0x0001'000b, 4);
        put(c, 0x184, 0x0100'1234, 4);
        ASSERT_EQ(pwrite(memory_, c.data(), c.size(), kConfig), ssize_t(c.size()));
    }

    int fail(int error) {
        errno = error;
        return -1;
    }

    int region(void* argument) {
        vfio_region_info info{};
        std::memcpy(&info, argument, sizeof info);
        constexpr uint32_t kReadWrite = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
        switch (info.index) {
            case 0:
                info.flags = kReadWrite | VFIO_REGION_INFO_FLAG_MMAP;
                info.size = 0x4000, info.offset = kBar0;
                break;
            case 2: info.flags = kReadWrite, info.size = 0x20, info.offset = kBar2; break;
            case 3: {
                info.flags = kReadWrite | VFIO_REGION_INFO_FLAG_MMAP | VFIO_REGION_INFO_FLAG_CAPS;
                info.size = 0x4000, info.offset = kBar3;
                info.cap_offset = sizeof info;
                const std::array<uint64_t, 4> list{1 | 1 << 16, 1, 0x1000, 0x1000};
                std::memcpy(static_cast<uint8_t*>(argument) + sizeof info, list.data(), sizeof list);
                break;
            }
            case VFIO_PCI_CONFIG_REGION_INDEX:
                info.flags = kReadWrite, info.size = 4096, info.offset = kConfig;
                break;
            default: info.flags = 0, info.size = 0; break;
        }
        std::memcpy(argument, &info, sizeof info);
        return 0;
    }

    int iommu_info(void* argument) {
        vfio_iommu_type1_info info{};
        std::memcpy(&info, argument, sizeof info.argsz);
        const size_t list =
            sizeof(vfio_iommu_type1_info_cap_iova_range) + windows.size() * 2 * sizeof(uint64_t);
        const size_t whole = kInfoBytes + list;
        const bool fits = info.argsz >= whole;
        info.argsz = static_cast<uint32_t>(whole);
        info.flags = VFIO_IOMMU_INFO_CAPS;
        info.cap_offset = fits ? kInfoBytes : 0;
        std::memcpy(argument, &info, std::min(sizeof info, kInfoBytes));
        if (!fits) return 0;
        auto* at = static_cast<uint8_t*>(argument) + kInfoBytes;
        vfio_iommu_type1_info_cap_iova_range head{};
        head.header.id = VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE;
        head.nr_iovas = static_cast<uint32_t>(windows.size());
        std::memcpy(at, &head, sizeof head);
        std::memcpy(at + sizeof head, windows.data(), list - sizeof head);
        return 0;
    }

    int interrupts(const void* argument) {
        vfio_irq_set set{};
        std::memcpy(&set, argument, sizeof set);
        if ((set.flags & VFIO_IRQ_SET_ACTION_UNMASK) != 0) {
            log_.push_back(fmt::format("unmask {}", set.index));
        } else if ((set.flags & VFIO_IRQ_SET_DATA_EVENTFD) != 0) {
            events_.resize(set.count);
            std::memcpy(events_.data(), static_cast<const uint8_t*>(argument) + sizeof set,
                        set.count * sizeof(int));
            log_.push_back(fmt::format("start {} {}", set.index, set.count));
        } else {
            events_.clear();
            log_.push_back(fmt::format("stop {}", set.index));
        }
        return 0;
    }

    int answer(unsigned long request, void* argument) {
        const std::lock_guard guard(lock_);
        switch (request) {
            case VFIO_GET_API_VERSION: return VFIO_API_VERSION;
            case VFIO_CHECK_EXTENSION: return 1;
            case VFIO_SET_IOMMU: return iommu_error != 0 ? fail(iommu_error) : 0;
            case VFIO_IOMMU_GET_INFO: return iommu_info(argument);
            case VFIO_GROUP_GET_STATUS:
                static_cast<vfio_group_status*>(argument)->flags = viable ? VFIO_GROUP_FLAGS_VIABLE : 0;
                return 0;
            case VFIO_GROUP_SET_CONTAINER: return 0;
            case VFIO_GROUP_GET_DEVICE_FD: return dup(memory_);
            case VFIO_DEVICE_GET_INFO:
                static_cast<vfio_device_info*>(argument)->flags =
                    VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
                return 0;
            case VFIO_DEVICE_GET_REGION_INFO: return region(argument);
            case VFIO_DEVICE_GET_IRQ_INFO: {
                auto& info = *static_cast<vfio_irq_info*>(argument);
                constexpr std::array<uint32_t, 3> kCounts{1, 4, 4};
                info.flags = VFIO_IRQ_INFO_EVENTFD;
                info.count = kCounts.at(info.index);
                return 0;
            }
            case VFIO_DEVICE_SET_IRQS: return interrupts(argument);
            case VFIO_DEVICE_RESET: log_.emplace_back("reset"); return 0;
            case VFIO_IOMMU_MAP_DMA: {
                const auto& map = *static_cast<const vfio_iommu_type1_dma_map*>(argument);
                if (map_error != 0 && maps_++ == map_error_at) return fail(map_error);
                log_.push_back(fmt::format("map {:x}+{:x} at {:x}", map.iova, map.size, map.vaddr));
                return 0;
            }
            case VFIO_IOMMU_UNMAP_DMA: {
                const auto& map = *static_cast<const vfio_iommu_type1_dma_unmap*>(argument);
                log_.push_back(fmt::format("unmap {:x}+{:x}", map.iova, map.size));
                return 0;
            }
            default: return fail(ENOTTY);
        }
    }

    std::filesystem::path root_;
    int memory_ = -1;
    std::mutex lock_;
    std::vector<std::string> log_;
    std::vector<int> events_;
    unsigned maps_ = 0;
};

}  // namespace arclight::devices::test
