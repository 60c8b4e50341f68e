// For builds without Zydis: bytes.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "jit/host_code.h"

namespace arclight::jit {

std::string disassemble(std::span<const uint8_t> code) {
    return fmt::format("db {:02x}\n", fmt::join(code, " "));
}

size_t instruction_length(std::span<const uint8_t>) { return 0; }
bool have_disassembler() { return false; }

}  // namespace arclight::jit
