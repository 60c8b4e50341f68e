// Puts the blocks that follow each other most often behind one another, as one block of the IR.
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

namespace arclight::jit {

class SuperblockBuilder {
  public:
    struct Limits {
        unsigned insns = 256;  ///< guest instructions
        unsigned unroll = 96;  ///< a loop back to the start is gone on with up to so many
        double min_reach =
            0.2;  ///< executions of a block for each one of the superblock, by the edge profiles
    };
    struct Built {
        ir::Block ir;
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
        int64_t otherwise = 0;  ///< conditional: where it does not lead, as Inst::imm
        int64_t at = 0;         ///< of `block`, from the start of the first block's page
        double share = 1;       ///< of the executions of this block
    };
    struct Frame {
        int64_t return_at;
        uint32_t number;
    };

    Next next_of(const TranslationBlock& block);
    bool follow_direct(const TranslationBlock& block, int64_t target, Next& next) const;
    bool follow_indirect(const TranslationBlock& block, const ir::Inst& exit, Next& next);
    std::optional<unsigned> page_number(const Next& next);
    void append(ir::Builder& builder, ir::Ref end);
    void append_exit(ir::Builder& builder, const Next& next);
    void enter_page(ir::Builder& builder, const Next& next, unsigned number);

    const Frontend& frontend_;
    const BlockCache& cache_;
    ir::Block piece_;                    ///< of the block that is being appended
    std::vector<ir::Ref> refs_;          ///< of its values, in the superblock
    std::vector<int64_t> page_offsets_;  ///< from the first page, by number
    size_t entered_ = 0;                 ///< pages that have been entered
    int64_t page_ = 0;                   ///< of the block that is being appended, likewise
    std::vector<Frame> frames_;
    uint32_t frame_ = 0, frames_made_ = 0;
    Built* built_ = nullptr;
};

}  // namespace arclight::jit
