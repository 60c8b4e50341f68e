#include "guestos/prepare/engine_modules.h"

namespace arclight::guestos::prepare {

Binding ProcessModule::sensitive(SiteKind, bool inlined) { return inlined ? Binding::Inline : Binding::Call; }

Binding ProcessModule::device(uint64_t pa) {
    engine_.expect_device(pa);
    return Binding::Device;
}

Binding ProcessModule::block(uint64_t pa, uint32_t translations) {
    engine_.expect_block(pa, translations);
    return Binding::Ahead;
}

Binding KvmModule::sensitive(SiteKind kind, bool inlined) {
    if (kind == SiteKind::Wait) return Binding::Exit;
    return inlined ? Binding::Inline : Binding::Call;
}

Binding KvmModule::device(uint64_t pa) {
    engine_.expect_device(pa);
    return Binding::Device;
}

Binding KvmModule::block(uint64_t pa, uint32_t translations) {
    // With fastmem a block's code is made for the registers that it is entered with (jit/engine/predict.h), which are not known
    // before: code made ahead would be slower each time it runs.
    if (fastmem_) return Binding::None;
    engine_.expect_block(pa, translations);
    return Binding::Ahead;
}

}  // namespace arclight::guestos::prepare
