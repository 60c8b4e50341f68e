// From operations to their emitters: a table made of emitters.inc, by the order of opcodes.inc.
#include <iterator>
#include <type_traits>

#include "backend/x64/crypto_emitter.h"
#include "backend/x64/exit_emitter.h"
#include "backend/x64/fp_emitter.h"
#include "backend/x64/integer_emitter.h"
#include "backend/x64/memory_emitter.h"
#include "backend/x64/scalable_emitter.h"
#include "backend/x64/state_emitter.h"
#include "backend/x64/vector_fp_emitter.h"
#include "backend/x64/vector_integer_emitter.h"
#include "backend/x64/vector_lane_emitter.h"

namespace arclight::backend {

namespace {
/// False: the operation was not emitted.
using EmitFn = bool (*)(EmitContext&, const Inst&);

template <class C, auto fn>
bool call(EmitContext& context, const Inst& i) {
    if constexpr (std::is_void_v<decltype((C(context).*fn)(i))>) {
        (C(context).*fn)(i);
        return true;
    } else {
        return (C(context).*fn)(i);
    }
}

template <class C, auto fn>
bool call_fp(EmitContext& context, const Inst& i) {
    return C(context).obeys_fpcr(i) && call<C, fn>(context, i);
}

bool not_inline(EmitContext&, const Inst&) { return false; }

/// One specialisation a line of emitters.inc: an operation without one does not compile.
template <Op op>
struct EmitterOf;
#define EMITTER(op, cls, fn)                               \
    template <>                                            \
    struct EmitterOf<Op::op> {                             \
        static constexpr EmitFn kFn = call<cls, &cls::fn>; \
    };
#define FP_EMITTER(op, cls, fn)                               \
    template <>                                               \
    struct EmitterOf<Op::op> {                                \
        static constexpr EmitFn kFn = call_fp<cls, &cls::fn>; \
    };
#define REFERENCE(op)                             \
    template <>                                   \
    struct EmitterOf<Op::op> {                    \
        static constexpr EmitFn kFn = not_inline; \
    };
#include "backend/x64/emitters.inc"
#undef EMITTER
#undef FP_EMITTER
#undef REFERENCE

constexpr EmitFn kEmitters[] = {
#define OP(name, result, args, effects) EmitterOf<Op::name>::kFn,
#include "jit/ir/opcodes.inc"
#undef OP
};
static_assert(std::size(kEmitters) == static_cast<size_t>(Op::Count));
}  // namespace

void emit(EmitContext& context, const Inst& i) {
    if (!kEmitters[static_cast<size_t>(i.op)](context, i)) SimdEmitter(context).emit_reference_call(i);
}

}  // namespace arclight::backend
