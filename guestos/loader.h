// Files and values that are put into RAM beside the kernel, as QEMU's generic loader does.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "guestos/options.h"
#include "guestos/ram.h"
#include "mmu/result.h"

namespace arclight::guestos {

/// In their order. Returns the address at which the first CPU is to start, if one of them says so. An error is one line.
Result<std::optional<uint64_t>> load_more(std::span<const LoadOptions> loads, Ram ram);

}  // namespace arclight::guestos
