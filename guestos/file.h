// Reading and writing whole files with errors a user can act on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "guestos/result.h"

namespace arclight::guestos {

using Bytes = std::vector<uint8_t>;

// `what` names the file's purpose in messages: "kernel", "initrd".
Result<Bytes> read_file(std::string_view what, const std::filesystem::path& path, uint64_t max_size);

// Writes beside the target and renames, so that a full disk or a crash leaves no half-written file.
Result<void> write_file(std::string_view what, const std::filesystem::path& path,
                        std::span<const uint8_t> bytes);

}  // namespace arclight::guestos
