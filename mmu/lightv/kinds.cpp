#include "mmu/lightv/kinds.h"

#include "mmu/lightv/example_heatmap.h"

namespace arclight::mmu::lightv {

namespace {
std::vector<ModuleKind>& all() {
    static std::vector<ModuleKind> list = {observe_kind(), remap_kind(),   migrate_kind(),
                                           share_kind(),   protect_kind(), fault_inject_kind(),
                                           churn_kind(),   heatmap_kind()};
    return list;
}
}  // namespace

const std::vector<ModuleKind>& kinds() { return all(); }
void add_kind(ModuleKind kind) { all().push_back(std::move(kind)); }

}  // namespace arclight::mmu::lightv
