// Compressed files, told by their first bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "guestos/file.h"
#include "mmu/result.h"

namespace arclight::guestos {

enum class Compression : uint8_t { Gzip, Zstd, Xz, Lzma, Lz4, Lzo, Bzip2 };

/// By the magic number at the start; nothing: none that is known.
std::optional<Compression> compression_of(std::span<const uint8_t> bytes);
/// By the name that a Linux EFI zboot header has for it: "gzip", "zstd22", "xzkern".
std::optional<Compression> compression_named(std::string_view name);

/// Unpacks all members of `packed` that follow each other; what comes behind them is ignored. The output never takes more
/// than `limit` bytes of memory, nor a decoder's window more than 256 MiB. `name` is the file's, for the error's one line.
Result<Bytes> decompress(const std::string& name, Compression compression, std::span<const uint8_t> packed,
                         uint64_t limit);

}  // namespace arclight::guestos
