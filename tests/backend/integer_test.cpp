// Every integer operation, both widths, every kind of operand, against the interpreter.
#include <random>

#include "tests/backend/comparison.h"

namespace arclight::backend::testing {
namespace {

constexpr uint64_t kInteresting[] = {0,
                                     1,
                                     2,
                                     0x7f,
                                     0x80,
                                     0xff,
                                     0x8000,
                                     0xffff,
                                     0x7fff'ffff,
                                     0x8000'0000,
                                     0xffff'ffff,
                                     0x1'0000'0000,
                                     0x7fff'ffff'ffff'ffff,
                                     0x8000'0000'0000'0000,
                                     0xffff'ffff'8000'0000,
                                     0xffff'ffff'ffff'fffe,
                                     0xffff'ffff'ffff'ffff};

class IntegerTest : public ::testing::Test {
  protected:
    uint64_t random_value() {
        const uint64_t r = random_();
        switch (r & 3) {
            case 0: return kInteresting[(r >> 8) % std::size(kInteresting)];
            case 1: return r >> (r >> 2 & 63);
            default: return random_();
        }
    }
    void randomise() {
        GuestState& s = h_.state();
        for (uint64_t& x : s.x) x = random_value();
        s.sp = random_value();
        s.flags = jit::flags_from_nzcv(static_cast<uint32_t>(random_()));
        s.pc = Harness::kPage;
    }
    /// Runs what `build` makes several times from random registers.
    template <typename F>
    void check(F build, int times = 4) {
        for (int k = 0; k < times; ++k) {
            ir::Block block = block_at();
            ir::Builder b(block);
            b.insn_start(0, 0);
            build(b);
            b.emit(Op::Exit, Type::Void, {}, 4);
            randomise();
            const std::string wrong = Comparison(h_).run(block);
            ASSERT_TRUE(wrong.empty()) << wrong;
            if (h_.code.hot_used() > h_.code.size() / 4) h_.code.reset();
        }
    }

    Harness h_;
    std::mt19937_64 random_{12345};
};

constexpr Type kInts[] = {Type::I32, Type::I64};

TEST_F(IntegerTest, BinaryOperations) {
    const Op ops[] = {Op::Add,   Op::Sub,    Op::And, Op::Or,       Op::Xor,     Op::AndNot,
                      Op::OrNot, Op::XorNot, Op::Mul, Op::UDiv,     Op::SDiv,    Op::Shl,
                      Op::Shr,   Op::Sar,    Op::Ror, Op::UMulHigh, Op::SMulHigh};
    for (const Op op : ops) {
        for (const Type t : kInts) {
            if (t == Type::I32 && (op == Op::UMulHigh || op == Op::SMulHigh)) continue;
            // Operands: registers, constants on either side or both, the same twice; keeping both alive or
            // not.
            for (unsigned shape = 0; shape < 16; ++shape) {
                check(
                    [&](ir::Builder& b) {
                        const Ref x = (shape & 1) != 0 ? b.constant(t, random_value()) : b.get_x(1);
                        const Ref y = (shape & 2) != 0 ? b.constant(t, random_value()) : b.get_x(2);
                        const Ref r = b.bin_raw(op, t, x, (shape & 4) != 0 ? x : y);
                        b.set_x(0, r);
                        if ((shape & 8) != 0) b.set_x(3, b.bin_raw(Op::Xor, Type::I64, x, y));
                    },
                    8);
            }
        }
    }
}

TEST_F(IntegerTest, UnaryOperations) {
    const Op ops[] = {Op::SExt8, Op::SExt16, Op::SExt32, Op::ZExt8, Op::ZExt16, Op::ZExt32,
                      Op::Clz,   Op::Cls,    Op::Rbit,   Op::Rev,   Op::Rev16,  Op::Rev32};
    for (const Op op : ops) {
        for (const Type t : kInts) {
            if (t == Type::I32 && (op == Op::SExt32 || op == Op::ZExt32 || op == Op::Rev32)) continue;
            for (unsigned shape = 0; shape < 4; ++shape) {
                check(
                    [&](ir::Builder& b) {
                        Ref x = b.get_x(1);
                        if ((shape & 1) != 0) x = b.bin_raw(Op::Xor, Type::I64, x, b.get_x(2));
                        b.set_x(0, b.un(op, t, x));
                        if ((shape & 2) != 0) b.set_x(3, x);
                    },
                    16);
            }
        }
    }
}

TEST_F(IntegerTest, LeadingZerosOfReversedBits) {
    for (const Type t : kInts) {
        for (const Type other : kInts) {
            for (unsigned shape = 0; shape < 8; ++shape) {
                check(
                    [&](ir::Builder& b) {
                        Ref x = b.get_x(1);
                        if ((shape & 1) != 0) x = b.bin_raw(Op::And, Type::I64, x, b.get_x(2));
                        const Ref reversed = b.un(Op::Rbit, t, x);
                        if ((shape & 2) != 0) b.set_x(3, reversed);
                        b.set_x(0, b.un(Op::Clz, other, reversed));
                        if ((shape & 4) != 0) b.set_x(4, b.bin_raw(Op::Xor, Type::I64, reversed, x));
                    },
                    16);
            }
        }
    }
}

TEST_F(IntegerTest, BitFields) {
    for (const Type t : kInts) {
        const unsigned width = t == Type::I32 ? 32 : 64;
        for (unsigned lsb = 0; lsb < width; ++lsb) {
            for (unsigned n = 1; lsb + n <= width; n += n < 17 ? 1 : 5) {
                check(
                    [&](ir::Builder& b) {
                        const uint64_t imm = lsb | n << 8;
                        const Ref x = b.get_x(1), y = b.get_x(2);
                        b.set_x(3, b.emit(Op::BitExtractU, t, {x}, imm));
                        b.set_x(4, b.emit(Op::BitExtractS, t, {x}, imm));
                        b.set_x(5, b.emit(Op::BitInsert, t, {x, y}, imm));
                        b.set_x(6, b.emit(Op::BitInsert, t, {b.get_x(7), b.i64(0)}, imm));
                        b.set_x(8, b.emit(Op::BitInsert, t, {y, y}, imm));
                        // and with flags to be kept
                        const Ref d = b.bin_raw(Op::Add, Type::I64, x, y);
                        b.set_flags(b.flags_of(d));
                        b.set_x(9, b.emit(Op::BitExtractU, t, {d}, imm));
                        b.set_x(10, b.emit(Op::BitExtractS, t, {y}, imm));
                    },
                    1);
            }
            check([&](ir::Builder& b) {
                b.set_x(3, b.emit(Op::Extr, t, {b.get_x(1), b.get_x(2)}, lsb));
                b.set_x(4, b.emit(Op::Extr, t, {b.get_x(2), b.get_x(2)}, lsb));
            });
        }
    }
}

TEST_F(IntegerTest, Crc32) {
    for (unsigned aux = 0; aux < 16; ++aux) {
        if ((aux & 4) != 0) continue;
        check(
            [&](ir::Builder& b) {
                b.set_x(0, b.emit(Op::Crc32, Type::I32, {b.get_x(1), b.get_x(2)}, 0, aux));
                b.set_x(3, b.emit(Op::Crc32, Type::I32, {b.get_x(4), b.get_x(4)}, 0, aux));
            },
            20);
    }
}

TEST_F(IntegerTest, ShiftedAdditionIsOneAddress) {
    for (const Type t : kInts)
        for (const Type shift_type : kInts)
            for (unsigned n = 0; n < 6; ++n)
                for (unsigned keep = 0; keep < 2; ++keep)
                    check([&](ir::Builder& b) {
                        const Ref s = b.bin_raw(Op::Shl, shift_type, b.get_x(1), b.i64(n));
                        b.set_x(0, b.bin_raw(Op::Add, t, b.get_x(2), s));
                        b.set_x(3, b.bin_raw(Op::Add, t, s, b.get_x(4)));
                        if (keep != 0) b.set_x(5, s);
                    });
}

TEST_F(IntegerTest, SelectByEveryKindOfCondition) {
    for (const Type t : kInts) {
        for (unsigned kind = 0; kind < 8; ++kind) {
            for (unsigned shape = 0; shape < 8; ++shape) {
                check(
                    [&](ir::Builder& b) {
                        const Ref x = b.get_x(1);
                        Ref c = 0;
                        switch (kind) {
                            case 0: c = b.emit(Op::IsZero, Type::I1, {x}, 0, 32); break;
                            case 1: c = b.emit(Op::IsNotZero, Type::I1, {x}, 0, 64); break;
                            case 2: c = b.emit(Op::TestBit, Type::I1, {x}, random_() & 31); break;
                            case 3: c = b.emit(Op::TestBit, Type::I1, {x}, 31 + random_() % 33); break;
                            default: c = b.cond(static_cast<unsigned>(random_() % 14)); break;
                        }
                        if ((kind & 1) != 0) c = b.emit(Op::Not1, Type::I1, {c});
                        const Ref p = (shape & 1) != 0 ? b.i64(random_value()) : b.get_x(2);
                        const Ref q = (shape & 2) != 0 ? x : b.get_x(3);
                        b.set_x(4, b.select(t, c, p, q));
                        if ((shape & 4) != 0) b.set_x(5, b.bin_raw(Op::Add, Type::I64, p, q));
                        b.set_x(6, b.emit(Op::BoolToInt, Type::I64, {c}));
                    },
                    6);
            }
        }
    }
}

TEST_F(IntegerTest, MoreValuesThanRegisters) {
    check(
        [&](ir::Builder& b) {
            std::vector<Ref> values;
            for (unsigned k = 0; k < 30; ++k)
                values.push_back(
                    b.bin_raw(Op::Add, k % 3 == 0 ? Type::I32 : Type::I64, b.get_x(k), b.get_x(k + 1)));
            for (unsigned k = 0; k < 30; ++k)
                b.set_x(k, b.bin_raw(Op::Xor, Type::I64, values[29 - k], values[(k * 7 + 3) % 30]));
        },
        20);
}

TEST_F(IntegerTest, RegistersExchangedInACycle) {
    check([&](ir::Builder& b) {
        std::vector<Ref> old;
        for (unsigned k = 0; k < 32; ++k) old.push_back(b.get_x(k));
        for (unsigned k = 0; k < 32; ++k) b.set_x(k, old[(k + 1) % 32]);
    });
}

TEST_F(IntegerTest, TooManyValuesIsAResultNotACrash) {
    ir::Block block = block_at();
    ir::Builder b(block);
    std::vector<Ref> values;
    for (unsigned k = 0; k < 200; ++k)
        values.push_back(b.bin_raw(Op::Add, Type::I64, b.get_x(0), b.i64(k + 1)));
    Ref sum = values[0];
    for (unsigned k = 1; k < 200; ++k) sum = b.bin_raw(Op::Add, Type::I64, values[k], sum);
    b.set_x(1, sum);
    b.emit(Op::Exit, Type::Void, {}, 4);
    EXPECT_EQ(compile(block, h_.code, 0).status, CompileStatus::TooComplex);
}

TEST_F(IntegerTest, PageRelativeValues) {
    for (const int64_t delta : {int64_t{0}, int64_t{8}, int64_t{-4096}, int64_t{0x7fff'ffff},
                                -(int64_t{1} << 32), int64_t{0x1234'5678'9abc}}) {
        check([&](ir::Builder& b) {
            const Ref pc = b.emit(Op::PcRel, Type::I64, {}, static_cast<uint64_t>(delta));
            b.set_x(1, pc);
            b.set_x(2, b.bin_raw(Op::Add, Type::I64, pc, b.get_x(3)));
        });
    }
}

}  // namespace
}  // namespace arclight::backend::testing
