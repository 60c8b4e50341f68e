// The compiler of regions as an object: what becomes of what it has loaded.
#include <malloc.h>

#include "tests/backend/harness.h"
#include "tests/jit/engine/region_fixture.h"

namespace arclight::jit {
namespace {

using ir::Op;
using ir::Type;
using testing::Regions;

std::string any_object() {
    Region region = Regions::empty();
    RegionBlock& block = region.blocks.emplace_back();
    block.ir.pa = region.pa;
    block.ir.guest_insns = 1;
    ir::Builder b(block.ir);
    b.insn_start(0, 0);
    b.set_x(1, b.i64(7));
    b.emit(Op::Exit, Type::Void, {}, 4);
    return make_region_compiler()->compile(region, nullptr);
}

/// Freed memory is overwritten, so that who reads it does not find what was there by chance.
class OverwriteFreed {
  public:
    OverwriteFreed() { mallopt(M_PERTURB, 0xa5); }
    ~OverwriteFreed() { mallopt(M_PERTURB, 0); }
};

// As it is at a machine's end. LLVM's own bookkeeping grows with their number.
TEST(RegionCompilerTest, GoesWithRegionsThatAreLoaded) {
    const std::string object = any_object();
    const OverwriteFreed overwrite;
    for (unsigned regions = 1; regions <= 100; ++regions) {
        const auto compiler = make_region_compiler();
        for (unsigned k = 0; k < regions; ++k) ASSERT_TRUE(compiler->load(object).has_value());
    }
}

// In a MiB that they would not all fit into.
TEST(RegionCompilerTest, WhatIsUnloadedGivesItsMemoryBack) {
    constexpr size_t kLoads = 600, kMaxAtOnce = 60;
    const std::string object = any_object();
    const OverwriteFreed overwrite;
    jit::CodeBuffer code;
    const auto compiler = make_region_compiler();
    const auto memory = code.regions().executable.first(size_t{1} << 20);
    compiler->place_code({memory, code.regions().distance});
    std::vector<RegionCode> loaded;
    for (size_t k = 0; k < kLoads; ++k) {
        if (loaded.size() == kMaxAtOnce) {
            const size_t nth = k * 7 % loaded.size();
            compiler->unload(loaded[nth].handle);
            loaded.erase(loaded.begin() + static_cast<ptrdiff_t>(nth));
        }
        const auto one = compiler->load(object);
        ASSERT_TRUE(one.has_value()) << "after " << k;
        const auto* entry = static_cast<const uint8_t*>(one->entry);
        ASSERT_TRUE(entry >= memory.data() && entry < memory.data() + memory.size());
        for (const RegionCode& other : loaded) ASSERT_NE(one->entry, other.entry);
        loaded.push_back(*one);
    }
    // All at once they do not fit.
    size_t more = 0;
    while (more < kLoads && compiler->load(object)) ++more;
    EXPECT_LT(more, kLoads - kMaxAtOnce);
}

}  // namespace
}  // namespace arclight::jit
