#include "guestos/machine/board/boot_order.h"

#include <algorithm>
#include <string_view>

namespace arclight::guestos {

namespace {

/// What of a device is started, below its own path.
std::string_view unit_of(std::string_view device) {
    constexpr std::pair<std::string_view, std::string_view> kUnits[] = {
        {"virtio-blk", "/disk@0,0"}, {"virtio-net", "/ethernet-phy@0"}, {"nvme", "/namespace@1,0"}};
    for (const auto& [name, unit] : kUnits)
        if (device == name) return unit;
    return "";
}

}  // namespace

Result<void> BootOrder::check(const std::vector<DeviceOptions>& wanted) {
    std::map<unsigned, const DeviceOptions*> seen;
    for (const DeviceOptions& device : wanted) {
        if (!device.boot_index || seen.emplace(*device.boot_index, &device).second) continue;
        return failure("device {}: the bootindex {} has already been used", device.request.name,
                       *device.boot_index);
    }
    return {};
}

void BootOrder::place(const DeviceOptions& device, std::string path) {
    if (device.boot_index)
        entries_.push_back({*device.boot_index, &device, std::string(unit_of(device.request.name))});
    paths_[&device] = std::move(path);
}

void BootOrder::add_behind(const DeviceOptions& host, const DeviceOptions& device, std::string unit) {
    if (device.boot_index) entries_.push_back({*device.boot_index, &host, std::move(unit)});
}

std::string BootOrder::text() const {
    std::vector<const Entry*> sorted;
    for (const Entry& entry : entries_) sorted.push_back(&entry);
    std::ranges::sort(sorted, {}, &Entry::index);
    std::string text;
    for (const Entry* entry : sorted)
        if (const auto path = paths_.find(entry->at); path != paths_.end())
            text += (text.empty() ? "" : "\n") + path->second + entry->below;
    return text;
}

}  // namespace arclight::guestos
