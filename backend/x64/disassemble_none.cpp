// For builds without Zydis: bytes, and nothing of operands.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "jit/host_code.h"
#include "jit/host_instruction.h"
#include "jit/memory_operand.h"

namespace arclight::jit {

std::array<MemoryOperand, 2> memory_operands(const uint8_t*, const std::array<uint64_t, 16>&) { return {}; }

std::string disassemble(std::span<const uint8_t> code) {
    return fmt::format("db {:02x}\n", fmt::join(code, " "));
}

HostInstruction host_instruction(std::span<const uint8_t>) { return {}; }
RelativeOperand relative_operand(std::span<const uint8_t>) { return {}; }

bool have_disassembler() { return false; }

}  // namespace arclight::jit
