// Pairs of an IR operation and an A64 instruction that computes the same thing, to compare reference
// functions with other implementations of the architecture.
#pragma once

#include <string>
#include <vector>

#include "jit/ir/ir.h"

namespace arclight::tests {

/// Where an instruction leaves what the operation computes.
enum class ResultKind : uint8_t {
    Vector,     ///< v0, all 128 bits
    LowHalf,    ///< v0; the operation's upper half is meaningless
    Integer,    ///< x0
    Flags,      ///< NZCV
    JavaScript  ///< x0, 32 bits of it, and in NZCV the Z that the operation has above them
};
/// How operand lanes are made, with their element size.
enum class OperandKind : uint8_t { Fp, Int };

/// The instruction's destination is v0 or x0 and its sources are v0 (as an accumulator), v1, v2, v3, x1 and
/// x2.
struct Form {
    std::string name;
    jit::ir::Inst inst;
    uint32_t encoding;
    /// Source of each argument of the operation: a digit for v0..v3, 'x' and 'y' for x1 and x2, 'c' for x1
    /// bit 0, which is also PSTATE.Z.
    std::string args;
    ResultKind result = ResultKind::Vector;
    OperandKind operands = OperandKind::Int;
    unsigned operand_esize = 0;
    bool alternative_half = false;  ///< depends on FPCR.AHP
    bool vixl = true;               ///< the simulator implements it as the architecture has it
};

std::vector<Form> scalar_fp_forms();
std::vector<Form> vector_fp_forms();
std::vector<Form> half_forms();
std::vector<Form> vector_integer_forms();
std::vector<Form> vector_saturating_forms();
std::vector<Form> vector_move_forms();
std::vector<Form> crypto_forms();

}  // namespace arclight::tests
