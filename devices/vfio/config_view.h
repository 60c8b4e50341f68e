#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "devices/pci/function.h"

namespace arclight::devices::vfio {

/// What a guest sees of the configuration space of a device of the host's: which capabilities, in which order, and which bytes are the
/// device's own. All others are this process's, and hold what is in `bytes` after a reset.
struct ConfigView {
    static constexpr unsigned kSize = pci::ConfigSpace::kSize;

    /// Of the whole space as the host's kernel shows it; what is not there reads as zeros.
    explicit ConfigView(std::span<const uint8_t> raw);

    /// The link of a PCI Express endpoint is not there behind no port (PCI Express Base Specification 3.0 section 7.8.2): it becomes
    /// an endpoint of the root complex. What has changed.
    struct Bytes {
        unsigned first = 0, end = 0;
    };
    Bytes integrate_endpoint();

    bool is_hardware(unsigned offset, unsigned size) const;

    std::vector<uint8_t> bytes;
    std::vector<bool> hardware;
    // Where these capabilities are; 0: they are not there.
    unsigned power = 0, msi = 0, express = 0, msix = 0;
    pci::Identity identity;

  private:
    void copy_header(std::span<const uint8_t> raw);
    void copy_capabilities(std::span<const uint8_t> raw);
    void copy_extended(std::span<const uint8_t> raw);
    void keep(std::span<const uint8_t> raw, unsigned at, unsigned size, bool from_hardware);
};

/// Where the MSI-X table and the pending bits are (PCI Local Bus Specification 3.0 sections 6.8.2.3 to 6.8.2.5).
struct MsixPlace {
    unsigned vectors = 0;
    unsigned table_bar = 0, pending_bar = 0;
    uint64_t table = 0, pending = 0;  ///< offsets in their BARs
};
/// Nothing: the view has no such capability, or one that names no BAR.
std::optional<MsixPlace> msix_place(const ConfigView& view);

/// By the low bits of the BAR's register in `raw`; the upper half of a 64-bit BAR is to be left out by the caller.
pci::BarKind bar_kind(std::span<const uint8_t> raw, unsigned number);

}  // namespace arclight::devices::vfio
