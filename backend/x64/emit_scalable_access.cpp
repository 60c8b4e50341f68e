// Accesses of scalable vectors, with AVX-512.
//
// An access looks the page of its first and last byte up in the soft TLB, as others do (emit_memory.cpp); what misses, is in two
// pages or, through the fastmem, faults is done by the runtime, element by element. Nothing has been written then.
#include "backend/x64/scalable_emitter.h"

namespace arclight::backend {

using namespace Xbyak::util;
using ir::Inactive;
using ir::Lanes;
using Xbyak::Ymm;
using Xbyak::Zmm;

void ScalableEmitter::emit_access(const Inst& i) {
    s_ = ir::Scalable::unpack(i.imm);
    if (!ctx_.scalable_vectors || ctx_.buffer.spectre()) return emit_runtime_call(i);
    const bool writes = s_.op == Lanes::Store;
    ctx_.copies.begin();
    prepare_access();
    give_up_registers(s_);
    const Reg64 addr = regs_.use(i.args[2]);
    const ScratchGpr temp(regs_);
    if (s_.inactive != Inactive::None) mask_ = governing(temp);
    result_ = writes ? copy_of(s_.d) : vector(ctx_.copies.take());
    ColdArgs args;
    const size_t behind = reserve_copies(args);
    size_t cold = 0;
    {
        const ClassScope scope(as_, jit::HostClass::SoftTlb);
        if (ctx_.fastmem) {
            cold = miss(Jump{}, addr, args, cold_fn<&ScalableEmitter::cold_access>);
            look_up_fastmem(addr, false);
        } else {
            const jit::MemoryAccess plain{writes ? jit::MemoryKind::StoreV : jit::MemoryKind::LoadV, 0};
            compare_tag(plain, {addr}, temp, 0, static_cast<int>(s_.memory_bytes()) - 1, writes);
            args.flag = with_victim(temp);
            args.reg[kTagRegister] = with_tags(temp);
            cold = miss(as_.jump_if(kNe, false), addr, args, cold_fn<&ScalableEmitter::cold_access>);
            load_addend(rax, false);
        }
        ctx_.faults.start_fastmem(as_.here());
    }
    ctx_.faults.mark_access(as_.here());
    {
        const ClassScope scope(as_, jit::HostClass::Access);
        access(rax + mem(addr));
    }
    if (!writes) store_result();
    ctx_.copies_behind[behind] = ctx_.copies;
    resume_here(cold);
}

/// Of elements that memory and the register have in the same size, or not.
void ScalableEmitter::access(const Mem& where) {
    const bool masked = s_.inactive != Inactive::None;
    const Xmm& v = result_;
    if (s_.op == Lanes::Store) {
        const Address to = masked ? ptr[where] | mask_ : ptr[where];
        switch (s_.size << 2 | s_.memory_size) {
            case 0 << 2 | 0: return as_.vmovdqu8(to, v);
            case 1 << 2 | 1: return as_.vmovdqu16(to, v);
            case 2 << 2 | 2: return as_.vmovdqu32(to, v);
            case 3 << 2 | 3: return as_.vmovdqu64(to, v);
            case 1 << 2 | 0: return as_.vpmovwb(to, v);
            case 2 << 2 | 0: return as_.vpmovdb(to, v);
            case 2 << 2 | 1: return as_.vpmovdw(to, v);
            case 3 << 2 | 0: return as_.vpmovqb(to, v);
            case 3 << 2 | 1: return as_.vpmovqw(to, v);
            default: return as_.vpmovqd(to, v);
        }
    }
    const Xmm to = masked ? v | mask_ | T_z : v;
    const Address from = ptr[where];
    if (ir::is_replicated(s_.op)) {
        // Whether an element is active or not: the page may be read.
        if (s_.size == s_.memory_size) {
            switch (s_.size) {
                case 0: return as_.vpbroadcastb(to, from);
                case 1: return as_.vpbroadcastw(to, from);
                case 2: return as_.vpbroadcastd(to, from);
                default: return as_.vpbroadcastq(to, from);
            }
        }
        as_.load_sized(rax, where, s_.memory_size, s_.op == Lanes::LoadReplicatedSigned, Type::I64);
        switch (s_.size) {
            case 0: return as_.vpbroadcastb(to, al);
            case 1: return as_.vpbroadcastw(to, ax);
            case 2: return as_.vpbroadcastd(to, eax);
            default: return as_.vpbroadcastq(to, rax);
        }
    }
    if (s_.op == Lanes::LoadSegment) return load_segment(from);
    const bool is_signed = s_.op == Lanes::LoadSigned;
    switch (s_.size << 2 | s_.memory_size) {
        case 0 << 2 | 0: return as_.vmovdqu8(to, from);
        case 1 << 2 | 1: return as_.vmovdqu16(to, from);
        case 2 << 2 | 2: return as_.vmovdqu32(to, from);
        case 3 << 2 | 3: return as_.vmovdqu64(to, from);
        case 1 << 2 | 0: return is_signed ? as_.vpmovsxbw(to, from) : as_.vpmovzxbw(to, from);
        case 2 << 2 | 0: return is_signed ? as_.vpmovsxbd(to, from) : as_.vpmovzxbd(to, from);
        case 2 << 2 | 1: return is_signed ? as_.vpmovsxwd(to, from) : as_.vpmovzxwd(to, from);
        case 3 << 2 | 0: return is_signed ? as_.vpmovsxbq(to, from) : as_.vpmovzxbq(to, from);
        case 3 << 2 | 1: return is_signed ? as_.vpmovsxwq(to, from) : as_.vpmovzxwq(to, from);
        default: return is_signed ? as_.vpmovsxdq(to, from) : as_.vpmovzxdq(to, from);
    }
}

/// 16 bytes, of elements that are active, for each 128 bits.
void ScalableEmitter::load_segment(const Address& from) {
    const Xmm to = Xmm(result_.getIdx()) | mask_ | T_z;
    switch (s_.size) {
        case 0: as_.vmovdqu8(to, from); break;
        case 1: as_.vmovdqu16(to, from); break;
        case 2: as_.vmovdqu32(to, from); break;
        default: as_.vmovdqu64(to, from); break;
    }
    const int r = result_.getIdx();
    if (s_.length == 2) as_.vshufi64x2(Zmm(r), Zmm(r), Zmm(r), 0);
    if (s_.length == 1) as_.vinserti32x4(Ymm(r), Ymm(r), Xmm(r), 1);
}

void ScalableEmitter::cold_access(const ColdArgs& args) {
    const Inst& i = values_.inst(args.inst);
    const auto point = static_cast<size_t>(args.imm);
    const ir::Scalable s = ir::Scalable::unpack(i.imm);
    const bool writes = s.op == Lanes::Store;
    try_behind_miss(args, rax, {.from = mem(Reg64(args.reg[0])), .bytes = s.memory_bytes(), .write = writes});
    ctx_.faults.mark_slow_path(point, as_.here());
    ctx_.slots.write_back_snapshot(args.first, args.count);
    call_runtime(i, ctx_.faults.insn_offset(point));
    ctx_.faults.mark_return(point, as_.here());
    load_copies(args);
    jump_back(args);
}

}  // namespace arclight::backend
