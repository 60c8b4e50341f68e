#include "devices/virtio/mmio_legacy.h"

#include <algorithm>
#include <bit>
#include <utility>

// Section 4.2.4 of virtio 1.2 has the registers, 2.7.2 the layout of a legacy queue.
namespace arclight::devices::virtio {

namespace {

constexpr uint64_t kRegGuestPageSize = 0x028;
constexpr uint64_t kRegQueueSize = 0x038;
constexpr uint64_t kRegQueueAlign = 0x03c;
constexpr uint64_t kRegQueuePfn = 0x040;

// Of a driver that does not set it, as QEMU's.
constexpr uint32_t kDefaultAlignment = 4096;
constexpr unsigned kMaxPageShift = 31;

}  // namespace

MmioLegacy::MmioLegacy(unsigned slot, const mmu::GuestMemory& memory, IrqLine line,
                       std::unique_ptr<Backend> backend)
    : MmioSlot(Generation::Legacy, slot, memory, line, std::move(backend)),
      alignment_(queue_count(), kDefaultAlignment) {}

MmioLegacy::~MmioLegacy() { shut_down(); }

void MmioLegacy::reset() {
    MmioSlot::reset();
    const Lock held(lock());
    page_shift_ = 0;
}

/// A reset by the driver keeps GuestPageSize: Linux sets it once, before the first reset.
void MmioLegacy::reset_own() { std::ranges::fill(alignment_, kDefaultAlignment); }

uint32_t MmioLegacy::read_own(uint64_t offset) const {
    const Queue* const selected = selected_queue();
    if (offset != kRegQueuePfn || selected == nullptr || !selected->ready()) return 0;
    return static_cast<uint32_t>(selected->descriptors >> page_shift_);
}

void MmioLegacy::write_own(uint64_t offset, uint32_t value) {
    Queue* const selected = selected_queue();
    switch (offset) {
        case kRegGuestPageSize:
            page_shift_ = std::min<unsigned>(std::countr_zero(value), kMaxPageShift);
            break;
        case kRegQueueSize:
            if (selected != nullptr && !selected->ready()) selected->size = value;
            break;
        case kRegQueueAlign:
            if (selected != nullptr) alignment_[queue_select()] = value;
            break;
        case kRegQueuePfn:
            if (selected == nullptr) break;
            if (value == 0) {
                selected->disable();
            } else if (!selected->ready()) {
                place(*selected, value);
            }
            break;
        default: break;
    }
}

void MmioLegacy::place(Queue& queue, uint32_t pfn) {
    const uint64_t alignment = alignment_[queue_select()];
    if (!std::has_single_bit(alignment)) return fail();
    enable_legacy_queue(queue, uint64_t{pfn} << page_shift_, alignment);
}

void MmioLegacy::save_own(StateWriter& out) const {
    out(page_shift_);
    for (const uint32_t alignment : alignment_) out(alignment);
}

void MmioLegacy::load_own(StateReader& in) {
    loaded_.alignment.assign(alignment_.size(), kDefaultAlignment);
    in(loaded_.page_shift);
    for (uint32_t& alignment : loaded_.alignment) in(alignment);
    in.require(loaded_.page_shift <= kMaxPageShift, "a page size that cannot be");
}

void MmioLegacy::commit_own() {
    page_shift_ = loaded_.page_shift;
    alignment_ = loaded_.alignment;
}

}  // namespace arclight::devices::virtio
