// Tier 2: regions to x86-64 by way of LLVM. LLVM's headers stay in this folder's sources.
//
// A region is a function `uint64_t region(GuestState*, mmu::SoftTlb*)` with LLVM's preserve_none convention:
// it gets its arguments in kRegionStateReg and kRegionTlbReg, keeps rsp and rbp, and returns the virtual
// address of the guest instruction to go on at (jit/region_abi.h), with the guest's registers in GuestState.
// Everything that is rare (a soft TLB miss, a NaN, an instruction that is not lowered) leaves the region
// before the instruction in question: tier 1 executes it, and faults are raised there. So a region calls
// nothing. Where it reaches memory through fastmem, what is not mapped faults; RegionCode::faults says how it
// is left then.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "jit/host_code.h"
#include "jit/llvm/region.h"
#include "jit/region_abi.h"

namespace arclight::jit {

struct RegionCode {
    const void* entry = nullptr;
    size_t bytes = 0;
    uint64_t handle = 0;
    std::span<const FaultingAccess> faults;  ///< in the code's own memory

    bool contains(const void* pc) const {
        return static_cast<size_t>(static_cast<const uint8_t*>(pc) - static_cast<const uint8_t*>(entry)) <
               bytes;
    }
    /// Where to go on after the instruction at `pc` faulted; null: it is none that may.
    const void* side_exit(const void* pc) const;
};

struct RegionDump {
    std::string ir, llvm, assembly;
};

/// One thread at a time uses it, but for unload(). Whatever fails throws std::runtime_error or
/// std::bad_alloc.
class RegionCompiler {
  public:
    virtual ~RegionCompiler() = default;

    /// An object file; empty when the region's first instruction is not one that tier 2 knows.
    virtual std::string compile(const Region& region, RegionDump* dump = nullptr) = 0;
    virtual std::optional<RegionCode> load(const std::string& object) = 0;
    /// Where code is put from now on; before the first load(). Else it is put anywhere. It must stay as long
    /// as the compiler.
    virtual void place_code(CodeRoom room) { (void)room; }
    /// No thread may be in the code any more.
    virtual void unload(uint64_t handle) = 0;
    /// Names the host CPU and LLVM's version: object files of another one are of no use.
    virtual const std::string& fingerprint() const = 0;
    /// LLVM gave up in the middle of something: what was loaded still runs, but nothing else may be asked,
    /// and the compiler must not even be destroyed.
    virtual bool broken() const { return false; }
    /// For tests: LLVM gives up.
    virtual void give_up() {}
};

/// Whether this program has one, as far as is known without loading it.
bool have_region_compiler();
/// Loads LLVM, a hundred megabytes of library that programs without tier 2 do without.
/// `avx512`: use what the host has of it; false is for tests, as on a host without.
std::unique_ptr<RegionCompiler> make_region_compiler(bool avx512 = true);
/// Names the program's and the module's build, on which a region's code depends too. 0: not known. Needs no
/// LLVM.
uint64_t region_build();

}  // namespace arclight::jit
