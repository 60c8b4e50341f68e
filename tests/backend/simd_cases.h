// The floating point and vector operations of the IR in all the shapes that the frontend makes of them, and
// operands that are worth a try.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "jit/guest_state.h"
#include "jit/ir/ir.h"

namespace arclight::backend::testing {

using namespace jit;

/// What the operands' interesting values are; by element of the case's size.
enum class Values : uint8_t {
    Integers,
    Floats,   ///< of 16, 32 or 64 bits
    ToInt,    ///< floating point numbers around the limits of integers
    Indexes,  ///< bytes around 16
    Counts,   ///< small signed counts in the low byte of each element
};

struct SimdCase {
    jit::ir::Op op;
    jit::ir::Type type = jit::ir::Type::V128;
    uint32_t aux = 0;
    uint64_t imm = 0;
    unsigned esize = 3;  ///< of the operands' interesting values
    Values values = Values::Integers;
    jit::ir::Type scalar = jit::ir::Type::V128;  ///< of operands that opcodes.inc calls F
    bool rounds = false;                         ///< depends on the rounding mode or raises flags
    bool is_inline = true;                       ///< ordinary operands need no reference call

    std::string describe() const;
};

/// All cases of one operation; empty if it is not a floating point or vector operation.
std::vector<SimdCase> simd_cases(jit::ir::Op op);

/// Operands for a case.
class SimdOperands {
  public:
    explicit SimdOperands(uint64_t seed) : random_(seed) {}
    jit::V128 next(const SimdCase& c, unsigned arg);
    /// Values that no operation has trouble with.
    jit::V128 ordinary(const SimdCase& c, unsigned arg);
    uint64_t bits() { return random_(); }

  private:
    uint64_t tiny_half_partner(uint64_t bits);
    uint64_t element(unsigned esize, Values values);
    std::mt19937_64 random_;
    jit::V128 last_{};  ///< the operand before
};

}  // namespace arclight::backend::testing
