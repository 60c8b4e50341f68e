// What every floating point and vector operation of the IR computes, in integer code only.
//
// Emitted code calls these functions for everything that it does not do inline and for the special cases of
// what it does; they are also the oracle of the back ends' tests. They never touch the host's FP state, which
// belongs to the guest while they run, and raise FPSR flags in GuestState::fpsr alone.
//
// Call convention, beside VectorCall's own comments (use describe()):
//   a, b, c  the operands in the order of opcodes.inc. Scalars are in lane 0 (bits above their width are
//   ignored),
//            integers and conditions in d[0]; an integer operand narrower than 64 bits is truncated by the
//            function.
//   imm      Inst::imm.
//   aux      Inst::aux.
//   esize    vector operations: the element size of VecAux. All others: 3 if Inst::type is I64 or F64,
//   else 2. q        vector operations: the q of VecAux. Otherwise 0. out      always defined in full:
//   scalars zero-extended to 128 bits, integers in d[0] (I32 zero-extended), flags
//            in d[0] in the stored format of guest_state.h. Pure element-wise operations compute all 128 bits
//            whatever q says. Where q matters (pairwise, permuting and across-lanes operations, VDup, VConst,
//            and everything that may raise flags), q = 0 reads only the low halves and zeroes the upper half
//            of out.
// out may not alias an operand.
#pragma once

#include "jit/guest_state.h"
#include "jit/ir/ir.h"

namespace arclight::jit {

/// nullptr for operations that make no sense as a call (integer arithmetic but Crc32, guest state, memory,
/// exits, Select). O(1).
VectorFn reference_function(ir::Op op);

/// Fills in everything of `call` that `inst` determines: all but the operands.
void describe(VectorCall& call, const ir::Inst& inst);

}  // namespace arclight::jit
