#include "devices/vfio/host_device.h"

#include <fcntl.h>
#include <linux/vfio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <utility>

#include "devices/pci/config_space.h"

namespace arclight::devices::vfio {

namespace {

namespace fs = std::filesystem;

constexpr uint16_t kSwitchedOn = pci::kCommandPorts | pci::kCommandMemory;

/// A file's name at the end of a symbolic link; empty: there is none.
std::string link_name(const fs::path& link) {
    std::error_code error;
    return fs::read_symlink(link, error).filename();
}

template <typename T>
uint64_t load(const uint8_t* place) {
    return *reinterpret_cast<const volatile T*>(place);
}
template <typename T>
void store(uint8_t* place, uint64_t value) {
    *reinterpret_cast<volatile T*>(place) = static_cast<T>(value);
}

}  // namespace

Result<unsigned> group_of(const std::string& address, const System& system) {
    const fs::path device = fs::path(system.sysfs) / "bus/pci/devices" / address;
    std::error_code error;
    if (!fs::exists(device, error)) return failure("the host has no such PCI device");
    const std::string driver = link_name(device / "driver");
    if (driver != "vfio-pci")
        return failure("it is bound to {}, not to vfio-pci (docs/vfio.md says how)",
                       driver.empty() ? "no driver" : driver);
    const std::string group = link_name(device / "iommu_group");
    unsigned number = 0;
    const auto [end, wrong] = std::from_chars(group.data(), group.data() + group.size(), number);
    if (group.empty() || wrong != std::errc() || end != group.data() + group.size())
        return failure("it has no IOMMU group: the host's IOMMU is off (intel_iommu=on)");
    return number;
}

std::optional<std::string> full_address(std::string_view text) {
    const auto is_hex = [](std::string_view digits, size_t most) {
        return !digits.empty() && digits.size() <= most &&
               digits.find_first_not_of("0123456789abcdefABCDEF") == digits.npos;
    };
    std::string all(text);
    if (std::ranges::count(all, ':') == 1) all = "0000:" + all;
    const size_t first = all.find(':'), second = all.find(':', first + 1), dot = all.find('.');
    if (second == all.npos || dot == all.npos || dot < second) return std::nullopt;
    const std::string_view whole(all);
    const auto domain = whole.substr(0, first), bus = whole.substr(first + 1, second - first - 1),
               device = whole.substr(second + 1, dot - second - 1), function = whole.substr(dot + 1);
    if (!is_hex(domain, 8) || !is_hex(bus, 2) || !is_hex(device, 2) || !is_hex(function, 1))
        return std::nullopt;
    std::ranges::transform(all, all.begin(), [](char c) { return c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c; });
    const std::string_view lower(all);
    return fmt::format("{:0>4}:{:0>2}:{:0>2}.{}", lower.substr(0, first),
                       lower.substr(first + 1, second - first - 1),
                       lower.substr(second + 1, dot - second - 1), lower.substr(dot + 1));
}

Result<std::shared_ptr<HostDevice>> HostDevice::open(const std::string& address,
                                                     const std::shared_ptr<Container>& container) {
    const System& system = container->system();
    const auto group = group_of(address, system);
    if (!group) return std::unexpected(group.error());
    const auto group_file = container->add_group(*group);
    if (!group_file) return std::unexpected(group_file.error());
    std::string name = address;
    File file(system.call(*group_file, VFIO_GROUP_GET_DEVICE_FD, name.data()));
    if (file.get() < 0) return failure("the host's kernel does not give it: {}", std::strerror(errno));
    std::shared_ptr<HostDevice> device(new HostDevice(address, container, std::move(file)));
    if (auto looked = device->look(); !looked) return std::unexpected(looked.error());
    return device;
}

HostDevice::~HostDevice() {
    for (const Bar& bar : bars_)
        for (const Area& area : bar.areas) munmap(area.host, area.size);
}

Result<void> HostDevice::look() {
    vfio_device_info info{};
    info.argsz = sizeof info;
    if (call(VFIO_DEVICE_GET_INFO, &info) != 0 || (info.flags & VFIO_DEVICE_FLAGS_PCI) == 0)
        return failure("the host's kernel does not describe it");
    can_reset_ = (info.flags & VFIO_DEVICE_FLAGS_RESET) != 0;
    vfio_region_info region{};
    region.argsz = sizeof region;
    region.index = VFIO_PCI_CONFIG_REGION_INDEX;
    if (call(VFIO_DEVICE_GET_REGION_INFO, &region) != 0)
        return failure("the host's kernel does not show its configuration space");
    config_place_ = region.offset;
    if ((config_read(pci::kRegHeaderType, 1) & 0x7f) != 0) return failure("it is a bridge");
    for (unsigned i = 0; i < kBars; i++)
        if (auto added = add_bar(i); !added) return added;
    for (unsigned i = 0; i < interrupts_.size(); i++) {
        vfio_irq_info irq{.argsz = sizeof irq, .flags = 0, .index = i, .count = 0};
        if (call(VFIO_DEVICE_GET_IRQ_INFO, &irq) == 0 && (irq.flags & VFIO_IRQ_INFO_EVENTFD) != 0)
            interrupts_[i] = irq.count;
    }
    return {};
}

Result<void> HostDevice::add_bar(unsigned number) {
    constexpr size_t kMost = 4096;
    alignas(uint64_t) std::array<uint8_t, kMost> answer{};
    vfio_region_info info{};
    info.argsz = kMost;
    info.index = number;
    std::memcpy(answer.data(), &info, sizeof info);
    if (call(VFIO_DEVICE_GET_REGION_INFO, answer.data()) != 0) return {};
    std::memcpy(&info, answer.data(), sizeof info);
    Bar& bar = bars_[number];
    bar.size = info.size;
    bar.place = info.offset;
    if (info.size == 0 || (info.flags & VFIO_REGION_INFO_FLAG_MMAP) == 0) return {};

    std::vector<Area> wanted{{0, info.size}};
    vfio_info_cap_header capability{};
    const bool has_list = (info.flags & VFIO_REGION_INFO_FLAG_CAPS) != 0;
    for (size_t at = has_list ? info.cap_offset : 0; at != 0 && at + sizeof capability <= kMost;
         at = capability.next > at ? capability.next : 0) {
        std::memcpy(&capability, answer.data() + at, sizeof capability);
        vfio_region_info_cap_sparse_mmap list{};
        if (capability.id != VFIO_REGION_INFO_CAP_SPARSE_MMAP || at + sizeof list > kMost) continue;
        std::memcpy(&list, answer.data() + at, sizeof list);
        wanted.clear();
        for (uint32_t i = 0; i < list.nr_areas; i++) {
            vfio_region_sparse_mmap_area area{};
            const size_t place = at + sizeof list + i * sizeof area;
            if (place + sizeof area > kMost) break;
            std::memcpy(&area, answer.data() + place, sizeof area);
            if (area.size != 0 && area.offset < info.size && area.size <= info.size - area.offset)
                wanted.push_back({area.offset, area.size});
        }
    }
    for (Area area : wanted) {
        void* const place = mmap(nullptr, area.size, PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(),
                                 static_cast<off_t>(info.offset + area.offset));
        if (place == MAP_FAILED)
            return failure("its BAR {} cannot be mapped: {}", number, std::strerror(errno));
        area.host = static_cast<uint8_t*>(place);
        bar.areas.push_back(area);
    }
    return {};
}

// ---- Accesses

std::vector<uint8_t> HostDevice::config() const {
    std::vector<uint8_t> bytes(kConfigSize);
    for (unsigned at = 0; at < kConfigSize;) {
        const ssize_t got =
            pread(file_.get(), bytes.data() + at, kConfigSize - at, static_cast<off_t>(config_place_ + at));
        if (got <= 0) break;  // a conventional function's ends early
        at += static_cast<unsigned>(got);
    }
    return bytes;
}

uint32_t HostDevice::config_read(unsigned offset, unsigned size) const {
    uint32_t value = ~0u;
    if (pread(file_.get(), &value, size, static_cast<off_t>(config_place_ + offset)) != size) value = ~0u;
    return size == 4 ? value : value & ((1u << size * 8) - 1);
}

void HostDevice::config_write(unsigned offset, uint32_t value, unsigned size) {
    // What cannot be written has no effect, as on a bus.
    [[maybe_unused]] const ssize_t done =
        pwrite(file_.get(), &value, size, static_cast<off_t>(config_place_ + offset));
}

const uint8_t* HostDevice::mapped(unsigned bar, uint64_t offset, unsigned size) const {
    for (const Area& area : bars_[bar].areas)
        if (offset >= area.offset && offset - area.offset < area.size &&
            size <= area.size - (offset - area.offset))
            return area.host + (offset - area.offset);
    return nullptr;
}

uint64_t HostDevice::bar_read(unsigned bar, uint64_t offset, unsigned size) const {
    if (const uint8_t* const place = mapped(bar, offset, size); place != nullptr) {
        switch (size) {
            case 1: return load<uint8_t>(place);
            case 2: return load<uint16_t>(place);
            case 4: return load<uint32_t>(place);
            default: return load<uint64_t>(place);
        }
    }
    uint64_t value = 0;
    if (pread(file_.get(), &value, size, static_cast<off_t>(bars_[bar].place + offset)) != size)
        return ~uint64_t{0};
    return value;
}

void HostDevice::bar_write(unsigned bar, uint64_t offset, uint64_t value, unsigned size) {
    if (auto* const place = const_cast<uint8_t*>(mapped(bar, offset, size)); place != nullptr) {
        switch (size) {
            case 1: return store<uint8_t>(place, value);
            case 2: return store<uint16_t>(place, value);
            case 4: return store<uint32_t>(place, value);
            default: return store<uint64_t>(place, value);
        }
    }
    [[maybe_unused]] const ssize_t done =
        pwrite(file_.get(), &value, size, static_cast<off_t>(bars_[bar].place + offset));
}

uint64_t HostDevice::bar_mapped(unsigned bar) const {
    uint64_t bytes = 0;
    for (const Area& area : bars_[bar].areas) bytes += area.size;
    return bytes;
}

// ---- Interrupts, reset

Result<void> HostDevice::start(Interrupt kind, std::span<const int> eventfds) {
    std::vector<uint32_t> request((sizeof(vfio_irq_set) + eventfds.size_bytes()) / sizeof(uint32_t));
    const vfio_irq_set head{.argsz = static_cast<uint32_t>(request.size() * sizeof(uint32_t)),
                            .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
                            .index = static_cast<uint32_t>(kind),
                            .start = 0,
                            .count = static_cast<uint32_t>(eventfds.size())};
    std::memcpy(request.data(), &head, sizeof head);
    std::memcpy(request.data() + sizeof head / sizeof(uint32_t), eventfds.data(), eventfds.size_bytes());
    const int done = call(VFIO_DEVICE_SET_IRQS, request.data());
    if (done == 0) return {};
    if (done > 0) return failure("the host has only {} of its {} interrupts", done, eventfds.size());
    return failure("the host does not give its interrupts: {}", std::strerror(errno));
}

void HostDevice::stop(Interrupt kind) {
    vfio_irq_set request{};
    request.argsz = sizeof request;
    request.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
    request.index = static_cast<uint32_t>(kind);
    call(VFIO_DEVICE_SET_IRQS, &request);
}

void HostDevice::unmask_pin() {
    vfio_irq_set request{};
    request.argsz = sizeof request;
    request.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK;
    request.index = VFIO_PCI_INTX_IRQ_INDEX;
    request.count = 1;
    call(VFIO_DEVICE_SET_IRQS, &request);
}

bool HostDevice::reset() {
    if (!can_reset_) {
        config_write(pci::kRegCommand, kSwitchedOn, 2);
        return false;
    }
    const bool done = call(VFIO_DEVICE_RESET, nullptr) == 0;
    config_write(pci::kRegCommand, kSwitchedOn, 2);
    return done;
}

}  // namespace arclight::devices::vfio
