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

constexpr uint32_t kInterruptUsedBuffer = 1;
constexpr uint32_t kInterruptConfig = 2;

constexpr uint32_t kStateVersion = 1;

void set_half(uint64_t& field, bool upper, uint32_t value) {
    field = upper ? (field & 0xffff'ffff) | static_cast<uint64_t>(value) << 32 : (field >> 32 << 32) | value;
}

}  // namespace

Mmio::Mmio(unsigned slot, const mmu::GuestMemory& memory, IrqLine line, std::unique_ptr<Backend> backend)
    : TransportCore(memory, std::move(backend)), slot_(slot), line_(line) {}

Mmio::~Mmio() { shut_down(); }

void Mmio::interrupt(Cause cause, unsigned) {
    registers_.interrupt_status |= cause == Cause::UsedBuffer ? kInterruptUsedBuffer : kInterruptConfig;
    update();
}

void Mmio::reset_registers() {
    registers_ = {};
    update();
}

void Mmio::reset() {
    Lock held(lock());
    reset_device(held);
}

// ---- state

void Mmio::resume() {
    {
        const Lock held(lock());
        line_.refresh(registers_.interrupt_status != 0);
    }
    resume_core();
}

void Mmio::save(StateWriter& out) const {
    out.section("virtio-mmio", kStateVersion, [&] {
        out(registers_);
        save_core(out);
    });
}

StateResult Mmio::load(StateReader& in) {
    Registers registers;
    const auto loaded = in.section("virtio-mmio", kStateVersion, [&] {
        in(registers);
        return load_core(in);
    });
    if (!loaded) return loaded;
    const Lock held(lock());
    registers_ = registers;
    return {};
}

// ---- registers

uint32_t Mmio::read_register(uint64_t offset) const {
    // 4.2.2: a slot without a device shows its identity and device id 0.
    switch (offset) {
        case kRegMagic: return kMagic;
        case kRegVersion: return kInterfaceVersion;
        case kRegVendorId: return kVendor;
        default: break;
    }
    if (backend() == nullptr) return 0;
    if (offset >= kRegSharedMemory && offset < kRegSharedMemoryEnd) return ~0u;  // no such region
    const Queue* const selected = queue(registers_.queue_select);
    switch (offset) {
        case kRegDeviceId: return backend()->device_id();
        case kRegDeviceFeatures: return offered_features(registers_.device_features_select);
        case kRegQueueSizeMax: return selected != nullptr ? selected->limit() : 0;
        case kRegQueueReady: return selected != nullptr && selected->ready() ? 1 : 0;
        case kRegInterruptStatus: return registers_.interrupt_status;
        case kRegStatus: return status();
        case kRegConfigGeneration: return config_generation();
        default: return 0;
    }
}

void Mmio::write_register(uint64_t offset, uint32_t value, Lock& held) {
    if (backend() == nullptr || resetting()) return;
    // 4.2.2.2: a queue in use keeps its size and place.
    Queue* const selected = queue(registers_.queue_select);
    Queue* const idle = selected != nullptr && !selected->ready() ? selected : nullptr;
    switch (offset) {
        case kRegDeviceFeaturesSelect: registers_.device_features_select = value; break;
        case kRegDriverFeaturesSelect: registers_.driver_features_select = value; break;
        case kRegDriverFeatures: accept_features(registers_.driver_features_select, value); break;
        case kRegQueueSelect: registers_.queue_select = value; break;
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
        case kRegQueueNotify: notify(value, held); break;
        case kRegInterruptAck:
            registers_.interrupt_status &= ~value;
            update();
            break;
        case kRegStatus: write_status(value, held); break;
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

uint64_t Mmio::read(uint64_t offset, unsigned size) {
    const Lock held(lock());
    if (offset < kRegConfig) {
        return read_by_words(offset, size, [&](uint64_t word) { return read_register(word); });
    }
    if (backend() == nullptr) return 0;
    return read_config(offset - kRegConfig, size);
}

void Mmio::write(uint64_t offset, uint64_t value, unsigned size) {
    Lock held(lock());
    if (offset < kRegConfig) {
        // 4.2.2.2: registers are written whole.
        write_by_words(offset, value, size, [&](uint64_t word, uint32_t data, uint32_t mask) {
            if (mask == ~0u) write_register(word, data, held);
        });
        return;
    }
    if (backend() == nullptr || resetting()) return;
    write_config(offset - kRegConfig, value, size);
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
