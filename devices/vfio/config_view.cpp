#include "devices/vfio/config_view.h"

#include <algorithm>
#include <iterator>

#include "devices/pci/msi.h"

namespace arclight::devices::vfio {

namespace {

// Capability identifiers (PCI Code and ID Assignment Specification).
constexpr uint8_t kPower = 0x01, kVpd = 0x03, kMsi = 0x05, kVendor = 0x09, kExpress = 0x10, kMsix = 0x11,
                  kAdvancedFeatures = 0x13;
// Of extended ones, those that only tell something. The others are about what this machine has no other half of: error
// reporting, virtual functions, address translation, latency.
constexpr uint16_t kSerialNumber = 0x03, kVendorExtended = 0x0b, kDesignatedVendor = 0x23;

constexpr unsigned kFirstCapability = 0x40, kFirstExtended = 0x100;

// PCI Express Base Specification 3.0 section 7.8.
constexpr unsigned kExpressFlags = 2, kExpressLink = 0x0c, kExpressSlot = 0x14, kExpressLink2 = 0x2c,
                   kExpressSlot2 = 0x34;
constexpr unsigned kTypeShift = 4, kTypeMask = 0xf0;
constexpr unsigned kTypeEndpoint = 0, kTypeLegacyEndpoint = 1, kTypeIntegrated = 9;

constexpr unsigned kMsixControl = 2, kMsixTable = 4, kMsixPending = 8;
constexpr uint32_t kMsixSizeMask = 0x7ff, kMsixBarMask = 7;

uint32_t word(std::span<const uint8_t> bytes, unsigned at, unsigned size) {
    uint32_t value = 0;
    for (unsigned i = 0; i < size; i++) value |= static_cast<uint32_t>(bytes[at + i]) << (i * 8);
    return value;
}

/// Bytes of a capability that the guest sees; 0: it sees none of this kind.
unsigned capability_size(std::span<const uint8_t> raw, unsigned at) {
    const auto after = [&](unsigned offset, unsigned size) {
        return at + offset + size <= kFirstExtended ? word(raw, at + offset, size) : 0;
    };
    switch (raw[at]) {
        case kPower:
        case kVpd: return 8;
        case kMsi: return pci::Msi::size(static_cast<uint16_t>(after(2, 2)));
        case kVendor: return std::max(after(2, 1), 3u);
        case kExpress: return (after(kExpressFlags, 1) & 0xf) >= 2 ? 0x3c : 0x14;
        case kMsix: return 12;
        case kAdvancedFeatures: return 6;
        default: return 0;
    }
}

unsigned extended_size(std::span<const uint8_t> raw, unsigned at) {
    switch (word(raw, at, 2)) {
        case kSerialNumber: return 12;
        case kVendorExtended:
        case kDesignatedVendor: return at + 8 <= raw.size() ? word(raw, at + 4, 4) >> 20 : 0;
        default: return 0;
    }
}

}  // namespace

ConfigView::ConfigView(std::span<const uint8_t> raw) : bytes(kSize), hardware(kSize) {
    std::vector<uint8_t> all(raw.begin(),
                             raw.begin() + static_cast<ptrdiff_t>(std::min<size_t>(raw.size(), kSize)));
    all.resize(kSize);
    copy_header(all);
    copy_capabilities(all);
    copy_extended(all);
}

void ConfigView::keep(std::span<const uint8_t> raw, unsigned at, unsigned size, bool from_hardware) {
    std::copy_n(raw.begin() + at, size, bytes.begin() + at);
    std::fill_n(hardware.begin() + at, size, from_hardware);
}

// BARs, the ROM's register and the command are this process's.
void ConfigView::copy_header(std::span<const uint8_t> raw) {
    identity = {.vendor = static_cast<uint16_t>(word(raw, pci::kRegVendor, 2)),
                .device = static_cast<uint16_t>(word(raw, pci::kRegDevice, 2)),
                .revision = raw[pci::kRegRevision],
                .class_code = static_cast<uint16_t>(word(raw, pci::kRegClass, 2)),
                .subsystem_vendor = static_cast<uint16_t>(word(raw, pci::kRegSubsystemVendor, 2)),
                .subsystem = static_cast<uint16_t>(word(raw, pci::kRegSubsystem, 2)),
                .header_type = 0,
                .interrupt_pin = raw[pci::kRegInterruptPin]};
    keep(raw, pci::kRegStatus, 2, true);
    bytes[pci::kRegStatus] &=
        static_cast<uint8_t>(~pci::kStatusInterrupt);  // which interrupt waits is this machine's to say
    keep(raw, pci::kRegInterface, 1, false);
    keep(raw, pci::kRegCardbus, 4, false);
}

// The list is the device's without what the guest does not see. What belongs to no capability are registers of the device's own.
void ConfigView::copy_capabilities(std::span<const uint8_t> raw) {
    keep(raw, kFirstCapability, kFirstExtended - kFirstCapability, true);
    if ((word(raw, pci::kRegStatus, 2) & pci::kStatusCapabilities) == 0) return;
    unsigned link = pci::kRegCapabilities;
    unsigned at = raw[pci::kRegCapabilities] & ~3u;
    bytes[link] = 0;
    // A list that leads back to itself ends there.
    std::vector<bool> seen(kFirstExtended);
    while (at >= kFirstCapability && !seen[at]) {
        seen[at] = true;
        const unsigned size = capability_size(raw, at);
        // Identifier and link.
        std::fill_n(hardware.begin() + at, 2, false);
        bytes[at + 1] = 0;
        if (size == 0 || at + size > kFirstExtended) {
            bytes[at] = 0;
        } else {
            bytes[link] = static_cast<uint8_t>(at);
            link = at + 1;
            const auto emulated = [&](unsigned& place) {
                place = at;
                std::fill_n(hardware.begin() + at, size, false);
            };
            switch (raw[at]) {
                case kPower: emulated(power); break;
                case kMsi: emulated(msi); break;
                case kMsix:
                    emulated(msix);
                    bytes[at + kMsixControl + 1] &= kMsixSizeMask >> 8;  // switched off
                    break;
                case kExpress:
                    express = at;
                    std::fill_n(hardware.begin() + at + kExpressFlags, 2, false);
                    break;
                default: break;
            }
        }
        at = raw[at + 1] & ~3u;
    }
}

void ConfigView::copy_extended(std::span<const uint8_t> raw) {
    constexpr uint32_t kVersion = 1u << 16, kWithoutLink = 0xf'ffff;
    std::vector<unsigned> kept;
    std::vector<bool> seen(kSize);
    for (unsigned at = kFirstExtended; at >= kFirstExtended && !seen[at];) {
        seen[at] = true;
        const uint32_t header = word(raw, at, 4);
        if (header == 0 || header == ~0u) break;
        if (const unsigned size = extended_size(raw, at); size >= 8 && at + size <= kSize) {
            keep(raw, at, size, true);
            kept.push_back(at);
        }
        at = header >> 20 & ~3u;
    }
    const auto put = [&](unsigned at, uint32_t header) {
        for (unsigned i = 0; i < 4; i++) bytes[at + i] = static_cast<uint8_t>(header >> (i * 8));
        std::fill_n(hardware.begin() + at, 4, false);
    };
    // The list begins there, with nothing if it must.
    if (!kept.empty() && kept.front() != kFirstExtended) put(kFirstExtended, kVersion | kept.front() << 20);
    for (size_t i = 0; i < kept.size(); i++)
        put(kept[i], (word(raw, kept[i], 4) & kWithoutLink) | (i + 1 < kept.size() ? kept[i + 1] << 20 : 0));
}

ConfigView::Bytes ConfigView::integrate_endpoint() {
    if (express == 0) return {};
    const uint32_t flags = word(bytes, express + kExpressFlags, 2);
    const uint32_t type = (flags & kTypeMask) >> kTypeShift;
    if (type != kTypeEndpoint && type != kTypeLegacyEndpoint) return {};
    bytes[express + kExpressFlags] =
        static_cast<uint8_t>((flags & 0xff & ~kTypeMask) | kTypeIntegrated << kTypeShift);
    const auto hide = [&](unsigned from, unsigned to) {
        std::fill(bytes.begin() + express + from, bytes.begin() + express + to, 0);
        std::fill(hardware.begin() + express + from, hardware.begin() + express + to, false);
    };
    hide(kExpressLink, kExpressSlot);
    const bool second = (flags & 0xf) >= 2;
    if (second) hide(kExpressLink2, kExpressSlot2);
    return {express, express + (second ? kExpressSlot2 : kExpressSlot)};
}

bool ConfigView::is_hardware(unsigned offset, unsigned size) const {
    return std::any_of(hardware.begin() + offset, hardware.begin() + offset + size,
                       [](bool own) { return own; });
}

std::optional<MsixPlace> msix_place(const ConfigView& view) {
    if (view.msix == 0) return std::nullopt;
    const uint32_t table = word(view.bytes, view.msix + kMsixTable, 4),
                   pending = word(view.bytes, view.msix + kMsixPending, 4);
    constexpr unsigned kBars = 6;
    if ((table & kMsixBarMask) >= kBars || (pending & kMsixBarMask) >= kBars) return std::nullopt;
    return MsixPlace{.vectors = (word(view.bytes, view.msix + kMsixControl, 2) & kMsixSizeMask) + 1,
                     .table_bar = table & kMsixBarMask,
                     .pending_bar = pending & kMsixBarMask,
                     .table = table & ~kMsixBarMask,
                     .pending = pending & ~kMsixBarMask};
}

pci::BarKind bar_kind(std::span<const uint8_t> raw, unsigned number) {
    constexpr uint32_t kPorts = 1, kWidth = 6, k64Bit = 4, kPrefetchable = 8;
    const uint32_t value = word(raw, pci::kRegBars + number * 4, 4);
    if ((value & kPorts) != 0) return pci::BarKind::Ports;
    if ((value & kWidth) != k64Bit) return pci::BarKind::Memory32;
    return (value & kPrefetchable) != 0 ? pci::BarKind::Memory64Prefetchable : pci::BarKind::Memory64;
}

}  // namespace arclight::devices::vfio
