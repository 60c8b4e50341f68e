// What people write to attach modules: one JSON object each, in a policy file or on the control socket.
#pragma once

#include <string>
#include <vector>

#include "guestos/lightv/machine_access.h"
#include "guestos/lightv/symbols.h"
#include "mmu/lightv/controller.h"

namespace arclight::guestos {

/// {"name": ..., "controller": ..., "module": ..., "pages": SELECTOR or [SELECTOR, ...], or "device": ...,
/// "with": {...}}
Result<mmu::lightv::Request> parse_request(MachineAccess& machine, const Symbols* symbols,
                                           const mmu::lightv::Json& json);

/// {"attach": [...]}
Result<std::vector<mmu::lightv::Request>> read_policy(MachineAccess& machine, const Symbols* symbols,
                                                      const std::string& path);

}  // namespace arclight::guestos
