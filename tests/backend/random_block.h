// Random well-formed IR blocks, the kind that a frontend makes and worse.
#pragma once

#include <random>

#include "tests/backend/harness.h"

namespace arclight::backend::testing {

class BlockGenerator {
  public:
    explicit BlockGenerator(uint64_t seed) : random_(seed) {}

    /// With up to so many side paths.
    ir::Block make(unsigned sides = 0) {
        const uint32_t offset = pick(4) == 0 ? 4 * pick(1024) : 0;
        ir::Block block = block_at(offset, pick(2) == 0 ? 1u << 8 : 0);
        ir::Builder b(block);
        b_ = &b;
        ints_.clear(), vecs_.clear(), flags_.clear(), exits_.clear();
        forward_ = pick(8) != 0;
        registers_ = 2 + pick(30);
        memory_ = pick(3) != 0;
        statements(offset, 1 + pick(1u << (1 + pick(6))));
        for (unsigned side = 1; side <= sides && !exits_.empty(); ++side) {
            const uint32_t from = pick(static_cast<uint32_t>(exits_.size()));
            const Known known = exits_[from];
            exits_.erase(exits_.begin() + from);
            block.sides.push_back({known.exit, static_cast<Ref>(block.insts.size())});
            ints_ = known.ints, vecs_ = known.vecs, flags_ = known.flags;
            b.set_registers(known.registers);
            statements(offset + 0x400 * side, 1 + pick(1u << (1 + pick(4))));
        }
        return block;
    }

    /// Registers often hold addresses in or near guest memory.
    uint64_t register_value() {
        switch (pick(6)) {
            case 0: return Memory::kBase + pick(Memory::kPages * 4096 + 64);
            case 1: return Memory::kBase + 16 * pick(Memory::kPages * 256);
            case 2: return random_() >> pick(64);
            case 3: return ~(random_() >> pick(64));
            case 4: return uint64_t{1} << pick(64);
            default: return random_();
        }
    }
    uint64_t bits() { return random_(); }
    uint32_t pick(uint32_t n) { return static_cast<uint32_t>(random_() % n); }

  private:
    /// A path to its end.
    void statements(uint32_t offset, unsigned count) {
        for (unsigned k = 0; k < count; ++k) {
            b_->insn_start((offset + 4 * k) & 0xffc, 0);
            const unsigned parts = 1 + pick(4);
            for (unsigned p = 0; p < parts; ++p) statement();
        }
        finish();
    }
    /// A side path may begin there.
    void exit_if() {
        const Ref exit = b_->emit(Op::ExitIf, Type::Void, {condition()}, target());
        exits_.push_back({exit, ints_, vecs_, flags_, b_->registers()});
    }

    Type int_type() { return pick(2) == 0 ? Type::I32 : Type::I64; }

    Ref integer() {
        const unsigned how = pick(10);
        if (how < 4 && !ints_.empty())
            return ints_[ints_.size() - 1 - pick(static_cast<uint32_t>(std::min<size_t>(ints_.size(), 24)))];
        if (how < 6) return b_->constant(int_type(), constant());
        return get_x();
    }
    uint64_t constant() {
        switch (pick(5)) {
            case 0: return pick(64);
            case 1: return 0 - uint64_t{pick(200)};
            case 2: return random_() >> pick(64);
            case 3: return 0;
            default: return random_();
        }
    }
    Ref get_x() {
        const unsigned r = pick(registers_);
        return forward_ ? b_->get_x(r) : b_->emit(Op::GetX, Type::I64, {}, r);
    }
    Ref keep(Ref r) {
        ints_.push_back(r);
        return r;
    }
    Ref vector() {
        if (pick(2) == 0 && !vecs_.empty()) return vecs_[pick(static_cast<uint32_t>(vecs_.size()))];
        return b_->get_v(Type::V128, pick(registers_));
    }
    Ref flags() {
        if (pick(6) == 0 && !flags_.empty())
            return flags_[flags_.size() - 1 -
                          pick(static_cast<uint32_t>(std::min<size_t>(flags_.size(), 3)))];
        return b_->get_flags();
    }
    Ref condition() {
        Ref c = 0;
        switch (pick(6)) {
            case 0: c = b_->emit(Op::IsZero, Type::I1, {integer()}, 0, pick(2) == 0 ? 32 : 64); break;
            case 1: c = b_->emit(Op::IsNotZero, Type::I1, {integer()}, 0, pick(2) == 0 ? 32 : 64); break;
            case 2: c = b_->emit(Op::TestBit, Type::I1, {integer()}, pick(64)); break;
            default: c = b_->emit(Op::Cond, Type::I1, {flags()}, pick(14)); break;
        }
        if (pick(5) == 0) c = b_->emit(Op::Not1, Type::I1, {c});
        return c;
    }

    void statement() {
        ir::Builder& b = *b_;
        const Type t = int_type();
        const unsigned width = t == Type::I32 ? 32 : 64;
        switch (pick(memory_ ? 30 : 22)) {
            case 0:
            case 1:
            case 2: {
                static constexpr Op kOps[] = {Op::Add,   Op::Sub,    Op::And, Op::Or,   Op::Xor,  Op::AndNot,
                                              Op::OrNot, Op::XorNot, Op::Mul, Op::UDiv, Op::SDiv, Op::Shl,
                                              Op::Shr,   Op::Sar,    Op::Ror, Op::Add,  Op::Sub};
                keep(b.emit(kOps[pick(std::size(kOps))], t, {integer(), integer()}));
                break;
            }
            case 3:
                keep(b.emit(pick(2) == 0 ? Op::UMulHigh : Op::SMulHigh, Type::I64, {integer(), integer()}));
                break;
            case 4: {
                static constexpr Op kOps[] = {Op::SExt8, Op::SExt16, Op::ZExt8, Op::ZExt16, Op::Clz,
                                              Op::Cls,   Op::Rbit,   Op::Rev,   Op::Rev16};
                keep(b.emit(kOps[pick(std::size(kOps))], t, {integer()}));
                break;
            }
            case 5: {
                static constexpr Op kOps[] = {Op::SExt32, Op::ZExt32, Op::Rev32};
                keep(b.emit(kOps[pick(std::size(kOps))], Type::I64, {integer()}));
                break;
            }
            case 6: {
                const unsigned lsb = pick(width), n = 1 + pick(width - lsb);
                if (pick(2) == 0) {
                    keep(b.emit(Op::BitInsert, t, {integer(), integer()}, lsb | n << 8));
                } else {
                    keep(b.emit(pick(2) == 0 ? Op::BitExtractU : Op::BitExtractS, t, {integer()},
                                lsb | n << 8));
                }
                break;
            }
            case 7: keep(b.emit(Op::Extr, t, {integer(), integer()}, pick(width))); break;
            case 8: keep(b.select(t, condition(), integer(), integer())); break;
            case 9: keep(b.emit(Op::BoolToInt, t, {condition()})); break;
            case 10:
            case 11:
            case 12: {
                static constexpr Op kOps[] = {Op::Add, Op::Sub, Op::And, Op::AndNot, Op::Sub};
                const Ref r = b.emit(kOps[pick(std::size(kOps))], t, {integer(), integer()});
                flag_setter(b.flags_of(r));
                if (pick(2) == 0) set_x(keep(r));
                break;
            }
            case 13: {
                const Ref x = integer(), y = integer();
                const Ref r = b.emit(pick(2) == 0 ? Op::Adc : Op::Sbc, t, {x, y, flags()});
                if (pick(2) == 0) flag_setter(b.flags_of(r));
                keep(r);
                break;
            }
            case 14: {
                const Ref c = condition(), x = integer(), y = integer();
                flag_setter(b.emit(Op::CondCompare, Type::Flags, {c, x, y}, pick(16), width | pick(2)));
                break;
            }
            case 15:
                if (pick(2) == 0) {
                    flag_setter(b.emit(Op::FlagsFromNzcv, Type::Flags, {integer()}));
                } else {
                    keep(b.emit(Op::NzcvFromFlags, Type::I64, {flags()}));
                }
                break;
            case 16:
            case 17:
            case 18: set_x(integer()); break;
            case 19: vector_statement(); break;
            case 20: rare_statement(); break;
            case 21: exit_if(); break;
            default: access(); break;
        }
    }

    void flag_setter(Ref f) {
        flags_.push_back(f);
        if (pick(4) != 0) b_->set_flags(f);
    }
    void set_x(Ref r) { b_->set_x(pick(registers_), r); }

    void vector_statement() {
        ir::Builder& b = *b_;
        switch (pick(9)) {
            case 0:
            case 1:
                vecs_.push_back(b.emit(Op::VAdd, Type::V128, {vector(), vector()}, 0, ir::vec_aux(pick(4))));
                break;
            case 2: b.set_v(pick(registers_), vector()); break;
            case 3: vecs_.push_back(b.select(Type::V128, condition(), vector(), vector())); break;
            case 4: {
                const Type t = pick(2) == 0 ? Type::F32 : Type::F64;
                b.set_v(pick(registers_), b.emit(Op::IntToF, t, {integer()}));
                break;
            }
            case 5: keep(b.emit(Op::FToInt, int_type(), {vector()})); break;
            case 6: {
                const unsigned size = 2 + pick(2);
                flag_setter(b.emit(Op::FCmp, Type::Flags, {vector(), vector()}, 0, size | (pick(2) << 4)));
                break;
            }
            case 7: {
                const Type t = pick(2) == 0 ? Type::F32 : Type::F64;
                b.set_v(pick(registers_), b.emit(Op::FAdd, t, {vector(), vector()}));
                break;
            }
            default: vecs_.push_back(b.emit(Op::VXor, Type::V128, {vector(), vector()})); break;
        }
    }

    void rare_statement() {
        ir::Builder& b = *b_;
        switch (pick(6)) {
            case 0: keep(b.call(Type::I64, kHash, {integer(), integer(), integer()}, 0)); break;
            case 1: {
                // Values of before the call, also those that only guest registers hold, may be used after it.
                const Ref r = b.call(Type::I64, kSystem, {integer(), integer(), integer()}, ir::kCallSystem);
                flags_.clear();
                keep(r);
                break;
            }
            case 2: keep(b.call(Type::I64, kMaybeRaise, {integer()}, ir::kCallMayRaise)); break;
            case 3:
                if (pick(3) == 0) {
                    const Ref zeros = b.emit(Op::VConst, Type::V128, {}, 0, ir::vec_aux(3));
                    b.store_field(zeros,
                                  offsetof(GuestState, z_upper) + pick(32) * sizeof(jit::ScalableUpper),
                                  sizeof(jit::ScalableUpper));
                } else {
                    b.store_field(integer(), offsetof(GuestState, tpidr_el0), pick(2) == 0 ? 8 : 4);
                }
                break;
            case 4: keep(b.load_field(int_type(), offsetof(GuestState, tpidr_el0))); break;
            default:
                keep(b.emit(Op::PcRel, Type::I64, {},
                            static_cast<uint64_t>(static_cast<int64_t>(random_()) >> (20 + pick(40)))));
                break;
        }
    }

    Ref address(unsigned bytes, bool aligned) {
        ir::Builder& b = *b_;
        // Mostly valid: somewhere in memory, often across pages.
        if (pick(4) == 0) return get_x();
        uint64_t mask = pick(2) == 0 ? 0x1fff : 0x3fff;
        if (aligned && pick(16) != 0) mask &= ~uint64_t{bytes - 1};
        if (pick(4) == 0) return b.i64(Memory::kBase + (pick(0x4000) & mask));
        return b.bin_raw(Op::Add, Type::I64, b.bin_raw(Op::And, Type::I64, integer(), b.i64(mask)),
                         b.i64(Memory::kBase));
    }

    void access() {
        ir::Builder& b = *b_;
        const Type t = int_type();
        const unsigned log2 = pick(t == Type::I32 ? 3 : 4), pair_log2 = t == Type::I32 ? 2 : 3;
        const unsigned sp_offset = pick(16);
        const uint32_t sp_base = ir::kMemSpBase | sp_offset << ir::kMemSpOffsetShift;
        const uint32_t aligned = pick(4) == 0 ? ir::kMemAligned : pick(4) == 0 ? sp_base : 0;
        const auto at = [&](unsigned bytes, bool must) {
            if (aligned == sp_base) return b.add(Type::I64, address(16, true), b.i64(sp_offset));
            return address(bytes, must || aligned != 0);
        };
        switch (pick(14)) {
            case 0:
            case 1: {
                const bool sign = pick(2) == 0;
                keep(b.emit(Op::Load, t, {at(1u << log2, false)}, 0,
                            log2 | aligned | (sign ? ir::kMemSigned : 0)));
                if (pick(2) == 0) set_x(ints_.back());
                break;
            }
            case 2:
            case 3: {
                const uint32_t release = pick(4) == 0 ? ir::kMemRelease : 0;
                b.emit(Op::Store, Type::Void, {at(1u << log2, false), integer()}, 0,
                       log2 | aligned | release);
                break;
            }
            case 4: {
                const uint32_t sign = t == Type::I64 && pick(4) == 0 ? ir::kMemSigned : 0;
                const unsigned unit = sign != 0 ? 2 : pair_log2;
                const Ref r = b.emit(Op::LoadPair, t, {at(2u << unit, false)}, 0, unit | aligned | sign);
                const Ref second = b.emit(Op::PairSecond, t, {r});
                if (pick(4) != 0) keep(r);
                if (pick(4) != 0) keep(second);
                break;
            }
            case 5:
                b.emit(Op::StorePair, Type::Void, {at(2u << pair_log2, false), integer(), integer()}, 0,
                       pair_log2 | aligned);
                break;
            case 6: {
                const unsigned size = pick(5);
                vecs_.push_back(b.emit(Op::LoadV, Type::V128, {at(1u << size, false)}, 0, size | aligned));
                if (pick(2) == 0) b.set_v(pick(registers_), vecs_.back());
                break;
            }
            case 7: {
                const unsigned size = pick(5);
                b.emit(Op::StoreV, Type::Void, {at(1u << size, false), vector()}, 0, size | aligned);
                break;
            }
            case 8: {
                const unsigned size = 2 + pick(3);
                const Ref r = b.emit(Op::LoadPairV, Type::V128, {at(2u << size, false)}, 0, size | aligned);
                const Ref second = b.emit(Op::PairSecond, Type::V128, {r});
                vecs_.push_back(r), vecs_.push_back(second);
                break;
            }
            case 9: {
                const unsigned size = 2 + pick(3);
                b.emit(Op::StorePairV, Type::Void, {at(2u << size, false), vector(), vector()}, 0,
                       size | aligned);
                break;
            }
            case 10: exclusive(t, log2, pair_log2); break;
            case 11:
                keep(b.emit(Op::AtomicRmw, t, {at(1u << log2, true), integer()}, pick(9), log2));
                if (pick(2) == 0) ints_.pop_back();
                break;
            case 12: keep(b.emit(Op::Cas, t, {at(1u << log2, true), integer(), integer()}, 0, log2)); break;
            default:
                if (pick(2) == 0) {
                    b.emit(Op::ZeroBlock, Type::Void, {at(1, false)});
                } else if (pick(3) == 0) {
                    const Ref v = integer();
                    b.emit(Op::CheckZero, Type::Void, {pick(4) == 0 ? v : b.bin(Op::Xor, Type::I64, v, v)}, 0,
                           pick(4));
                } else if (pick(3) == 0) {
                    if (pick(4) != 0) b.store_field(b.i64(0), offsetof(GuestState, tpidr_el0), 8);
                    const Ref v = b.load_field(int_type(), offsetof(GuestState, tpidr_el0));
                    b.emit(Op::CheckZero, Type::Void, {v}, 0, ir::kCheckScalableTrap);
                    if (pick(2) == 0) keep(v);
                } else if (pick(3) == 0) {
                    const Ref pointer = integer(), modifier = integer();
                    const unsigned key = pick(4);
                    const Ref with_code = b.emit(Op::SignPointer, Type::I64, {pointer, modifier}, 0, key);
                    keep(with_code);
                    if (pick(2) == 0)
                        keep(b.emit(Op::AuthPointer, Type::I64,
                                    {pick(4) == 0 ? pointer : with_code, pick(8) == 0 ? integer() : modifier},
                                    0, key));
                } else if (pick(2) == 0) {
                    b.emit(Op::CheckStack, Type::Void, {address(16, true)});
                } else {
                    b.emit(Op::Fence, Type::Void, {}, pick(4));
                }
                break;
        }
    }

    void exclusive(Type t, unsigned log2, unsigned pair_log2) {
        ir::Builder& b = *b_;
        const bool pair = pick(2) == 0;
        const Ref where = address(pair ? 2u << pair_log2 : 1u << log2, true);
        if (pair) {
            const Ref r = b.emit(Op::LoadExPair, t, {where}, 0, pair_log2);
            keep(r);
            if (pick(4) != 0) keep(b.emit(Op::PairSecond, t, {r}));
        } else {
            keep(b.emit(Op::LoadEx, t, {where}, 0, log2));
        }
        if (pick(4) == 0) statement();
        const Ref to = pick(8) == 0 ? address(16, true) : where;
        if (pair) {
            keep(b.emit(Op::StoreExPair, Type::I32, {to, integer(), integer()}, 0, pair_log2));
        } else {
            keep(b.emit(Op::StoreEx, Type::I32, {to, integer()}, 0, log2));
        }
    }

    uint64_t target() {
        if (pick(4) == 0) return static_cast<uint64_t>(int64_t{pick(0x10000)} * 4 - 0x20000);
        return 4 * pick(1024);
    }

    void finish() {
        ir::Builder& b = *b_;
        switch (pick(8)) {
            case 0: b.emit(Op::ExitIndirect, Type::Void, {integer()}); break;
            case 1:
                b.emit(Op::ExitRuntime, Type::Void, {},
                       static_cast<uint64_t>(jit::ExitReason::Svc) | uint64_t{9} << 32);
                break;
            case 2: b.call(Type::I64, kEnd, {integer()}, ir::kCallSystem | ir::kCallEndsBlock); break;
            case 3:
            case 4:
            case 5: exit_if(); [[fallthrough]];
            default: b.emit(Op::Exit, Type::Void, {}, target()); break;
        }
    }

    std::mt19937_64 random_;
    ir::Builder* b_ = nullptr;
    std::vector<Ref> ints_, vecs_, flags_;
    /// What may be used behind an exit.
    struct Known {
        Ref exit;
        std::vector<Ref> ints, vecs, flags;
        ir::Builder::Registers registers;
    };
    std::vector<Known> exits_;
    bool forward_ = true, memory_ = true;
    uint32_t registers_ = 32;
};

}  // namespace arclight::backend::testing
