// Puts the blocks that follow each other most often behind one another, as one block of the IR, and where it would be left often
// goes on likewise: a tree, whose branches are ir::SidePath.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "jit/engine/block_cache.h"
#include "jit/frontend.h"
#include "jit/ir/ir.h"
#include "jit/superblock_code.h"

namespace arclight::jit {

class SuperblockBuilder {
  public:
    struct Limits {
        unsigned insns = 256;  ///< guest instructions; with its side paths half as many more
        unsigned unroll = 96;  ///< a loop back to the start is gone on with up to so many
        double min_reach =
            0.2;  ///< executions of a block for each one of the superblock, by the edge profiles
        double min_side_reach = 0.05;  ///< likewise of a side path's blocks
        unsigned sides = 16;
        double frequent = 0.5;          ///< likewise of what is laid out as frequent (superblock_code.h)
        double frequent_way_out = 0.1;  ///< and of exits whose way out is
    };
    struct Built {
        ir::Block ir;
        SuperblockLayout layout;
        std::vector<TranslationBlock*> members;  ///< each once; the first is where it is entered
        std::vector<uint64_t> pages;             ///< physical addresses, by the numbers of EnterPage
        unsigned blocks = 0;                     ///< copies of members
    };

    SuperblockBuilder(const Frontend& frontend, const BlockCache& cache)
        : frontend_(frontend), cache_(cache) {}
    /// Marks the accesses of a block that met a device.
    std::function<void(ir::Block&)> mark_sites = [](ir::Block&) {};

    /// Edges are followed as far as their blocks' profiles go.
    Built build(TranslationBlock& head, const Limits& limits);

  private:
    /// Where execution goes on, mostly, behind a block.
    struct Next {
        TranslationBlock* block = nullptr;
        ir::Ref end = 0;  ///< the exit that is gone on behind, and what it is
        bool conditional = false, indirect = false;
        int64_t otherwise = 0;   ///< conditional: where it does not lead, as Inst::imm
        int64_t at = 0;          ///< of `block`, from the start of the first block's page
        double share = 1;        ///< of the executions of this block
        double other_share = 0;  ///< and those that go to `otherwise`, or elsewhere
    };
    struct Frame {
        int64_t return_at;
        uint32_t number;
    };
    /// What is known at the start of a block.
    struct Path {
        std::vector<Frame> frames;  ///< of calls that have not returned
        uint32_t frame = 0;         ///< number of the one that the block is in
        int64_t page = 0;           ///< of the block, from the first one
        uint32_t entered = 1;       ///< pages, a bit for each number
    };
    using Seen = std::set<std::pair<uint32_t, int64_t>>;  ///< blocks of a path, by frame and place
    /// A conditional exit that a path passes, and how often it is taken.
    struct Way {
        ir::Ref exit;
        double share;  ///< of the executions of its block
    };
    /// One that a side path could begin at.
    struct Side {
        ir::Ref exit;
        double reach;
        Next next;
        uint32_t
            start;  ///< of next.block's bytes the one where it leads, and the share of the block's executions that get there
        double left;
        Path path;
        Seen seen;
        ir::Builder::Registers registers;
    };

    Next next_of(const TranslationBlock& block);
    bool follow_direct(const TranslationBlock& block, int64_t target, Next& next) const;
    bool follow_indirect(const TranslationBlock& block, const ir::Inst& exit, Next& next);
    std::optional<unsigned> page_number(const Next& next);
    void append(ir::Builder& builder, ir::Ref end);
    void append_exit(ir::Builder& builder, const Next& next);
    void enter_page(ir::Builder& builder, const Next& next, unsigned number);
    /// The last instruction is an exit to `target` that is taken with this reach.
    void offer_side(const ir::Builder& builder, int64_t target, double reach);
    void grow(ir::Builder& builder, TranslationBlock* block, int64_t at, double reach, uint32_t start,
              double left);
    void grow_sides(ir::Builder& builder);
    /// What is appended from now on has this reach.
    void lay_out(double reach);
    /// The last instruction is an exit that is taken with this reach.
    void lay_out_exit(double reach);

    const Frontend& frontend_;
    const BlockCache& cache_;
    ir::Block piece_;                    ///< of the block that is being appended
    std::vector<ir::Ref> refs_;          ///< of its values, in the superblock
    std::vector<Way> ways_;              ///< of piece_
    std::vector<int64_t> page_offsets_;  ///< from the first page, by number
    Path path_;
    Seen seen_;
    uint32_t frames_made_ = 0;
    std::vector<Side> sides_;
    // Of the block that is being appended
    TranslationBlock* block_ = nullptr;
    Path before_;       ///< at its start
    double reach_ = 0;  ///< of its start
    double left_ = 1;   ///< Side::left
    const Limits* limits_ = nullptr;
    TranslationBlock* head_ = nullptr;
    Built* built_ = nullptr;
};

}  // namespace arclight::jit
