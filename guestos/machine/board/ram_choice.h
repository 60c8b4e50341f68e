// What kind of memory the guest's RAM is, by what is asked of it.
#pragma once

#include <memory>
#include <string>

#include "guestos/machine/board/ram_mapping.h"
#include "guestos/options.h"

namespace arclight::guestos {

/// As large as `options` say, and shared or with a host stage where they want that. An error is one line for the user.
Result<std::unique_ptr<RamMapping>> make_ram(const RunOptions& options);

/// Why there is no direct memory though it was asked for; empty: there is. The accelerator is not chosen yet.
std::string why_not_direct(const RunOptions& options);

}  // namespace arclight::guestos
