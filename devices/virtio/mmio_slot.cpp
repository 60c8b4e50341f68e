#include "devices/virtio/mmio_slot.h"

#include <fmt/format.h>

#include <utility>

#include "devices/fdt_writer.h"
#include "devices/layout.h"
#include "devices/register_access.h"

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
constexpr uint64_t kRegQueueNotify = 0x050;
constexpr uint64_t kRegInterruptStatus = 0x060;
constexpr uint64_t kRegInterruptAck = 0x064;
constexpr uint64_t kRegStatus = 0x070;
constexpr uint64_t kRegConfig = 0x100;

constexpr uint32_t kMagic = 0x7472'6976;   // "virt"
constexpr uint32_t kVendor = 0x554d'4551;  // QEMU's

constexpr uint32_t kInterruptUsedBuffer = 1;
constexpr uint32_t kInterruptConfig = 2;

constexpr uint32_t kStateVersion = 1;

}  // namespace

MmioSlot::MmioSlot(Generation generation, unsigned slot, const mmu::GuestMemory& memory, IrqLine line,
                   std::unique_ptr<Backend> backend)
    : TransportCore(generation, memory, std::move(backend)), slot_(slot), line_(line) {}

void MmioSlot::interrupt(Cause cause, unsigned) {
    registers_.interrupt_status |= cause == Cause::UsedBuffer ? kInterruptUsedBuffer : kInterruptConfig;
    update();
}

void MmioSlot::reset_registers() {
    registers_ = {};
    reset_own();
    update();
}

void MmioSlot::reset() {
    Lock held(lock());
    reset_device(held);
}

// ---- state

/// A slot of the other version does not take it.
const char* MmioSlot::section() const { return legacy() ? "virtio-mmio-1" : "virtio-mmio"; }

void MmioSlot::resume() {
    {
        const Lock held(lock());
        line_.refresh(registers_.interrupt_status != 0);
    }
    resume_core();
}

void MmioSlot::save(StateWriter& out) const {
    out.section(section(), kStateVersion, [&] {
        out(registers_);
        save_own(out);
        save_core(out);
    });
}

StateResult MmioSlot::load(StateReader& in) {
    Registers registers;
    const auto loaded = in.section(section(), kStateVersion, [&] {
        in(registers);
        load_own(in);
        return load_core(in);
    });
    if (!loaded) return loaded;
    const Lock held(lock());
    registers_ = registers;
    commit_own();
    return {};
}

// ---- registers

uint32_t MmioSlot::read_register(uint64_t offset) const {
    // 4.2.2: a slot without a device shows its identity and device id 0.
    switch (offset) {
        case kRegMagic: return kMagic;
        case kRegVersion: return legacy() ? 1 : 2;
        case kRegVendorId: return kVendor;
        default: break;
    }
    if (backend() == nullptr) return 0;
    switch (offset) {
        case kRegDeviceId: return backend()->device_id();
        case kRegDeviceFeatures: return offered_features(registers_.device_features_select);
        case kRegQueueSizeMax: return selected_queue() != nullptr ? selected_queue()->limit() : 0;
        case kRegInterruptStatus: return registers_.interrupt_status;
        case kRegStatus: return visible_status();
        default: return read_own(offset);
    }
}

void MmioSlot::write_register(uint64_t offset, uint32_t value, Lock& held) {
    if (backend() == nullptr || resetting()) return;
    switch (offset) {
        case kRegDeviceFeaturesSelect: registers_.device_features_select = value; break;
        case kRegDriverFeaturesSelect: registers_.driver_features_select = value; break;
        case kRegDriverFeatures: accept_features(registers_.driver_features_select, value); break;
        case kRegQueueSelect: registers_.queue_select = value; break;
        case kRegQueueNotify: notify(value); break;
        case kRegInterruptAck:
            registers_.interrupt_status &= ~value;
            update();
            break;
        case kRegStatus: write_status(value, held); break;
        default: write_own(offset, value); break;
    }
}

uint64_t MmioSlot::read(uint64_t offset, unsigned size) {
    const Lock held(lock());
    if (offset < kRegConfig) {
        return read_by_words(offset, size, [&](uint64_t word) { return read_register(word); });
    }
    if (backend() == nullptr) return 0;
    return read_config(offset - kRegConfig, size);
}

void MmioSlot::write(uint64_t offset, uint64_t value, unsigned size) {
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

void MmioSlot::add_to_device_tree(FdtWriter& fdt) const {
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
