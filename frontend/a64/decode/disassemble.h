// Instructions as text, from the table.
#pragma once

#include <cstdint>
#include <string>

namespace arclight::frontend::a64 {

/// The name and the fields by the letters of the table's pattern, such as "ADD_imm z=1 h=0 i=0x10 n=1 d=0";
/// of system instructions their own name, "DC_CVAU t=3".
std::string describe(uint32_t insn);

}  // namespace arclight::frontend::a64
