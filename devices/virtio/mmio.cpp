#include "devices/virtio/mmio.h"

#include <fmt/format.h>

#include "devices/fdt_writer.h"
#include "devices/layout.h"
#include "devices/register_access.h"

// Section 4.2.2 of virtio 1.2 has the registers, 3.1 the order in which a driver uses them.
namespace arclight::devices::virtio {

namespace {

constexpr uint64_t kRegMagic = 0x000;
constexpr uint64_t kRegVersion = 0x004;
constexpr uint64_t kRegDeviceId = 0x008;
constexpr uint64_t kRegVendorId = 0x00c;
constexpr uint64_t kRegDeviceFeatures = 0x010;
constexpr uint64_t kRegDeviceFeaturesSelect = 0x014;
constexpr uint64_t kRegDriverFeatures = 0x020;
constexpr uint64_t kRegDriverFeaturesSelect = 0x024;
constexpr uint64_t kRegQueueSelect = 0x030;
constexpr uint64_t kRegQueueSizeMax = 0x034;
constexpr uint64_t kRegQueueSize = 0x038;
constexpr uint64_t kRegQueueReady = 0x044;
constexpr uint64_t kRegQueueNotify = 0x050;
constexpr uint64_t kRegInterruptStatus = 0x060;
constexpr uint64_t kRegInterruptAck = 0x064;
constexpr uint64_t kRegStatus = 0x070;
constexpr uint64_t kRegQueueDescriptors = 0x080;
constexpr uint64_t kRegQueueDriver = 0x090;
constexpr uint64_t kRegQueueDevice = 0x0a0;
constexpr uint64_t kRegSharedMemory = 0x0b0;
constexpr uint64_t kRegSharedMemoryEnd = 0x0c0;
constexpr uint64_t kRegConfigGeneration = 0x0fc;
constexpr uint64_t kRegConfig = 0x100;

constexpr uint32_t kMagic = 0x7472'6976;   // "virt"
constexpr uint32_t kVendor = 0x554d'4551;  // QEMU's
constexpr uint32_t kInterfaceVersion = 2;

constexpr uint32_t kStatusFeaturesOk = 8;
constexpr uint32_t kStatusDriverOk = 4;
constexpr uint32_t kStatusNeedsReset = 64;

constexpr uint32_t kInterruptUsedBuffer = 1;
constexpr uint32_t kInterruptConfig = 2;

void set_half(uint64_t& field, bool upper, uint32_t value) {
    field = upper ? (field & 0xffff'ffff) | static_cast<uint64_t>(value) << 32 : (field >> 32 << 32) | value;
}

}  // namespace

Mmio::Mmio(unsigned slot, const mmu::GuestMemory& memory, IrqLine line, std::unique_ptr<Backend> backend)
    : slot_(slot), memory_(memory), backend_(std::move(backend)), line_(line) {
    if (backend_ == nullptr) return;
    for (uint16_t limit : backend_->queue_limits()) queues_.emplace_back(limit);
}

Mmio::~Mmio() {
    std::unique_lock held(lock_);
    quiesce(held);
}

bool Mmio::running() const {
    return !resetting_ && (status_ & kStatusDriverOk) != 0 && (status_ & kStatusNeedsReset) == 0;
}

void Mmio::complete(unsigned index, uint16_t head, uint32_t written) {
    Queue& queue = queues_[index];
    queue.push(head, written);
    if (!queue.should_interrupt()) return;
    interrupt_status_ |= kInterruptUsedBuffer;
    update();
}

void Mmio::fail() {
    status_ |= kStatusNeedsReset;
    // 2.1.2: the driver is told only once it has said it is up.
    if ((status_ & kStatusDriverOk) != 0) interrupt_status_ |= kInterruptConfig;
    update();
}

void Mmio::update() { line_.set(interrupt_status_ != 0); }

// Waits, with the lock released, until the backend has nothing in flight.
void Mmio::quiesce(std::unique_lock<std::mutex>& held) {
    resetting_ = true;
    if (backend_ == nullptr) return;
    held.unlock();
    backend_->stop();
    held.lock();
}

void Mmio::reset_locked(std::unique_lock<std::mutex>& held) {
    if (resetting_) return;  // another CPU is at it
    quiesce(held);
    for (Queue& queue : queues_) queue.reset();
    status_ = 0;
    interrupt_status_ = 0;
    device_features_select_ = 0;
    driver_features_select_ = 0;
    queue_select_ = 0;
    driver_features_ = 0;
    if (backend_ != nullptr) backend_->set_features(0);
    resetting_ = false;
    update();
}

void Mmio::reset() {
    std::unique_lock held(lock_);
    reset_locked(held);
}

uint64_t Mmio::offered_features() const {
    return backend_->features() | kFeatureIndirect | kFeatureEventIndex | kFeatureVersion1;
}

Queue* Mmio::selected() { return queue_select_ < queues_.size() ? &queues_[queue_select_] : nullptr; }
const Queue* Mmio::selected() const {
    return queue_select_ < queues_.size() ? &queues_[queue_select_] : nullptr;
}

uint32_t Mmio::read_register(uint64_t offset) const {
    // 4.2.2: a slot without a device shows its identity and device id 0.
    switch (offset) {
        case kRegMagic: return kMagic;
        case kRegVersion: return kInterfaceVersion;
        case kRegVendorId: return kVendor;
        default: break;
    }
    if (backend_ == nullptr) return 0;
    if (offset >= kRegSharedMemory && offset < kRegSharedMemoryEnd) return ~0u;  // no such region
    switch (offset) {
        case kRegDeviceId: return backend_->device_id();
        case kRegDeviceFeatures:
            return device_features_select_ < 2
                       ? static_cast<uint32_t>(offered_features() >> (device_features_select_ * 32))
                       : 0;
        case kRegQueueSizeMax: return selected() != nullptr ? selected()->limit() : 0;
        case kRegQueueReady: return selected() != nullptr && selected()->ready() ? 1 : 0;
        case kRegInterruptStatus: return interrupt_status_;
        case kRegStatus: return status_;
        case kRegConfigGeneration: return config_generation_;
        default: return 0;
    }
}

void Mmio::write_status(uint32_t value, std::unique_lock<std::mutex>& held) {
    if (value == 0) {
        reset_locked(held);
        return;
    }
    uint32_t next = (value & 0xff & ~kStatusNeedsReset) | (status_ & kStatusNeedsReset);
    if ((next & kStatusFeaturesOk) != 0 && (status_ & kStatusFeaturesOk) == 0) {
        const bool acceptable =
            (driver_features_ & ~offered_features()) == 0 && (driver_features_ & kFeatureVersion1) != 0;
        if (acceptable) {
            backend_->set_features(driver_features_);
        } else {
            next &= ~kStatusFeaturesOk;
        }
    }
    // 3.1.1: a device that has not agreed on features must not start.
    if ((next & kStatusFeaturesOk) == 0) next &= ~kStatusDriverOk;
    status_ = next;
}

void Mmio::enable_queue(uint32_t value) {
    Queue* queue = selected();
    if (queue == nullptr) return;
    if ((value & 1) == 0) {
        queue->disable();
        return;
    }
    if (queue->ready()) return;
    const bool event_index = (driver_features_ & kFeatureEventIndex) != 0;
    const bool indirect = (driver_features_ & kFeatureIndirect) != 0;
    if (!queue->enable(memory_, event_index, indirect)) fail();
}

void Mmio::write_register(uint64_t offset, uint32_t value, std::unique_lock<std::mutex>& held) {
    if (backend_ == nullptr || resetting_) return;
    // 4.2.2.2: a queue in use keeps its size and place.
    Queue* const queue = selected() != nullptr && !selected()->ready() ? selected() : nullptr;
    switch (offset) {
        case kRegDeviceFeaturesSelect: device_features_select_ = value; break;
        case kRegDriverFeaturesSelect: driver_features_select_ = value; break;
        case kRegDriverFeatures:
            if ((status_ & kStatusFeaturesOk) == 0 && driver_features_select_ < 2) {
                set_half(driver_features_, driver_features_select_ == 1, value);
            }
            break;
        case kRegQueueSelect: queue_select_ = value; break;
        case kRegQueueSize:
            if (queue != nullptr) queue->size = value;
            break;
        case kRegQueueReady: enable_queue(value); break;
        case kRegQueueNotify:
            if (value < queues_.size() && queues_[value].ready() && running()) backend_->notify(*this, value);
            break;
        case kRegInterruptAck:
            interrupt_status_ &= ~value;
            update();
            break;
        case kRegStatus: write_status(value, held); break;
        case kRegQueueDescriptors:
        case kRegQueueDescriptors + 4:
            if (queue != nullptr) set_half(queue->descriptors, (offset & 4) != 0, value);
            break;
        case kRegQueueDriver:
        case kRegQueueDriver + 4:
            if (queue != nullptr) set_half(queue->available, (offset & 4) != 0, value);
            break;
        case kRegQueueDevice:
        case kRegQueueDevice + 4:
            if (queue != nullptr) set_half(queue->used, (offset & 4) != 0, value);
            break;
        default: break;
    }
}

uint64_t Mmio::read(uint64_t offset, unsigned size) {
    const std::lock_guard guard(lock_);
    if (offset < kRegConfig) {
        return read_by_words(offset, size, [&](uint64_t word) { return read_register(word); });
    }
    if (backend_ == nullptr) return 0;
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++) {
        value |= static_cast<uint64_t>(backend_->read_config(offset - kRegConfig + i)) << (i * 8);
    }
    return value;
}

void Mmio::write(uint64_t offset, uint64_t value, unsigned size) {
    std::unique_lock held(lock_);
    if (offset < kRegConfig) {
        // 4.2.2.2: registers are written whole.
        write_by_words(offset, value, size, [&](uint64_t word, uint32_t data, uint32_t mask) {
            if (mask == ~0u) write_register(word, data, held);
        });
        return;
    }
    if (backend_ == nullptr || resetting_) return;
    for (unsigned i = 0; i < size; i++) {
        backend_->write_config(offset - kRegConfig + i, static_cast<uint8_t>(value >> (i * 8)));
    }
    config_generation_++;
}

void Mmio::add_to_device_tree(FdtWriter& fdt) const {
    const uint64_t base = layout::virtio_slot_base(slot_);
    constexpr uint32_t kSpi = 0;
    constexpr uint32_t kEdgeRising = 1;
    fdt.begin_node(fmt::format("virtio_mmio@{:x}", base));
    fdt.property_string("compatible", "virtio,mmio");
    fdt.property_u64s("reg", {base, layout::kVirtioSlotSize});
    fdt.property_cells("interrupts", {kSpi, layout::kSpiVirtio + slot_, kEdgeRising});
    fdt.property("dma-coherent");
    fdt.end_node();
}

}  // namespace arclight::devices::virtio
