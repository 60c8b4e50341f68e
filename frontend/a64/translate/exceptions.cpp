// Exception generation and return (ARM ARM C4.1.93).
#include "frontend/a64/translate/common.h"
#include "frontend/a64/translate/handlers_integer.h"

namespace arclight::frontend::a64::translate {

using jit::ExitReason;

bool SVC(TranslationContext& t, Imm<16> imm16) { return raise(t, ExitReason::Svc, imm16); }

bool HVC(TranslationContext& t, Imm<16> imm16) {
    return t.el1() ? raise(t, ExitReason::Hvc, imm16) : undefined(t);
}

// There is no EL3, so it is undefined at every exception level.
bool SMC(TranslationContext& t, Imm<16>) { return undefined(t); }

bool BRK(TranslationContext& t, Imm<16> imm16) { return raise(t, ExitReason::Brk, imm16); }

// Halting debug is not implemented, so it is undefined; but a debugger's host, which semihosting asks for, would know the
// number.
bool HLT(TranslationContext& t, Imm<16> imm16) {
    return raise(t, ExitReason::Undefined, kUndefinedHlt | imm16);
}
bool DCPS(TranslationContext& t, Imm<16>, Imm<2>) { return undefined(t); }

bool ERET(TranslationContext& t) {
    if (!t.el1()) return undefined(t);
    call(t, Helper::Eret, {});
    t.ended = true;
    return false;
}

}  // namespace arclight::frontend::a64::translate
