// For builds without LLVM: nothing can be compiled, so all code stays in tier 1.
#include "jit/llvm/region_compiler.h"

namespace arclight::jit {

struct RegionCompiler::Impl {};

RegionCompiler::RegionCompiler() = default;
RegionCompiler::~RegionCompiler() = default;
std::string RegionCompiler::compile(const Region&, RegionDump*) { return {}; }
std::optional<RegionCode> RegionCompiler::load(const std::string&) { return std::nullopt; }
void RegionCompiler::unload(uint64_t) {}
const std::string& RegionCompiler::fingerprint() const {
    static const std::string none;
    return none;
}

}  // namespace arclight::jit
