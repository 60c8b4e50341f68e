// What a region of tier 2 returns to the code that called it: the virtual address of the guest instruction to
// go on at, and why, in the bits that are zero there.
#pragma once

#include <cstdint>

namespace arclight::jit {

/// How a region was left: the bits that say why.
namespace region_exit {
/// The instruction is the region's own first one and must be executed by tier 1, or the region would be
/// entered again at once.
inline constexpr uint64_t kStuck = 1;
/// A side exit, not one of the guest's own exits: tier 1 is to do what the region cannot.
inline constexpr uint64_t kSideExit = 2;
}  // namespace region_exit

/// What a region assumes of the guest, a bit each; several assumptions may share a bit. A region that meets a
/// wrong one is left by a side exit.
using Assumptions = uint64_t;
inline constexpr Assumptions kEveryAssumption = ~Assumptions{0};
/// What is assumed of registers where the region is entered.
inline constexpr Assumptions kAssumptionAtEntry = Assumptions{1} << 63;
/// What is assumed of the access of the instruction at this offset in its page.
constexpr Assumptions assumption_at(uint64_t offset) { return Assumptions{1} << (offset / 4 % 63); }

/// What regions note in GuestState where they are left for a failed assumption.
struct FailedAssumptions {
    uint32_t count;     ///< grows by 1 each time, by kFailedAtEntry where the region is entered
    Assumptions which;  ///< all that failed since this was cleared
};
/// The guest stays in tier 1 for as long as it would have been inside.
inline constexpr uint32_t kFailedAtEntry = 1000;

/// An instruction of a region's that may fault, and where to go on if nothing can be done about that: as
/// offsets from the region's entry.
struct FaultingAccess {
    uint32_t access, side_exit;
};

}  // namespace arclight::jit
