// The jail that `arclight run` puts itself into before it reads anything of the guest's: docs/security.md.
#pragma once

#include <functional>
#include <string>

#include "guestos/options.h"
#include "mmu/result.h"

namespace arclight::guestos::sandbox {

/// For good, before there are other threads. `--user` is carried out in every mode; in SandboxMode::On a wall that this
/// kernel cannot build is left out, in Require it is an error. `open_first` opens, as that user, what is to be out of reach
/// behind the walls.
Result<void> enter(const RunOptions& options, const std::function<void()>& open_first);

/// What this kernel can do of it: one line for `arclight probe`.
std::string describe_support();

}  // namespace arclight::guestos::sandbox
