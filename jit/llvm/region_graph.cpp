#include "jit/llvm/region_graph.h"

namespace arclight::jit::tier2 {

RegionGraph::RegionGraph(const Region& from) : region(from) {
    for (size_t k = 0; k < region.blocks.size(); ++k) by_offset.emplace(region.blocks[k].offset, k);
}

void RegionGraph::peel(size_t k) {
    loop_bodies.emplace(k, region.blocks.size());
    region.blocks.push_back(RegionBlock(region.blocks[k]));
}

size_t RegionGraph::target_of(size_t from, size_t to) const {
    const auto it = loop_bodies.find(to);
    return it != loop_bodies.end() && (from == to || from == it->second) ? it->second : to;
}

const std::vector<int64_t>& RegionGraph::targets_of(const RegionBlock& block, const ir::Inst& exit) const {
    if (!block.targets.empty()) return block.targets;
    static const std::vector<int64_t> kNone;
    if (exit.aux == static_cast<uint32_t>(ir::BranchKind::Barrier)) return kNone;
    const bool ret = exit.aux == static_cast<uint32_t>(ir::BranchKind::Return);
    return ret ? region.return_sites : region.indirect_targets;
}

}  // namespace arclight::jit::tier2
