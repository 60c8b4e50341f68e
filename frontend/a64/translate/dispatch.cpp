#include "frontend/a64/translate/dispatch.h"

#include <iterator>

#include "frontend/a64/decode/encoding.h"
#include "frontend/a64/translate/common.h"
#include "frontend/a64/translate/handlers.h"

namespace arclight::frontend::a64 {

namespace {
using HandlerAdapter = bool (*)(TranslationContext&, uint32_t);

// Parallel to encodings().
constexpr HandlerAdapter kHandlerAdapters[] = {
#define INST(name, title, pattern) &call_handler<&translate::name, pattern, TranslationContext>,
#include "frontend/a64/decode/a64.inc"
#undef INST
    nullptr};
}  // namespace

bool dispatch(TranslationContext& t) {
    const int e = find_encoding(t.insn);
    return e < 0 ? translate::undefined(t) : kHandlerAdapters[e](t, t.insn);
}

}  // namespace arclight::frontend::a64
