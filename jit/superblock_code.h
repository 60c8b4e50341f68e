// How superblocks are compiled: what of them is executed most lies together with that of others, apart from the rest. So it is in few
// pages, which the host's instruction TLB and caches hold.
#pragma once

#include <vector>

#include "jit/host_code.h"
#include "jit/ir/ir.h"

namespace arclight::jit {

struct SuperblockLayout {
    /// The IR's instructions from one on, up to the next piece.
    struct Piece {
        ir::Ref from;
        bool frequent;
    };
    std::vector<Piece> pieces;  ///< by `from`; those before the first are frequent
    std::vector<ir::Ref>
        ways_out;  ///< exits that are taken as often as what is frequent is executed; ascending
};

/// From now on, and when no block is in it yet, a part of the code cache is for superblocks alone.
void make_room_for_superblocks(CodeBuffer& buffer);
/// As compile(). What is not frequent begins at cold_order, and its cold paths follow it.
CompiledBlock compile_superblock(const ir::Block& block, const SuperblockLayout& layout, CodeBuffer& buffer,
                                 uint32_t first_link_slot);

}  // namespace arclight::jit
