#include "devices/pci/function.h"

#include <fmt/format.h>

#include <bit>
#include <utility>

#include "devices/pci/host_bridge.h"
#include "devices/pci/root_port.h"

namespace arclight::devices::pci {

namespace {

constexpr uint8_t kCapabilityExpress = 0x10;
constexpr uint8_t kCapabilityMsix = 0x11;

constexpr unsigned kMsixControl = 2;
constexpr uint16_t kMsixEnable = 1u << 15;
constexpr uint16_t kMsixMaskAll = 1u << 14;

constexpr uint32_t kBarPorts = 1;
constexpr uint32_t kBarMemory64 = 4;
constexpr uint32_t kBarPrefetchable = 8;

constexpr uint32_t kStateVersion = 1;

bool inside(const layout::Range& range, uint64_t base, uint64_t size) {
    return base >= range.base && base - range.base < range.size && size <= range.size - (base - range.base);
}

}  // namespace

Function::Function(const Identity& identity) {
    config_.set(kRegVendor, identity.vendor, 2);
    config_.set(kRegDevice, identity.device, 2);
    config_.set(kRegRevision, identity.revision, 1);
    config_.set(kRegClass, identity.class_code, 2);
    config_.set(kRegHeaderType, identity.header_type, 1);
    config_.set(kRegInterruptPin, identity.interrupt_pin, 1);
    config_.allow(kRegCommand,
                  kCommandPorts | kCommandMemory | kCommandBusMaster | kCommandParity | kCommandSystemError |
                      kCommandNoInterrupt,
                  2);
    config_.allow(kRegCacheLine, 0xff, 1);
    config_.allow(kRegInterruptLine, 0xff, 1);
    if (identity.header_type == 0) {
        config_.set(kRegSubsystemVendor, identity.subsystem_vendor, 2);
        config_.set(kRegSubsystem, identity.subsystem, 2);
    }
    for (unsigned i = 0; i < bars_.size(); i++) {
        bars_[i].function = this;
        bars_[i].number = i;
    }
}

void Function::add_bar(unsigned number, BarKind kind, uint64_t size) {
    bars_[number].kind = kind;
    bars_[number].size = size;
    const unsigned reg = kRegBars + number * 4;
    const uint64_t mask = ~(size - 1);
    switch (kind) {
        case BarKind::None: break;
        case BarKind::Ports:
            config_.set(reg, kBarPorts, 4);
            config_.allow(reg, static_cast<uint32_t>(mask), 4);
            break;
        case BarKind::Memory32: config_.allow(reg, static_cast<uint32_t>(mask), 4); break;
        case BarKind::Memory64:
        case BarKind::Memory64Prefetchable:
            config_.set(reg, kBarMemory64 | (bars_[number].kind == BarKind::Memory64 ? 0 : kBarPrefetchable),
                        4);
            config_.allow(reg, static_cast<uint32_t>(mask), 4);
            config_.allow(reg + 4, static_cast<uint32_t>(mask >> 32), 4);
            break;
    }
}

void Function::send_message(uint64_t address, uint32_t data) {
    if (bridge_ != nullptr && bus_master())
        bridge_->message((parent_ != nullptr ? parent_->secondary() << 8 : 0) | devfn(), address, data);
}

Msix::Send Function::sender() {
    return [this](uint64_t address, uint32_t data) { send_message(address, data); };
}

void Function::use_msix(unsigned capability, unsigned vectors) {
    msix_ = std::make_unique<Msix>(vectors, sender(), uint64_t{vectors} * Msix::kEntryBytes);
    msix_capability_ = capability;
    config_.allow(capability + kMsixControl, kMsixEnable | kMsixMaskAll, 2);
}

void Function::add_msix(unsigned number, unsigned vectors) {
    msix_ = std::make_unique<Msix>(vectors, sender());
    msix_bar_ = number;
    add_bar(number, BarKind::Memory32, Msix::kWindowSize);
    msix_capability_ = config_.add_capability(kCapabilityMsix, 12);
    config_.set(msix_capability_ + kMsixControl, msix_->vectors() - 1, 2);
    config_.allow(msix_capability_ + kMsixControl, kMsixEnable | kMsixMaskAll, 2);
    config_.set(msix_capability_ + 4, number, 4);
    config_.set(msix_capability_ + 8, static_cast<uint32_t>(Msix::kPendingOffset) | number, 4);
}

unsigned Function::add_express_capability(uint8_t port_type) {
    constexpr unsigned kSize = 0x3c;
    const unsigned at = config_.add_capability(kCapabilityExpress, kSize);
    config_.set(at + 0x02, 2u | port_type << 4, 2);
    config_.set(at + 0x04, 1u << 15, 4);      // role-based error reporting
    config_.allow(at + 0x08, 0x000f, 2);      // error reporting enables
    config_.allow_clear(at + 0x0a, 0x0f, 2);  // errors seen
    config_.set(at + 0x0c, 1u | 1u << 4, 4);  // 2.5 GT/s, one lane
    config_.set(at + 0x12, 1u | 1u << 4, 2);
    return at;
}

void Function::plugged(HostBridge& bridge, const RootPort* parent, unsigned devfn) {
    bridge_ = &bridge;
    parent_ = parent;
    devfn_ = devfn;
    const unsigned pin = config_.get(kRegInterruptPin, 1);
    // Each bridge on the way turns the pins by the device's number (PCI-to-PCI Bridge Architecture Specification 9.1).
    interrupt_line_ = ((devfn >> 3) + (pin != 0 ? pin - 1 : 0)) % 4;
    if (parent != nullptr) interrupt_line_ = (interrupt_line_ + (parent->devfn() >> 3)) % 4;
    const auto place = [](unsigned number) { return fmt::format("{:02x}.{}", number >> 3, number & 7); };
    name_ = "pci-" + (parent != nullptr ? place(parent->devfn()) + "-" : std::string()) + place(devfn);
    placed(parent != nullptr);
    for (Bar& bar : bars_)
        if (bar.kind != BarKind::None)
            bar.window = &bridge.bus().add(bar.size, bar, fmt::format("{}-bar{}", name_, bar.number));
}

void Function::set_multifunction() {
    constexpr uint32_t kMultifunction = 0x80;
    config_.set(kRegHeaderType, config_.get(kRegHeaderType, 1) | kMultifunction, 1);
    finish_config();
}

// ---- configuration space

uint32_t Function::config_read(unsigned offset, unsigned size) {
    uint32_t value = config_.get(offset, size);
    if (offset <= kRegStatus && offset + size > kRegStatus && interrupt_)
        value |= static_cast<uint32_t>(kStatusInterrupt) << (kRegStatus - offset) * 8;
    return value;
}

void Function::config_write(unsigned offset, uint32_t value, unsigned size) {
    config_.write(offset, value, size);
    const bool header = offset < 0x40;
    const bool control =
        msix_ != nullptr && offset < msix_capability_ + 4 && offset + size > msix_capability_;
    if (header || control) take_up_control();
    if (header && bridge_ != nullptr) bridge_->remap();
}

void Function::read_command() {
    bus_master_ = (command() & kCommandBusMaster) != 0;
    interrupt_disabled_ = (command() & kCommandNoInterrupt) != 0;
}

/// What others than configuration space want to know of it.
void Function::take_up_control() {
    read_command();
    if (msix_ != nullptr) {
        const uint32_t control = config_.get(msix_capability_ + kMsixControl, 2);
        msix_->set_control((control & kMsixEnable) != 0, (control & kMsixMaskAll) != 0);
    }
    if (bridge_ != nullptr) bridge_->update_interrupt(interrupt_line_);
    control_changed();
}

bool Function::bus_master() const { return bus_master_ && (parent_ == nullptr || parent_->bus_master()); }

void Function::reset() {
    config_.reset();
    if (msix_ != nullptr) msix_->reset();
    reset_device_state();
    take_up_control();
}

void Function::set_interrupt(bool level) {
    if (interrupt_.exchange(level) != level && bridge_ != nullptr) bridge_->update_interrupt(interrupt_line_);
}

// ---- windows

uint64_t Function::wanted(const Bar& bar) const {
    constexpr uint64_t kNowhere = devices::Bus::Mapping::kNowhere;
    const unsigned reg = kRegBars + bar.number * 4;
    const bool ports = bar.kind == BarKind::Ports;
    if ((command() & (ports ? kCommandPorts : kCommandMemory)) == 0) return kNowhere;
    uint64_t address = config_.get(reg, 4);
    if (bar.kind == BarKind::Memory64 || bar.kind == BarKind::Memory64Prefetchable)
        address |= static_cast<uint64_t>(config_.get(reg + 4, 4)) << 32;
    address &= ~(bar.size - 1);
    if (parent_ != nullptr && !parent_->forwards(ports, address, bar.size)) return kNowhere;
    if (ports) {
        return inside({0, layout::kPciPorts.size}, address, bar.size) ? layout::kPciPorts.base + address
                                                                      : kNowhere;
    }
    return inside(layout::kPciMemory32, address, bar.size) || inside(layout::kPciMemory64, address, bar.size)
               ? address
               : kNowhere;
}

void Function::unmap_moved(devices::Bus& bus) {
    for (const Bar& bar : bars_) {
        if (bar.window != nullptr && bar.window->base() != devices::Bus::Mapping::kNowhere &&
            bar.window->base() != wanted(bar))
            bus.unmap(*bar.window);
    }
}

/// A window that would overlap another one stays unmapped until that one has gone.
void Function::map_moved(devices::Bus& bus) {
    for (const Bar& bar : bars_) {
        if (bar.window == nullptr || bar.window->base() != devices::Bus::Mapping::kNowhere) continue;
        if (const uint64_t base = wanted(bar); base != devices::Bus::Mapping::kNowhere)
            bus.place(*bar.window, base);
    }
}

uint64_t Function::Bar::read(uint64_t offset, unsigned size) {
    return number == function->msix_bar_ ? function->msix_->read(offset, size)
                                         : function->bar_read(number, offset, size);
}

void Function::Bar::write(uint64_t offset, uint64_t value, unsigned size) {
    if (number == function->msix_bar_)
        function->msix_->write(offset, value, size);
    else
        function->bar_write(number, offset, value, size);
}

// ---- state

void Function::resume() {
    if (bridge_ != nullptr) bridge_->resumed(*this);
}

void Function::save(StateWriter& out) const {
    out.section("pci-function", kStateVersion, [&] {
        config_.save(out);
        if (msix_ != nullptr) msix_->save(out);
        save_device(out);
    });
}

StateResult Function::load(StateReader& in) {
    std::vector<uint8_t> bytes;
    Msix::State vectors;
    const auto loaded = in.section("pci-function", kStateVersion, [&]() -> StateResult {
        config_.load(in, bytes);
        if (msix_ != nullptr) msix_->load(in, vectors);
        if (!in.ok()) return in.result();
        return load_device(in);
    });
    if (!loaded) return loaded;
    config_.commit(std::move(bytes));
    read_command();
    if (msix_ != nullptr) {
        const uint32_t control = config_.get(msix_capability_ + kMsixControl, 2);
        msix_->commit(std::move(vectors), (control & kMsixEnable) != 0, (control & kMsixMaskAll) != 0);
    }
    config_loaded();
    return {};
}

}  // namespace arclight::devices::pci
