#include "backend/x64/cold_paths.h"

#include "backend/x64/emit_context.h"

namespace arclight::backend {

size_t ColdPaths::add(Jump jump, ColdFn fn, const ColdArgs& args) {
    paths_.push_back({jump, fn, args, page});
    return paths_.size() - 1;
}

void ColdPaths::emit_all(EmitContext& context) {
    for (size_t k = 0; k < paths_.size(); ++k) {
        const Cold cold = paths_[k];
        context.page = page = cold.page;
        if (cold.jump.end != nullptr) as_.land(cold.jump);
        as_.set_class(jit::HostClass::SlowPath);
        as_.start_segment();
        cold.fn(context, cold.args);
        if (as_.relocations != nullptr) as_.relocations->end_emission(as_.here());
    }
}

}  // namespace arclight::backend
