// Condition flags: which flags value EFLAGS hold, in which sense, and how conditions are tested.
#include "backend/x64/host_flags.h"

#include "backend/x64/guest_slots.h"
#include "backend/x64/register_allocator.h"

namespace arclight::backend {

using namespace Xbyak::util;

namespace {
// ARM condition codes.
enum Arm : unsigned { EQ, NE, CS, CC, MI, PL, VS, VC, HI, LS, GE, LT, GT, LE };

constexpr int kFlagsDisp = ARCLIGHT_STATE_DISP(flags);

/// NZCV in the stored format, as AX.
uint32_t stored_flags(uint32_t nzcv) { return static_cast<uint32_t>(jit::flags_from_nzcv(nzcv << 28)); }
}  // namespace

// ---- Keeping

bool HostFlags::busy() const {
    return needed_after() && !values_.in_memory(value_) && !slots_.can_defer(value_) &&
           !are_of_result(value_);
}

bool HostFlags::are_of_result(Ref f) const {
    const ir::Block& block = values_.block();
    if (block.superblock || values_.inst(f).op != Op::FlagsOf) return false;
    const Ref result = values_.inst(f).args[0];
    if (values_.inst(result).op != Op::And && values_.inst(result).op != Op::AndNot) return false;
    // NZCV of the guest is stored while EFLAGS hold it, now or when it has become that.
    if (slots_.flags_pending()) return false;
    for (Ref later = values_.cur() + 1; later <= values_[f].last_need && later < block.insts.size(); ++later)
        if (values_.inst(later).op == Op::SetFlags && values_.inst(later).args[0] == f) return false;
    Value& v = values_[result];
    // No instruction that needs the flags may take the result's register over.
    if (v.last_need <= values_[f].last_need || (v.reg == kNone && !values_.in_memory(result))) return false;
    v.kept = true;
    return true;
}

void HostFlags::make_of_result(Ref f) {
    const Ref result = values_.inst(f).args[0];
    const Reg r = regs_.use(result, values_.inst(result).type);
    clobber();
    const ClassScope scope(as_, jit::HostClass::Flags);
    as_.test(r, r);
    set(f, Sense::Add);
}

void HostFlags::put_in_memory(Ref f) {
    if (values_.in_memory(f)) return;
    if (value_ != f) make_of_result(f);
    save();
}

void HostFlags::save() {
    const Ref f = value_;
    if (slots_.flags_pending() && slots_.flags_value() == f) {
        store(kFlagsDisp);
        slots_.flags_stored();
    } else if (!values_.in_memory(f)) {
        values_[f].spill = regs_.new_spill(f);
        store(regs_.memory_disp(f));
    }
}

void HostFlags::clobber() {
    if (busy()) {
        save();
    } else if (value_ != kNoRef && slots_.can_defer(value_)) {
        slots_.defer_or_write_flags();
    }
    value_ = kNoRef;
}

/// EFLAGS keep their meaning; rax is clobbered.
void HostFlags::store(int disp) {
    const ClassScope scope(as_, jit::HostClass::Flags);
    switch (sense_) {
        case Sense::Sub:
            as_.cmc();
            sense_ = Sense::Add;
            [[fallthrough]];
        case Sense::Add:
            as_.lahf();
            as_.set_if(kO, al);
            break;
        case Sense::FCmp:
        case Sense::FCmpRev: {
            // Less, equal, greater, unordered. mov and cmov leave EFLAGS alone.
            const uint32_t below = sense_ == Sense::FCmp ? 0b1000 : 0b0010, above = below ^ 0b1010;
            as_.mov(eax, stored_flags(above));
            as_.cmovb(eax, constants_.address(stored_flags(below), 0));
            as_.cmove(eax, constants_.address(stored_flags(0b0110), 0));
            as_.cmovp(eax, constants_.address(stored_flags(0b0011), 0));
            break;
        }
    }
    as_.store(at(disp), rax, 1);
}

// ---- Fetching

void HostFlags::load_from(const Address& stored) {
    const ClassScope scope(as_, jit::HostClass::Flags);
    as_.movzx(eax, stored);
    as_.add(al, 0x7f);  // OF = V
    as_.sahf();
}

void HostFlags::load(Ref f) {
    if (value_ == f) return;
    if (!values_.in_memory(f)) return make_of_result(f);
    clobber();
    load_from(word[at(regs_.memory_disp(f))]);
    set(f, Sense::Add);
}

void HostFlags::load_carry(Ref f, bool inverse) {
    if (value_ != f && !values_.in_memory(f)) make_of_result(f);
    if (value_ == f && (sense_ == Sense::Add || sense_ == Sense::Sub)) {
        if (busy()) save();
        if ((sense_ == Sense::Sub) != inverse) as_.cmc();
    } else {
        clobber();
        if (!values_.in_memory(f)) {  // an FP comparison's flags, just saved by their last use
            values_[f].spill = regs_.new_spill(f);
            store(regs_.memory_disp(f));
        }
        as_.bt(dword[at(regs_.memory_disp(f))], jit::kFlagCBit);
        if (inverse) as_.cmc();
    }
    value_ = kNoRef;
    raw_ = true;
}

Cc HostFlags::test_flags(Ref f, unsigned arm_cc) {
    const ClassScope scope(as_, jit::HostClass::Flags);
    if (value_ != f && !values_.in_memory(f)) make_of_result(f);
    if (value_ != f) {
        const int disp = regs_.memory_disp(f);
        clobber();
        raw_ = true;
        const bool negated = (arm_cc & 1) != 0;
        switch (arm_cc & ~1u) {
            case EQ: as_.test(byte[at(disp + 1)], 1 << (jit::kFlagZBit - 8)); return negated ? kE : kNe;
            case CS: as_.test(byte[at(disp + 1)], 1 << (jit::kFlagCBit - 8)); return negated ? kE : kNe;
            case MI: as_.test(byte[at(disp + 1)], 1 << (jit::kFlagNBit - 8)); return negated ? kE : kNe;
            case VS: as_.test(byte[at(disp)], 1 << jit::kFlagVBit); return negated ? kE : kNe;
            case HI:
                as_.movzx(eax, byte[at(disp + 1)]);
                as_.and_(al, 1 << (jit::kFlagZBit - 8) | 1 << (jit::kFlagCBit - 8));
                as_.cmp(al, 1 << (jit::kFlagCBit - 8));
                return negated ? kNe : kE;
            default: break;
        }
        load(f);
    }
    raw_ = true;
    const auto both = [&](Cc x, Cc y) {
        if (busy()) save();
        as_.set_if(x, al);
        as_.set_if(y, ah);
        as_.test(al, ah);
        value_ = kNoRef;
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
        as_.cmc();
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

Cc HostFlags::test_condition(Ref c) {
    bool invert = false;
    while (values_.inst(c).op == Op::Not1) c = values_.inst(c).args[0], invert = !invert;
    const Inst& i = values_.inst(c);
    Cc cc = kNe;
    switch (i.op) {
        case Op::Cond: cc = test_flags(i.args[0], static_cast<unsigned>(i.imm)); break;
        case Op::IsZero:
        case Op::IsNotZero: {
            const Reg r = regs_.use(i.args[0], i.aux == 32 ? Type::I32 : Type::I64);
            clobber();
            as_.test(r, r);
            cc = i.op == Op::IsZero ? kE : kNe;
            break;
        }
        case Op::TestBit: {
            const unsigned bit = static_cast<unsigned>(i.imm);
            const Reg64 r = regs_.use(i.args[0]);
            clobber();
            if (bit < 31) {
                as_.test(r.cvt32(), 1u << bit);
            } else {
                as_.bt(r, static_cast<uint8_t>(bit));
                cc = kB;
            }
            break;
        }
        default: throw TooComplex{};  // the verifier rejects it
    }
    raw_ = true;
    return invert ? inverted(cc) : cc;
}

}  // namespace arclight::backend
