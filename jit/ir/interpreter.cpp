#include "jit/ir/interpreter.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "jit/ir/condition.h"
#include "jit/ir/scalable.h"
#include "jit/reference/reference.h"
#include "jit/runtime_entries.h"

namespace arclight::jit::ir {

namespace {
uint64_t rotate(uint64_t v, unsigned count, unsigned width) {
    if (count == 0) return v;
    return v >> count | v << (width - count);
}
}  // namespace

void Interpreter::run(const Block& block) {
    block_ = &block;
    values_.assign(block.insts.size(), V128{});
    state_.insn_offset = static_cast<uint32_t>(block.pa & (kPageSize - 1));
    state_.exit_request = 0;
    for (ref_ = 0; ref_ < block.insts.size(); ++ref_)
        if (step(block[ref_])) return;
}

Interpreter::PointerCode Interpreter::pointer_code(uint64_t pointer, uint64_t modifier, uint32_t key) const {
    const auto& masks = state_.pac_key_masks[key];
    const uint64_t mask = masks[0] ^ ((pointer >> 55 & 1) != 0 ? masks[1] : 0);
    const auto& [low, high] = state_.pac_keys[key];
    const unsigned __int128 product =
        static_cast<unsigned __int128>((pointer & ~mask) ^ low) * (modifier ^ high);
    return {mask, static_cast<uint64_t>(product ^ product >> 64) & mask};
}

bool Interpreter::leave(ExitReason reason, uint64_t pc) {
    state_.exit_reason = reason;
    state_.pc = pc;
    state_.exit_info = kNoLinkSlot;
    return true;
}

bool Interpreter::exit_to(uint64_t offset) {
    const bool test = static_cast<int64_t>(offset) <= static_cast<int64_t>(block_->pa & (kPageSize - 1));
    const uint64_t pc = state_.page_base + offset;
    if (test && state_.interrupt.load() != 0) return leave(ExitReason::Interrupt, pc);
    return leave(ExitReason::Lookup, pc);
}

/// False: no side path begins at this exit.
bool Interpreter::enter_side() {
    const auto side = std::ranges::find(block_->sides, ref_, &SidePath::exit);
    if (side == block_->sides.end()) return false;
    ref_ = side->begin - 1;
    return true;
}

bool Interpreter::access(const Inst& i, MemoryKind kind) {
    MemoryAccess access{kind, i.aux, AtomicKind::Add};
    if (kind == MemoryKind::AtomicRmw) access.atomic = static_cast<AtomicKind>(i.imm);
    state_.access_addr = arg(0);
    for (unsigned k = 1; k < i.nargs; ++k) {
        if (access.is_vector()) {
            std::memcpy(&state_.access_value[2 * (k - 1)], &values_[i.args[k]], 16);
        } else {
            state_.access_value[k - 1] = arg(k);
        }
    }
    if (!memory_.access(state_, access)) return true;
    if (access.is_vector()) {
        if (access.reads()) {
            std::memcpy(&values_[ref_], &state_.access_value[0], 16);
            std::memcpy(&second_, &state_.access_value[2], 16);
        }
    } else if (i.type != Type::Void) {
        const auto narrow = [&](uint64_t v) { return i.type == Type::I32 ? static_cast<uint32_t>(v) : v; };
        set(narrow(state_.access_value[0]));
        second_ = V128{.d = {narrow(state_.access_value[1]), 0}};
    }
    return false;
}

bool Interpreter::step(const Inst& i) {
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
        case Op::Add: flags_ = nzcv_of_sum(a, b, 0, width); return out(a + b);
        case Op::Sub: flags_ = nzcv_of_sum(a, ~b, 1, width); return out(a - b);
        case Op::Adc: {
            const unsigned c = arg(2) >> 1 & 1;
            flags_ = nzcv_of_sum(a, b, c, width);
            return out(a + b + c);
        }
        case Op::Sbc: {
            const unsigned c = arg(2) >> 1 & 1;
            flags_ = nzcv_of_sum(a, ~b, c, width);
            return out(a + ~b + c);
        }
        case Op::And: return set_logic(a & b, width);
        case Op::Or: return out(a | b);
        case Op::Xor: return out(a ^ b);
        case Op::AndNot: return set_logic(cut(a & ~b), width);
        case Op::OrNot: return out(a | ~b);
        case Op::XorNot: return out(a ^ ~b);
        case Op::FlagsOf: return out(flags_);
        case Op::Mul: return out(a * b);
        case Op::UMulHigh: return out(static_cast<uint64_t>(static_cast<unsigned __int128>(a) * b >> 64));
        case Op::SMulHigh:
            return out(static_cast<uint64_t>(
                static_cast<__int128>(static_cast<int64_t>(a)) * static_cast<int64_t>(b) >> 64));
        case Op::SignPointer: return out(a ^ pointer_code(a, b, i.aux).code);
        case Op::AuthPointer: {
            const PointerCode c = pointer_code(a, b, i.aux);
            set(a ^ c.code);
            const uint64_t copies = (a >> 55 & 1) != 0 ? ~uint64_t{0} : 0;
            return ((a ^ c.code ^ copies) & c.mask) != 0 && access(i, MemoryKind::CheckZero);
        }
        case Op::UDiv: return out(b == 0 ? 0 : a / b);
        case Op::SDiv: {
            const int64_t p = static_cast<int64_t>(sext(a, width)), q = static_cast<int64_t>(sext(b, width));
            if (q == 0) return out(0);
            if (q == -1) return out(0 - a);
            return out(static_cast<uint64_t>(p / q));
        }
        case Op::Shl: return out(a << (b % width));
        case Op::Shr: return out(a >> (b % width));
        case Op::Sar: return out(static_cast<uint64_t>(static_cast<int64_t>(sext(a, width)) >> (b % width)));
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
            values_[ref_] = arg(0) != 0 ? vector_arg(1) : vector_arg(2);
            if (w) values_[ref_].d[0] = static_cast<uint32_t>(values_[ref_].d[0]);
            return false;
        }
        case Op::BoolToInt: return out(arg(0));
        case Op::IsZero: return out((i.aux == 32 ? static_cast<uint32_t>(arg(0)) : arg(0)) == 0);
        case Op::IsNotZero: return out((i.aux == 32 ? static_cast<uint32_t>(arg(0)) : arg(0)) != 0);
        case Op::TestBit: return out(arg(0) >> i.imm & 1);
        case Op::Not1: return out(arg(0) ^ 1);
        case Op::Cond:
            return out(condition_holds(static_cast<unsigned>(i.imm), static_cast<unsigned>(arg(0))));
        case Op::CondCompare: {
            const unsigned bits = i.aux & ~1u;
            if (arg(0) == 0) return out(i.imm & 15);
            return out((i.aux & 1) != 0 ? nzcv_of_sum(arg(1), arg(2), 0, bits)
                                        : nzcv_of_sum(arg(1), ~arg(2), 1, bits));
        }
        case Op::FlagsFromNzcv: return out(arg(0) >> 28 & 15);
        case Op::NzcvFromFlags: return out(arg(0) << 28);
        case Op::GetX: return out(x(static_cast<unsigned>(i.imm)));
        case Op::SetX: x(static_cast<unsigned>(i.imm)) = arg(0); return false;
        case Op::GetFlags: return out(nzcv_from_flags(state_.flags) >> 28);
        case Op::SetFlags: state_.flags = flags_from_nzcv(static_cast<uint32_t>(arg(0)) << 28); return false;
        case Op::GetV: values_[ref_] = state_.v[i.imm]; return false;
        case Op::SetV: {
            V128 v = vector_arg(0);
            if (type_of_arg(0) == Type::F32) v = V128{.s = {v.s[0], 0, 0, 0}};
            if (type_of_arg(0) == Type::F64) v.d[1] = 0;
            state_.v[i.imm] = v;
            return false;
        }
        case Op::LoadField:
            values_[ref_] = V128{};
            std::memcpy(&values_[ref_], reinterpret_cast<char*>(&state_) + i.imm,
                        i.type == Type::V128 ? 16 : width / 8);
            return false;
        case Op::StoreField: {
            const V128 v[4] = {vector_arg(0)};
            std::memcpy(reinterpret_cast<char*>(&state_) + i.imm, v, i.aux);
            return false;
        }
        case Op::PcRel: return out(state_.page_base + i.imm);
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
            state_.exclusive_addr = arg(0);
            state_.exclusive_value[0] = values_[ref_].d[0], state_.exclusive_value[1] = second_.d[0];
            return false;
        }
        case Op::StoreEx:
        case Op::StoreExPair: {
            set(1);
            if (state_.exclusive_addr == arg(0) &&
                access(i, i.op == Op::StoreEx ? MemoryKind::StoreEx : MemoryKind::StoreExPair))
                return true;
            state_.exclusive_addr = kNoExclusive;
            return false;
        }
        case Op::AtomicRmw: return access(i, MemoryKind::AtomicRmw);
        case Op::Cas: return access(i, MemoryKind::Cas);
        case Op::ZeroBlock: return access(i, MemoryKind::ZeroBlock);
        case Op::CheckStack: return (arg(0) & 15) != 0 && access(i, MemoryKind::CheckStack);
        case Op::CheckZero: return arg(0) != 0 && access(i, MemoryKind::CheckZero);
        case Op::Fence: return false;
        case Op::InsnStart: state_.insn_offset = static_cast<uint32_t>(i.imm); return false;
        case Op::ExitIf: return arg(0) != 0 && !enter_side() && exit_to(i.imm);
        case Op::Exit: return exit_to(i.imm);
        case Op::EnterPage: state_.page_base += i.imm & kPageMask; return false;
        case Op::ExitIndirectIf:
            if (arg(0) == 0) return false;
            leave(state_.interrupt.load() != 0 ? ExitReason::Interrupt : ExitReason::Lookup, arg(1));
            state_.exit_info = kIndirectExit | i.aux;
            return true;
        case Op::ExitIndirect:
            leave(state_.interrupt.load() != 0 ? ExitReason::Interrupt : ExitReason::Lookup, arg(0));
            state_.exit_info = kIndirectExit | i.aux;
            return true;
        case Op::ExitRuntime:
            leave(static_cast<ExitReason>(i.imm & 0xffff'ffff), state_.page_base + state_.insn_offset);
            state_.exit_info = static_cast<uint32_t>(i.imm >> 32);
            return true;
        case Op::CallRuntime: {
            if (const uint32_t field = call_condition(i.aux); field != 0) {
                uint32_t wanted;
                std::memcpy(&wanted, reinterpret_cast<const uint8_t*>(&state_) + field, sizeof wanted);
                if (wanted == 0) return false;
            }
            uint64_t p[3] = {};
            for (unsigned k = 0; k < i.nargs; ++k) p[k] = arg(k);
            const auto fn =
                reinterpret_cast<HelperFn>(const_cast<void*>(state_.runtime.entry[kFirstHelper + i.imm]));
            set(fn(state_, p[0], p[1], p[2]));
            return state_.exit_request != 0 || (i.aux & kCallEndsBlock) != 0;
        }
        case Op::Scalable:
        case Op::ScalableAccess: {
            const auto fn = reinterpret_cast<HelperFn>(
                const_cast<void*>(state_.runtime.entry[kFirstHelper + scalable_id(i.aux)]));
            fn(state_, arg(0), arg(1), 0);
            return state_.exit_request != 0;
        }
        case Op::MemoryLoop:
            if (arg(0) != 0)
                reinterpret_cast<HelperFn>(const_cast<void*>(state_.runtime.entry[kMemoryLoop]))(state_,
                                                                                                 i.imm, 0, 0);
            return false;
        case Op::IntToF: return out(w || i.type == Type::F32 ? static_cast<uint32_t>(arg(0)) : arg(0));
        case Op::FToInt: return out(arg(0));
        default: return reference(i);
    }
}

bool Interpreter::reference(const Inst& i) {
    VectorCall& call = state_.vector_call;
    V128* const operands[3] = {&call.a, &call.b, &call.c};
    for (unsigned k = 0; k < i.nargs; ++k) *operands[k] = vector_arg(k);
    describe(call, i);
    reference_function(i.op)(state_, call);
    values_[ref_] = call.out;
    if (i.type == Type::Flags) set(nzcv_from_flags(call.out.d[0]) >> 28);
    return false;
}

bool Interpreter::set_logic(uint64_t result, unsigned width) {
    flags_ = (result >> (width - 1) & 1) << 3 | static_cast<unsigned>(result == 0) << 2;
    set(result);
    return false;
}

bool SlowPathMemory::access(GuestState& state, const MemoryAccess& access) {
    const auto fn = reinterpret_cast<MemorySlowFn>(const_cast<void*>(state.runtime.entry[kMemorySlow]));
    fn(state, access.pack(), nullptr);
    return state.exit_request == 0;
}

uint64_t interpret_block(GuestState& state, uint64_t block, uint64_t, uint64_t) {
    SlowPathMemory memory;
    Interpreter(state, memory).run(*reinterpret_cast<const Block*>(block));
    return 0;
}

}  // namespace arclight::jit::ir
