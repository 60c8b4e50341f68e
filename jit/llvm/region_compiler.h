// Tier 2: regions to x86-64 by way of LLVM. LLVM's headers stay in this folder's sources.
//
// A region is a function `uint64_t region(GuestState*, View*)` with LLVM's preserve_none convention: it gets
// its arguments in kRegionStateReg and kRegionViewReg, keeps rsp and rbp, and returns the virtual address of
// the guest instruction to go on at, with the guest's registers in GuestState. Everything that is rare (a
// soft TLB miss, a NaN, an instruction that is not lowered) leaves the region before the instruction in
// question: tier 1 executes it, and faults are raised there. So a region calls nothing and needs no tables to
// be precise.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "jit/llvm/region.h"

namespace arclight::jit {

/// Bit 0 of the value returned: the instruction is the region's own first one and must be executed by tier 1,
/// or the region would be entered again at once.
inline constexpr uint64_t kRegionStuck = 1;

struct RegionCode {
    const void* entry = nullptr;
    size_t bytes = 0;
    uint64_t handle = 0;
};

struct RegionDump {
    std::string ir, llvm, assembly;
};

/// One thread at a time uses it, but for unload().
class RegionCompiler {
  public:
    RegionCompiler();
    ~RegionCompiler();

    /// An object file; empty when the region's first instruction is not one that tier 2 knows.
    std::string compile(const Region& region, RegionDump* dump = nullptr);
    std::optional<RegionCode> load(const std::string& object);
    /// No thread may be in the code any more.
    void unload(uint64_t handle);
    /// Names the host CPU and LLVM's version: object files of another one are of no use.
    const std::string& fingerprint() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace arclight::jit
