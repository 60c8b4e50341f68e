// The exact host code of important guest patterns: a change of code generation shows here as a difference of
// assembly.
#include "tests/backend/harness.h"

namespace arclight::backend::testing {
namespace {

/// The hot path of a block at page offset 0x20, without the padding that depends on where it was put.
template <typename F>
std::string hot(F build) {
    static Harness h;
    ir::Block block = block_at(0x20);
    ir::Builder b(block);
    b.insn_start(0x20, 0);
    build(b);
    const CompiledBlock c = h.compile(block);
    const std::string text = disassemble({c.entry, c.hot_bytes});
    std::string kept;
    for (size_t at = 0; at < text.size();) {
        const size_t end = text.find('\n', at) + 1;
        const std::string line = text.substr(at, end - at);
        if (line.find("nop") == std::string::npos) kept += line;
        at = end;
    }
    return kept;
}

Ref compare(ir::Builder& b, Ref x, Ref y) {
    const Ref r = b.bin_raw(Op::Sub, Type::I64, x, y);
    b.set_flags(b.flags_of(r));
    return r;
}

/// Without the addresses of constants.
std::string without_addresses(std::string text) {
    for (size_t at; (at = text.find("[0x")) != std::string::npos;)
        text.replace(at, text.find(']', at) + 1 - at, "constant");
    return text;
}

TEST(ListingTest, CompareAndBranch) {
    EXPECT_EQ(hot([](ir::Builder& b) {
                  compare(b, b.get_x(1), b.get_x(2));
                  b.insn_start(0x24, 0);
                  b.emit(Op::ExitIf, Type::Void, {b.cond(0)}, 0x80);
                  b.emit(Op::Exit, Type::Void, {}, 0x28);
              }),
              "mov rbx, [rbp-0x78]\n"
              "cmp rbx, [rbp-0x70]\n"
              "cmc\n"
              "lahf\n"
              "seto al\n"
              "mov [rbp+0x80], ax\n"
              "jz out\n"
              "jmp out\n");
}

TEST(ListingTest, FpCompareThatIsStored) {
    std::string text = hot([](ir::Builder& b) {
        const Ref x = b.get_v(Type::F64, 1), y = b.get_v(Type::F64, 2);
        b.set_flags(b.emit(Op::FCmp, Type::Flags, {x, y}, 0, 3));
        b.emit(Op::Exit, Type::Void, {}, 0x24);
    });
    EXPECT_EQ(without_addresses(text),
              "vmovsd xmm0, qword ptr [rbp+0x100]\n"
              "vucomisd xmm0, qword ptr [rbp+0x110]\n"
              "mov eax, 0x100\n"
              "cmovb eax, constant\n"
              "cmovz eax, constant\n"
              "cmovp eax, constant\n"
              "mov [rbp+0x80], ax\n"
              "jmp out\n");
}

TEST(ListingTest, CompareThatIsOverwrittenCostsNothing) {
    // cmp x1, #5; csel x0, x3, x4, hi; cmp x1, x2; b.lt
    EXPECT_EQ(hot([](ir::Builder& b) {
                  compare(b, b.get_x(1), b.i64(5));
                  b.set_x(0, b.select(Type::I64, b.cond(8), b.get_x(3), b.get_x(4)));
                  compare(b, b.get_x(1), b.get_x(2));
                  b.emit(Op::ExitIf, Type::Void, {b.cond(11)}, 0x80);
                  b.emit(Op::Exit, Type::Void, {}, 0x28);
              }),
              "mov rbx, [rbp-0x78]\n"
              "cmp rbx, 0x05\n"
              "mov rsi, [rbp-0x60]\n"
              "cmovnbe rsi, [rbp-0x68]\n"
              "cmp rbx, [rbp-0x70]\n"
              "mov [rbp-0x80], rsi\n"
              "cmc\n"
              "lahf\n"
              "seto al\n"
              "mov [rbp+0x80], ax\n"
              "jl out\n"
              "jmp out\n");
}

TEST(ListingTest, CompareWithZeroAndBranch) {
    EXPECT_EQ(hot([](ir::Builder& b) {
                  b.emit(Op::ExitIf, Type::Void, {b.emit(Op::IsZero, Type::I1, {b.get_x(3)}, 0, 32)}, 0x80);
                  b.emit(Op::Exit, Type::Void, {}, 0x28);
              }),
              "mov rbx, [rbp-0x68]\n"
              "test ebx, ebx\n"
              "jz out\n"
              "jmp out\n");
}

TEST(ListingTest, Load) {
    EXPECT_EQ(hot([](ir::Builder& b) {
                  b.set_x(0, b.emit(Op::Load, Type::I64, {b.add(Type::I64, b.get_x(1), b.i64(24))}, 0, 3));
                  b.emit(Op::Exit, Type::Void, {}, 0x24);
              }),
              "mov rbx, [rbp-0x78]\n"
              "add rbx, 0x18\n"
              "rorx eax, ebx, 0x07\n"
              "and eax, 0x7FFE0\n"
              "lea rsi, [rbx+0x07]\n"
              "and rsi, 0xFFFFFFFFFFFFF000\n"
              "cmp rsi, [r14+rax*1+0x40]\n"
              "jnz out\n"
              "mov rax, [r14+rax*1+0x50]\n"
              "mov rsi, [rax+rbx*1]\n"
              "mov [rbp-0x80], rsi\n"
              "jmp out\n");
}

TEST(ListingTest, LoopThatSums) {
    EXPECT_EQ(hot([](ir::Builder& b) {
                  const Ref l = b.emit(Op::Load, Type::I32, {b.get_x(1)}, 0, 2);
                  b.set_x(1, b.add(Type::I64, b.get_x(1), b.i64(4)));
                  b.set_x(0, b.add(Type::I64, b.get_x(0), l));
                  b.set_x(2, compare(b, b.get_x(2), b.i64(1)));
                  b.emit(Op::ExitIf, Type::Void, {b.cond(1)}, 0x20);
                  b.emit(Op::Exit, Type::Void, {}, 0x30);
              }),
              "mov rbx, [rbp-0x78]\n"
              "rorx eax, ebx, 0x07\n"
              "and eax, 0x7FFE0\n"
              "lea rsi, [rbx+0x03]\n"
              "and rsi, 0xFFFFFFFFFFFFF000\n"
              "cmp rsi, [r14+rax*1+0x40]\n"
              "jnz out\n"
              "mov rax, [r14+rax*1+0x50]\n"
              "mov esi, [rax+rbx*1]\n"
              "add rbx, 0x04\n"
              "add rsi, [rbp-0x80]\n"
              "mov rdi, [rbp-0x70]\n"
              "sub rdi, 0x01\n"
              "mov [rbp-0x80], rsi\n"
              "mov [rbp-0x78], rbx\n"
              "mov [rbp-0x70], rdi\n"
              "cmc\n"
              "lahf\n"
              "seto al\n"
              "mov [rbp+0x80], ax\n"
              "jz +0x6d\n"
              "cmp dword ptr [rbp+0x90], 0x00\n"
              "jnz out\n"
              "jmp out\n"
              "jmp out\n");
}

TEST(ListingTest, LongAddition) {
    EXPECT_EQ(hot([](ir::Builder& b) {
                  for (unsigned k = 0; k < 3; ++k) {
                      const Ref x = b.get_x(2 * k), y = b.get_x(2 * k + 1);
                      const Ref r = k == 0 ? b.bin_raw(Op::Add, Type::I64, x, y)
                                           : b.emit(Op::Adc, Type::I64, {x, y, b.get_flags()});
                      b.set_flags(b.flags_of(r));
                      b.set_x(10 + k, r);
                  }
                  b.emit(Op::Exit, Type::Void, {}, 0x30);
              }),
              "mov rbx, [rbp-0x80]\n"
              "add rbx, [rbp-0x78]\n"
              "mov rsi, [rbp-0x70]\n"
              "adc rsi, [rbp-0x68]\n"
              "mov rdi, [rbp-0x60]\n"
              "adc rdi, [rbp-0x58]\n"
              "mov [rbp-0x30], rbx\n"
              "mov [rbp-0x28], rsi\n"
              "mov [rbp-0x20], rdi\n"
              "lahf\n"
              "seto al\n"
              "mov [rbp+0x80], ax\n"
              "jmp out\n");
}

TEST(ListingTest, MultiplyAddKeepsTheCarry) {
    // adds x0, x0, x1; umulh x4, x2, x3; mul x5, x2, x3; adcs x6, x6, x4
    EXPECT_EQ(hot([](ir::Builder& b) {
                  const Ref sum = b.bin_raw(Op::Add, Type::I64, b.get_x(0), b.get_x(1));
                  b.set_flags(b.flags_of(sum));
                  b.set_x(0, sum);
                  const Ref high = b.bin(Op::UMulHigh, Type::I64, b.get_x(2), b.get_x(3));
                  b.set_x(4, high);
                  b.set_x(5, b.bin(Op::Mul, Type::I64, b.get_x(2), b.get_x(3)));
                  const Ref r = b.emit(Op::Adc, Type::I64, {b.get_x(6), high, b.get_flags()});
                  b.set_flags(b.flags_of(r));
                  b.set_x(6, r);
                  b.emit(Op::Exit, Type::Void, {}, 0x30);
              }),
              "mov rbx, [rbp-0x80]\n"
              "add rbx, [rbp-0x78]\n"
              "mov rsi, [rbp-0x70]\n"
              "mov rdi, [rbp-0x68]\n"
              "mov rdx, rsi\n"
              "mulx r8, rax, rdi\n"
              "mov rdx, rsi\n"
              "mulx rax, r9, rdi\n"
              "mov rsi, [rbp-0x50]\n"
              "adc rsi, r8\n"
              "mov [rbp-0x80], rbx\n"
              "mov [rbp-0x60], r8\n"
              "mov [rbp-0x58], r9\n"
              "mov [rbp-0x50], rsi\n"
              "lahf\n"
              "seto al\n"
              "mov [rbp+0x80], ax\n"
              "jmp out\n");
}

TEST(ListingTest, ConditionalCompare) {
    EXPECT_EQ(without_addresses(hot([](ir::Builder& b) {
                  compare(b, b.get_x(1), b.get_x(2));
                  b.set_flags(b.emit(Op::CondCompare, Type::Flags, {b.cond(1), b.get_x(3), b.i64(4)}, 0, 64));
                  b.emit(Op::ExitIf, Type::Void, {b.cond(12)}, 0x80);
                  b.emit(Op::Exit, Type::Void, {}, 0x2c);
              })),
              "mov rbx, [rbp-0x78]\n"
              "cmp rbx, [rbp-0x70]\n"
              "mov rbx, [rbp-0x68]\n"
              "mov rax, rbx\n"
              "cmovz rax, constant\n"
              "mov esi, 0x04\n"
              "cmovz rsi, constant\n"
              "cmp rax, rsi\n"
              "cmc\n"
              "lahf\n"
              "seto al\n"
              "mov [rbp+0x80], ax\n"
              "jnle out\n"
              "jmp out\n");
}

TEST(ListingTest, ConditionalCompareOrZ) {  // what compilers make of a == 0 || b == 4
    EXPECT_EQ(hot([](ir::Builder& b) {
                  compare(b, b.get_x(1), b.get_x(2));
                  b.set_flags(b.emit(Op::CondCompare, Type::Flags, {b.cond(1), b.get_x(3), b.i64(4)}, 4, 64));
                  b.emit(Op::Exit, Type::Void, {}, 0x2c);
              }),
              "mov rbx, [rbp-0x78]\n"
              "cmp rbx, [rbp-0x70]\n"
              "mov rbx, [rbp-0x68]\n"
              "jnz +0x18\n"
              "mov eax, 0xFFFFFFFF\n"
              "add eax, 0x01\n"
              "jmp +0x1c\n"
              "cmp rbx, 0x04\n"
              "cmc\n"
              "lahf\n"
              "seto al\n"
              "mov [rbp+0x80], ax\n"
              "jmp out\n");
}

TEST(ListingTest, FlagsOfAResultThatStays) {
    EXPECT_EQ(hot([](ir::Builder& b) {  // BICS, BIC, B.EQ
                  const Ref r = b.bin_raw(Op::AndNot, Type::I64, b.get_x(1), b.get_x(2));
                  const Ref f = b.flags_of(r);
                  const Ref s = b.bin_raw(Op::AndNot, Type::I64, b.get_x(3), b.get_x(4));
                  const Ref c = b.select(Type::I64, b.emit(Op::Cond, Type::I1, {f}, 0), r, s);
                  compare(b, c, b.get_x(5));
                  b.set_x(1, r);
                  b.emit(Op::Exit, Type::Void, {}, 0x2c);
              }),
              "mov rbx, [rbp-0x70]\n"
              "andn rbx, rbx, [rbp-0x78]\n"
              "mov rsi, [rbp-0x60]\n"
              "andn rsi, rsi, [rbp-0x68]\n"
              "test rbx, rbx\n"
              "cmovz rsi, rbx\n"
              "cmp rsi, [rbp-0x58]\n"
              "mov [rbp-0x78], rbx\n"
              "cmc\n"
              "lahf\n"
              "seto al\n"
              "mov [rbp+0x80], ax\n"
              "jmp out\n");
}

TEST(ListingTest, TrailingZeros) {
    EXPECT_EQ(hot([](ir::Builder& b) {
                  b.set_x(1, b.un(Op::Clz, Type::I64, b.un(Op::Rbit, Type::I64, b.get_x(2))));
                  b.emit(Op::Exit, Type::Void, {}, 0x2c);
              }),
              "tzcnt rbx, [rbp-0x70]\n"
              "mov [rbp-0x78], rbx\n"
              "jmp out\n");
}

TEST(ListingTest, CallToAnotherPage) {
    EXPECT_EQ(hot([](ir::Builder& b) {
                  b.set_x(30, b.emit(Op::PcRel, Type::I64, {}, 0x24));
                  b.emit(Op::Exit, Type::Void, {}, 0x5040);
              }),
              "mov rax, [rbp+0x88]\n"
              "lea rax, [rax+0x24]\n"
              "mov [rbp+0x70], rax\n"
              "add qword ptr [rbp+0x88], 0x5000\n"
              "cmp dword ptr [r14], 0xFFFFFFFF\n"
              "jnz out\n"
              "jmp out\n");
}

TEST(ListingTest, Return) {
    EXPECT_EQ(hot([](ir::Builder& b) {
                  b.emit(Op::ExitIndirect, Type::Void, {b.get_x(30)}, 0,
                         static_cast<uint32_t>(ir::BranchKind::Return));
              }),
              "mov rbx, [rbp+0x70]\n"
              "cmp dword ptr [rbp+0x90], 0x00\n"
              "jnz out\n"
              "rorx eax, ebx, 0x08\n"
              "lea eax, [rax+rbx*4]\n"
              "and eax, 0x3FFF0\n"
              "cmp rbx, [r14+rax*1+0x80040]\n"
              "jnz out\n"
              "and rbx, 0xFFFFFFFFFFFFF000\n"
              "mov [rbp+0x88], rbx\n"
              "jmp [r14+rax*1+0x80048]\n");
}

// x86 orders everything but a store before a load (Intel SDM 3A, 8.2.3.4), and that is what DMB ISH is for.
TEST(ListingTest, OnlyAFullBarrierIsAnInstruction) {
    const auto fence = [](ir::FenceKind kind) {
        return hot([kind](ir::Builder& b) {
            b.emit(Op::Fence, Type::Void, {}, static_cast<uint64_t>(kind));
            b.emit(Op::Exit, Type::Void, {}, 0x24);
        });
    };
    EXPECT_NE(fence(ir::FenceKind::Full).find("lock or"), std::string::npos) << fence(ir::FenceKind::Full);
    for (const ir::FenceKind kind : {ir::FenceKind::Load, ir::FenceKind::Store, ir::FenceKind::Instruction})
        EXPECT_EQ(fence(kind), "jmp out\n");
}

}  // namespace
}  // namespace arclight::backend::testing
