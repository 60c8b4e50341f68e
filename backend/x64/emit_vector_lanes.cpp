// Moves between lanes, and between lanes and general registers.
#include "backend/x64/simd.h"

namespace arclight::backend {

using namespace Xbyak::util;
using namespace simd;

bool BlockEmitter::emit_vector_lanes(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    switch (i.op) {
        case Op::VHighToLow: {
            const Ref r = i.args[0];
            if (values_[r].reg == kNone && in_memory(r)) {
                vmovq(def_xmm(cur_), qword[at(memory_disp(r) + 8)]);
            } else {
                const Xmm x = use_xmm(r);
                vpsrldq(def_xmm_over(cur_, {r}), x, 8);
            }
            return true;
        }
        case Op::VCombine: emit_vex(i, &Cg::vpunpcklqdq); return true;
        case Op::VDup: {
            if (is_const(i.args[0])) {
                const uint64_t v = each(esize, inst(i.args[0]).imm);
                const Xmm d = def_xmm(cur_);
                if (v == 0) {
                    vpxor(d, d, d);
                    return true;
                }
                mov(rax, v);
                vmovq(d, rax);
                if (ir::vec_q(i.aux)) vpunpcklqdq(d, d, d);
                return true;
            }
            const Reg64 r = use(i.args[0]);
            const Xmm d = def_xmm(cur_);
            esize == 3 ? vmovq(d, r) : vmovd(d, r.cvt32());
            switch (esize) {
                case 0: vpbroadcastb(d, d); break;
                case 1: vpbroadcastw(d, d); break;
                case 2: vpbroadcastd(d, d); break;
                default: vpbroadcastq(d, d); break;
            }
            if (!ir::vec_q(i.aux)) vmovq(d, d);
            return true;
        }
        case Op::VDupLane: {
            const Ref r = i.args[0];
            const unsigned lane = static_cast<unsigned>(i.imm) % (16u >> esize);
            if (values_[r].reg == kNone && in_memory(r)) {
                const Xbyak::RegExp where = at(memory_disp(r) + static_cast<int>(lane << esize));
                const Xmm d = def_xmm(cur_);
                switch (esize) {
                    case 0: vpbroadcastb(d, byte[where]); break;
                    case 1: vpbroadcastw(d, word[where]); break;
                    case 2: vpbroadcastd(d, dword[where]); break;
                    default: vpbroadcastq(d, qword[where]); break;
                }
                return true;
            }
            const Xmm x = use_xmm(r);
            const Xmm d = def_xmm_over(cur_, {r});
            switch (esize) {
                case 0: vpshufb(d, x, constant(bytes(lane))); break;
                case 1: vpshufb(d, x, constant(halves(2 * lane | (2 * lane + 1) << 8))); break;
                case 2: vpshufd(d, x, static_cast<uint8_t>(lane * 0x55)); break;
                default: vpshufd(d, x, lane == 0 ? 0x44 : 0xee); break;
            }
            return true;
        }
        case Op::VExtractU:
        case Op::VExtractS: emit_vextract(i); return true;
        case Op::VInsert: {
            const auto lane = static_cast<uint8_t>(i.imm % (16u >> esize));
            const Xmm a = use_xmm(i.args[0]);
            const Reg64 r = use(i.args[1]);
            const Xmm d = def_xmm_over(cur_, {i.args[0]});
            switch (esize) {
                case 0: vpinsrb(d, a, r.cvt32(), lane); break;
                case 1: vpinsrw(d, a, r.cvt32(), lane); break;
                case 2: vpinsrd(d, a, r.cvt32(), lane); break;
                default: vpinsrq(d, a, r, lane); break;
            }
            return true;
        }
        case Op::VInsertLane: emit_vinsert_lane(i); return true;
        default: return false;
    }
}

void BlockEmitter::emit_vextract(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const bool is_signed = i.op == Op::VExtractS;
    const auto lane = static_cast<uint8_t>(i.imm % (16u >> esize));
    const Ref r = i.args[0];
    if (values_[r].reg == kNone && in_memory(r)) {
        const Xbyak::RegExp where = at(memory_disp(r) + (lane << esize));
        const Reg64 d = def(cur_);
        const Reg to = sized(d, i.type);
        switch (esize) {
            case 0: is_signed ? movsx(to, byte[where]) : movzx(d.cvt32(), byte[where]); break;
            case 1: is_signed ? movsx(to, word[where]) : movzx(d.cvt32(), word[where]); break;
            case 2:
                if (is_signed && i.type == Type::I64) {
                    movsxd(d, dword[where]);
                } else {
                    mov(d.cvt32(), dword[where]);
                }
                break;
            default: mov(d, qword[where]); break;
        }
        return;
    }
    const Xmm x = use_xmm(r);
    const Reg64 d = def(cur_);
    switch (esize) {
        case 0: vpextrb(d.cvt32(), x, lane); break;
        case 1: vpextrw(d.cvt32(), x, lane); break;
        case 2: lane == 0 ? vmovd(d.cvt32(), x) : vpextrd(d.cvt32(), x, lane); break;
        default: lane == 0 ? vmovq(d, x) : vpextrq(d, x, lane); break;
    }
    if (!is_signed) return;
    const Reg to = sized(d, i.type);
    if (esize == 0) {
        movsx(to, d.cvt8());
    } else if (esize == 1) {
        movsx(to, d.cvt16());
    } else if (esize == 2 && i.type == Type::I64) {
        movsxd(d, d.cvt32());
    }
}

void BlockEmitter::emit_vinsert_lane(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux), count = 16u >> esize;
    const auto to = static_cast<unsigned>((i.imm & 15) % count),
               from = static_cast<unsigned>((i.imm >> 4) % count);
    const Xmm a = use_xmm(i.args[0]), b = use_xmm(i.args[1]);
    const Xmm d = def_xmm_over(cur_, {i.args[0], i.args[1]});
    switch (esize) {
        case 0:
            vpextrb(eax, b, static_cast<uint8_t>(from));
            vpinsrb(d, a, eax, static_cast<uint8_t>(to));
            break;
        case 1:
            vpextrw(eax, b, static_cast<uint8_t>(from));
            vpinsrw(d, a, eax, static_cast<uint8_t>(to));
            break;
        case 2: vinsertps(d, a, b, static_cast<uint8_t>(from << 6 | to << 4)); break;
        default:
            if (to == from) {
                vpblendd(d, a, b, to == 0 ? 0b0011 : 0b1100);
            } else if (to == 1) {
                vpunpcklqdq(d, a, b);
            } else {
                vshufpd(d, b, a, 0b11);
            }
            break;
    }
}

}  // namespace arclight::backend
