// Regions for tests: compiled, loaded, and entered by a stub.
#pragma once

#include <stdexcept>

#include "jit/llvm/region_compiler.h"
#include "tests/backend/harness.h"

namespace arclight::jit::testing {

class Regions {
  public:
    Regions() : compiler_(make_region_compiler()) {}
    ~Regions() {
        for (const uint64_t handle : loaded_) compiler_->unload(handle);
    }
    Regions(const Regions&) = delete;
    Regions& operator=(const Regions&) = delete;

    static Region empty() {
        return {.pa = 0x4100'0000,
                .translation_flags = 0,
                .blocks = {},
                .return_sites = {},
                .indirect_targets = {}};
    }
    /// With a block in front, which goes on at `offset` and never leaves the region: the entry goes to tier
    /// 1 where that would be in vain.
    static Region with_front(uint32_t offset) {
        Region region = empty();
        RegionBlock& front = region.blocks.emplace_back();
        front.ir.pa = region.pa;
        front.ir.guest_insns = 1;
        ir::Builder b(front.ir);
        b.insn_start(0, 0);
        b.emit(ir::Op::Exit, ir::Type::Void, {}, offset);
        return region;
    }
    RegionCompiler& compiler() { return *compiler_; }
    std::string compile(const Region& region) { return compiler_->compile(region, nullptr); }
    RegionCode load_code(const std::string& object) {
        const auto code = compiler_->load(object);
        if (!code) throw std::runtime_error("no region");
        loaded_.push_back(code->handle);
        return *code;
    }
    const void* load(const std::string& object) { return load_code(object).entry; }

  private:
    std::unique_ptr<RegionCompiler> compiler_;
    std::vector<uint64_t> loaded_;
};

}  // namespace arclight::jit::testing
