#include "devices/bus.h"

#include <immintrin.h>

#include <algorithm>
#include <bit>

namespace arclight::devices {

namespace {
constexpr size_t kFirstCapacity = 64;
}

Bus::Bus() { publish(); }
Bus::~Bus() = default;

// ---- changes: under lock_

bool Bus::fits(uint64_t base, uint64_t size, const Mapping* except) const {
    if (size == 0 || base + size < base) return false;
    return std::ranges::none_of(mappings_, [&](const auto& other) {
        const uint64_t start = other->base();
        return other.get() != except && start != Mapping::kNowhere && base < start + other->size_ &&
               start < base + size;
    });
}

std::vector<Bus::Mapping*> Bus::placed() const {
    std::vector<Mapping*> all;
    for (const auto& mapping : mappings_)
        if (mapping->base() != Mapping::kNowhere) all.push_back(mapping.get());
    std::ranges::sort(all, {}, [](const Mapping* mapping) { return mapping->base(); });
    return all;
}

// Makes the table say what the mappings say. Readers that look meanwhile look again.
void Bus::publish() {
    const std::vector<Mapping*> all = placed();
    if (tables_.empty() || all.size() > tables_.back()->entries.size())
        tables_.push_back(std::make_unique<Table>(std::max(kFirstCapacity, all.size() * 2)));
    Table& table = *tables_.back();
    const uint32_t sequence = sequence_.load(std::memory_order_relaxed);
    sequence_.store(sequence | 1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    for (size_t i = 0; i < all.size(); i++) {
        table.entries[i].base.store(all[i]->base(), std::memory_order_relaxed);
        table.entries[i].mapping.store(all[i], std::memory_order_relaxed);
    }
    table.count.store(all.size(), std::memory_order_relaxed);
    table_.store(&table, std::memory_order_relaxed);
    sequence_.store((sequence | 1) + 1, std::memory_order_release);
}

Bus::Mapping& Bus::add(uint64_t size, Device& device, std::string_view name) {
    const std::lock_guard guard(lock_);
    auto mapping = std::make_unique<Mapping>();
    mapping->size_ = size;
    mapping->device_ = mapping->own_ = &device;
    mapping->name_ = name;
    mappings_.push_back(std::move(mapping));
    return *mappings_.back();
}

bool Bus::place(Mapping& window, uint64_t base) {
    const std::lock_guard guard(lock_);
    if (!fits(base, window.size_, &window)) return false;
    sequence_.store(sequence_.load(std::memory_order_relaxed) | 1, std::memory_order_seq_cst);
    window.base_.store(base, std::memory_order_release);
    publish();
    return true;
}

void Bus::unmap(Mapping& window) {
    const std::lock_guard guard(lock_);
    sequence_.store(sequence_.load(std::memory_order_relaxed) | 1, std::memory_order_seq_cst);
    window.base_.store(Mapping::kNowhere, std::memory_order_release);
    publish();
}

bool Bus::map(uint64_t base, uint64_t size, Device& device, std::string_view name) {
    {
        const std::lock_guard guard(lock_);
        if (!fits(base, size, nullptr)) return false;
    }
    return place(add(size, device, name), base);
}

// ---- accesses

// The window with the highest base that is not above pa.
Bus::Mapping* Bus::find(uint64_t pa) const {
    for (;;) {
        const uint32_t before = sequence_.load(std::memory_order_acquire);
        const Table& table = *table_.load(std::memory_order_relaxed);
        size_t first = 0;
        for (size_t left = table.count.load(std::memory_order_relaxed); left != 0;) {
            const size_t half = left / 2;
            if (table.entries[first + half].base.load(std::memory_order_relaxed) <= pa) {
                first += half + 1;
                left -= half + 1;
            } else {
                left = half;
            }
        }
        Mapping* const mapping =
            first != 0 ? table.entries[first - 1].mapping.load(std::memory_order_relaxed) : nullptr;
        std::atomic_thread_fence(std::memory_order_acquire);
        if ((before & 1) == 0 && sequence_.load(std::memory_order_relaxed) == before) [[likely]]
            return mapping;
        _mm_pause();
    }
}

Bus::Mapping* Bus::lookup(uint64_t pa, unsigned size) const {
    Mapping* const mapping = find(pa);
    return mapping != nullptr && mapping->contains(pa, size) ? mapping : nullptr;
}

static bool valid_size(unsigned size) { return size <= 8 && std::has_single_bit(size); }

bool Bus::in_open_range(uint64_t pa, unsigned size) const {
    return std::ranges::any_of(open_ranges_, [&](const layout::Range& range) {
        return pa - range.base < range.size && size <= range.size - (pa - range.base);
    });
}

bool Bus::read(uint64_t pa, unsigned size, uint64_t& out) {
    if (!valid_size(size)) return false;
    Mapping* const mapping = find(pa);
    const uint64_t offset = mapping != nullptr ? mapping->offset_of(pa, size) : Mapping::kOutside;
    if (offset == Mapping::kOutside) {
        out = ~uint64_t{0} >> (64 - size * 8);
        return in_open_range(pa, size);
    }
    Device* const device = mapping->device_.load(std::memory_order_acquire);
    if (device == nullptr) return false;
    mapping->count(&Mapping::Counters::reads);
    out = device->read(offset, size);
    return true;
}

bool Bus::write(uint64_t pa, unsigned size, uint64_t value) {
    if (!valid_size(size)) return false;
    Mapping* const mapping = find(pa);
    const uint64_t offset = mapping != nullptr ? mapping->offset_of(pa, size) : Mapping::kOutside;
    if (offset == Mapping::kOutside) return in_open_range(pa, size);
    Device* const device = mapping->device_.load(std::memory_order_acquire);
    if (device == nullptr) return false;
    mapping->count(&Mapping::Counters::writes);
    device->write(offset, value, size);
    return true;
}

// ---- by name, and all of them

Bus::Mapping* Bus::named(std::string_view name) const {
    const auto found =
        std::ranges::find_if(mappings_, [&](const auto& mapping) { return mapping->name_ == name; });
    return found != mappings_.end() ? found->get() : nullptr;
}

bool Bus::intercept(std::string_view name, Device* device) {
    const std::lock_guard guard(lock_);
    Mapping* mapping = named(name);
    if (mapping != nullptr) mapping->device_ = device;
    return mapping != nullptr;
}

bool Bus::restore(std::string_view name) {
    const std::lock_guard guard(lock_);
    Mapping* mapping = named(name);
    if (mapping != nullptr) mapping->device_ = mapping->own_;
    return mapping != nullptr;
}

void Bus::reset() {
    for (const auto& mapping : mappings_) mapping->own_->reset();
}

void Bus::add_to_device_tree(FdtWriter& fdt) const {
    for (const auto& mapping : mappings_) mapping->own_->add_to_device_tree(fdt);
}

std::vector<Bus::Stats> Bus::stats() const {
    const std::lock_guard guard(lock_);
    std::vector<Mapping*> ordered;
    for (const auto& mapping : mappings_) ordered.push_back(mapping.get());
    std::ranges::sort(ordered, {},
                      [](const Mapping* mapping) { return std::pair(mapping->base(), mapping->name_); });
    std::vector<Stats> all;
    for (const Mapping* mapping : ordered) {
        Stats sum{mapping->name_, 0, 0, mapping->base(), mapping->size()};
        for (const auto& counters : mapping->counters_) {
            sum.reads += counters.reads.load(std::memory_order_relaxed);
            sum.writes += counters.writes.load(std::memory_order_relaxed);
        }
        all.push_back(std::move(sum));
    }
    return all;
}

}  // namespace arclight::devices
