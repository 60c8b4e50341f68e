#include "tests/frontend/a64/ir_interpreter.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace arclight::frontend::a64 {

using namespace jit::ir;

namespace {

constexpr uint32_t kN = 1u << 31, kZ = 1u << 30, kC = 1u << 29, kV = 1u << 28;

constexpr Op kSupported[] = {
    Op::Const,       Op::Add,           Op::Sub,           Op::And,         Op::Or,
    Op::Xor,         Op::AndNot,        Op::OrNot,         Op::XorNot,      Op::Mul,
    Op::UMulHigh,    Op::SMulHigh,      Op::UDiv,          Op::SDiv,        Op::Shl,
    Op::Shr,         Op::Sar,           Op::Ror,           Op::SExt8,       Op::SExt16,
    Op::SExt32,      Op::ZExt8,         Op::ZExt16,        Op::ZExt32,      Op::Clz,
    Op::Cls,         Op::Rbit,          Op::Rev,           Op::Rev16,       Op::Rev32,
    Op::Extr,        Op::BitInsert,     Op::BitExtractU,   Op::BitExtractS, Op::Crc32,
    Op::Select,      Op::BoolToInt,     Op::IsZero,        Op::IsNotZero,   Op::TestBit,
    Op::Not1,        Op::Adc,           Op::Sbc,           Op::FlagsOf,     Op::Cond,
    Op::CondCompare, Op::FlagsFromNzcv, Op::NzcvFromFlags, Op::GetX,        Op::SetX,
    Op::GetFlags,    Op::SetFlags,      Op::GetV,          Op::SetV,        Op::PcRel,
    Op::Load,        Op::Store,         Op::LoadV,         Op::StoreV,      Op::LoadPair,
    Op::LoadPairV,   Op::PairSecond,    Op::StorePair,     Op::StorePairV,  Op::LoadEx,
    Op::LoadExPair,  Op::StoreEx,       Op::StoreExPair,   Op::AtomicRmw,   Op::Cas,
    Op::Fence,       Op::InsnStart,     Op::ExitIf,        Op::Exit,        Op::ExitIndirect,
};

uint64_t sign_extend(uint64_t v, unsigned bits) {
    return static_cast<uint64_t>(static_cast<int64_t>(v << (64 - bits)) >> (64 - bits));
}

uint64_t read_bytes(uint64_t address, unsigned bytes) {
    uint64_t v = 0;
    std::memcpy(&v, reinterpret_cast<const void*>(address), bytes);
    return v;
}

void write_bytes(uint64_t address, uint64_t v, unsigned bytes) {
    std::memcpy(reinterpret_cast<void*>(address), &v, bytes);
}

struct Value {
    uint64_t i = 0, second = 0;  ///< `second` of a pair
    jit::V128 v{}, v_second{};
    uint32_t flags = 0;
};

class Run {
  public:
    Run(const Block& block, MachineState& state) : block_(block), state_(state), values_(block.insts.size()) {
        page_ = state.pc & jit::kPageMask;
    }

    void run() {
        for (Ref r = 0; r < block_.insts.size(); ++r)
            if (step(r)) return;
        std::abort();  // no terminator
    }

  private:
    unsigned width() const { return inst_->type == Type::I32 ? 32 : 64; }
    uint64_t cut(uint64_t v) const { return width() == 32 ? static_cast<uint32_t>(v) : v; }
    uint64_t arg(unsigned n) const { return cut(whole(n)); }
    uint64_t whole(unsigned n) const { return values_[inst_->args[n]].i; }
    int64_t signed_arg(unsigned n) const { return static_cast<int64_t>(sign_extend(arg(n), width())); }
    unsigned unit() const { return 1u << mem_size_log2(inst_->aux); }

    uint32_t add_flags(uint64_t a, uint64_t b, unsigned carry, unsigned bits) const {
        const uint64_t mask = ~uint64_t{0} >> (64 - bits);
        const unsigned __int128 sum = static_cast<unsigned __int128>(a & mask) + (b & mask) + carry;
        const uint64_t result = static_cast<uint64_t>(sum) & mask;
        const uint64_t top = uint64_t{1} << (bits - 1);
        return (result & top ? kN : 0) | (result == 0 ? kZ : 0) | (sum >> bits != 0 ? kC : 0) |
               ((~(a ^ b) & (a ^ result) & top) != 0 ? kV : 0);
    }

    uint32_t flags_of(const Inst& op) const {
        const unsigned bits = op.type == Type::I32 ? 32 : 64;
        const uint64_t a = values_[op.args[0]].i, b = values_[op.args[1]].i;
        const unsigned carry = op.nargs == 3 ? values_[op.args[2]].flags >> 29 & 1 : 0;
        switch (op.op) {
            case Op::Add: return add_flags(a, b, 0, bits);
            case Op::Sub: return add_flags(a, ~b, 1, bits);
            case Op::Adc: return add_flags(a, b, carry, bits);
            case Op::Sbc: return add_flags(a, ~b, carry, bits);
            default: {
                const uint64_t v = values_[static_cast<Ref>(&op - block_.insts.data())].i;
                return (v >> (bits - 1) & 1 ? kN : 0) | (v == 0 ? kZ : 0);
            }
        }
    }

    static bool holds(uint32_t flags, unsigned cc) {
        const bool n = flags & kN, z = flags & kZ, c = flags & kC, v = flags & kV;
        const bool base[] = {z, c, n, v, c && !z, n == v, n == v && !z};
        return base[cc >> 1] != ((cc & 1) != 0);
    }

    uint64_t crc() const {
        const unsigned bytes = 1u << (inst_->aux & 3);
        const uint32_t polynomial = inst_->aux & 8 ? 0x82f63b78 : 0xedb88320;  // bit-reversed
        uint32_t crc = static_cast<uint32_t>(whole(0));
        for (unsigned n = 0; n < bytes * 8; ++n) {
            const uint32_t bit = (crc ^ static_cast<uint32_t>(whole(1) >> n)) & 1;
            crc = crc >> 1 ^ (bit ? polynomial : 0);
        }
        return crc;
    }

    uint64_t atomic_result(uint64_t old, uint64_t operand, unsigned bits) const {
        const auto s = [&](uint64_t v) { return static_cast<int64_t>(sign_extend(v, bits)); };
        const uint64_t u = operand & (~uint64_t{0} >> (64 - bits));
        switch (static_cast<AtomicKind>(inst_->imm)) {
            case AtomicKind::Add: return old + operand;
            case AtomicKind::Clear: return old & ~operand;
            case AtomicKind::Xor: return old ^ operand;
            case AtomicKind::Set: return old | operand;
            case AtomicKind::MaxS: return s(old) > s(operand) ? old : operand;
            case AtomicKind::MinS: return s(old) < s(operand) ? old : operand;
            case AtomicKind::MaxU: return old > u ? old : operand;
            case AtomicKind::MinU: return old < u ? old : operand;
            default: return operand;
        }
    }

    uint64_t loaded(uint64_t address) const {
        const uint64_t v = read_bytes(address, unit());
        return inst_->aux & kMemSigned ? cut(sign_extend(v, unit() * 8)) : v;
    }
    jit::V128 loaded_v(uint64_t address) const {
        jit::V128 v{};
        std::memcpy(&v, reinterpret_cast<const void*>(address), unit());
        return v;
    }
    void store_v(uint64_t address, Ref r) const {
        std::memcpy(reinterpret_cast<void*>(address), &values_[r].v, unit());
    }

    uint64_t shifted(Op op) const {
        const unsigned n = arg(1) % width();
        switch (op) {
            case Op::Shl: return arg(0) << n;
            case Op::Shr: return arg(0) >> n;
            case Op::Sar: return static_cast<uint64_t>(signed_arg(0) >> n);
            default: return n == 0 ? arg(0) : arg(0) >> n | arg(0) << (width() - n);
        }
    }

    uint64_t reversed(uint64_t v, unsigned container) const {  // bytes in containers of so many bytes
        uint64_t r = 0;
        for (unsigned b = 0; b < 8; ++b) r |= (v >> (b * 8) & 0xff) << ((b ^ (container - 1)) * 8);
        return r;
    }

    uint64_t integer() const {
        const unsigned lsb = inst_->imm & 0xff, bits = inst_->imm >> 8 & 0xff;
        switch (inst_->op) {
            case Op::Const: return inst_->imm;
            case Op::Add: return arg(0) + arg(1);
            case Op::Sub: return arg(0) - arg(1);
            case Op::And: return arg(0) & arg(1);
            case Op::Or: return arg(0) | arg(1);
            case Op::Xor: return arg(0) ^ arg(1);
            case Op::AndNot: return arg(0) & ~arg(1);
            case Op::OrNot: return arg(0) | ~arg(1);
            case Op::XorNot: return arg(0) ^ ~arg(1);
            case Op::Mul: return arg(0) * arg(1);
            case Op::UMulHigh:
                return static_cast<uint64_t>(static_cast<unsigned __int128>(arg(0)) * arg(1) >> 64);
            case Op::SMulHigh:
                return static_cast<uint64_t>(static_cast<__int128>(signed_arg(0)) * signed_arg(1) >> 64);
            case Op::UDiv: return arg(1) == 0 ? 0 : arg(0) / arg(1);
            case Op::SDiv:
                if (arg(1) == 0) return 0;
                return signed_arg(1) == -1 ? -arg(0) : static_cast<uint64_t>(signed_arg(0) / signed_arg(1));
            case Op::Shl:
            case Op::Shr:
            case Op::Sar:
            case Op::Ror: return shifted(inst_->op);
            case Op::SExt8: return sign_extend(whole(0), 8);
            case Op::SExt16: return sign_extend(whole(0), 16);
            case Op::SExt32: return sign_extend(whole(0), 32);
            case Op::ZExt8: return whole(0) & 0xff;
            case Op::ZExt16: return whole(0) & 0xffff;
            case Op::ZExt32: return whole(0) & 0xffffffff;
            case Op::Clz: return static_cast<uint64_t>(std::countl_zero(arg(0))) - (64 - width());
            case Op::Cls: {
                const uint64_t v = sign_extend(arg(0), width());
                const int same = v >> 63 ? std::countl_one(v) : std::countl_zero(v);
                return static_cast<uint64_t>(same) - 1 - (64 - width());
            }
            case Op::Rbit: {
                uint64_t r = 0;
                for (unsigned b = 0; b < width(); ++b) r |= (arg(0) >> b & 1) << (width() - 1 - b);
                return r;
            }
            case Op::Rev: return reversed(arg(0), width() / 8);
            case Op::Rev16: return reversed(arg(0), 2);
            case Op::Rev32: return reversed(arg(0), 4);
            case Op::Extr: return lsb == 0 ? arg(1) : arg(1) >> lsb | arg(0) << (width() - lsb);
            case Op::BitInsert: {
                const uint64_t mask = (~uint64_t{0} >> (64 - bits)) << lsb;
                return (arg(0) & ~mask) | (arg(1) << lsb & mask);
            }
            case Op::BitExtractU: return arg(0) >> lsb & ~uint64_t{0} >> (64 - bits);
            case Op::BitExtractS: return sign_extend(arg(0) >> lsb, bits);
            case Op::Crc32: return crc();
            case Op::BoolToInt: return whole(0);
            case Op::Adc: return arg(0) + arg(1) + carry();
            case Op::Sbc: return arg(0) + ~arg(1) + carry();
            case Op::Select: return whole(0) ? arg(1) : arg(2);
            default: std::abort();
        }
    }
    unsigned carry() const { return values_[inst_->args[2]].flags >> 29 & 1; }

    /// True when the block was left.
    bool step(Ref r) {
        inst_ = &block_.insts[r];
        const Inst& i = *inst_;
        Value& out = values_[r];
        switch (i.op) {
            case Op::InsnStart:
            case Op::Fence: break;
            case Op::IsZero:
            case Op::IsNotZero: {
                const uint64_t v = i.aux == 32 ? static_cast<uint32_t>(whole(0)) : whole(0);
                out.i = (v == 0) == (i.op == Op::IsZero);
                break;
            }
            case Op::TestBit: out.i = whole(0) >> i.imm & 1; break;
            case Op::Not1: out.i = !whole(0); break;
            case Op::FlagsOf: out.flags = flags_of(block_[i.args[0]]); break;
            case Op::Cond: out.i = holds(values_[i.args[0]].flags, static_cast<unsigned>(i.imm)); break;
            case Op::CondCompare: {
                const bool is_add = i.aux & 1;
                const unsigned bits = i.aux & ~1u;
                out.flags = !whole(0) ? static_cast<uint32_t>(i.imm) << 28
                            : is_add  ? add_flags(whole(1), whole(2), 0, bits)
                                      : add_flags(whole(1), ~whole(2), 1, bits);
                break;
            }
            case Op::FlagsFromNzcv: out.flags = static_cast<uint32_t>(whole(0)) & 0xf0000000; break;
            case Op::NzcvFromFlags: out.i = values_[i.args[0]].flags; break;
            case Op::GetX: out.i = state_.x[i.imm]; break;
            case Op::SetX: state_.x[i.imm] = whole(0); break;
            case Op::GetFlags: out.flags = state_.nzcv; break;
            case Op::SetFlags: state_.nzcv = values_[i.args[0]].flags; break;
            case Op::GetV: out.v = state_.v[i.imm]; break;
            case Op::SetV: state_.v[i.imm] = values_[i.args[0]].v; break;
            case Op::PcRel: out.i = page_ + i.imm; break;
            case Op::Load:
            case Op::LoadEx: out.i = loaded(whole(0)); break;
            case Op::Store: write_bytes(whole(0), whole(1), unit()); break;
            case Op::LoadV: out.v = loaded_v(whole(0)); break;
            case Op::StoreV: store_v(whole(0), i.args[1]); break;
            case Op::LoadPair:
            case Op::LoadExPair:
                out.i = loaded(whole(0));
                out.second = loaded(whole(0) + unit());
                break;
            case Op::LoadPairV:
                out.v = loaded_v(whole(0));
                out.v_second = loaded_v(whole(0) + unit());
                break;
            case Op::PairSecond:
                out.i = values_[i.args[0]].second;
                out.v = values_[i.args[0]].v_second;
                break;
            case Op::StorePair:
                write_bytes(whole(0), whole(1), unit());
                write_bytes(whole(0) + unit(), whole(2), unit());
                break;
            case Op::StorePairV:
                store_v(whole(0), i.args[1]);
                store_v(whole(0) + unit(), i.args[2]);
                break;
            case Op::StoreEx:
            case Op::StoreExPair: out.i = 1; break;  // the monitor is never held
            case Op::AtomicRmw:
                out.i = loaded(whole(0));
                write_bytes(whole(0), atomic_result(out.i, whole(1), unit() * 8), unit());
                break;
            case Op::Cas: {
                const uint64_t mask = ~uint64_t{0} >> (64 - unit() * 8);
                out.i = loaded(whole(0));
                if (out.i == (whole(1) & mask)) write_bytes(whole(0), whole(2), unit());
                break;
            }
            case Op::ExitIf:
                if (whole(0)) return leave(page_ + i.imm);
                break;
            case Op::Exit: return leave(page_ + i.imm);
            case Op::ExitIndirect: return leave(whole(0));
            default: out.i = cut(integer()); break;
        }
        return false;
    }

    bool leave(uint64_t pc) {
        state_.pc = pc;
        return true;
    }

    const Block& block_;
    MachineState& state_;
    std::vector<Value> values_;
    const Inst* inst_ = nullptr;
    uint64_t page_;
};

}  // namespace

bool unsupported(const Block& block) {
    return std::ranges::any_of(block.insts, [](const Inst& i) {
        return std::ranges::find(kSupported, i.op) == std::end(kSupported);
    });
}

void interpret(const Block& block, MachineState& state) { Run(block, state).run(); }

}  // namespace arclight::frontend::a64
