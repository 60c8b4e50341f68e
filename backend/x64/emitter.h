// The base of all emitters: classes of functions that emit host code for one instruction of the IR.
// emitters.inc says which function emits which operation, dispatch.cpp makes the table of it.
//
// ---- How to write an emitter
//
// An emitter is called for one live instruction `i`, with the index cur(). It must, in this order,
//
//   1. fetch its operands: regs_.use() and regs_.use_xmm() give a register that stays put until the
//      instruction is finished; use_rm() and use_xmm_rm() may give a memory operand instead when the value is
//      not in a register anyway; values_.imm32() tells whether an operand is a constant that fits an
//      immediate.
//   2. take temporaries: ScratchGpr t(regs_); ScratchXmm t(regs_). rax and xmm15 need no asking, but every
//      call of a function of these classes may clobber them.
//   3. call flags_.clobber() before the first instruction that writes EFLAGS (VEX-coded SIMD does not,
//      (v)ucomis does). flags_.busy() tells whether that costs a store, so that lea, shlx, mulx... may be
//      chosen instead.
//   4. define the result: regs_.def() and def_xmm() give a register different from all operands; def_copy()
//      and def_copy_xmm() give a register that holds a copy of an operand (its own if the operand dies here),
//      for two-operand instructions; def_over() and def_xmm_over() may give the register of an operand that
//      dies here, for a result that is written by the last instruction that reads operands.
//
// Operands that die are released by themselves. Values must not be changed in place except through
// def_copy*().
//
// A rare path goes out of line: emit the jump with cold_.jump() and continue; the function given is called
// when the hot path is complete, with registers exactly as at the jump, and ends with jump_back(). It may use
// only what it was handed, rax and xmm15, since by then the allocator has moved on.
//
// See emit_fp.cpp for FAdd and emit_vector_arithmetic.cpp for VAdd.
#pragma once

#include "backend/x64/emit_context.h"

namespace arclight::backend {

class Emitter {
  public:
    explicit Emitter(EmitContext& context)
        : ctx_(context),
          as_(context.as),
          values_(context.values),
          regs_(context.regs),
          flags_(context.flags),
          cold_(context.cold) {}

  protected:
    uint32_t cur() const { return values_.cur(); }
    void jump_back(const ColdArgs& args) { as_.jump_to(args.resume); }

    EmitContext& ctx_;
    Assembler& as_;
    BlockValues& values_;
    RegisterAllocator& regs_;
    HostFlags& flags_;
    ColdPaths& cold_;
};

template <class C, class... Args>
C class_of(void (C::*)(Args...));
/// A cold path's member function as a ColdFn.
template <auto fn>
void cold_fn(EmitContext& context, const ColdArgs& args) {
    using Class = decltype(class_of(fn));
    (Class(context).*fn)(args);
}

/// Emits the current instruction.
void emit(EmitContext& context, const Inst& i);

}  // namespace arclight::backend
