// Data processing, immediate (ARM ARM C4.1.92).
#include "frontend/a64/translate/common.h"
#include "frontend/a64/translate/handlers.h"

namespace arclight::frontend::a64::translate {

bool ADR(Translator& t, Imm<2> immlo, Imm<19> immhi, Reg d) {
    const int64_t offset = t.offset + concat(immhi, immlo).sign_extend();
    set_x(t, d, t.ir.emit(Op::PcRel, Type::I64, {}, static_cast<uint64_t>(offset)));
    return true;
}

bool ADRP(Translator& t, Imm<2> immlo, Imm<19> immhi, Reg d) {
    const int64_t offset = concat(immhi, immlo).sign_extend() * 4096;
    set_x(t, d, t.ir.emit(Op::PcRel, Type::I64, {}, static_cast<uint64_t>(offset)));
    return true;
}

}  // namespace arclight::frontend::a64::translate
