// What people write to attach modules: one JSON object each, in a policy file or on the control socket.
#pragma once

#include <string>
#include <vector>

#include "guestos/lightv/symbols.h"
#include "mmu/lightv/controller.h"

namespace arclight::guestos {

class Machine;

/// {"name": ..., "controller": ..., "module": ..., "pages": SELECTOR or [SELECTOR, ...], or "device": ...,
/// "with": {...}}
Result<mmu::lightv::Request> parse_request(Machine& machine, const Symbols* symbols,
                                           const mmu::lightv::Json& json);

/// {"attach": [...]}
Result<std::vector<mmu::lightv::Request>> read_policy(Machine& machine, const Symbols* symbols,
                                                      const std::string& path);

}  // namespace arclight::guestos
