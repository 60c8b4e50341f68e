// For builds without Zydis: bytes.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "backend/tier1.h"

namespace arclight::backend {

std::string disassemble(std::span<const uint8_t> code) {
    return fmt::format("db {:02x}\n", fmt::join(code, " "));
}

}  // namespace arclight::backend
