#include "frontend/a64/translate/dispatch.h"

#include <iterator>

#include "frontend/a64/decode/encoding.h"
#include "frontend/a64/translate/common.h"
#include "frontend/a64/translate/handlers.h"

namespace arclight::frontend::a64 {

namespace translate {
namespace {
using HandlerAdapter = bool (*)(TranslationContext&, uint32_t);

// A row's handler is the family that it names, with the arguments that it binds, or else the function of its
// own name.
#define HANDLER_(name, ...) &name
#define HANDLER_1(name, ...) &__VA_ARGS__
#define HANDLER(name, ...) HANDLER_##__VA_OPT__(1)(name, __VA_ARGS__)

// Parallel to encodings().
constexpr HandlerAdapter kHandlerAdapters[] = {
#define INST(name, feature, title, pattern, ...) \
    &call_handler<TranslationContext, pattern, HANDLER(name, __VA_ARGS__)>,
#include "frontend/a64/decode/a64.inc"
#undef INST
};
#undef HANDLER
#undef HANDLER_1
#undef HANDLER_
}  // namespace
}  // namespace translate

bool dispatch(TranslationContext& t) {
    const int e = t.decoder.find(t.insn);
    return e < 0 ? translate::undefined(t) : translate::kHandlerAdapters[e](t, t.insn);
}

}  // namespace arclight::frontend::a64
