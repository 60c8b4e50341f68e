// Compiles blocks into a code buffer, and emits the code that blocks share.
#pragma once

#include <memory>
#include <optional>

#include "backend/x64/emit_context.h"

namespace arclight::backend {

/// Where the next code of a code buffer goes: both halves are filled upwards.
struct CodeCursor {
    size_t hot = 0, cold = 0;  ///< next free byte of each half, as offsets from the buffer's base
    size_t first_hot = 0;      ///< behind the shared stubs
};

constexpr size_t aligned(size_t offset, size_t alignment) {
    return (offset + alignment - 1) & ~(alignment - 1);
}

class BlockCompiler {
  public:
    BlockCompiler(jit::CodeBuffer& buffer, size_t size);
    /// The stubs that all blocks share, at the start of the buffer; `cursor.first_hot` is set behind them.
    jit::SharedStubs emit_stubs(CodeCursor& cursor);
    jit::CompiledBlock compile(const ir::Block& block, CodeCursor& cursor, uint32_t first_link_slot,
                               uint32_t counter);
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
    /// Up to where there is memory in each half, as offsets from the base.
    size_t populated_hot = 0, populated_cold = 0;
    /// What compares allocation tags, by the register that holds the address. Null before enable_tag_checks().
    std::array<const uint8_t*, 16> tag_check{};
    /// What looks in the victim TLB for reads and for writes then, by the register that holds the tag.
    std::array<std::array<const uint8_t*, 16>, 2> tag_victim{};
};
