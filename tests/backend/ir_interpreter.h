// The IR's meaning, one instruction after the other: the oracle for emitted code.
#pragma once

#include <bit>
#include <optional>

#include "jit/reference/reference.h"
#include "tests/backend/harness.h"

namespace arclight::backend::testing {

using uint128 = unsigned __int128;

/// Runs a block on `state` and `memory`, which it changes as emitted code should. exit_reason, pc and
/// exit_info of direct and indirect exits are those of a failed lookup; first_site numbers ExitIf and Exit in
/// order.
class Interpreter {
  public:
    Interpreter(GuestState& state, Memory& memory) : s_(state), memory_(memory) {}

    void run(const ir::Block& block) {
        block_ = &block;
        values_.assign(block.insts.size(), V128{});
        offset_ = static_cast<uint32_t>(block.pa & 0xfff);
        s_.exit_request = 0;
        for (ref_ = 0; ref_ < block.insts.size(); ++ref_)
            if (step(block[ref_])) return;
    }

    /// NZCV of a + b + carry.
    static uint32_t nzcv_add(uint64_t a, uint64_t b, unsigned carry, unsigned width) {
        const uint64_t mask = width == 32 ? 0xffff'ffff : ~uint64_t{0};
        a &= mask, b &= mask;
        const uint128 wide = static_cast<uint128>(a) + b + carry;
        const uint64_t r = static_cast<uint64_t>(wide) & mask;
        const bool n = (r >> (width - 1)) != 0, c = wide >> width != 0;
        const bool v = (~(a ^ b) & (a ^ r)) >> (width - 1) & 1;
        return n << 3 | (r == 0) << 2 | c << 1 | static_cast<unsigned>(v);
    }
    static bool holds(unsigned cc, uint32_t nzcv) {
        const bool n = nzcv >> 3 & 1, z = nzcv >> 2 & 1, c = nzcv >> 1 & 1, v = nzcv & 1;
        bool r = false;
        switch (cc >> 1) {
            case 0: r = z; break;
            case 1: r = c; break;
            case 2: r = n; break;
            case 3: r = v; break;
            case 4: r = c && !z; break;
            case 5: r = n == v; break;
            default: r = n == v && !z; break;
        }
        return (cc & 1) != 0 ? !r : r;
    }

  private:
    uint64_t arg(unsigned k) const { return values_[block_->insts[ref_].args[k]].d[0]; }
    V128 varg(unsigned k) const { return values_[block_->insts[ref_].args[k]]; }
    Type type_of_arg(unsigned k) const { return (*block_)[(*block_)[ref_].args[k]].type; }
    void set(uint64_t v) { values_[ref_] = V128{.d = {v, 0}}; }

    uint64_t& x(unsigned k) { return k == 31 ? s_.sp : s_.x[k]; }

    bool leave(jit::ExitReason reason, uint64_t pc) {
        s_.exit_reason = reason;
        s_.pc = pc;
        return true;
    }
    bool exit_to(uint64_t offset) {
        const bool test = offset >= 4096 || offset <= (block_->pa & 0xfff);
        const uint64_t pc = s_.page_base + offset;
        if (test && s_.interrupt.load() != 0) return leave(jit::ExitReason::Interrupt, pc);
        return leave(jit::ExitReason::Lookup, pc);
    }

    bool access(const ir::Inst& i, MemoryKind kind) {
        MemoryAccess a{kind, i.aux, ir::AtomicKind::Add};
        if (kind == MemoryKind::AtomicRmw) a.atomic = static_cast<ir::AtomicKind>(i.imm);
        s_.access_addr = arg(0);
        for (unsigned k = 1; k < i.nargs; ++k) {
            if (a.is_vector()) {
                std::memcpy(&s_.access_value[2 * (k - 1)], &values_[i.args[k]], 16);
            } else {
                s_.access_value[k - 1] = arg(k);
            }
        }
        if (!perform(s_, a, memory_)) {
            leave(jit::ExitReason::Exception, s_.page_base + offset_);
            return true;
        }
        if (a.is_vector()) {
            if (a.reads()) {
                std::memcpy(&values_[ref_], &s_.access_value[0], 16);
                std::memcpy(&second_, &s_.access_value[2], 16);
            }
        } else if (i.type != Type::Void) {
            const auto narrow = [&](uint64_t v) {
                return i.type == Type::I32 ? static_cast<uint32_t>(v) : v;
            };
            set(narrow(s_.access_value[0]));
            second_ = V128{.d = {narrow(s_.access_value[1]), 0}};
        }
        return false;
    }

    bool step(const ir::Inst& i) {
        const bool w = i.type == Type::I32;
        const unsigned width = w ? 32 : 64;
        const auto cut = [&](uint64_t v) { return w ? static_cast<uint32_t>(v) : v; };
        const auto out = [&](uint64_t v) {
            set(cut(v));
            return false;
        };
        const uint64_t a = i.nargs > 0 ? cut(arg(0)) : 0, b = i.nargs > 1 ? cut(arg(1)) : 0;
        const auto sext = [&](uint64_t v, unsigned bits) {
            return static_cast<uint64_t>(static_cast<int64_t>(v << (64 - bits)) >> (64 - bits));
        };
        switch (i.op) {
            case Op::Const: return out(i.imm);
            case Op::Add: flags_ = nzcv_add(a, b, 0, width); return out(a + b);
            case Op::Sub: flags_ = nzcv_add(a, ~b, 1, width); return out(a - b);
            case Op::Adc: {
                const unsigned c = arg(2) >> 1 & 1;
                flags_ = nzcv_add(a, b, c, width);
                return out(a + b + c);
            }
            case Op::Sbc: {
                const unsigned c = arg(2) >> 1 & 1;
                flags_ = nzcv_add(a, ~b, c, width);
                return out(a + ~b + c);
            }
            case Op::And: return logic(a & b, width);
            case Op::Or: return out(a | b);
            case Op::Xor: return out(a ^ b);
            case Op::AndNot: return logic(cut(a & ~b), width);
            case Op::OrNot: return out(a | ~b);
            case Op::XorNot: return out(a ^ ~b);
            case Op::FlagsOf: return out(flags_);
            case Op::Mul: return out(a * b);
            case Op::UMulHigh: return out(static_cast<uint64_t>(static_cast<uint128>(a) * b >> 64));
            case Op::SMulHigh:
                return out(static_cast<uint64_t>(
                    static_cast<__int128>(static_cast<int64_t>(a)) * static_cast<int64_t>(b) >> 64));
            case Op::UDiv: return out(b == 0 ? 0 : a / b);
            case Op::SDiv: {
                const int64_t p = static_cast<int64_t>(sext(a, width)),
                              q = static_cast<int64_t>(sext(b, width));
                if (q == 0) return out(0);
                if (q == -1) return out(0 - a);
                return out(static_cast<uint64_t>(p / q));
            }
            case Op::Shl: return out(a << (b % width));
            case Op::Shr: return out(a >> (b % width));
            case Op::Sar:
                return out(static_cast<uint64_t>(static_cast<int64_t>(sext(a, width)) >> (b % width)));
            case Op::Ror: return out(rotate(a, static_cast<unsigned>(b % width), width));
            case Op::SExt8: return out(sext(arg(0), 8));
            case Op::SExt16: return out(sext(arg(0), 16));
            case Op::SExt32: return out(sext(arg(0), 32));
            case Op::ZExt8: return out(arg(0) & 0xff);
            case Op::ZExt16: return out(arg(0) & 0xffff);
            case Op::ZExt32: return out(arg(0) & 0xffff'ffff);
            case Op::Clz: return out(static_cast<unsigned>(std::countl_zero(a)) - (64 - width));
            case Op::Cls: {
                const int64_t v = static_cast<int64_t>(sext(a, width));
                const uint64_t u = static_cast<uint64_t>(v < 0 ? ~v : v);
                return out(static_cast<unsigned>(std::countl_zero(u)) - (64 - width) - 1);
            }
            case Op::Rbit: {
                uint64_t r = 0;
                for (unsigned k = 0; k < width; ++k) r |= (a >> k & 1) << (width - 1 - k);
                return out(r);
            }
            case Op::Rev: return out(w ? __builtin_bswap32(static_cast<uint32_t>(a)) : __builtin_bswap64(a));
            case Op::Rev16: return out((a & 0x00ff'00ff'00ff'00ff) << 8 | (a >> 8 & 0x00ff'00ff'00ff'00ff));
            case Op::Rev32: return out(rotate(__builtin_bswap64(a), 32, 64));
            case Op::Extr: return out(i.imm == 0 ? b : b >> i.imm | a << (width - i.imm));
            case Op::BitInsert: {
                const unsigned lsb = i.imm & 0xff, n = i.imm >> 8 & 0xff;
                const uint64_t mask = (n == 64 ? ~uint64_t{0} : (uint64_t{1} << n) - 1) << lsb;
                return out((a & ~mask) | (b << lsb & mask));
            }
            case Op::BitExtractU: {
                const unsigned lsb = i.imm & 0xff, n = i.imm >> 8 & 0xff;
                return out(a >> lsb & (n == 64 ? ~uint64_t{0} : (uint64_t{1} << n) - 1));
            }
            case Op::BitExtractS: return out(sext(a >> (i.imm & 0xff), i.imm >> 8 & 0xff));
            case Op::Crc32: {
                const uint32_t poly = (i.aux & 8) != 0 ? 0x82f6'3b78 : 0xedb8'8320;
                uint32_t crc = static_cast<uint32_t>(arg(0));
                const unsigned bytes = 1u << (i.aux & 3);
                for (unsigned k = 0; k < bytes; ++k) {
                    crc ^= static_cast<uint8_t>(arg(1) >> (8 * k));
                    for (int j = 0; j < 8; ++j) crc = crc >> 1 ^ ((crc & 1) != 0 ? poly : 0);
                }
                return out(crc);
            }
            case Op::Select: {
                values_[ref_] = arg(0) != 0 ? varg(1) : varg(2);
                if (w) values_[ref_].d[0] = static_cast<uint32_t>(values_[ref_].d[0]);
                return false;
            }
            case Op::BoolToInt: return out(arg(0));
            case Op::IsZero: return out((i.aux == 32 ? static_cast<uint32_t>(arg(0)) : arg(0)) == 0);
            case Op::IsNotZero: return out((i.aux == 32 ? static_cast<uint32_t>(arg(0)) : arg(0)) != 0);
            case Op::TestBit: return out(arg(0) >> i.imm & 1);
            case Op::Not1: return out(arg(0) ^ 1);
            case Op::Cond: return out(holds(static_cast<unsigned>(i.imm), static_cast<uint32_t>(arg(0))));
            case Op::CondCompare: {
                const unsigned bits = i.aux & ~1u;
                if (arg(0) == 0) return out(i.imm & 15);
                return out((i.aux & 1) != 0 ? nzcv_add(arg(1), arg(2), 0, bits)
                                            : nzcv_add(arg(1), ~arg(2), 1, bits));
            }
            case Op::FlagsFromNzcv: return out(arg(0) >> 28 & 15);
            case Op::NzcvFromFlags: return out(arg(0) << 28);
            case Op::GetX: return out(x(static_cast<unsigned>(i.imm)));
            case Op::SetX: x(static_cast<unsigned>(i.imm)) = arg(0); return false;
            case Op::GetFlags: return out(jit::nzcv_from_flags(s_.flags) >> 28);
            case Op::SetFlags:
                s_.flags = jit::flags_from_nzcv(static_cast<uint32_t>(arg(0)) << 28);
                return false;
            case Op::GetV: values_[ref_] = s_.v[i.imm]; return false;
            case Op::SetV: {
                V128 v = varg(0);
                if (type_of_arg(0) == Type::F32) v = V128{.s = {v.s[0], 0, 0, 0}};
                if (type_of_arg(0) == Type::F64) v.d[1] = 0;
                s_.v[i.imm] = v;
                return false;
            }
            case Op::LoadField:
                values_[ref_] = V128{};
                std::memcpy(&values_[ref_], reinterpret_cast<char*>(&s_) + i.imm,
                            i.type == Type::V128 ? 16 : width / 8);
                return false;
            case Op::StoreField: {
                const V128 v = varg(0);
                std::memcpy(reinterpret_cast<char*>(&s_) + i.imm, &v, i.aux);
                return false;
            }
            case Op::PcRel: return out(s_.page_base + i.imm);
            case Op::Load: return access(i, MemoryKind::Load);
            case Op::Store: return access(i, MemoryKind::Store);
            case Op::LoadV: return access(i, MemoryKind::LoadV);
            case Op::StoreV: return access(i, MemoryKind::StoreV);
            case Op::LoadPair: return access(i, MemoryKind::LoadPair);
            case Op::LoadPairV: return access(i, MemoryKind::LoadPairV);
            case Op::PairSecond: values_[ref_] = second_; return false;
            case Op::StorePair: return access(i, MemoryKind::StorePair);
            case Op::StorePairV: return access(i, MemoryKind::StorePairV);
            case Op::LoadEx:
            case Op::LoadExPair: {
                if (access(i, i.op == Op::LoadEx ? MemoryKind::LoadEx : MemoryKind::LoadExPair)) return true;
                s_.exclusive_addr = arg(0);
                s_.exclusive_value[0] = values_[ref_].d[0], s_.exclusive_value[1] = second_.d[0];
                return false;
            }
            case Op::StoreEx:
            case Op::StoreExPair: {
                set(1);
                if (s_.exclusive_addr == arg(0) &&
                    access(i, i.op == Op::StoreEx ? MemoryKind::StoreEx : MemoryKind::StoreExPair))
                    return true;
                s_.exclusive_addr = jit::kNoExclusive;
                return false;
            }
            case Op::AtomicRmw: return access(i, MemoryKind::AtomicRmw);
            case Op::Cas: return access(i, MemoryKind::Cas);
            case Op::ZeroBlock: return access(i, MemoryKind::ZeroBlock);
            case Op::CheckStack: return (arg(0) & 15) != 0 && access(i, MemoryKind::CheckStack);
            case Op::Fence: return false;
            case Op::InsnStart: offset_ = static_cast<uint32_t>(i.imm); return false;
            case Op::ExitIf: return arg(0) != 0 && exit_to(i.imm);
            case Op::Exit: return exit_to(i.imm);
            case Op::ExitIndirect:
                return leave(s_.interrupt.load() != 0 ? jit::ExitReason::Interrupt : jit::ExitReason::Lookup,
                             arg(0));
            case Op::ExitRuntime:
                s_.exit_info = static_cast<uint32_t>(i.imm >> 32);
                return leave(static_cast<jit::ExitReason>(i.imm & 0xffff'ffff), s_.page_base + offset_);
            case Op::CallRuntime: {
                s_.insn_offset = offset_;
                uint64_t p[3] = {};
                for (unsigned k = 0; k < i.nargs; ++k) p[k] = arg(k);
                const auto fn =
                    reinterpret_cast<HelperFn>(const_cast<void*>(s_.runtime.entry[kFirstHelper + i.imm]));
                set(fn(s_, p[0], p[1], p[2]));
                return s_.exit_request != 0 || (i.aux & ir::kCallEndsBlock) != 0;
            }
            case Op::IntToF: return out(w || i.type == Type::F32 ? static_cast<uint32_t>(arg(0)) : arg(0));
            case Op::FToInt: return out(arg(0));
            default: return reference(i);
        }
    }

    bool reference(const ir::Inst& i) {
        jit::VectorCall& call = s_.vector_call;
        V128* const operands[3] = {&call.a, &call.b, &call.c};
        for (unsigned k = 0; k < i.nargs; ++k) *operands[k] = varg(k);
        jit::describe(call, i);
        jit::reference_function(i.op)(s_, call);
        values_[ref_] = call.out;
        if (i.type == Type::Flags) set(jit::nzcv_from_flags(call.out.d[0]) >> 28);
        return false;
    }

    bool logic(uint64_t r, unsigned width) {
        flags_ = (r >> (width - 1) & 1) << 3 | static_cast<unsigned>(r == 0) << 2;
        set(r);
        return false;
    }
    static uint64_t rotate(uint64_t v, unsigned count, unsigned width) {
        if (count == 0) return v;
        return v >> count | v << (width - count);
    }

    GuestState& s_;
    Memory& memory_;
    const ir::Block* block_ = nullptr;
    std::vector<V128> values_;
    V128 second_{};
    Ref ref_ = 0;
    uint32_t offset_ = 0;
    uint32_t flags_ = 0;  ///< of the last operation, for FlagsOf
};

/// Sets the guest up, runs `block` both ways from the same state and compares everything a guest can see.
class Comparison {
  public:
    explicit Comparison(Harness& h) : h_(h) {}

    /// Empty if emitted code and the interpreter agree.
    std::string run(const ir::Block& block) {
        const CompiledBlock compiled = h_.compile(block);
        if (!compiled) return "not compiled\n" + ir::print(block);
        return run(block, compiled);
    }

    std::string run(const ir::Block& block, const CompiledBlock& compiled) {
        GuestState& s = h_.state();
        auto before = std::make_unique<GuestState>();
        auto model = std::make_unique<Memory>();
        copy(*before, s);
        std::memcpy(model->bytes, h_.memory.bytes, sizeof model->bytes);
        auto expected = std::make_unique<GuestState>();
        copy(*expected, s);
        expected->page_base = s.pc & mmu::kPageMask;
        Interpreter(*expected, *model).run(block);
        h_.run(compiled);

        std::string wrong;
        const auto check = [&](const std::string& what, uint64_t want, uint64_t got) {
            if (want != got) wrong += what + ": expected " + hex(want) + ", is " + hex(got) + "\n";
        };
        for (unsigned k = 0; k < 31; ++k) check("x" + std::to_string(k), expected->x[k], s.x[k]);
        check("sp", expected->sp, s.sp);
        check("nzcv", jit::nzcv_from_flags(expected->flags), jit::nzcv_from_flags(s.flags));
        for (unsigned k = 0; k < 32; ++k)
            for (unsigned d = 0; d < 2; ++d)
                check("v" + std::to_string(k) + "." + std::to_string(d), expected->v[k].d[d], s.v[k].d[d]);
        check("pc", expected->pc, s.pc);
        check("reason", static_cast<uint64_t>(expected->exit_reason), static_cast<uint64_t>(s.exit_reason));
        check("monitor", expected->exclusive_addr, s.exclusive_addr);
        check("tpidr", expected->tpidr_el0, s.tpidr_el0);
        check("memory", 0,
              static_cast<uint64_t>(std::memcmp(model->bytes, h_.memory.bytes, sizeof model->bytes) != 0));
        if (!wrong.empty()) wrong += ir::print(block) + h_.listing(compiled) + initial(*before);
        return wrong;
    }

    static void copy(GuestState& to, const GuestState& from) {
        std::memcpy(static_cast<void*>(&to), static_cast<const void*>(&from), sizeof to);
    }
    static std::string hex(uint64_t v) {
        char text[20];
        std::snprintf(text, sizeof text, "%#llx", static_cast<unsigned long long>(v));
        return text;
    }

  private:
    static std::string initial(const GuestState& s) {
        std::string text = "initially nzcv=" + hex(jit::nzcv_from_flags(s.flags)) + " sp=" + hex(s.sp);
        for (unsigned k = 0; k < 31; ++k) text += " x" + std::to_string(k) + "=" + hex(s.x[k]);
        return text + "\n";
    }
    Harness& h_;
};

}  // namespace arclight::backend::testing
