// Emitters of what reads and writes guest state.
#pragma once

#include "backend/x64/emitter.h"

namespace arclight::backend {

class StateEmitter : public Emitter {
  public:
    using Emitter::Emitter;
    /// For operations without code of their own: they are emitted with another one, or where they are used.
    void emit_nothing(const Inst&) {}
    void emit_pc_rel(const Inst& i);
    void emit_get_x(const Inst& i);
    void emit_get_v(const Inst& i);
    void emit_get_flags(const Inst& i);
    void emit_set_x(const Inst& i);
    void emit_set_v(const Inst& i);
    void emit_set_flags(const Inst& i);
    void emit_load_field(const Inst& i);
    void emit_store_field(const Inst& i);
    void emit_fence(const Inst& i);
};

}  // namespace arclight::backend
