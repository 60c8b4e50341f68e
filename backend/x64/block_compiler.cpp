// The forward pass over a block: hot path, then cold paths.
#include "backend/x64/block_compiler.h"

#include <span>
#include <utility>

#include "backend/x64/emitter.h"
#include "backend/x64/exit_emitter.h"
#include "backend/x64/stub_emitter.h"

namespace arclight::backend {

using jit::CompiledBlock;
using jit::CompileStatus;

BlockCompiler::BlockCompiler(jit::CodeBuffer& buffer, size_t size) : ctx_(buffer, size) {
    if (buffer.images())
        ctx_.as.relocations = (relocations_ = std::make_unique<RelocationRecorder>(buffer)).get();
}

jit::SharedStubs BlockCompiler::emit_stubs(CodeCursor& cursor) {
    const jit::SharedStubs stubs = StubEmitter(ctx_).emit_stubs();
    cursor.hot.start = ctx_.as.getSize();
    return stubs;
}

namespace {
/// Where code goes in turns while a superblock is compiled.
class AreaSwitch {
  public:
    /// The assembler is in the frequent area; `other`: where the other one goes on.
    AreaSwitch(Assembler& as, size_t other) : as_(as), other_(other) {}
    /// What is emitted from here on is in that area. `follows`: it is executed behind what was emitted last.
    void go_to(bool frequent, bool follows) {
        if (frequent == frequent_) return;
        frequent_ = frequent;
        Jump over;
        if (follows) {
            as_.set_class(jit::HostClass::Jump);
            over = as_.jump_always(false);
        }
        const size_t here = as_.getSize();
        as_.setSize(std::exchange(other_, here));
        if (follows) as_.land(over);
        as_.set_class(jit::HostClass::Work);
    }

  private:
    Assembler& as_;
    size_t other_;
    bool frequent_ = true;
};
}  // namespace

CompiledBlock BlockCompiler::compile(const ir::Block& block, CodeCursor& cursor, uint32_t first_link_slot,
                                     uint32_t counter, const jit::SuperblockLayout* layout) {
    const jit::CodeBuffer& buffer = ctx_.buffer;
    CodeArea& hot = layout != nullptr ? cursor.frequent : cursor.hot;
    CodeArea& cold = layout != nullptr ? cursor.seldom : cursor.cold;
    // A generous bound for one block, so that running out in the middle of one is the exception.
    const size_t wanted = (256 + block.insts.size() * 64) * (buffer.profile() != nullptr ? 2 : 1);
    CompiledBlock out;
    if (!hot.has_room_for(wanted) || !cold.has_room_for(wanted)) {
        out.status = CompileStatus::BufferFull;
        return out;
    }
    ctx_.stubs = &buffer.stubs();
    ctx_.start_block(block, first_link_slot);

    Assembler& as = ctx_.as;
    if (buffer.profile() != nullptr && recorder_ == nullptr) {
        recorder_ = std::make_unique<ClassRecorder>(*buffer.profile());
        as.recorder = recorder_.get();
    }
    if (as.recorder != nullptr) as.recorder->start_block(block.superblock);
    if (relocations_ != nullptr) {
        cold.next = aligned(cold.next, kColdAlignment);
        relocations_->start_block();
    }
    try {
        as.setSize(hot.next);
        as.align(kEntryAlignment);
        out.entry = as.here();
        out.cold = out.cold_order = buffer.base() + cold.next;
        ctx_.faults.start_block(out.entry, out.cold);
        if (counter != jit::kNoCounter) {
            as.set_class(jit::HostClass::Counter);
            if (buffer.counters_aside()) {
                ExitEmitter(ctx_).emit_counter_aside(counter);
            } else {
                ExitEmitter(ctx_).emit_counter(counter);
                as.start_segment();
            }
        }
        out.body = as.here();
        as.set_class(jit::HostClass::Work);
        as.start_segment();
        ctx_.values.analyse(block, buffer.grouping() && (!ctx_.fastmem || fastmem_grouping_),
                            ctx_.scalable_vectors);
        const std::span<const Inst> insts = block.insts;
        const uint32_t count = static_cast<uint32_t>(insts.size());
        size_t side = 0;
        Ref next_side = block.sides.empty() ? kNoRef : block.sides[0].begin;
        AreaSwitch area{as, cold.next};
        const std::span<const jit::SuperblockLayout::Piece> pieces =
            layout != nullptr ? std::span(layout->pieces) : std::span<const jit::SuperblockLayout::Piece>();
        size_t piece = 0;
        for (uint32_t index = 0; index < count; ++index) {
            for (; piece < pieces.size() && pieces[piece].from == index; ++piece)
                area.go_to(pieces[piece].frequent, index != next_side);
            if (index == next_side) {
                ctx_.begin_side(side++);
                next_side = side < block.sides.size() ? block.sides[side].begin : kNoRef;
            }
            const Inst& i = insts[index];
            if (i.op == Op::InsnStart) {
                if (as.recorder != nullptr) as.recorder->guest_instruction();
                ctx_.insn_offset = static_cast<uint32_t>(i.imm);
                continue;
            }
            if (!ctx_.values[index].live) continue;
            ctx_.values.set_cur(index);
            ctx_.copies.before(i);
            emit(ctx_, i);
            ctx_.finish_instruction();
            if (relocations_ != nullptr) relocations_->end_emission(as.here());
        }
        ctx_.values.set_cur(count);
        if (as.recorder != nullptr) as.recorder->start_cold();
        area.go_to(true, false);
        if (layout != nullptr) ctx_.cold.emit_of(layout->ways_out, ctx_);
        const size_t hot_end = as.getSize();
        area.go_to(false, false);
        out.cold = as.here();
        ctx_.faults.start_cold(out.cold);
        ctx_.cold.emit_all(ctx_);
        if (hot_end > hot.end || as.getSize() > cold.end) throw Xbyak::Error(Xbyak::ERR_CODE_IS_TOO_BIG);
        out.hot_bytes = static_cast<uint32_t>(buffer.base() + hot_end - out.entry);
        out.cold_bytes = static_cast<uint32_t>(as.here() - out.cold);
        if (as.recorder != nullptr)
            as.recorder->finish({static_cast<size_t>(out.entry - buffer.base()), {out.entry, out.hot_bytes}},
                                {cold.next, {out.cold_order, out.cold + out.cold_bytes}});
        hot.next = hot_end;
        cold.next = as.getSize();
    } catch (const TooComplex&) {
        CompiledBlock failed;
        failed.status = CompileStatus::TooComplex;
        return failed;
    } catch (const Xbyak::Error& e) {
        if (static_cast<int>(e) != Xbyak::ERR_CODE_IS_TOO_BIG) throw;
        CompiledBlock failed;
        failed.status = CompileStatus::BufferFull;
        return failed;
    }
    out.exits.assign(ctx_.exits);
    out.indirect = ctx_.indirect;
    out.indirect_register = ctx_.indirect_register;
    out.indirect_kind = ctx_.indirect_kind;
    out.faults = ctx_.faults.map();
    return out;
}

}  // namespace arclight::backend
