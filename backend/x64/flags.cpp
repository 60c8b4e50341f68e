// Condition flags: which flags value EFLAGS hold, in which sense, and how conditions are tested.
#include "backend/x64/emitter.h"

namespace arclight::backend {

using namespace Xbyak::util;

namespace {
// ARM condition codes.
enum Arm : unsigned { EQ, NE, CS, CC, MI, PL, VS, VC, HI, LS, GE, LT, GT, LE };

constexpr int kFlagsDisp = ARCLIGHT_STATE_DISP(flags);

/// The stored format with the sign of the carry inverted on demand, as AX.
uint32_t stored_flags(uint32_t nzcv, bool invert_carry) {
    const uint64_t f = jit::flags_from_nzcv(nzcv << 28);
    return static_cast<uint32_t>(invert_carry ? f ^ 1u << jit::kFlagCBit : f);
}
}  // namespace

// ---- Keeping
// -----------------------------------------------------------------------------------------------------

bool BlockEmitter::flags_needed_after() const {
    return eflags_ != kNoRef && values_[eflags_].last_need > cur_;
}

void BlockEmitter::save_eflags() {
    const Ref f = eflags_;
    if (flags_dirty_ && slot_[kFlagsSlot] == f && observed_[kFlagsSlot] >= cur_) {
        store_eflags(kFlagsDisp);
        flags_dirty_ = false;
        add_home(f, kFlagsSlot);
    } else if (!in_memory(f)) {
        values_[f].spill = new_spill(f);
        store_eflags(memory_disp(f));
    }
}

void BlockEmitter::clobber_flags() {
    if (flags_busy()) save_eflags();
    eflags_ = kNoRef;
}

void BlockEmitter::flags_to_memory() {
    if (flags_dirty_ && observed_[kFlagsSlot] >= cur_) {
        const Ref f = slot_[kFlagsSlot];
        if (eflags_ == f) {
            store_eflags(kFlagsDisp);
        } else {
            movzx(eax, word[at(memory_disp(f))]);
            mov(word[at(kFlagsDisp)], ax);
        }
        add_home(f, kFlagsSlot);
    }
    flags_dirty_ = false;
}

/// EFLAGS keep their meaning; rax is clobbered.
void BlockEmitter::store_eflags(int disp) {
    switch (sense_) {
        case Sense::Sub:
            cmc();
            sense_ = Sense::Add;
            [[fallthrough]];
        case Sense::Add:
            lahf();
            seto(al);
            break;
        case Sense::FCmp:
        case Sense::FCmpRev: {
            // Less, equal, greater, unordered. mov and cmov leave EFLAGS alone; rcx is borrowed.
            const uint32_t below = sense_ == Sense::FCmp ? 0b1000 : 0b0010, above = below ^ 0b1010;
            vmovq(xmm15, rcx);
            mov(eax, stored_flags(above, false));
            mov(ecx, stored_flags(below, false));
            cmovb(eax, ecx);
            mov(ecx, stored_flags(0b0110, false));
            cmove(eax, ecx);
            mov(ecx, stored_flags(0b0011, false));
            cmovp(eax, ecx);
            vmovq(rcx, xmm15);
            break;
        }
    }
    mov(word[at(disp)], ax);
}

// ---- Fetching
// ----------------------------------------------------------------------------------------------------

void BlockEmitter::load_eflags_from(const Address& stored) {
    movzx(eax, stored);
    add(al, 0x7f);  // OF = V
    sahf();
}

void BlockEmitter::load_eflags(Ref f) {
    if (eflags_ == f) return;
    clobber_flags();
    load_eflags_from(word[at(memory_disp(f))]);
    set_eflags(f, Sense::Add);
}

void BlockEmitter::load_carry(Ref f, bool inverse) {
    if (eflags_ == f && (sense_ == Sense::Add || sense_ == Sense::Sub)) {
        if (flags_busy()) save_eflags();
        if ((sense_ == Sense::Sub) != inverse) cmc();
    } else {
        clobber_flags();
        if (!in_memory(f)) {  // an FP comparison's flags, just saved by their last use
            values_[f].spill = new_spill(f);
            store_eflags(memory_disp(f));
        }
        bt(dword[at(memory_disp(f))], jit::kFlagCBit);
        if (inverse) cmc();
    }
    eflags_ = kNoRef;
    raw_flags_ = true;
}

Cc BlockEmitter::test_flags(Ref f, unsigned arm_cc) {
    if (eflags_ != f) {
        const int disp = memory_disp(f);
        clobber_flags();
        raw_flags_ = true;
        const bool negated = (arm_cc & 1) != 0;
        switch (arm_cc & ~1u) {
            case EQ: test(byte[at(disp + 1)], 1 << (jit::kFlagZBit - 8)); return negated ? kE : kNe;
            case CS: test(byte[at(disp + 1)], 1 << (jit::kFlagCBit - 8)); return negated ? kE : kNe;
            case MI: test(byte[at(disp + 1)], 1 << (jit::kFlagNBit - 8)); return negated ? kE : kNe;
            case VS: test(byte[at(disp)], 1 << jit::kFlagVBit); return negated ? kE : kNe;
            case HI:
                movzx(eax, byte[at(disp + 1)]);
                and_(al, 1 << (jit::kFlagZBit - 8) | 1 << (jit::kFlagCBit - 8));
                cmp(al, 1 << (jit::kFlagCBit - 8));
                return negated ? kNe : kE;
            default: break;
        }
        load_eflags(f);
    }
    raw_flags_ = true;
    const auto both = [&](Cc x, Cc y) {
        if (flags_busy()) save_eflags();
        set_if(x, al);
        set_if(y, ah);
        test(al, ah);
        eflags_ = kNoRef;
    };
    if (sense_ == Sense::FCmp || sense_ == Sense::FCmpRev) {
        const bool rev = sense_ == Sense::FCmpRev;
        switch (arm_cc) {
            case VS: return kP;
            case VC: return kNp;
            case EQ: both(kE, kNp); return kNe;
            case NE: both(kE, kNp); return kE;
            case CS:
            case PL:  // not less
                if (rev) return kBe;
                both(kB, kNe);
                return kE;
            case CC:
            case MI:  // less
                if (rev) return kA;
                both(kB, kNe);
                return kNe;
            case HI:  // greater or unordered
                if (rev) return kB;
                both(kBe, kNp);
                return kE;
            case LS:  // less or equal
                if (rev) return kAe;
                both(kBe, kNp);
                return kNe;
            case GE:  // greater or equal
                if (!rev) return kAe;
                both(kBe, kNp);
                return kNe;
            case LT:  // less or unordered
                if (!rev) return kB;
                both(kBe, kNp);
                return kE;
            case GT:  // greater
                if (!rev) return kA;
                both(kB, kNe);
                return kNe;
            default:  // LE: less, equal or unordered
                if (!rev) return kBe;
                both(kB, kNe);
                return kE;
        }
    }
    if ((arm_cc == HI || arm_cc == LS) && sense_ == Sense::Add) {
        cmc();
        sense_ = Sense::Sub;
    }
    switch (arm_cc) {
        case EQ: return kE;
        case NE: return kNe;
        case CS: return sense_ == Sense::Sub ? kAe : kB;
        case CC: return sense_ == Sense::Sub ? kB : kAe;
        case MI: return kS;
        case PL: return kNs;
        case VS: return kO;
        case VC: return kNo;
        case HI: return kA;
        case LS: return kBe;
        case GE: return kGe;
        case LT: return kL;
        case GT: return kG;
        default: return kLe;
    }
}

Cc BlockEmitter::test_condition(Ref c) {
    bool invert = false;
    while (inst(c).op == Op::Not1) c = inst(c).args[0], invert = !invert;
    const Inst& i = inst(c);
    Cc cc = kNe;
    switch (i.op) {
        case Op::Cond: cc = test_flags(i.args[0], static_cast<unsigned>(i.imm)); break;
        case Op::IsZero:
        case Op::IsNotZero: {
            const Reg r = use(i.args[0], i.aux == 32 ? Type::I32 : Type::I64);
            clobber_flags();
            test(r, r);
            cc = i.op == Op::IsZero ? kE : kNe;
            break;
        }
        case Op::TestBit: {
            const unsigned bit = static_cast<unsigned>(i.imm);
            const Reg64 r = use(i.args[0]);
            clobber_flags();
            if (bit < 31) {
                test(r.cvt32(), 1u << bit);
            } else {
                bt(r, static_cast<uint8_t>(bit));
                cc = kB;
            }
            break;
        }
        default: throw TooComplex{};  // the verifier rejects it
    }
    raw_flags_ = true;
    return invert ? inverted(cc) : cc;
}

// ---- Conditional comparison
// --------------------------------------------------------------------------------------

void BlockEmitter::emit_cond_compare(const Inst& i) {
    const Type t = (i.aux & ~1u) == 32 ? Type::I32 : Type::I64;
    const bool negative = (i.aux & 1) != 0;
    const Reg a = use(i.args[1], t);
    int32_t imm = 0;
    const bool has_imm = imm32(i.args[2], t, imm);
    Reg b = a;
    if (!has_imm) b = use(i.args[2], t);
    if (flags_busy()) save_eflags();
    const Cc cc = test_condition(i.args[0]);
    const Jump compare = jump_if(cc, true);
    mov(eax, stored_flags(static_cast<uint32_t>(i.imm & 15), !negative));
    add(al, 0x7f);
    sahf();
    const Jump done = jump_always(true);
    land(compare);
    if (negative) {
        mov(sized(rax, t), a);
        if (has_imm) {
            add(sized(rax, t), static_cast<uint32_t>(imm));
        } else {
            add(sized(rax, t), b);
        }
    } else if (has_imm && imm == 0) {
        test(a, a);  // a - 0 never borrows and never overflows: CF = OF = 0
    } else if (has_imm) {
        cmp(a, static_cast<uint32_t>(imm));
    } else {
        cmp(a, b);
    }
    land(done);
    set_eflags(cur_, negative ? Sense::Add : Sense::Sub);
}

}  // namespace arclight::backend
