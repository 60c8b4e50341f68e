#include "devices/vfio/container.h"

#include <fcntl.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

// Linux's Documentation/driver-api/vfio.rst, and the comments of <linux/vfio.h>.
namespace arclight::devices::vfio {

int System::call(int file, unsigned long request, void* argument) const {
    return ioctl ? ioctl(file, request, argument) : ::ioctl(file, request, argument);
}

File::~File() {
    if (number_ >= 0) close(number_);
}

File& File::operator=(File&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
}

std::vector<DmaRange> dma_ranges(const mmu::GuestMemory& memory) {
    constexpr uint64_t kPage = mmu::PageOverlay::kPage;
    if (!memory.has_intercepted_pages()) return {{memory.base(), memory.host_base(), memory.size()}};
    std::vector<DmaRange> ranges;
    for (uint64_t offset = 0; offset < memory.size(); offset += kPage) {
        if (memory.page_flags(memory.base() + offset) != 0) continue;
        if (!ranges.empty() && ranges.back().iova + ranges.back().bytes == memory.base() + offset)
            ranges.back().bytes += kPage;
        else
            ranges.push_back({memory.base() + offset, memory.host_base() + offset, kPage});
    }
    return ranges;
}

Result<std::shared_ptr<Container>> Container::open(System system) {
    const std::string path = system.dev + "/vfio/vfio";
    File file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (file.get() < 0)
        return failure("{}: {}{}", path, std::strerror(errno), errno == ENOENT ? " (modprobe vfio-pci)" : "");
    if (system.call(file.get(), VFIO_GET_API_VERSION) != VFIO_API_VERSION)
        return failure("{} speaks another version of its interface", path);
    if (system.call(file.get(), VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) != 1)
        return failure("{} has no IOMMU of type 1 (modprobe vfio_iommu_type1)", path);
    return std::shared_ptr<Container>(new Container(std::move(system), std::move(file)));
}

Result<int> Container::add_group(unsigned number) {
    if (const auto found = groups_.find(number); found != groups_.end()) return found->second.get();
    const std::string path = fmt::format("{}/vfio/{}", system_.dev, number);
    File group(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (group.get() < 0)
        return failure("{}: {}{}", path, std::strerror(errno), errno == EBUSY ? " (somebody has it)" : "");
    vfio_group_status status{.argsz = sizeof status, .flags = 0};
    if (system_.call(group.get(), VFIO_GROUP_GET_STATUS, &status) != 0)
        return failure("{}: {}", path, std::strerror(errno));
    if ((status.flags & VFIO_GROUP_FLAGS_VIABLE) == 0)
        return failure("the other devices of IOMMU group {} are bound to drivers of the host's", number);
    int container = file_.get();
    if (system_.call(group.get(), VFIO_GROUP_SET_CONTAINER, &container) != 0)
        return failure("{}: {}", path, std::strerror(errno));
    if (groups_.empty())
        if (auto chosen = choose_iommu(); !chosen) return std::unexpected(chosen.error());
    return groups_.emplace(number, std::move(group)).first->second.get();
}

Result<void> Container::choose_iommu() {
    if (system_.call(file_.get(), VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) != 0) {
        if (errno == EPERM)
            return failure("the IOMMU does not remap interrupts, and the host wants that (docs/vfio.md)");
        return failure("the IOMMU cannot be used: {}", std::strerror(errno));
    }
    read_windows();
    return {};
}

void Container::read_windows() {
    vfio_iommu_type1_info head{};
    head.argsz = sizeof head;
    if (system_.call(file_.get(), VFIO_IOMMU_GET_INFO, &head) != 0) return;
    constexpr uint32_t kMost = 1 << 16;
    if (head.argsz <= sizeof head || head.argsz > kMost) return;
    std::vector<uint64_t> words((head.argsz + 7) / 8);
    auto* const bytes = reinterpret_cast<uint8_t*>(words.data());
    const uint32_t size = head.argsz;
    head.cap_offset = 0;
    std::memcpy(bytes, &head, sizeof head);
    if (system_.call(file_.get(), VFIO_IOMMU_GET_INFO, bytes) != 0) return;
    std::memcpy(&head, bytes, sizeof head);
    if ((head.flags & VFIO_IOMMU_INFO_CAPS) == 0) return;
    vfio_info_cap_header capability{};
    for (uint32_t at = head.cap_offset; at != 0 && at + sizeof capability <= size;
         at = capability.next > at ? capability.next : 0) {
        std::memcpy(&capability, bytes + at, sizeof capability);
        vfio_iommu_type1_info_cap_iova_range list{};
        if (capability.id != VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE || at + sizeof list > size) continue;
        std::memcpy(&list, bytes + at, sizeof list);
        for (uint32_t i = 0; i < list.nr_iovas; i++) {
            vfio_iova_range range{};
            const size_t place = at + sizeof list + i * sizeof range;
            if (place + sizeof range > size) return;
            std::memcpy(&range, bytes + place, sizeof range);
            windows_.push_back({range.start, range.end});
        }
    }
}

Result<void> Container::check(uint64_t base, uint64_t bytes) const {
    const uint64_t last = base + (bytes - 1);
    if (windows_.empty() || std::ranges::any_of(windows_, [&](const IovaWindow& window) {
            return window.first <= base && last <= window.last;
        }))
        return {};
    const auto around = std::ranges::find_if(
        windows_, [&](const IovaWindow& window) { return window.first <= base && base <= window.last; });
    if (around == windows_.end())
        return failure("the host's IOMMU does not reach {:#x}, where guest RAM begins", base);
    return failure("the host's IOMMU reaches no memory from {:#x} on: -m is {} MiB at most", around->last + 1,
                   (around->last + 1 - base) >> 20);
}

Result<std::shared_ptr<Container::Dma>> Container::map(const mmu::GuestMemory& memory) {
    if (auto mapped = dma_.lock()) return mapped;
    std::vector<DmaRange> done;
    for (const DmaRange& range : dma_ranges(memory)) {
        vfio_iommu_type1_dma_map request{.argsz = sizeof request,
                                         .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
                                         .vaddr = reinterpret_cast<uint64_t>(range.host),
                                         .iova = range.iova,
                                         .size = range.bytes};
        if (system_.call(file_.get(), VFIO_IOMMU_MAP_DMA, &request) == 0) {
            done.push_back(range);
            continue;
        }
        const int error = errno;
        for (const DmaRange& mapped : done) unmap(mapped);
        return failure("{} MiB of guest RAM cannot be pinned for devices of the host's: {}{}",
                       memory.size() >> 20, std::strerror(error),
                       error == ENOMEM ? " (ulimit -l, or too little memory)" : "");
    }
    auto mapped = std::make_shared<Dma>(shared_from_this(), std::move(done));
    dma_ = mapped;
    return mapped;
}

void Container::unmap(const DmaRange& range) {
    vfio_iommu_type1_dma_unmap request{};
    request.argsz = sizeof request;
    request.iova = range.iova;
    request.size = range.bytes;
    system_.call(file_.get(), VFIO_IOMMU_UNMAP_DMA, &request);
}

Container::Dma::~Dma() {
    for (const DmaRange& range : ranges_) container_->unmap(range);
}

}  // namespace arclight::devices::vfio
