// For builds without LLVM: nothing can be compiled, so all code stays in tier 1.
#include <stdexcept>

#include "jit/llvm/region_compiler.h"

namespace arclight::jit {

bool have_region_compiler() { return false; }

std::unique_ptr<RegionCompiler> make_region_compiler(bool) {
    throw std::runtime_error("this program was built without LLVM");
}
const void* RegionCode::side_exit(const void*) const { return nullptr; }
uint64_t region_build() { return 0; }

}  // namespace arclight::jit
