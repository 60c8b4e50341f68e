// The board's description for firmware and operating systems by ACPI 6.3: QEMU's virt board's tables, as fw_cfg files.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "devices/layout.h"
#include "guestos/acpi/aml.h"
#include "guestos/cpu_topology.h"

namespace arclight::guestos::acpi {

struct PciWindows {
    devices::layout::Range ecam, memory32, ports, memory64;
    unsigned first_spi;  ///< INTA's; the others follow
};

struct MsiFrame {
    uint64_t base;
    unsigned first_spi, spis;
};

struct Board {
    unsigned cpus = 1;
    std::optional<CpuTopology> topology;  ///< nothing: flat
    unsigned gic = 3;
    std::optional<uint64_t> its;        ///< base of a GICv3 ITS
    std::optional<MsiFrame> msi_frame;  ///< of a GICv2m
    std::optional<PciWindows> pci;
    std::optional<devices::layout::Range> exit_status;  ///< guestos/exit_status.h
};

/// Files of QEMU's firmware configuration device: etc/acpi/tables, etc/acpi/rsdp and etc/table-loader, by which firmware puts
/// the tables somewhere and their addresses into each other (QEMU hw/acpi/bios-linker-loader.c).
struct Files {
    Bytes tables, rsdp, loader;
};
Files make_files(const Board& board);

/// The tables one by one, with their checksums and without addresses of others.
struct Table {
    std::string signature;
    Bytes bytes;
};
std::vector<Table> make_tables(const Board& board);

/// The body of the DSDT.
Bytes make_dsdt(const Board& board);

}  // namespace arclight::guestos::acpi
