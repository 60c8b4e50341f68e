// Compiles blocks into a code buffer, and emits the code that blocks share.
#pragma once

#include <memory>
#include <optional>

#include "backend/x64/emit_context.h"
#include "jit/superblock_code.h"

namespace arclight::backend {

/// Where the next code of a code buffer goes, as offsets from its base: each area is filled upwards.
struct CodeArea {
    size_t start = 0, end = 0;
    size_t next = 0;       ///< the first free byte
    size_t populated = 0;  ///< up to where there is memory

    bool has_room_for(size_t bytes) const { return next + bytes <= end; }
};
struct CodeCursor {
    CodeArea hot, cold;           ///< the halves of the buffer, but for what superblocks have of each:
    CodeArea frequent, seldom{};  ///< empty before make_room_for_superblocks()
};

constexpr size_t aligned(size_t offset, size_t alignment) {
    return (offset + alignment - 1) & ~(alignment - 1);
}

class BlockCompiler {
  public:
    BlockCompiler(jit::CodeBuffer& buffer, size_t size);
    /// The stubs that all blocks share, at the start of the buffer; `cursor.hot` starts behind them.
    jit::SharedStubs emit_stubs(CodeCursor& cursor);
    /// `layout`: of a superblock, which goes into the areas of its own.
    jit::CompiledBlock compile(const ir::Block& block, CodeCursor& cursor, uint32_t first_link_slot,
                               uint32_t counter, const jit::SuperblockLayout* layout = nullptr);
    /// As jit::place().
    jit::CompiledBlock place(const jit::BlockImage& image, CodeCursor& cursor, uint32_t first_link_slot,
                             uint32_t counter);
    /// Assembler::tag_check, behind what is at the start of the buffer already.
    void emit_tag_checks(CodeCursor& cursor);
    EmitContext& context() { return ctx_; }
    /// Null: not with CodeOptions::images.
    RelocationRecorder* relocations() { return relocations_.get(); }
    /// Whether blocks may keep the offset of a fastmem slot (mmu/fastmem.h) from one access to the next ones. Not where a slow path
    /// may take a slot from the soft TLB that runs. At first they may not.
    void set_fastmem_grouping(bool on) { fastmem_grouping_ = on; }

  private:
    /// Fields that are patched while the code runs are aligned (Assembler::align_field()): they stay so where an image is placed.
    static constexpr size_t kEntryAlignment = 16, kColdAlignment = 8;

    EmitContext ctx_;
    bool fastmem_grouping_ = false;
    std::unique_ptr<ClassRecorder> recorder_;  ///< null: nobody asks
    std::unique_ptr<RelocationRecorder> relocations_;
};

}  // namespace arclight::backend

/// What fills a code buffer.
struct arclight::jit::CodeBuffer::Assembler {
    backend::CodeCursor cursor;
    backend::BlockCompiler compiler;
    /// What compares allocation tags, by the register that holds the address. Null before enable_tag_checks().
    std::array<const uint8_t*, 16> tag_check{};
    /// What looks in the victim TLB for reads and for writes then, by the register that holds the tag.
    std::array<std::array<const uint8_t*, 16>, 2> tag_victim{};
};
