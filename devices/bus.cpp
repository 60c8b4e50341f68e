#include "devices/bus.h"

#include <algorithm>
#include <bit>

namespace arclight::devices {

bool Bus::map(uint64_t base, uint64_t size, Device& device, std::string_view name) {
    if (size == 0 || base + size < base) return false;
    auto after = std::upper_bound(mappings_.begin(), mappings_.end(), base,
                                  [](uint64_t pa, const auto& mapping) { return pa < mapping->base; });
    if (after != mappings_.end() && base + size > (*after)->base) return false;
    if (after != mappings_.begin()) {
        const Mapping& before = **(after - 1);
        if (before.base + before.size > base) return false;
    }
    auto mapping = std::make_unique<Mapping>();
    mapping->base = base;
    mapping->size = size;
    mapping->device = &device;
    mapping->name = name;
    mapping->order = static_cast<unsigned>(mappings_.size());
    mappings_.insert(after, std::move(mapping));
    return true;
}

Bus::Mapping* Bus::lookup(uint64_t pa, unsigned size) const {
    auto after =
        std::upper_bound(mappings_.begin(), mappings_.end(), pa,
                         [](uint64_t address, const auto& mapping) { return address < mapping->base; });
    if (after == mappings_.begin()) return nullptr;
    Mapping* mapping = (after - 1)->get();
    const uint64_t offset = pa - mapping->base;
    if (offset >= mapping->size || size > mapping->size - offset) return nullptr;
    return mapping;
}

static bool valid_size(unsigned size) { return size <= 8 && std::has_single_bit(size); }

bool Bus::read(uint64_t pa, unsigned size, uint64_t& out) {
    Mapping* mapping = valid_size(size) ? lookup(pa, size) : nullptr;
    if (mapping == nullptr) return false;
    mapping->reads.fetch_add(1, std::memory_order_relaxed);
    out = mapping->device->read(pa - mapping->base, size);
    return true;
}

bool Bus::write(uint64_t pa, unsigned size, uint64_t value) {
    Mapping* mapping = valid_size(size) ? lookup(pa, size) : nullptr;
    if (mapping == nullptr) return false;
    mapping->writes.fetch_add(1, std::memory_order_relaxed);
    mapping->device->write(pa - mapping->base, value, size);
    return true;
}

Device* Bus::find(uint64_t pa, uint64_t* offset) const {
    const Mapping* mapping = lookup(pa, 1);
    if (mapping == nullptr) return nullptr;
    if (offset != nullptr) *offset = pa - mapping->base;
    return mapping->device;
}

void Bus::reset() {
    for (const auto& mapping : mappings_) mapping->device->reset();
}

void Bus::add_to_device_tree(FdtWriter& fdt) const {
    std::vector<const Mapping*> ordered;
    for (const auto& mapping : mappings_) ordered.push_back(mapping.get());
    std::sort(ordered.begin(), ordered.end(),
              [](const auto* a, const auto* b) { return a->order < b->order; });
    for (const Mapping* mapping : ordered) mapping->device->add_to_device_tree(fdt);
}

std::vector<Bus::Stats> Bus::stats() const {
    std::vector<Stats> all;
    for (const auto& mapping : mappings_) {
        all.push_back({mapping->name, mapping->reads.load(std::memory_order_relaxed),
                       mapping->writes.load(std::memory_order_relaxed)});
    }
    return all;
}

}  // namespace arclight::devices
