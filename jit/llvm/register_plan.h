// Entry-state dataflow: what holds of the guest's registers where each block of a region begins.
//
// A register is dirty where it may differ from GuestState. NZCV is known where all edges into a block agree
// on the operation that set it. A vector register holds a scalar where its upper half is zero: a double is
// kept as what it is then (scalar replacement, guest_registers.h). What is written with zeros above its lower
// half makes it one; where two edges meet and only one of them has a scalar, it is a whole vector.
//
// Where the region is entered a register may hold anything. If its upper half was zero whenever that was
// sampled and a loop keeps it so, the region is entered only if it is. Then it is zero in GuestState as long
// as the region runs, and region exits need not clear it.
#pragma once

#include <vector>

#include "jit/llvm/flags_kind.h"
#include "jit/llvm/region_graph.h"

namespace arclight::jit::tier2 {

/// What is known of NZCV where a block begins.
struct KnownFlags {
    /// Where an operand can be found too. The variable of an operand would change along with that register.
    struct Source {
        enum Kind : uint8_t { Nowhere, Register, Constant } kind = Nowhere;
        uint64_t value = 0;  ///< the register's slot, or the constant
        bool operator==(const Source&) const = default;
    };
    FlagsKind kind = FlagsKind::Dynamic;
    Source a{}, b{};
    bool operator==(const KnownFlags&) const = default;
};

/// The guest's registers where a block begins.
struct EntryState {
    Slots dirty;
    Slots low;  ///< vector registers that hold scalars
    KnownFlags flags;
    bool flags_known = false;  ///< false: no edge leads here
};

struct RegisterPlan {
    Slots used, written;             ///< anywhere in the region
    Slots assumed_low;               ///< vector registers that must hold scalars where the region is entered
    std::vector<EntryState> blocks;  ///< by block
    std::vector<std::vector<bool>> back_edges;  ///< [from][to]: the edge closes a cycle
};

/// Solves the dataflow equations of `graph`; its block 0 is where the region is entered.
RegisterPlan plan_registers(const RegionGraph& graph);

/// Whether `r`, written to a vector register, is a double with zeros above. A single is not: as a double it
/// would have to be cleared of what lies above it all the same.
bool has_low_half_only(const ir::Block& block, ir::Ref r);

}  // namespace arclight::jit::tier2
