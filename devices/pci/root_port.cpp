#include "devices/pci/root_port.h"

#include "devices/pci/host_bridge.h"

// Section numbers are those of the PCI-to-PCI Bridge Architecture Specification 1.2.
namespace arclight::devices::pci {

namespace {

// 3.2: the header of type 1.
constexpr unsigned kRegPrimary = 0x18;
constexpr unsigned kRegSecondary = 0x19;
constexpr unsigned kRegSubordinate = 0x1a;
constexpr unsigned kRegPortBase = 0x1c;
constexpr unsigned kRegPortLimit = 0x1d;
constexpr unsigned kRegSecondaryStatus = 0x1e;
constexpr unsigned kRegMemoryBase = 0x20;
constexpr unsigned kRegMemoryLimit = 0x22;
constexpr unsigned kRegPrefetchBase = 0x24;
constexpr unsigned kRegPrefetchLimit = 0x26;
constexpr unsigned kRegPrefetchBaseUpper = 0x28;
constexpr unsigned kRegPrefetchLimitUpper = 0x2c;
constexpr unsigned kRegBridgeControl = 0x3e;
constexpr uint16_t kControlSecondaryReset = 1u << 6;
constexpr uint16_t kPrefetch64 = 1;

// QEMU's pcie-root-port.
constexpr Identity kIdentity{
    .vendor = 0x1b36, .device = 0x000c, .class_code = 0x0604, .header_type = 1, .interrupt_pin = 1};
constexpr uint8_t kExpressRootPort = 4;

// PCI Express Base Specification 3.0 section 7.8.
constexpr unsigned kExpressFlags = 0x02;
constexpr uint16_t kFlagSlot = 1u << 8;
constexpr unsigned kExpressLink = 0x0c;
constexpr unsigned kExpressLinkStatus = 0x12;
constexpr unsigned kExpressSlot = 0x14;
constexpr unsigned kExpressSlotStatus = 0x1a;
constexpr uint32_t kLinkActiveReporting = 1u << 20;
constexpr uint16_t kLinkActive = 1u << 13;
constexpr uint16_t kSlotPresence = 1u << 6;

}  // namespace

RootPort::RootPort(unsigned slot) : Function(kIdentity) {
    ConfigSpace& space = config();
    space.allow(kRegPrimary, 0xff'ff'ff, 4);
    space.allow(kRegPortBase, 0xf0f0, 2);
    space.allow_clear(kRegSecondaryStatus, 0xf900, 2);
    space.allow(kRegMemoryBase, 0xfff0, 2);
    space.allow(kRegMemoryLimit, 0xfff0, 2);
    space.set(kRegPrefetchBase, kPrefetch64, 2);
    space.set(kRegPrefetchLimit, kPrefetch64, 2);
    space.allow(kRegPrefetchBase, 0xfff0, 2);
    space.allow(kRegPrefetchLimit, 0xfff0, 2);
    space.allow(kRegPrefetchBaseUpper, ~0u, 4);
    space.allow(kRegPrefetchLimitUpper, ~0u, 4);
    space.allow(kRegBridgeControl, 0x0fff, 2);
    express_ = add_express_capability(kExpressRootPort);
    space.set(express_ + kExpressFlags, space.get(express_ + kExpressFlags, 2) | kFlagSlot, 2);
    space.set(express_ + kExpressLink,
              space.get(express_ + kExpressLink, 4) | kLinkActiveReporting | slot << 24, 4);
    space.set(express_ + kExpressSlot, slot << 19, 4);
    finish_config();
}

void RootPort::set_child(Function& child) {
    child_ = &child;
    ConfigSpace& space = config();
    space.set(express_ + kExpressLinkStatus, space.get(express_ + kExpressLinkStatus, 2) | kLinkActive, 2);
    space.set(express_ + kExpressSlotStatus, kSlotPresence, 2);
    finish_config();
}

bool RootPort::has_bus(unsigned number) const {
    const unsigned secondary = config().get(kRegSecondary, 1);
    return secondary != 0 && number >= secondary && number <= config().get(kRegSubordinate, 1);
}

bool RootPort::forwards(bool ports, uint64_t address, uint64_t size) const {
    const auto within = [&](uint64_t base, uint64_t limit) {
        return base <= limit && address >= base && address <= limit && size - 1 <= limit - address;
    };
    const ConfigSpace& space = config();
    if (ports) {
        return (command() & kCommandPorts) != 0 && within((space.get(kRegPortBase, 1) & 0xf0u) << 8,
                                                          (space.get(kRegPortLimit, 1) & 0xf0u) << 8 | 0xfff);
    }
    if ((command() & kCommandMemory) == 0) return false;
    const auto megabytes = [&](unsigned reg) {
        return static_cast<uint64_t>(space.get(reg, 2) & 0xfff0u) << 16;
    };
    const auto upper = [&](unsigned reg) { return static_cast<uint64_t>(space.get(reg, 4)) << 32; };
    return within(megabytes(kRegMemoryBase), megabytes(kRegMemoryLimit) | 0xf'ffff) ||
           within(upper(kRegPrefetchBaseUpper) | megabytes(kRegPrefetchBase),
                  upper(kRegPrefetchLimitUpper) | megabytes(kRegPrefetchLimit) | 0xf'ffff);
}

void RootPort::config_write(unsigned offset, uint32_t value, unsigned size) {
    const uint32_t before = config().get(kRegBridgeControl, 2);
    Function::config_write(offset, value, size);
    // 3.2.5.18: the bus is held in reset until the bit is cleared again.
    const uint32_t now = config().get(kRegBridgeControl, 2);
    if ((now & ~before & kControlSecondaryReset) == 0 || child_ == nullptr) return;
    child_->reset();
    if (bridge() != nullptr) bridge()->remap();
}

void RootPort::config_loaded() { secondary_ = static_cast<uint8_t>(config().get(kRegSecondary, 1)); }

void RootPort::control_changed() {
    config_loaded();
    if (child_ != nullptr) child_->parent_changed();
}

}  // namespace arclight::devices::pci
