#include "devices/bus.h"

#include <algorithm>
#include <bit>

namespace arclight::devices {

bool Bus::map(uint64_t base, uint64_t size, Device& device, std::string_view name) {
    if (size == 0 || base + size < base) return false;
    auto after = std::upper_bound(mappings_.begin(), mappings_.end(), base,
                                  [](uint64_t pa, const auto& mapping) { return pa < mapping->base_; });
    if (after != mappings_.end() && base + size > (*after)->base_) return false;
    if (after != mappings_.begin()) {
        const Mapping& before = **(after - 1);
        if (before.base_ + before.size_ > base) return false;
    }
    auto mapping = std::make_unique<Mapping>();
    mapping->base_ = base;
    mapping->size_ = size;
    mapping->device_ = mapping->own_ = &device;
    mapping->name_ = name;
    mapping->order_ = static_cast<unsigned>(mappings_.size());
    mappings_.insert(after, std::move(mapping));
    return true;
}

Bus::Mapping* Bus::lookup(uint64_t pa, unsigned size) const {
    auto after =
        std::upper_bound(mappings_.begin(), mappings_.end(), pa,
                         [](uint64_t address, const auto& mapping) { return address < mapping->base_; });
    if (after == mappings_.begin()) return nullptr;
    Mapping* mapping = (after - 1)->get();
    return mapping->contains(pa, size) ? mapping : nullptr;
}

static bool valid_size(unsigned size) { return size <= 8 && std::has_single_bit(size); }

bool Bus::read(uint64_t pa, unsigned size, uint64_t& out) {
    Mapping* mapping = valid_size(size) ? lookup(pa, size) : nullptr;
    if (mapping == nullptr || !mapping->answers()) return false;
    out = mapping->read(pa, size);
    return true;
}

bool Bus::write(uint64_t pa, unsigned size, uint64_t value) {
    Mapping* mapping = valid_size(size) ? lookup(pa, size) : nullptr;
    if (mapping == nullptr || !mapping->answers()) return false;
    mapping->write(pa, size, value);
    return true;
}

Device* Bus::find(uint64_t pa, uint64_t* offset) const {
    const Mapping* mapping = lookup(pa, 1);
    if (mapping == nullptr) return nullptr;
    if (offset != nullptr) *offset = pa - mapping->base_;
    return mapping->device_;
}

Bus::Mapping* Bus::named(std::string_view name) const {
    const auto found =
        std::ranges::find_if(mappings_, [&](const auto& mapping) { return mapping->name_ == name; });
    return found != mappings_.end() ? found->get() : nullptr;
}

bool Bus::intercept(std::string_view name, Device* device) {
    Mapping* mapping = named(name);
    if (mapping != nullptr) mapping->device_ = device;
    return mapping != nullptr;
}

bool Bus::restore(std::string_view name) {
    Mapping* mapping = named(name);
    if (mapping != nullptr) mapping->device_ = mapping->own_;
    return mapping != nullptr;
}

void Bus::reset() {
    for (const auto& mapping : mappings_) mapping->own_->reset();
}

void Bus::add_to_device_tree(FdtWriter& fdt) const {
    std::vector<const Mapping*> ordered;
    for (const auto& mapping : mappings_) ordered.push_back(mapping.get());
    std::sort(ordered.begin(), ordered.end(),
              [](const auto* a, const auto* b) { return a->order_ < b->order_; });
    for (const Mapping* mapping : ordered) mapping->own_->add_to_device_tree(fdt);
}

std::vector<Bus::Stats> Bus::stats() const {
    std::vector<Stats> all;
    for (const auto& mapping : mappings_) {
        Stats sum{mapping->name_, 0, 0};
        for (const auto& counters : mapping->counters_) {
            sum.reads += counters.reads.load(std::memory_order_relaxed);
            sum.writes += counters.writes.load(std::memory_order_relaxed);
        }
        all.push_back(std::move(sum));
    }
    return all;
}

}  // namespace arclight::devices
