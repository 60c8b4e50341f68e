#include "frontend/a64/translate/dispatch.h"

#include <iterator>

#include "frontend/a64/decode/encoding.h"
#include "frontend/a64/translate/common.h"
#include "frontend/a64/translate/handlers.h"

namespace arclight::frontend::a64 {

namespace {
using Thunk = bool (*)(Translator&, uint32_t);

// Parallel to encodings().
constexpr Thunk kThunks[] = {
#define INST(name, title, pattern) &call_handler<&translate::name, pattern, Translator>,
#include "frontend/a64/decode/a64.inc"
#undef INST
    nullptr};
}  // namespace

bool dispatch(Translator& t) {
    const int e = find_encoding(t.insn);
    return e < 0 ? translate::undefined(t) : kThunks[e](t, t.insn);
}

}  // namespace arclight::frontend::a64
