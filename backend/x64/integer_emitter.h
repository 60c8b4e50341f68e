// Emitters of integer arithmetic, logic, bit fields, selection and flags.
#pragma once

#include "backend/x64/emitter.h"

namespace arclight::backend {

class IntegerEmitter : public Emitter {
  public:
    using Emitter::Emitter;

    // ---- emit_bits.cpp
    void emit_clz(const Inst& i);
    void emit_cls(const Inst& i);
    void emit_nzcv_from_flags(const Inst& i);
    void emit_flags_from_nzcv(const Inst& i);
    void emit_extend(const Inst& i);
    void emit_rev(const Inst& i);
    void emit_rev16(const Inst& i);
    void emit_rbit(const Inst& i);
    void emit_extr(const Inst& i);
    void emit_bit_insert(const Inst& i);
    void emit_bit_extract(const Inst& i);
    void emit_crc32(const Inst& i);

    // ---- emit_integer.cpp
    void emit_add(const Inst& i);
    void emit_sub(const Inst& i);
    void emit_carry(const Inst& i);
    void emit_logic(const Inst& i);
    void emit_logic_not(const Inst& i);
    void emit_mul(const Inst& i);
    void emit_mul_high(const Inst& i);
    void emit_div(const Inst& i);
    void emit_shift(const Inst& i);
    void emit_select(const Inst& i);
    void emit_bool_to_int(const Inst& i);
    void emit_cond_compare(const Inst& i);

  private:
    /// d &= mask; rax may be clobbered.
    void and_const(const Reg& d, uint64_t mask);
};

}  // namespace arclight::backend
