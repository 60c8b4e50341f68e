// Which guest physical pages a person means.
#pragma once

#include <cstdint>
#include <vector>

#include "guestos/lightv/machine_access.h"
#include "guestos/lightv/symbols.h"
#include "mmu/lightv/module.h"

namespace arclight::guestos {

/// {"physical": ADDRESS, "bytes": N}; {"virtual": ADDRESS, "bytes": N, "cpu": N}, in what that CPU runs now;
/// {"virtual": ADDRESS, "bytes": N, "pid": N, "wait_ms": N}, in that process, when next it runs; or
/// {"symbol": NAME, "bytes": N}, the kernel's. All pages that the bytes touch.
Result<std::vector<uint64_t>> select_pages(MachineAccess& machine, const Symbols* symbols,
                                           const mmu::lightv::Json& selector);

}  // namespace arclight::guestos
