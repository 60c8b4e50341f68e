// The forward pass over a block, and small helpers of emission.
#include "backend/x64/emitter.h"

namespace arclight::backend {

using namespace Xbyak::util;

BlockEmitter::BlockEmitter(CodeBuffer& buffer, size_t size)
    : CodeGenerator(size, buffer.base()), buffer_(buffer), mem_operand_{qword[rax], qword[rax], qword[rax]} {
    owner_.fill(kNoRef);
    slot_.fill(kNoRef);
    home_head_.fill(kNoRef);
    observed_.fill(0);
}

CompiledBlock BlockEmitter::compile(const ir::Block& block, uint32_t first_site_id, uint32_t counter) {
    // A generous bound for one block, so that running out in the middle of one is the exception.
    const size_t wanted = 256 + block.insts.size() * 64;
    CompiledBlock out;
    if (buffer_.assembler().hot + wanted > size_t{buffer_.size()} / 2 ||
        buffer_.assembler().cold + wanted > buffer_.size()) {
        out.status = CompileStatus::BufferFull;
        return out;
    }
    thunks_ = &buffer_.thunks();
    block_ = &block;
    first_site_ = first_site_id;
    block_offset_ = insn_offset_ = static_cast<uint32_t>(block.pa & (mmu::kPageSize - 1));
    serial_ = (block.translation_flags & translation_flag::kSerial) != 0;
    fastmem_ = (block.translation_flags & translation_flag::kFastmem) != 0;
    owner_.fill(kNoRef);
    home_head_.fill(kNoRef);
    pinned_ = 0;
    spills_used_ = spills_v_used_ = 0;
    dirty_ = 0;
    flags_dirty_ = raw_flags_ = false;
    eflags_ = kNoRef;
    cold_.clear(), exits_.clear(), points_.clear(), locations_.clear();
    indirect_ = nullptr;

    try {
        setSize(buffer_.assembler().hot);
        align(16);
        entry_ = here();
        cold_start_ = buffer_.base() + buffer_.assembler().cold;
        if (counter != kNoCounter) emit_counter(counter);
        const uint8_t* body = here();
        analyse();
        const uint32_t count = static_cast<uint32_t>(block.insts.size());
        for (cur_ = 0; cur_ < count; ++cur_) {
            if (!values_[cur_].live) continue;
            emit(block.insts[cur_]);
            finish_instruction();
        }
        const size_t hot_end = getSize();
        if (hot_end > buffer_.size() / 2) throw Xbyak::Error(Xbyak::ERR_CODE_IS_TOO_BIG);
        setSize(buffer_.assembler().cold);
        // Cold paths may ask for more of them.
        for (size_t k = 0; k < cold_.size(); ++k) {
            const Cold cold = cold_[k];
            if (cold.jump.end != nullptr) land(cold.jump);
            (this->*cold.fn)(cold.args);
        }
        out.entry = entry_;
        out.body = body;
        out.hot_bytes = static_cast<uint32_t>(buffer_.base() + hot_end - entry_);
        out.cold = cold_start_;
        out.cold_bytes = static_cast<uint32_t>(here() - cold_start_);
        buffer_.assembler().hot = hot_end;
        buffer_.assembler().cold = getSize();
    } catch (const TooComplex&) {
        out.status = CompileStatus::TooComplex;
        return out;
    } catch (const Xbyak::Error& e) {
        if (static_cast<int>(e) != Xbyak::ERR_CODE_IS_TOO_BIG) throw;
        out.status = CompileStatus::BufferFull;
        return out;
    }
    out.exits = exits_;
    out.indirect = indirect_;
    out.indirect_register = indirect_register_;
    out.faults.points = points_;
    out.faults.locations = locations_;
    return out;
}

void BlockEmitter::finish_instruction() {
    const Uses& uses = uses_[cur_];
    for (uint32_t k = 0; k < uses.count; ++k) values_[uses.use[k].ref].next_use = uses.use[k].after;
    pinned_ = 0;
    raw_flags_ = false;
}

void BlockEmitter::emit(const Inst& i) {
    switch (i.op) {
        case Op::Const:
        case Op::PairSecond:
        case Op::FlagsOf: return;  // with their operation, or where they are used
        case Op::PcRel:
            if (!rematerialisable(cur_)) {
                const Reg64 d = def(cur_);
                mov(d, i.imm);
                mov(rax, qword[at(ARCLIGHT_STATE_DISP(page_base))]);
                lea(d, ptr[d + rax]);
            }
            return;
        case Op::InsnStart: insn_offset_ = static_cast<uint32_t>(i.imm); return;
        case Op::GetX: return get_slot(static_cast<unsigned>(i.imm), cur_);
        case Op::GetV: return get_slot(kVSlot + static_cast<unsigned>(i.imm), cur_);
        case Op::GetFlags: return get_slot(kFlagsSlot, cur_);
        case Op::SetX: return set_slot(static_cast<unsigned>(i.imm), i.args[0]);
        case Op::SetV: return set_slot(kVSlot + static_cast<unsigned>(i.imm), i.args[0]);
        case Op::SetFlags: return set_slot(kFlagsSlot, i.args[0]);
        case Op::LoadField: {
            const Xbyak::RegExp where = at(field(i.imm));
            if (i.type == Type::V128) {
                vmovups(def_xmm(cur_), ptr[where]);
            } else if (i.type == Type::I32) {
                mov(def(cur_).cvt32(), dword[where]);
            } else {
                mov(def(cur_), qword[where]);
            }
            return;
        }
        case Op::StoreField: {
            const Xbyak::RegExp where = at(field(i.imm));
            int32_t imm = 0;
            if (is_vec(inst(i.args[0]).type)) {
                vmovups(ptr[where], use_xmm(i.args[0]));
            } else if (imm32(i.args[0], i.aux == 4 ? Type::I32 : Type::I64, imm)) {
                mov(i.aux == 4 ? dword[where] : qword[where], imm);
            } else if (i.aux == 4) {
                mov(dword[where], use(i.args[0]).cvt32());
            } else {
                mov(qword[where], use(i.args[0]));
            }
            return;
        }
        case Op::Fence:
            if (static_cast<ir::FenceKind>(i.imm) == ir::FenceKind::Full && !serial_) {
                clobber_flags();
                lock();
                or_(dword[rsp], 0);
            }
            return;
        case Op::Select: return emit_select(i);
        case Op::CondCompare: return emit_cond_compare(i);
        default: break;
    }
    if (emit_integer(i) || emit_bits(i) || emit_memory(i) || emit_exit(i)) return;
    if (emit_fp(i) || emit_vector(i)) return;
    emit_reference_call(i);
}

// ---- Jumps
// -------------------------------------------------------------------------------------------------------

Jump BlockEmitter::jump_if(Cc cc, bool is_short) {
    if (is_short) {
        db(0x70 | cc);
        db(0);
    } else {
        db(0x0f);
        db(0x80 | cc);
        dd(0);
    }
    return {here(), is_short};
}

Jump BlockEmitter::jump_always(bool is_short) {
    db(is_short ? 0xeb : 0xe9);
    if (is_short) {
        db(0);
    } else {
        dd(0);
    }
    return {here(), is_short};
}

void BlockEmitter::point(Jump j, const uint8_t* target) {
    const ptrdiff_t delta = target - j.end;
    if (j.is_short) {
        if (delta != static_cast<int8_t>(delta)) throw TooComplex{};
        j.end[-1] = static_cast<uint8_t>(delta);
    } else {
        const int32_t rel = static_cast<int32_t>(delta);
        std::memcpy(j.end - 4, &rel, 4);
    }
}

void BlockEmitter::jump_to(const uint8_t* target) { point(jump_always(false), target); }

void BlockEmitter::jump_to_if(Cc cc, const uint8_t* target) { point(jump_if(cc, false), target); }

void BlockEmitter::call_thunk(const uint8_t* target) {
    db(0xe8);
    dd(0);
    point({here(), false}, target);
}

void BlockEmitter::align_field(unsigned offset) {
    const unsigned at = static_cast<unsigned>(reinterpret_cast<uintptr_t>(here()) + offset) & 7;
    if (at > 4) nop(8 - at);
}

void BlockEmitter::set_if(Cc cc, const Xbyak::Reg8& r) {
    const int index = r.getIdx();
    if (index >= 8 || r.isExt8bit()) db(0x40 | index >> 3);
    db(0x0f);
    db(0x90 | cc);
    db(0xc0 | (index & 7));
}

void BlockEmitter::move_if(Cc cc, const Reg& dst, const Operand& src) {
    switch (cc) {
        case kO: cmovo(dst, src); break;
        case kNo: cmovno(dst, src); break;
        case kB: cmovb(dst, src); break;
        case kAe: cmovae(dst, src); break;
        case kE: cmove(dst, src); break;
        case kNe: cmovne(dst, src); break;
        case kBe: cmovbe(dst, src); break;
        case kA: cmova(dst, src); break;
        case kS: cmovs(dst, src); break;
        case kNs: cmovns(dst, src); break;
        case kP: cmovp(dst, src); break;
        case kNp: cmovnp(dst, src); break;
        case kL: cmovl(dst, src); break;
        case kGe: cmovge(dst, src); break;
        case kLe: cmovle(dst, src); break;
        case kG: cmovg(dst, src); break;
    }
}

size_t BlockEmitter::jump_cold(Cc cc, ColdFn fn, const ColdArgs& args) {
    return add_cold(jump_if(cc, false), fn, args);
}

size_t BlockEmitter::add_cold(Jump j, ColdFn fn, const ColdArgs& args) {
    cold_.push_back({j, fn, args});
    return cold_.size() - 1;
}

}  // namespace arclight::backend
