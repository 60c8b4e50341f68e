// Encoder's forms have the bytes that Xbyak gives the same instructions.
#include "backend/x64/encoder.h"

#include <gtest/gtest.h>

#include <vector>

namespace arclight::backend {
namespace {

using namespace Xbyak::util;
using Xbyak::Operand, Xbyak::Reg32, Xbyak::Reg64;

#define EACH_ARITHMETIC(f) f(add) f(or_) f(and_) f(sub) f(xor_) f(cmp)

constexpr uint32_t kConstants[] = {0,           1,           0x7f,        0x80,        0xff,
                                   0x100,       0x7fff,      0x8000,      0xffff,      0x1234'5678,
                                   0x7fff'ffff, 0x8000'0000, 0xffff'ff80, 0xffff'ff7f, 0xffff'ffff};
constexpr int32_t kDisplacements[] = {0, 1, -1, 127, 128, -128, -129, 0x1234'5678, INT32_MAX, INT32_MIN};

class EncoderTest : public testing::Test {
  protected:
    /// `ours` with Encoder's overloads, `theirs` with what Xbyak's operands choose.
    template <typename Ours, typename Theirs>
    void expect_same(Ours ours, Theirs theirs) {
        ours_.setSize(0), theirs_.setSize(0);
        ours(ours_);
        theirs(theirs_);
        const std::vector<uint8_t> a(ours_.getCode(), ours_.getCurr()),
            b(theirs_.getCode(), theirs_.getCurr());
        ASSERT_EQ(a, b);
        ++compared_;
    }
    /// f(place, the same for Xbyak): all bases, with and without an index.
    template <typename F>
    void each_place(F f) {
        for (int base = 0; base < 16; ++base)
            for (int index = -1; index < 16; ++index) {
                if (index == Operand::RSP) continue;
                for (const int32_t displacement : kDisplacements) {
                    const Mem plain = mem(Reg64(base), displacement);
                    if (index < 0) {
                        f(plain, Reg64(base) + displacement);
                    } else if (index != base || base != Operand::RSP) {
                        f(Reg64(base) + mem(Reg64(index), displacement),
                          Reg64(base) + Reg64(index) + displacement);
                    }
                    if (HasFatalFailure()) return;
                }
            }
    }
    void TearDown() override { EXPECT_GT(compared_, 0u); }

    Encoder ours_{4096};
    Xbyak::CodeGenerator theirs_{4096};
    size_t compared_ = 0;
};

TEST_F(EncoderTest, LoadsStoresAndAddresses) {
    for (const int r : {0, 3, 4, 5, 6, 7, 8, 12, 13, 15})
        each_place([&](const Mem& m, const Xbyak::RegExp& x) {
            const Reg64 wide(r);
            const Reg32 narrow(r);
            const auto same = [&](auto ours, auto theirs) { expect_same(ours, theirs); };
            same([&](Encoder& e) { e.mov(wide, m); }, [&](auto& g) { g.mov(wide, qword[x]); });
            same([&](Encoder& e) { e.mov(narrow, m); }, [&](auto& g) { g.mov(narrow, dword[x]); });
            same([&](Encoder& e) { e.mov(m, wide); }, [&](auto& g) { g.mov(qword[x], wide); });
            same([&](Encoder& e) { e.mov(m, narrow); }, [&](auto& g) { g.mov(dword[x], narrow); });
            same([&](Encoder& e) { e.lea(wide, m); }, [&](auto& g) { g.lea(wide, ptr[x]); });
            same([&](Encoder& e) { e.lea(narrow, m); }, [&](auto& g) { g.lea(narrow, ptr[x]); });
            same([&](Encoder& e) { e.load(wide, m, 0); }, [&](auto& g) { g.movzx(narrow, byte[x]); });
            same([&](Encoder& e) { e.load(wide, m, 1); }, [&](auto& g) { g.movzx(narrow, word[x]); });
            same([&](Encoder& e) { e.load(wide, m, 2); }, [&](auto& g) { g.mov(narrow, dword[x]); });
            same([&](Encoder& e) { e.load(wide, m, 3); }, [&](auto& g) { g.mov(wide, qword[x]); });
            same([&](Encoder& e) { e.load_signed(wide, m, 0, false); },
                 [&](auto& g) { g.movsx(narrow, byte[x]); });
            same([&](Encoder& e) { e.load_signed(wide, m, 0, true); },
                 [&](auto& g) { g.movsx(wide, byte[x]); });
            same([&](Encoder& e) { e.load_signed(wide, m, 1, false); },
                 [&](auto& g) { g.movsx(narrow, word[x]); });
            same([&](Encoder& e) { e.load_signed(wide, m, 1, true); },
                 [&](auto& g) { g.movsx(wide, word[x]); });
            same([&](Encoder& e) { e.load_signed(wide, m, 2, true); },
                 [&](auto& g) { g.movsxd(wide, dword[x]); });
            same([&](Encoder& e) { e.store(m, wide, 0); }, [&](auto& g) { g.mov(byte[x], wide.cvt8()); });
            same([&](Encoder& e) { e.store(m, wide, 1); }, [&](auto& g) { g.mov(word[x], wide.cvt16()); });
            same([&](Encoder& e) { e.store(m, wide, 2); }, [&](auto& g) { g.mov(dword[x], narrow); });
            same([&](Encoder& e) { e.store(m, wide, 3); }, [&](auto& g) { g.mov(qword[x], wide); });
        });
}

TEST_F(EncoderTest, ConstantsToMemory) {
    each_place([&](const Mem& m, const Xbyak::RegExp& x) {
        for (const uint32_t constant : kConstants) {
            const auto value = static_cast<int32_t>(constant);
            expect_same([&](Encoder& e) { e.mov(m, value); }, [&](auto& g) { g.mov(qword[x], value); });
        }
    });
}

TEST_F(EncoderTest, ArithmeticWithMemory) {
    for (const int r : {0, 5, 8, 12, 15})
        each_place([&](const Mem& m, const Xbyak::RegExp& x) {
            const Reg64 wide(r);
            const Reg32 narrow(r);
#define SAME(name)                                                                               \
    expect_same([&](Encoder& e) { e.name(wide, m); }, [&](auto& g) { g.name(wide, qword[x]); }); \
    expect_same([&](Encoder& e) { e.name(narrow, m); }, [&](auto& g) { g.name(narrow, dword[x]); });
            EACH_ARITHMETIC(SAME)
#undef SAME
        });
}

TEST_F(EncoderTest, BetweenRegistersAndWithConstants) {
    for (int a = 0; a < 16; ++a) {
        const Reg64 wide(a);
        const Reg32 narrow(a);
        const Operand &w = wide, &n = narrow;
        for (int b = 0; b < 16; ++b) {
            const Reg64 wide_b(b);
            const Reg32 narrow_b(b);
            const Operand &wb = wide_b, &nb = narrow_b;
#define SAME(name)                                                                           \
    expect_same([&](Encoder& e) { e.name(wide, wide_b); }, [&](auto& g) { g.name(w, wb); }); \
    expect_same([&](Encoder& e) { e.name(narrow, narrow_b); }, [&](auto& g) { g.name(n, nb); });
            SAME(mov)
            EACH_ARITHMETIC(SAME)
#undef SAME
            expect_same([&](Encoder& e) { e.test(wide, wide_b); }, [&](auto& g) { g.test(w, wide_b); });
            expect_same([&](Encoder& e) { e.rorx(wide, wide_b, 34); },
                        [&](auto& g) { g.rorx(wide, wb, 34); });
            expect_same([&](Encoder& e) { e.rorx(narrow, narrow_b, 7); },
                        [&](auto& g) { g.rorx(narrow, nb, 7); });
        }
        for (const uint32_t constant : kConstants) {
#define SAME(name)                                                                                   \
    expect_same([&](Encoder& e) { e.name(wide, constant); }, [&](auto& g) { g.name(w, constant); }); \
    expect_same([&](Encoder& e) { e.name(narrow, constant); }, [&](auto& g) { g.name(n, constant); });
            EACH_ARITHMETIC(SAME)
#undef SAME
            expect_same([&](Encoder& e) { e.mov(narrow, constant); }, [&](auto& g) { g.mov(n, constant); });
            for (const uint64_t upper : {uint64_t{0}, uint64_t{0xffff'ffff}, uint64_t{0x1234'5678}}) {
                const uint64_t value = upper << 32 | constant;
                expect_same([&](Encoder& e) { e.mov(wide, value); }, [&](auto& g) { g.mov(w, value); });
            }
        }
    }
}

TEST_F(EncoderTest, RegistersOfAnyWidth) {
    for (const unsigned bits : {8u, 16u, 32u, 64u})
        for (const int a : {0, 1, 3, 8, 15}) {
            const Xbyak::Reg d(a, Operand::REG, static_cast<int>(bits)),
                b(2, Operand::REG, static_cast<int>(bits));
            const Operand &x = d, &in_register = b, &in_memory = qword[rbx + 8];
#define SAME(name)                                                                                      \
    expect_same([&](Encoder& e) { e.name(d, in_register); }, [&](auto& g) { g.name(x, in_register); }); \
    expect_same([&](Encoder& e) { e.name(d, 5u); }, [&](auto& g) { g.name(x, 5u); });                   \
    if (bits == 64)                                                                                     \
        expect_same([&](Encoder& e) { e.name(d, in_memory); }, [&](auto& g) { g.name(x, in_memory); });
            EACH_ARITHMETIC(SAME)
#undef SAME
            if (bits >= 32)
                expect_same([&](Encoder& e) { e.lea(d, mem(rcx, 7)); },
                            [&](auto& g) { g.lea(d, ptr[rcx + 7]); });
        }
}

TEST_F(EncoderTest, FullBuffer) {
    constexpr size_t kBytes = 63, kEach = 3;
    Encoder small(kBytes);
    for (size_t k = 0; k < kBytes / kEach; ++k) small.mov(rax, mem(rbx));
    EXPECT_EQ(small.getSize(), kBytes);
    for (size_t k = 0; k < kBytes; ++k) EXPECT_EQ(small.getCode()[k], small.getCode()[k % kEach]);
    EXPECT_THROW(small.mov(rax, mem(rbx)), Xbyak::Error);
    EXPECT_EQ(small.getSize(), kBytes);
    ++compared_;
}

}  // namespace
}  // namespace arclight::backend
