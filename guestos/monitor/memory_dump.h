// The x and xp commands: what to show, and how.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mmu/result.h"

namespace arclight::guestos {

struct DumpFormat {
    unsigned count = 1;
    char format = 'x';  ///< x, d, u, o, c
    unsigned size = 4;  ///< bytes: 1, 2, 4, 8
};

/// At most so many items in one command.
inline constexpr unsigned kMaxDumpItems = 1 << 16;

/// [COUNT][x|d|u|o|c][b|h|w|g] after the slash; what is not given is as in `before`, but for the count.
Result<DumpFormat> parse_dump_format(std::string_view text, const DumpFormat& before);

/// NUMBER or $REGISTER, with + and - between several.
Result<uint64_t> parse_address(
    std::string_view text, const std::function<std::optional<uint64_t>(std::string_view)>& register_value);

/// Lines as QEMU's, for which characters too are COUNT times the size. `read`: of an address, so many bytes; nothing: there are none.
std::string dump_memory(uint64_t address, const DumpFormat& format,
                        const std::function<std::optional<std::vector<uint8_t>>(uint64_t, size_t)>& read);

}  // namespace arclight::guestos
