#include "devices/virtio/queue.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>

#include "host/memory_fault.h"

// Section numbers are those of virtio 1.2. The rings are shared with running CPUs: each field is read once,
// and indices go through atomics.
namespace arclight::devices::virtio {

namespace {

constexpr uint16_t kFlagNext = 1;
constexpr uint16_t kFlagWrite = 2;
constexpr uint16_t kFlagIndirect = 4;
constexpr uint64_t kDescriptorSize = 16;

// 2.7.6 and 2.7.8: flags, index, the ring, and the event field at its end.
constexpr uint64_t kRingIndex = 2;
constexpr uint64_t kRingEntries = 4;
constexpr uint16_t kAvailableNoInterrupt = 1;
constexpr uint16_t kUsedNoNotify = 1;
constexpr uint64_t kUsedEntrySize = 8;

// After a copy from the driver's memory: the compiler must not read there again instead of using the copy,
// since the driver may have stored something else meanwhile.
void copied() { std::atomic_signal_fence(std::memory_order_seq_cst); }

}  // namespace

uint64_t Chain::readable_size() const {
    uint64_t total = 0;
    for (const auto& buffer : readable) total += buffer.size();
    return total;
}

uint64_t Chain::writable_size() const {
    uint64_t total = 0;
    for (const auto& buffer : writable) total += buffer.size();
    return total;
}

size_t gather(std::span<const std::span<uint8_t>> from, std::span<uint8_t> out) {
    size_t done = 0;
    for (const auto& buffer : from) {
        const size_t take = std::min(buffer.size(), out.size() - done);
        if (take != 0 && !host::touch([&] { std::memcpy(out.data() + done, buffer.data(), take); })) break;
        done += take;
    }
    copied();
    return done;
}

size_t scatter(std::span<const uint8_t> bytes, std::span<const std::span<uint8_t>> to) {
    size_t done = 0;
    for (const auto& buffer : to) {
        const size_t take = std::min(buffer.size(), bytes.size() - done);
        if (take != 0 && !host::touch([&] { std::memcpy(buffer.data(), bytes.data() + done, take); })) break;
        done += take;
    }
    return done;
}

// 2.7: a power of two; the alignments are those of the table there.
bool Queue::placement_ok(const mmu::GuestMemory& memory, uint64_t entries, uint64_t descriptors,
                         uint64_t available, uint64_t used) const {
    return std::has_single_bit(entries) && entries <= limit_ && descriptors % 16 == 0 && available % 2 == 0 &&
           used % 4 == 0 && memory.contains(descriptors, entries * kDescriptorSize) &&
           memory.contains(available, kRingEntries + entries * 2 + 2) &&
           memory.contains(used, kRingEntries + entries * kUsedEntrySize + 2);
}

bool Queue::restore(const mmu::GuestMemory& memory) {
    memory_ = &memory;
    return !ready_ || placement_ok(memory, entries_, descriptors_, available_, used_);
}

bool Queue::enable(const mmu::GuestMemory& memory, bool event_index, bool indirect) {
    if (!placement_ok(memory, size, descriptors, available, used)) return false;
    descriptors_ = descriptors;
    available_ = available;
    used_ = used;
    memory_ = &memory;
    entries_ = static_cast<uint16_t>(size);
    next_available_ = 0;
    next_used_ = 0;
    signalled_valid_ = false;
    event_index_ = event_index;
    indirect_ = indirect;
    ready_ = true;
    return true;
}

void Queue::reset() { *this = Queue(limit_); }

// The rings are in RAM and aligned to two bytes: no field crosses a page.
uint16_t Queue::load16(uint64_t ring, uint64_t offset, std::memory_order order) const {
    auto* field = reinterpret_cast<uint16_t*>(memory_->host(ring + offset, 2));
    uint16_t value = 0;
    lost_ |= !host::touch([&] { value = std::atomic_ref(*field).load(order); });
    return value;
}

void Queue::store16(uint64_t ring, uint64_t offset, uint16_t value, std::memory_order order) const {
    auto* field = reinterpret_cast<uint16_t*>(memory_->host(ring + offset, 2));
    lost_ |= !host::touch([&] { std::atomic_ref(*field).store(value, order); });
}

uint16_t Queue::used_index() const { return load16(used_, kRingIndex, std::memory_order_acquire); }

uint16_t Queue::available_index() const { return load16(available_, kRingIndex, std::memory_order_acquire); }

bool Queue::add_buffer(Chain& chain, const Descriptor& descriptor) const {
    if (descriptor.length == 0) return true;
    const bool write = (descriptor.flags & kFlagWrite) != 0;
    // 2.7.4.2: what the device writes comes after what it reads.
    if (!write && !chain.writable.empty()) return false;
    auto& buffers = write ? chain.writable : chain.readable;
    return memory_->pieces(descriptor.address, descriptor.length, write,
                           [&](uint8_t* host, uint64_t bytes) { buffers.emplace_back(host, bytes); });
}

// Follows one table of descriptors, the queue's own or an indirect one. Each entry is visited once at most,
// so a loop ends as malformed when the count exceeds what the table holds.
bool Queue::walk(Chain& chain, uint64_t table, uint32_t entries, uint32_t first, bool nested) const {
    uint32_t index = first;
    for (uint32_t visited = 0; visited < std::min<uint32_t>(entries, kMaxChain); visited++) {
        if (index >= entries) return false;
        Descriptor descriptor;
        uint8_t raw[sizeof descriptor], *to = raw;
        if (!memory_->pieces(table + index * kDescriptorSize, sizeof raw, false,
                             [&](const uint8_t* host, uint64_t bytes) {
                                 lost_ |= !host::touch([&] { std::memcpy(to, host, bytes); });
                                 to += bytes;
                             }) ||
            lost_)
            return false;
        copied();
        std::memcpy(&descriptor, raw, sizeof descriptor);
        if ((descriptor.flags & kFlagIndirect) != 0) {
            // 2.7.5.3.1: negotiated, not inside another, alone at its place in the chain.
            if (nested || !indirect_ || (descriptor.flags & kFlagNext) != 0) return false;
            if (descriptor.length == 0 || descriptor.length % kDescriptorSize != 0) return false;
            if (!memory_->contains(descriptor.address, descriptor.length)) return false;
            return walk(chain, descriptor.address, descriptor.length / kDescriptorSize, 0, true);
        }
        if (!add_buffer(chain, descriptor)) return false;
        if ((descriptor.flags & kFlagNext) == 0) return true;
        index = descriptor.next;
    }
    return false;
}

Queue::Pop Queue::pop(Chain& chain) {
    if (!ready_) return Pop::None;
    const auto waiting = static_cast<uint16_t>(available_index() - next_available_);
    if (lost_) return Pop::Malformed;
    if (waiting == 0) return Pop::None;
    if (waiting > entries_) return Pop::Malformed;
    chain.readable.clear();
    chain.writable.clear();
    const uint64_t slot = kRingEntries + (next_available_ & (entries_ - 1)) * 2ull;
    chain.head = load16(available_, slot, std::memory_order_relaxed);
    next_available_++;
    return walk(chain, descriptors_, entries_, chain.head, false) ? Pop::Chain : Pop::Malformed;
}

void Queue::push(std::span<const Used> used) {
    if (!ready_) return;
    for (const Used& done : used) {
        const uint32_t entry[2] = {done.head, done.written};
        const auto* from = reinterpret_cast<const uint8_t*>(entry);
        // A ring that must not be written loses the answer.
        memory_->pieces(used_ + kRingEntries + (next_used_ & (entries_ - 1)) * kUsedEntrySize, sizeof entry,
                        true, [&](uint8_t* host, uint64_t bytes) {
                            lost_ |= !host::touch([&] { std::memcpy(host, from, bytes); });
                            from += bytes;
                        });
        next_used_++;
    }
    store16(used_, kRingIndex, next_used_, std::memory_order_release);
}

// 2.7.7.2 and 2.7.10. The fence orders the store of the index before the load of what the driver wants; the
// driver does the opposite, so one of the two sees the other.
bool Queue::should_interrupt() {
    if (!ready_) return false;
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (!event_index_) return (load16(available_, 0, std::memory_order_relaxed) & kAvailableNoInterrupt) == 0;
    const uint16_t event = load16(available_, kRingEntries + entries_ * 2ull, std::memory_order_relaxed);
    const uint16_t old = signalled_used_;
    const bool first = !signalled_valid_;
    signalled_used_ = next_used_;
    signalled_valid_ = true;
    return first || static_cast<uint16_t>(next_used_ - event - 1) < static_cast<uint16_t>(next_used_ - old);
}

bool Queue::enable_notification(uint16_t beyond) {
    if (!ready_) return false;
    const auto next = static_cast<uint16_t>(next_available_ + beyond);
    if (event_index_) {
        store16(used_, kRingEntries + entries_ * kUsedEntrySize, next, std::memory_order_relaxed);
    } else {
        store16(used_, 0, 0, std::memory_order_relaxed);
    }
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return available_index() != next;
}

// 2.7.10: with event indices nothing is asked for anew, and so the driver is silent.
void Queue::disable_notification() {
    if (ready_ && !event_index_) store16(used_, 0, kUsedNoNotify, std::memory_order_relaxed);
}

void Queue::continue_at(uint16_t next_available) {
    next_available_ = next_available;
    next_used_ = used_index();
}

}  // namespace arclight::devices::virtio
