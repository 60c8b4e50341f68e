// Moves between lanes, and between lanes and general registers.
#include "backend/x64/simd.h"
#include "backend/x64/vector_lane_emitter.h"

namespace arclight::backend {

using namespace Xbyak::util;
using namespace simd;

void VectorLaneEmitter::emit_vhigh_to_low(const Inst& i) {
    const Ref r = i.args[0];
    if (values_[r].reg == kNone && values_.in_memory(r)) {
        as_.vmovq(regs_.def_xmm(cur()), qword[at(regs_.memory_disp(r) + 8)]);
    } else {
        const Xmm x = regs_.use_xmm(r);
        as_.vpsrldq(regs_.def_xmm_over(cur(), {r}), x, 8);
    }
}

void VectorLaneEmitter::emit_vcombine(const Inst& i) { emit_vex(i, &Cg::vpunpcklqdq); }

void VectorLaneEmitter::emit_vdup(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    if (values_.is_const(i.args[0])) {
        const uint64_t v = each(esize, values_.inst(i.args[0]).imm);
        const Xmm d = regs_.def_xmm(cur());
        if (v == 0) {
            as_.vpxor(d, d, d);
            return;
        }
        as_.mov(rax, v);
        as_.vmovq(d, rax);
        if (ir::vec_q(i.aux)) as_.vpunpcklqdq(d, d, d);
        return;
    }
    const Reg64 r = regs_.use(i.args[0]);
    const Xmm d = regs_.def_xmm(cur());
    esize == 3 ? as_.vmovq(d, r) : as_.vmovd(d, r.cvt32());
    switch (esize) {
        case 0: as_.vpbroadcastb(d, d); break;
        case 1: as_.vpbroadcastw(d, d); break;
        case 2: as_.vpbroadcastd(d, d); break;
        default: as_.vpbroadcastq(d, d); break;
    }
    if (!ir::vec_q(i.aux)) as_.vmovq(d, d);
}

void VectorLaneEmitter::emit_vdup_lane(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const Ref r = i.args[0];
    const unsigned lane = static_cast<unsigned>(i.imm) % (16u >> esize);
    if (values_[r].reg == kNone && values_.in_memory(r)) {
        const Xbyak::RegExp where = at(regs_.memory_disp(r) + static_cast<int>(lane << esize));
        const Xmm d = regs_.def_xmm(cur());
        switch (esize) {
            case 0: as_.vpbroadcastb(d, byte[where]); break;
            case 1: as_.vpbroadcastw(d, word[where]); break;
            case 2: as_.vpbroadcastd(d, dword[where]); break;
            default: as_.vpbroadcastq(d, qword[where]); break;
        }
        return;
    }
    const Xmm x = regs_.use_xmm(r);
    const Xmm d = regs_.def_xmm_over(cur(), {r});
    switch (esize) {
        case 0: as_.vpshufb(d, x, constant(bytes(lane))); break;
        case 1: as_.vpshufb(d, x, constant(halves(2 * lane | (2 * lane + 1) << 8))); break;
        case 2: as_.vpshufd(d, x, static_cast<uint8_t>(lane * 0x55)); break;
        default: as_.vpshufd(d, x, lane == 0 ? 0x44 : 0xee); break;
    }
}

void VectorLaneEmitter::emit_vinsert(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const auto lane = static_cast<uint8_t>(i.imm % (16u >> esize));
    const Xmm a = regs_.use_xmm(i.args[0]);
    const Reg64 r = regs_.use(i.args[1]);
    const Xmm d = regs_.def_xmm_over(cur(), {i.args[0]});
    switch (esize) {
        case 0: as_.vpinsrb(d, a, r.cvt32(), lane); break;
        case 1: as_.vpinsrw(d, a, r.cvt32(), lane); break;
        case 2: as_.vpinsrd(d, a, r.cvt32(), lane); break;
        default: as_.vpinsrq(d, a, r, lane); break;
    }
}

void VectorLaneEmitter::emit_vextract(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const bool is_signed = i.op == Op::VExtractS;
    const auto lane = static_cast<uint8_t>(i.imm % (16u >> esize));
    const Ref r = i.args[0];
    if (values_[r].reg == kNone && values_.in_memory(r)) {
        const Xbyak::RegExp where = at(regs_.memory_disp(r) + (lane << esize));
        const Reg64 d = regs_.def(cur());
        const Reg to = sized(d, i.type);
        switch (esize) {
            case 0: is_signed ? as_.movsx(to, byte[where]) : as_.movzx(d.cvt32(), byte[where]); break;
            case 1: is_signed ? as_.movsx(to, word[where]) : as_.movzx(d.cvt32(), word[where]); break;
            case 2:
                if (is_signed && i.type == Type::I64) {
                    as_.movsxd(d, dword[where]);
                } else {
                    as_.mov(d.cvt32(), dword[where]);
                }
                break;
            default: as_.mov(d, qword[where]); break;
        }
        return;
    }
    const Xmm x = regs_.use_xmm(r);
    const Reg64 d = regs_.def(cur());
    switch (esize) {
        case 0: as_.vpextrb(d.cvt32(), x, lane); break;
        case 1: as_.vpextrw(d.cvt32(), x, lane); break;
        case 2: lane == 0 ? as_.vmovd(d.cvt32(), x) : as_.vpextrd(d.cvt32(), x, lane); break;
        default: lane == 0 ? as_.vmovq(d, x) : as_.vpextrq(d, x, lane); break;
    }
    if (!is_signed) return;
    const Reg to = sized(d, i.type);
    if (esize == 0) {
        as_.movsx(to, d.cvt8());
    } else if (esize == 1) {
        as_.movsx(to, d.cvt16());
    } else if (esize == 2 && i.type == Type::I64) {
        as_.movsxd(d, d.cvt32());
    }
}

void VectorLaneEmitter::emit_vinsert_lane(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux), count = 16u >> esize;
    const auto to = static_cast<unsigned>((i.imm & 15) % count),
               from = static_cast<unsigned>((i.imm >> 4) % count);
    const Xmm a = regs_.use_xmm(i.args[0]), b = regs_.use_xmm(i.args[1]);
    const Xmm d = regs_.def_xmm_over(cur(), {i.args[0], i.args[1]});
    switch (esize) {
        case 0:
            as_.vpextrb(eax, b, static_cast<uint8_t>(from));
            as_.vpinsrb(d, a, eax, static_cast<uint8_t>(to));
            break;
        case 1:
            as_.vpextrw(eax, b, static_cast<uint8_t>(from));
            as_.vpinsrw(d, a, eax, static_cast<uint8_t>(to));
            break;
        case 2: as_.vinsertps(d, a, b, static_cast<uint8_t>(from << 6 | to << 4)); break;
        default:
            if (to == from) {
                as_.vpblendd(d, a, b, to == 0 ? 0b0011 : 0b1100);
            } else if (to == 1) {
                as_.vpunpcklqdq(d, a, b);
            } else {
                as_.vshufpd(d, b, a, 0b11);
            }
            break;
    }
}

}  // namespace arclight::backend
