// NZCV: every way to make it, every condition, wherever it has to survive.
#include <random>
#include <vector>

#include "tests/backend/comparison.h"

namespace arclight::backend::testing {
namespace {

enum class Maker {
    Add,
    Sub,
    And,
    AndNot,
    Adc,
    Sbc,
    Compare,
    CompareNegative,
    Nzcv,
    Incoming,
    Fp,
    FpSignalling,
    Count
};
/// What happens between the flags being made and their being used.
enum class Between { Nothing, Arithmetic, Memory, Call, OtherFlags, Count };

class FlagsTest : public ::testing::Test {
  protected:
    Ref make_flags(ir::Builder& b, Maker maker, Type t) {
        const unsigned width = t == Type::I32 ? 32 : 64;
        const auto of = [&](Op op) { return b.flags_of(b.bin_raw(op, t, b.get_x(1), b.get_x(2))); };
        switch (maker) {
            case Maker::Add: return of(Op::Add);
            case Maker::Sub: return of(Op::Sub);
            case Maker::And: return of(Op::And);
            case Maker::AndNot: return of(Op::AndNot);
            case Maker::Adc: return b.flags_of(b.emit(Op::Adc, t, {b.get_x(1), b.get_x(2), b.get_flags()}));
            case Maker::Sbc: return b.flags_of(b.emit(Op::Sbc, t, {b.get_x(1), b.get_x(2), b.get_flags()}));
            case Maker::Compare:
                return b.emit(Op::CondCompare, Type::Flags, {b.cond(0), b.get_x(1), b.get_x(2)}, 9, width);
            case Maker::CompareNegative:
                return b.emit(Op::CondCompare, Type::Flags, {b.cond(3), b.get_x(1), b.i64(5)}, 6, width | 1);
            case Maker::Nzcv: return b.emit(Op::FlagsFromNzcv, Type::Flags, {b.get_x(1)});
            case Maker::Fp:
            case Maker::FpSignalling: {
                const uint32_t aux = (t == Type::I32 ? 2 : 3) | (maker == Maker::Fp ? 0 : 16);
                return b.emit(Op::FCmp, Type::Flags, {b.get_v(Type::V128, 1), b.get_v(Type::V128, 2)}, 0,
                              aux);
            }
            default: return b.get_flags();
        }
    }

    void happen(ir::Builder& b, Between between) {
        switch (between) {
            case Between::Arithmetic:
                b.set_x(5, b.bin_raw(Op::Mul, Type::I64, b.get_x(5), b.get_x(6)));
                break;
            case Between::Memory:
                b.set_x(5, b.emit(Op::Load, Type::I64, {b.i64(Memory::kBase + 8)}, 0, 3));
                break;
            case Between::Call:
                b.set_x(5, b.call(Type::I64, kHash, {b.get_x(5), b.get_x(6), b.get_x(7)}, 0));
                break;
            case Between::OtherFlags: {
                const Ref r = b.bin_raw(Op::Sub, Type::I64, b.get_x(5), b.get_x(6));
                b.set_flags(b.flags_of(r));
                break;
            }
            default: break;
        }
    }

    uint64_t value() {
        static constexpr uint64_t kValues[] = {0,
                                               1,
                                               0x7fff'ffff,
                                               0x8000'0000,
                                               0xffff'ffff,
                                               0x7fff'ffff'ffff'ffff,
                                               0x8000'0000'0000'0000,
                                               0xffff'ffff'ffff'ffff};
        return random_() % 3 == 0 ? random_() : kValues[random_() % std::size(kValues)];
    }
    uint64_t number() {
        static constexpr uint64_t kDoubles[] = {0,
                                                0x8000'0000'0000'0000,
                                                0x3ff0'0000'0000'0000,
                                                0xbff0'0000'0000'0000,
                                                0x7ff0'0000'0000'0000,
                                                0x7ff8'0000'0000'0000,
                                                0x7ff0'0000'0000'0001,
                                                1};
        static constexpr uint32_t kSingles[] = {0,           0x8000'0000, 0x3f80'0000, 0xbf80'0000,
                                                0x7f80'0000, 0x7fc0'0000, 0x7f80'0001, 1};
        if (random_() % 2 == 0) return kDoubles[random_() % 8];
        return random_() << 32 | kSingles[random_() % 8];
    }
    void randomise() {
        h_.reset();
        GuestState& s = h_.state();
        for (uint64_t& x : s.x) x = value();
        if (random_() % 3 == 0) s.x[2] = s.x[1];
        for (V128& v : s.v) v.d[0] = number(), v.d[1] = number();
        if (random_() % 3 == 0) s.v[2] = s.v[1];
        s.flags = jit::flags_from_nzcv(static_cast<uint32_t>(random_()));
    }

    Harness h_;
    std::mt19937_64 random_{99};
};

TEST_F(FlagsTest, EveryConditionOfEveryMaker) {
    for (int maker = 0; maker < static_cast<int>(Maker::Count); ++maker) {
        for (int between = 0; between < static_cast<int>(Between::Count); ++between) {
            for (unsigned cc = 0; cc < 14; ++cc) {
                for (const Type t : {Type::I32, Type::I64}) {
                    for (unsigned use = 0; use < 4; ++use) {
                        ir::Block block = block_at();
                        ir::Builder b(block);
                        b.insn_start(0, 0);
                        const Ref f = make_flags(b, static_cast<Maker>(maker), t);
                        b.set_flags(f);
                        happen(b, static_cast<Between>(between));
                        const Ref c = b.emit(Op::Cond, Type::I1, {f}, cc);
                        switch (use) {
                            case 0: b.emit(Op::ExitIf, Type::Void, {c}, 64); break;
                            case 1: b.set_x(7, b.select(Type::I64, c, b.get_x(1), b.get_x(8))); break;
                            case 2: b.set_x(7, b.emit(Op::BoolToInt, Type::I32, {c})); break;
                            default:
                                b.set_x(7, b.get_x(9));  // dirty at the side exit
                                b.emit(Op::ExitIf, Type::Void, {c}, 64);
                                b.set_x(7, b.i64(1));
                                b.set_x(8, b.emit(Op::NzcvFromFlags, Type::I64, {b.get_flags()}));
                                break;
                        }
                        b.emit(Op::Exit, Type::Void, {}, 4);
                        const CompiledBlock compiled = h_.compile(block);
                        for (int k = 0; k < 6; ++k) {
                            randomise();
                            const std::string wrong = Comparison(h_).run(block, compiled);
                            ASSERT_TRUE(wrong.empty()) << wrong;
                        }
                        if (h_.code.hot_used() > h_.code.size() / 4) h_.code.reset();
                    }
                }
            }
        }
    }
}

TEST_F(FlagsTest, LongAdditionKeepsTheCarry) {
    // 256-bit sums and differences, with products in between as in multiplication by rows.
    ir::Block block = block_at();
    ir::Builder b(block);
    b.insn_start(0, 0);
    for (const bool subtract : {false, true}) {
        for (unsigned k = 0; k < 4; ++k) {
            const Ref x = b.get_x(k), y = b.get_x(4 + k);
            const Ref r = k == 0 ? b.bin_raw(subtract ? Op::Sub : Op::Add, Type::I64, x, y)
                                 : b.emit(subtract ? Op::Sbc : Op::Adc, Type::I64, {x, y, b.get_flags()});
            b.set_flags(b.flags_of(r));
            b.set_x(8 + k + (subtract ? 4 : 0), r);
            b.set_x(16 + k, b.bin_raw(Op::UMulHigh, Type::I64, x, y));
            b.set_x(20 + k, b.bin_raw(Op::Mul, Type::I64, x, y));
        }
    }
    b.emit(Op::Exit, Type::Void, {}, 4);
    const CompiledBlock compiled = h_.compile(block);
    for (int k = 0; k < 200; ++k) {
        randomise();
        const std::string wrong = Comparison(h_).run(block, compiled);
        ASSERT_TRUE(wrong.empty()) << wrong;
    }
    // One store of the flags at the end, none in between.
    const std::string text = h_.listing(compiled);
    EXPECT_EQ(text.find("lahf"), text.rfind("lahf")) << text;
}

TEST_F(FlagsTest, OverwrittenFlagsAreNeverStored) {
    ir::Block block = block_at();
    ir::Builder b(block);
    b.insn_start(0, 0);
    for (unsigned k = 0; k < 5; ++k) {
        const Ref r = b.bin_raw(Op::Add, Type::I64, b.get_x(k), b.get_x(k + 1));
        b.set_flags(b.flags_of(r));
        b.set_x(10 + k, b.bin_raw(Op::Mul, Type::I64, r, r));
    }
    b.emit(Op::Exit, Type::Void, {}, 4);
    const std::string text = h_.listing(h_.compile(block));
    EXPECT_NE(text.find("lahf"), std::string::npos);
    EXPECT_EQ(text.find("lahf"), text.rfind("lahf")) << text;
}

TEST_F(FlagsTest, ConditionalCompareWithEveryOtherwise) {
    enum class With { Register, Zero, Five, Large, Negative, Count };
    for (unsigned nzcv = 0; nzcv < 16; ++nzcv) {
        for (const Type t : {Type::I32, Type::I64}) {
            for (int with = 0; with < static_cast<int>(With::Count); ++with) {
                for (const unsigned cc : {0u, 1u, 3u, 8u, 11u}) {
                    ir::Block block = block_at();
                    ir::Builder b(block);
                    b.insn_start(0, 0);
                    b.set_flags(b.flags_of(b.bin_raw(Op::Sub, Type::I64, b.get_x(3), b.get_x(4))));
                    Ref y = b.get_x(2);
                    if (with == static_cast<int>(With::Zero)) y = b.i64(0);
                    if (with == static_cast<int>(With::Five)) y = b.i64(5);
                    if (with == static_cast<int>(With::Large)) y = b.i64(0x8000'0000'0000'0005);
                    const unsigned negative = with == static_cast<int>(With::Negative) ? 1 : 0;
                    const Ref f = b.emit(Op::CondCompare, Type::Flags, {b.cond(cc), b.get_x(1), y}, nzcv,
                                         (t == Type::I32 ? 32 : 64) | negative);
                    b.set_flags(f);
                    b.set_x(5,
                            b.select(Type::I64, b.emit(Op::Cond, Type::I1, {f}, 8), b.get_x(6), b.get_x(7)));
                    b.set_x(8, b.bin_raw(Op::Mul, Type::I64, b.get_x(1), b.get_x(2)));
                    b.set_x(9, b.emit(Op::NzcvFromFlags, Type::I64, {f}));
                    b.emit(Op::Exit, Type::Void, {}, 4);
                    const CompiledBlock compiled = h_.compile(block);
                    for (int k = 0; k < 8; ++k) {
                        randomise();
                        if (k % 2 == 0) h_.state().x[4] = h_.state().x[3];
                        const std::string wrong = Comparison(h_).run(block, compiled);
                        ASSERT_TRUE(wrong.empty()) << "nzcv " << nzcv << ": " << wrong;
                    }
                    if (h_.code.hot_used() > h_.code.size() / 4) h_.code.reset();
                }
            }
        }
    }
}

TEST_F(FlagsTest, OfAResultThatStaysNeedNoPlace) {
    enum class Use { Select, Carry, Nzcv, Compare, Exit, Count };
    for (const Op op : {Op::And, Op::AndNot}) {
        for (const Type t : {Type::I32, Type::I64}) {
            for (int use = 0; use < static_cast<int>(Use::Count); ++use) {
                for (unsigned cc = 0; cc < 14; ++cc) {
                    for (const unsigned others : {1u, 5u, 20u}) {
                        ir::Block block = block_at();
                        ir::Builder b(block);
                        b.insn_start(0, 0);
                        const Ref y = b.bin_raw(op, t, b.get_x(1), b.get_x(2));
                        const Ref f = b.flags_of(y);
                        if (cc % 3 != 0) b.set_flags(f);
                        b.set_x(1, y);
                        // Registers are wanted by others, and the guest's become something else.
                        std::vector<Ref> held;
                        for (unsigned k = 0; k < others; ++k)
                            held.push_back(
                                b.bin_raw(Op::Mul, Type::I64, b.get_x(3 + k % 8), b.get_x(4 + k % 7)));
                        b.set_x(1, held[0]);
                        if (cc % 3 == 0 && cc % 2 == 0) b.set_flags(f);
                        const Ref c = b.emit(Op::Cond, Type::I1, {f}, cc);
                        switch (static_cast<Use>(use)) {
                            case Use::Select:
                                b.set_x(20, b.select(Type::I64, c, b.get_x(3), b.get_x(4)));
                                break;
                            case Use::Carry:
                                b.set_x(20, b.emit(Op::Adc, Type::I64, {b.get_x(3), b.get_x(4), f}));
                                break;
                            case Use::Nzcv: b.set_x(20, b.emit(Op::NzcvFromFlags, Type::I64, {f})); break;
                            case Use::Compare:
                                b.set_flags(
                                    b.emit(Op::CondCompare, Type::Flags, {c, b.get_x(3), b.get_x(4)}, 0, 64));
                                break;
                            default: b.emit(Op::ExitIf, Type::Void, {c}, 64); break;
                        }
                        b.set_flags(b.flags_of(b.bin_raw(Op::Sub, Type::I64, b.get_x(5), b.get_x(6))));
                        b.set_x(21, b.bin_raw(Op::Mul, Type::I64, y, y));
                        for (unsigned k = 0; k < others; ++k) b.set_x(22 + k % 8, held[k]);
                        b.emit(Op::Exit, Type::Void, {}, 4);
                        const CompiledBlock compiled = h_.compile(block);
                        for (int k = 0; k < 4; ++k) {
                            randomise();
                            const std::string wrong = Comparison(h_).run(block, compiled);
                            ASSERT_TRUE(wrong.empty()) << wrong;
                        }
                        if (static_cast<Use>(use) == Use::Select && others == 1) {
                            const std::string text = h_.listing(compiled);
                            EXPECT_EQ(text.find("lahf"), text.rfind("lahf")) << text;
                        }
                        if (h_.code.hot_used() > h_.code.size() / 4) h_.code.reset();
                    }
                }
            }
        }
    }
}

}  // namespace
}  // namespace arclight::backend::testing
