// Reads and writes whole files; errors are one line that a user can act on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "mmu/result.h"

namespace arclight::guestos {

using Bytes = std::vector<uint8_t>;

/// `what` names the file's purpose in messages: "kernel", "initrd".
Result<Bytes> read_file(std::string_view what, const std::filesystem::path& path, uint64_t max_size);

/// Writes a temporary file beside the target and renames it, so that a full disk or a crash leaves the old file intact.
Result<void> write_file(std::string_view what, const std::filesystem::path& path,
                        std::span<const uint8_t> bytes);

}  // namespace arclight::guestos
