// System Management BIOS tables (DMTF DSP0134, version 3.0), as firmware takes them from QEMU's firmware configuration device.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "guestos/cpu_topology.h"
#include "mmu/result.h"

namespace arclight::guestos {

/// `--smbios`: what the user wants in a structure, by QEMU's words.
struct SmbiosWords {
    unsigned type = 0;
    std::map<std::string, std::string, std::less<>> values;
    std::vector<std::string> strings;  ///< of type 11, in their order
};

/// type=N[,WORD=VALUE]... for the types 0 to 4, 11 and 17; a comma in a value is written twice. An error is one line.
Result<SmbiosWords> parse_smbios(std::string_view text);

struct SmbiosMachine {
    CpuTopology topology;
    uint64_t memory = 0;  ///< bytes
    std::vector<SmbiosWords> words;
};

struct SmbiosFiles {
    std::vector<uint8_t> anchor, tables;  ///< etc/smbios/smbios-anchor, etc/smbios/smbios-tables
};
SmbiosFiles make_smbios(const SmbiosMachine& machine);

}  // namespace arclight::guestos
