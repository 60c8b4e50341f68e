#include "devices/virtio/pci.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "devices/register_access.h"

// Sections are those of virtio 1.2: 4.1.4 has the modern interface, 4.1.4.10 the legacy one.
namespace arclight::devices::virtio {

namespace {

constexpr uint16_t kVendor = 0x1af4;
constexpr uint16_t kModernDevice = 0x1040;  // and the device type
constexpr uint16_t kModernSubsystem = 0x1100;

/// By device type: what QEMU's devices have for the class, and for the identifier of a transitional device (4.1.2.1).
struct TypeIdentity {
    uint32_t device_id;
    uint16_t class_code;
    uint16_t transitional;  ///< 0: there is none
};
constexpr TypeIdentity kTypes[] = {
    {1, 0x0200, 0x1000},  // network
    {2, 0x0100, 0x1001},  // block
    {3, 0x0780, 0x1003},  // console
    {4, 0x00ff, 0x1005},  // entropy
    {5, 0x00ff, 0x1002},  // balloon
    {8, 0x0100, 0x1004},  // SCSI
    {9, 0x0002, 0x1009},  // 9P
    {19, 0x0780, 0},      // sockets
    {26, 0x0180, 0},      // file system
};

constexpr TypeIdentity type_identity(uint32_t device_id) {
    for (const TypeIdentity& type : kTypes)
        if (type.device_id == device_id) return type;
    return {device_id, 0x00ff, 0};
}

constexpr unsigned kLegacyBar = 0;
constexpr unsigned kMsixBar = 1;
constexpr unsigned kModernBar = 4;

// Parts of the modern BAR.
constexpr uint64_t kPartSize = 0x1000;
constexpr uint64_t kIsrPart = 0x1000;
constexpr uint64_t kDevicePart = 0x2000;
constexpr uint64_t kNotifyPart = 0x3000;
constexpr uint64_t kModernSize = 0x4000;
constexpr uint32_t kNotifyMultiplier = 4;

// 4.1.4: capabilities.
constexpr uint8_t kCapabilityVendor = 0x09;
constexpr uint8_t kCapCommon = 1, kCapNotify = 2, kCapIsr = 3, kCapDevice = 4, kCapConfigWindow = 5;
constexpr unsigned kCapLength = 2, kCapType = 3, kCapBar = 4, kCapOffset = 8, kCapRange = 12, kCapExtra = 16;
constexpr uint8_t kExpressEndpoint = 0;

// 4.1.4.3: the common configuration.
constexpr uint64_t kRegDeviceFeaturesSelect = 0x00;
constexpr uint64_t kRegDeviceFeatures = 0x04;
constexpr uint64_t kRegDriverFeaturesSelect = 0x08;
constexpr uint64_t kRegDriverFeatures = 0x0c;
constexpr uint64_t kRegConfigVector = 0x10;
constexpr uint64_t kRegQueueCount = 0x12;
constexpr uint64_t kRegStatus = 0x14;
constexpr uint64_t kRegConfigGeneration = 0x15;
constexpr uint64_t kRegQueueSelect = 0x16;
constexpr uint64_t kRegQueueSize = 0x18;
constexpr uint64_t kRegQueueVector = 0x1a;
constexpr uint64_t kRegQueueEnable = 0x1c;
constexpr uint64_t kRegQueueNotifyOffset = 0x1e;
constexpr uint64_t kRegQueueDescriptors = 0x20;
constexpr uint64_t kRegQueueDriver = 0x28;
constexpr uint64_t kRegQueueEnd = 0x38;

// 4.1.4.10: the legacy interface.
constexpr uint64_t kLegacyDeviceFeatures = 0x00;
constexpr uint64_t kLegacyDriverFeatures = 0x04;
constexpr uint64_t kLegacyQueueAddress = 0x08;
constexpr uint64_t kLegacyQueueSize = 0x0c;
constexpr uint64_t kLegacyQueueSelect = 0x0e;
constexpr uint64_t kLegacyQueueNotify = 0x10;
constexpr uint64_t kLegacyStatus = 0x12;
constexpr uint64_t kLegacyIsr = 0x13;
constexpr uint64_t kLegacyConfigVector = 0x14;
constexpr uint64_t kLegacyQueueVector = 0x16;
constexpr uint64_t kLegacyConfig = 0x14, kLegacyConfigWithMsix = 0x18;
constexpr uint64_t kLegacySize = 0x80;
constexpr unsigned kLegacyPageShift = 12;
constexpr uint64_t kLegacyAlignment = 4096;

constexpr uint8_t kInterruptUsedBuffer = 1;
constexpr uint8_t kInterruptConfig = 2;

constexpr uint32_t kStateVersion = 1;

pci::Identity identity_of(uint32_t device_id, const Pci::Options& options) {
    const TypeIdentity type = type_identity(device_id);
    const bool transitional = options.legacy && type.transitional != 0;
    return {.vendor = kVendor,
            .device = transitional ? type.transitional : static_cast<uint16_t>(kModernDevice + device_id),
            .revision = static_cast<uint8_t>(transitional ? 0 : 1),
            .class_code = type.class_code,
            .subsystem_vendor = kVendor,
            .subsystem = transitional ? static_cast<uint16_t>(device_id) : kModernSubsystem,
            .interrupt_pin = 1};
}

void set_half(uint64_t& field, bool upper, uint32_t value) {
    field = upper ? (field & 0xffff'ffff) | static_cast<uint64_t>(value) << 32 : (field >> 32 << 32) | value;
}

}  // namespace

bool Pci::has_legacy_interface(uint32_t device_id) { return type_identity(device_id).transitional != 0; }

Pci::Pci(const mmu::GuestMemory& memory, std::unique_ptr<Backend> backend, const Options& options)
    : Function(identity_of(backend->device_id(), options)),
      TransportCore(options.modern ? Generation::Modern : Generation::Legacy, memory, std::move(backend)),
      options_(options),
      queue_vectors_(queue_count(), kNoVector) {
    if (options_.legacy) add_bar(kLegacyBar, pci::BarKind::Ports, kLegacySize);
    const auto queues = static_cast<unsigned>(queue_count());
    add_msix(kMsixBar, options_.vectors != 0 ? options_.vectors : queues + 1);
    if (options_.modern) add_capabilities();
    if (options_.express) add_express_capability(kExpressEndpoint);
    finish_config();
}

Pci::~Pci() { shut_down(); }

void Pci::add_capabilities() {
    add_bar(kModernBar, pci::BarKind::Memory64Prefetchable, kModernSize);
    const auto add = [&](uint8_t type, uint64_t offset, uint64_t range, unsigned extra) {
        const unsigned size = kCapExtra + extra;
        const unsigned at = config().add_capability(kCapabilityVendor, size);
        config().set(at + kCapLength, size, 1);
        config().set(at + kCapType, type, 1);
        config().set(at + kCapBar, type == kCapConfigWindow ? 0 : kModernBar, 1);
        config().set(at + kCapOffset, static_cast<uint32_t>(offset), 4);
        config().set(at + kCapRange, static_cast<uint32_t>(range), 4);
        return at;
    };
    add(kCapCommon, 0, kPartSize, 0);
    add(kCapIsr, kIsrPart, kPartSize, 0);
    add(kCapDevice, kDevicePart, kPartSize, 0);
    const unsigned notify = add(kCapNotify, kNotifyPart, kPartSize, 4);
    config().set(notify + kCapExtra, kNotifyMultiplier, 4);
    config_window_ = add(kCapConfigWindow, 0, 0, 4);
    config().allow(config_window_ + kCapBar, 0xff, 1);
    config().allow(config_window_ + kCapOffset, ~0u, 4);
    config().allow(config_window_ + kCapRange, ~0u, 4);
}

// ---- interrupts

void Pci::interrupt(Cause cause, unsigned queue) {
    registers_.interrupt_status |= cause == Cause::UsedBuffer ? kInterruptUsedBuffer : kInterruptConfig;
    if (!msix()->enabled()) {
        set_interrupt(true);
        return;
    }
    const uint16_t vector = cause == Cause::UsedBuffer ? queue_vectors_[queue] : registers_.config_vector;
    if (vector != kNoVector) msix()->raise(vector);
}

uint8_t Pci::take_interrupt_status() {
    const uint8_t status = std::exchange(registers_.interrupt_status, uint8_t{0});
    update_interrupt();
    return status;
}

/// 4.1.5.1.2.1: what cannot be mapped reads back as no vector.
uint16_t Pci::checked_vector(uint64_t vector) const {
    return (vector & 0xffff) < msix()->vectors() ? static_cast<uint16_t>(vector) : kNoVector;
}

void Pci::control_changed() {
    Lock held(lock());
    update_interrupt();
    if (backend() != nullptr) look_at_queues();
}

// ---- reset and state

void Pci::reset_registers() {
    registers_ = {};
    std::ranges::fill(queue_vectors_, kNoVector);
    if (options_.modern) set_generation(Generation::Modern);
    update_interrupt();
}

void Pci::reset_device_state() {
    Lock held(lock());
    reset_device(held);
}

void Pci::resume() {
    {
        const Lock held(lock());
        update_interrupt();
    }
    Function::resume();
    resume_core();
}

void Pci::save_device(StateWriter& out) const {
    out.section("virtio-pci", kStateVersion, [&] {
        out(registers_, legacy());
        for (const uint16_t vector : queue_vectors_) out(vector);
        save_core(out);
    });
}

StateResult Pci::load_device(StateReader& in) {
    Registers registers;
    std::vector<uint16_t> vectors(queue_vectors_.size());
    const auto loaded = in.section("virtio-pci", kStateVersion, [&]() -> StateResult {
        bool legacy = false;
        in(registers, legacy);
        for (uint16_t& vector : vectors) {
            in(vector);
            in.require(checked_vector(vector) == vector, "a vector that is not there");
        }
        in.require(checked_vector(registers.config_vector) == registers.config_vector,
                   "a vector that is not there");
        in.require(legacy ? options_.legacy : options_.modern, "an interface that the device has not");
        if (!in.ok()) return in.result();
        {
            const Lock held(lock());
            set_generation(legacy ? Generation::Legacy : Generation::Modern);
        }
        return load_core(in);
    });
    Lock held(lock());
    if (!loaded) {
        reset_device(held);
        return loaded;
    }
    registers_ = registers;
    queue_vectors_ = std::move(vectors);
    return {};
}

// ---- configuration space: the window of 4.1.4.9

bool Pci::config_window(uint64_t& offset, unsigned& size) const {
    offset = config().get(config_window_ + kCapOffset, 4);
    size = config().get(config_window_ + kCapRange, 4);
    return config().get(config_window_ + kCapBar, 1) == kModernBar && (size == 1 || size == 2 || size == 4) &&
           offset % size == 0 && offset < kModernSize;
}

uint32_t Pci::config_read(unsigned offset, unsigned size) {
    uint64_t at = 0;
    unsigned bytes = 0;
    if (config_window_ != 0 && offset == config_window_ + kCapExtra && config_window(at, bytes))
        return static_cast<uint32_t>(bar_read(kModernBar, at, bytes) & access_mask(size));
    return Function::config_read(offset, size);
}

void Pci::config_write(unsigned offset, uint32_t value, unsigned size) {
    uint64_t at = 0;
    unsigned bytes = 0;
    if (config_window_ != 0 && offset == config_window_ + kCapExtra && config_window(at, bytes))
        bar_write(kModernBar, at, value & access_mask(bytes), bytes);
    else
        Function::config_write(offset, value, size);
}

// ---- BARs

uint64_t Pci::bar_read(unsigned bar, uint64_t offset, unsigned size) {
    const Lock held(lock());
    if (bar == kLegacyBar) {
        choose(Generation::Legacy);
        return read_legacy(offset, size);
    }
    switch (offset & ~(kPartSize - 1)) {
        case 0: choose(Generation::Modern); return read_common(offset, size);
        case kIsrPart: return offset == kIsrPart ? take_interrupt_status() : 0;
        case kDevicePart: return read_config(offset - kDevicePart, size);
        default: return 0;
    }
}

void Pci::bar_write(unsigned bar, uint64_t offset, uint64_t value, unsigned size) {
    Lock held(lock());
    if (resetting()) return;
    if (bar == kLegacyBar) {
        choose(Generation::Legacy);
        write_legacy(offset, value & access_mask(size), size, held);
        return;
    }
    switch (offset & ~(kPartSize - 1)) {
        case kNotifyPart: notify(static_cast<uint32_t>((offset - kNotifyPart) / kNotifyMultiplier)); break;
        case 0:
            choose(Generation::Modern);
            write_common(offset, value & access_mask(size), size, held);
            break;
        case kDevicePart: write_config(offset - kDevicePart, value, size); break;
        default: break;
    }
}

void Pci::choose(Generation generation) {
    if (visible_status() == 0 && !resetting()) set_generation(generation);
}

// 4.1.3.1: fields are accessed whole, and those of 64 bits by halves; other accesses read zero and do nothing.
uint64_t Pci::read_common(uint64_t offset, unsigned size) {
    const Queue* const selected = selected_queue();
    if (offset >= kRegQueueDescriptors && offset < kRegQueueEnd) {
        if (selected == nullptr || offset % 4 != 0) return 0;
        const uint64_t field = (offset & ~7ull) == kRegQueueDescriptors ? selected->descriptors
                               : (offset & ~7ull) == kRegQueueDriver    ? selected->available
                                                                        : selected->used;
        return field >> (offset & 4) * 8 & access_mask(size);
    }
    const auto field = [&]() -> uint32_t {
        switch (offset) {
            case kRegDeviceFeaturesSelect: return registers_.device_features_select;
            case kRegDeviceFeatures: return offered_features(registers_.device_features_select);
            case kRegDriverFeaturesSelect: return registers_.driver_features_select;
            case kRegDriverFeatures:
                return registers_.driver_features_select < 2
                           ? static_cast<uint32_t>(features() >> registers_.driver_features_select * 32)
                           : 0;
            case kRegConfigVector: return registers_.config_vector;
            case kRegQueueCount: return static_cast<uint32_t>(queue_count());
            case kRegStatus: return visible_status();
            case kRegConfigGeneration: return config_generation() & 0xff;
            case kRegQueueSelect: return registers_.queue_select;
            default: break;
        }
        if (selected == nullptr) return offset == kRegQueueVector ? kNoVector : 0;
        switch (offset) {
            case kRegQueueSize: return selected->size != 0 ? selected->size : selected->limit();
            case kRegQueueVector: return queue_vectors_[registers_.queue_select];
            case kRegQueueEnable: return selected->ready() ? 1 : 0;
            case kRegQueueNotifyOffset: return registers_.queue_select;
            default: return 0;
        }
    };
    return field() & access_mask(size);
}

void Pci::write_common(uint64_t offset, uint64_t value, unsigned size, Lock& held) {
    Queue* const selected = selected_queue();
    // 4.1.4.3.2: a queue in use keeps its size and place.
    Queue* const idle = selected != nullptr && !selected->ready() ? selected : nullptr;
    if (offset >= kRegQueueDescriptors && offset < kRegQueueEnd) {
        if (idle == nullptr || size < 4 || offset % size != 0) return;
        uint64_t& field = (offset & ~7ull) == kRegQueueDescriptors ? idle->descriptors
                          : (offset & ~7ull) == kRegQueueDriver    ? idle->available
                                                                   : idle->used;
        if (size == 8)
            field = value;
        else
            set_half(field, (offset & 4) != 0, static_cast<uint32_t>(value));
        return;
    }
    switch (offset) {
        case kRegDeviceFeaturesSelect:
            registers_.device_features_select = static_cast<uint32_t>(value);
            break;
        case kRegDriverFeaturesSelect:
            registers_.driver_features_select = static_cast<uint32_t>(value);
            break;
        case kRegDriverFeatures:
            accept_features(registers_.driver_features_select, static_cast<uint32_t>(value));
            break;
        case kRegConfigVector: registers_.config_vector = checked_vector(value); break;
        case kRegStatus: write_status(static_cast<uint32_t>(value & 0xff), held); break;
        case kRegQueueSelect: registers_.queue_select = static_cast<uint16_t>(value); break;
        case kRegQueueSize:
            if (idle != nullptr) idle->size = static_cast<uint16_t>(value);
            break;
        case kRegQueueVector:
            if (selected != nullptr) queue_vectors_[registers_.queue_select] = checked_vector(value);
            break;
        case kRegQueueEnable:
            if (idle == nullptr || value != 1) break;
            if (idle->size == 0) idle->size = idle->limit();
            enable_queue(*idle);
            break;
        default: break;
    }
}

/// 4.1.4.10: with MSI-X on, two vectors come before the device's configuration.
uint64_t Pci::legacy_config() const { return msix()->enabled() ? kLegacyConfigWithMsix : kLegacyConfig; }

uint64_t Pci::read_legacy(uint64_t offset, unsigned size) {
    if (offset >= legacy_config()) return read_config(offset - legacy_config(), size);
    const Queue* const selected = selected_queue();
    const auto field = [&]() -> uint32_t {
        switch (offset) {
            case kLegacyDeviceFeatures: return offered_features(0);
            case kLegacyDriverFeatures: return static_cast<uint32_t>(features());
            case kLegacyQueueAddress:
                return selected != nullptr && selected->ready()
                           ? static_cast<uint32_t>(selected->descriptors >> kLegacyPageShift)
                           : 0;
            case kLegacyQueueSize: return selected != nullptr ? selected->limit() : 0;
            case kLegacyQueueSelect: return registers_.queue_select;
            case kLegacyStatus: return visible_status();
            case kLegacyIsr: return take_interrupt_status();
            case kLegacyConfigVector: return registers_.config_vector;
            case kLegacyQueueVector:
                return selected != nullptr ? queue_vectors_[registers_.queue_select] : kNoVector;
            default: return 0;
        }
    };
    return field() & access_mask(size);
}

void Pci::write_legacy(uint64_t offset, uint64_t value, unsigned size, Lock& held) {
    if (offset >= legacy_config()) {
        write_config(offset - legacy_config(), value, size);
        return;
    }
    Queue* const selected = selected_queue();
    switch (offset) {
        case kLegacyDriverFeatures: accept_features(0, static_cast<uint32_t>(value)); break;
        case kLegacyQueueAddress:
            if (selected == nullptr) break;
            if (value == 0) {
                // 4.1.5.1.4.1: that resets the device's queues.
                selected->disable();
            } else if (!selected->ready()) {
                enable_legacy_queue(*selected, (value & 0xffff'ffff) << kLegacyPageShift, kLegacyAlignment);
            }
            break;
        case kLegacyQueueSelect: registers_.queue_select = static_cast<uint16_t>(value); break;
        case kLegacyQueueNotify: notify(static_cast<uint32_t>(value & 0xffff)); break;
        case kLegacyStatus: write_status(static_cast<uint32_t>(value & 0xff), held); break;
        case kLegacyConfigVector: registers_.config_vector = checked_vector(value); break;
        case kLegacyQueueVector:
            if (selected != nullptr) queue_vectors_[registers_.queue_select] = checked_vector(value);
            break;
        default: break;
    }
}

}  // namespace arclight::devices::virtio
