#include "backend/x64/cold_paths.h"

#include <algorithm>

#include "backend/x64/emit_context.h"

namespace arclight::backend {

size_t ColdPaths::add(Jump jump, ColdFn fn, const ColdArgs& args) {
    paths_.push_back({jump, fn, args, page});
    return paths_.size() - 1;
}

void ColdPaths::emit(size_t index, EmitContext& context) {
    const Cold cold = paths_[index];
    paths_[index].fn = nullptr;
    context.page = page = cold.page;
    if (cold.jump.end != nullptr) as_.land(cold.jump);
    as_.set_class(jit::HostClass::SlowPath);
    as_.start_segment();
    cold.fn(context, cold.args);
    if (as_.relocations != nullptr) as_.relocations->end_emission(as_.here());
}

void ColdPaths::emit_of(std::span<const Ref> instructions, EmitContext& context) {
    for (size_t k = 0, count = paths_.size(); k < count; ++k)
        if (std::ranges::binary_search(instructions, paths_[k].args.inst)) emit(k, context);
}

void ColdPaths::emit_all(EmitContext& context) {
    for (size_t k = 0; k < paths_.size(); ++k)
        if (paths_[k].fn != nullptr) emit(k, context);
}

}  // namespace arclight::backend
