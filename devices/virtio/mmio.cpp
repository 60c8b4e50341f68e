#include "devices/virtio/mmio.h"

#include <utility>

// Section 4.2.2 of virtio 1.2 has the registers, 3.1 the order in which a driver uses them.
namespace arclight::devices::virtio {

namespace {

constexpr uint64_t kRegQueueSize = 0x038;
constexpr uint64_t kRegQueueReady = 0x044;
constexpr uint64_t kRegQueueDescriptors = 0x080;
constexpr uint64_t kRegQueueDriver = 0x090;
constexpr uint64_t kRegQueueDevice = 0x0a0;
constexpr uint64_t kRegSharedMemory = 0x0b0;
constexpr uint64_t kRegSharedMemoryEnd = 0x0c0;
constexpr uint64_t kRegConfigGeneration = 0x0fc;

void set_half(uint64_t& field, bool upper, uint32_t value) {
    field = upper ? (field & 0xffff'ffff) | static_cast<uint64_t>(value) << 32 : (field >> 32 << 32) | value;
}

}  // namespace

Mmio::Mmio(unsigned slot, const mmu::GuestMemory& memory, IrqLine line, std::unique_ptr<Backend> backend)
    : MmioSlot(Generation::Modern, slot, memory, line, std::move(backend)) {}

Mmio::~Mmio() { shut_down(); }

uint32_t Mmio::read_own(uint64_t offset) const {
    if (offset >= kRegSharedMemory && offset < kRegSharedMemoryEnd) return ~0u;  // no such region
    switch (offset) {
        case kRegQueueReady: return selected_queue() != nullptr && selected_queue()->ready() ? 1 : 0;
        case kRegConfigGeneration: return config_generation();
        default: return 0;
    }
}

void Mmio::write_own(uint64_t offset, uint32_t value) {
    // 4.2.2.2: a queue in use keeps its size and place.
    Queue* const selected = selected_queue();
    Queue* const idle = selected != nullptr && !selected->ready() ? selected : nullptr;
    switch (offset) {
        case kRegQueueSize:
            if (idle != nullptr) idle->size = value;
            break;
        case kRegQueueReady:
            if (selected == nullptr) break;
            if ((value & 1) != 0) {
                enable_queue(*selected);
            } else {
                selected->disable();
            }
            break;
        case kRegQueueDescriptors:
        case kRegQueueDescriptors + 4:
            if (idle != nullptr) set_half(idle->descriptors, (offset & 4) != 0, value);
            break;
        case kRegQueueDriver:
        case kRegQueueDriver + 4:
            if (idle != nullptr) set_half(idle->available, (offset & 4) != 0, value);
            break;
        case kRegQueueDevice:
        case kRegQueueDevice + 4:
            if (idle != nullptr) set_half(idle->used, (offset & 4) != 0, value);
            break;
        default: break;
    }
}

}  // namespace arclight::devices::virtio
