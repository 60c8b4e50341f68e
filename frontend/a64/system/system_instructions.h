// System instructions (ARM ARM C5.3 to C5.5): SYS with a name, such as DC CVAU, AT S1E1R or TLBI VAE1IS.
#pragma once

#include <cstdint>
#include <span>

#include "frontend/a64/cpu_features.h"
#include "frontend/a64/system/sysregs.h"

namespace arclight::frontend::a64 {

/// How SYS is translated, where it does not trap (translate/system.cpp).
enum class SystemInline : uint8_t {
    None,          ///< Helper::SystemInsn
    CleanLine,     ///< Helper::CleanLine
    CodeLine,      ///< Helper::ForgetCodeLine
    ZeroBlock,     ///< Op::ZeroBlock
    TagBlock,      ///< Helper::StoreTags
    ZeroTagBlock,  ///< the same, and memory becomes zero
};

/// What a system instruction does besides checking its address.
namespace system_io {
inline constexpr uint8_t kNone = 0;
inline constexpr uint8_t kWalks = 1u << 0;   ///< walks the guest's tables
inline constexpr uint8_t kResult = 1u << 1;  ///< writes PAR_EL1
inline constexpr uint8_t kCode = 1u << 2;    ///< Environment::ic_ivau() or ic_iallu()
inline constexpr uint8_t kTlb = 1u << 3;     ///< Environment::tlbi()
}  // namespace system_io

/// One row of system_instructions.inc.
struct SystemInstruction {
    uint16_t encoding;  ///< as sysreg_encoding(), with op0 1
    const char* name;   ///< "DC_CVAU"
    uint8_t el;         ///< the lowest that has it; below it is UNDEFINED
    uint64_t trap;      ///< the bit of SCTLR_EL1 without which it traps from EL0, or 0
    Feature feature;    ///< without it UNDEFINED
    SystemInline inlined;
    uint8_t io;  ///< system_io bits
    SystemResult (*execute)(Cpu& cpu, uint64_t xt);

    bool walks_tables() const { return (io & system_io::kWalks) != 0; }
};

std::span<const SystemInstruction> system_instructions();
/// Of an encoding as sysreg_encoding(); null if none has it.
const SystemInstruction* find_system_instruction(uint32_t encoding);
/// Of an instruction word; null if it is not SYS, or SYS without a name.
inline const SystemInstruction* system_instruction_of(uint32_t insn) {
    return (insn & 0xfff8'0000) == 0xd508'0000 ? find_system_instruction(insn >> 5 & 0xffff) : nullptr;
}

/// The instruction at the current EL, which may be UNDEFINED there. DC ZVA only checks whether it may be
/// executed.
SystemResult execute_system_instruction(Cpu& cpu, uint32_t encoding, uint64_t xt);

}  // namespace arclight::frontend::a64
