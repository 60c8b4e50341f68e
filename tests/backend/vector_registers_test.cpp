// Guest integer registers that live in vector registers between blocks (CodeOptions::vector_registers).
#include <functional>
#include <regex>

#include "backend/x64/vector_homes.h"
#include "jit/host_instruction.h"
#include "jit/translation_flags.h"
#include "tests/backend/harness.h"
#include "tests/backend/random_block.h"

namespace arclight::backend::testing {
namespace {

constexpr unsigned kInVector = 1, kInMemory = 12;
static_assert(vector_home_of(kInVector) >= 0 && vector_home_of(kInMemory) < 0);

/// What blocks do with x0 to x30 and sp.
struct Traffic {
    unsigned memory = 0, from_vectors = 0, to_vectors = 0;
    bool operator==(const Traffic&) const = default;
};

Traffic traffic_of(const CompiledBlock& block) {
    Traffic found;
    const auto count = [&](std::span<const uint8_t> code) {
        for (size_t at = 0; at < code.size();) {
            const HostInstruction i = host_instruction(code.subspan(at));
            if (i.bytes == 0) return;
            const bool registers = i.memory.base == 5 && i.memory.displacement >= -jit::kStateBias &&
                                   i.memory.displacement < 256 - jit::kStateBias;
            found.memory += i.memory.present && registers;
            found.from_vectors += i.from_upper_vector;
            found.to_vectors += i.to_upper_vector;
            at += i.bytes;
        }
    };
    count({block.entry, block.hot_bytes});
    count({block.cold, block.cold_bytes});
    return found;
}

using Build = std::function<void(ir::Builder&)>;

ir::Block block(const Build& build, uint64_t next = 4) {
    ir::Block made = block_at();
    ir::Builder b(made);
    b.insn_start(0, 0);
    build(b);
    b.emit(Op::Exit, Type::Void, {}, next);
    return made;
}

class VectorRegistersTest : public ::testing::Test {
  protected:
    void SetUp() override {
        if (!have_disassembler()) GTEST_SKIP() << "no disassembler";
        if (!host_has_vector_registers()) GTEST_SKIP() << "no AVX-512";
        on_ = std::make_unique<Harness>(size_t{8} << 20, CodeOptions{.vector_registers = true});
    }
    /// Of code without the option, and with it.
    void expect(const Build& build, const Traffic& off, const Traffic& on) {
        const ir::Block made = block(build);
        const CompiledBlock without = off_.compile(made), with = on_->compile(made);
        EXPECT_EQ(traffic_of(without), off) << off_.listing(without);
        EXPECT_EQ(traffic_of(with), on) << on_->listing(with);
    }

    Harness off_;
    std::unique_ptr<Harness> on_;
};

TEST_F(VectorRegistersTest, BlocksMoveThemFromAndToVectors) {
    const auto add = [](unsigned reg) {
        return [reg](ir::Builder& b) { b.set_x(reg, b.emit(Op::Add, Type::I64, {b.get_x(reg), b.i64(3)})); };
    };
    expect(add(kInVector), {.memory = 2}, {.from_vectors = 1, .to_vectors = 1});
    expect(add(kInMemory), {.memory = 2}, {.memory = 2});
}

TEST_F(VectorRegistersTest, NoInstructionTakesThemAsAnOperandInMemory) {
    expect(
        [](ir::Builder& b) {
            b.set_x(kInMemory, b.emit(Op::Xor, Type::I64, {b.get_x(kInMemory), b.get_x(kInVector)}));
        },
        {.memory = 3}, {.memory = 2, .from_vectors = 1});
}

TEST_F(VectorRegistersTest, ConstantsGoThereThroughAGeneralRegisterUnlessTheyAreZero) {
    expect([](ir::Builder& b) { b.set_x(kInVector, b.i64(77)); }, {.memory = 1}, {.to_vectors = 1});
    expect([](ir::Builder& b) { b.set_x(kInVector, b.i64(0)); }, {.memory = 1}, {});
    on_->state().x[kInVector] = 5;
    on_->run(on_->compile(block([](ir::Builder& b) { b.set_x(kInVector, b.i64(0)); })));
    EXPECT_EQ(on_->state().x[kInVector], 0u);
}

TEST_F(VectorRegistersTest, TheNextBlockHasThemWithoutGuestState) {
    const auto add = [](uint64_t n) {
        return [n](ir::Builder& b) {
            b.set_x(kInVector, b.emit(Op::Add, Type::I64, {b.get_x(kInVector), b.i64(n)}));
        };
    };
    const CompiledBlock first = on_->compile(block(add(1), 8)), second = on_->compile(block(add(20), 4));
    jit::link(on_->code, first.exits[0], second.entry, 0);
    on_->state().x[kInVector] = 300;
    on_->run(first);
    EXPECT_EQ(on_->state().x[kInVector], 321u);
    EXPECT_EQ(traffic_of(first).memory + traffic_of(second).memory, 0u);
}

TEST_F(VectorRegistersTest, HelpersSeeThemAndChangeThem) {
    const CompiledBlock compiled = on_->compile(block([](ir::Builder& b) {
        b.set_x(0, b.i64(1000));
        b.call(Type::I64, kSystem, {b.i64(0), b.i64(7), b.i64(0)}, ir::kCallSystem);
        b.set_x(4, b.emit(Op::Add, Type::I64, {b.get_x(0), b.get_x(3)}));
    }));
    GuestState& s = on_->state();
    s.x[1] = 100, s.x[2] = 10, s.x[3] = 5000;
    on_->run(compiled);
    EXPECT_EQ(s.x[0], 1350u);
    EXPECT_EQ(s.x[3], 5007u);
    EXPECT_EQ(s.x[4], 6357u);
}

TEST_F(VectorRegistersTest, AFaultLeavesThemAsTheyWere) {
    const CompiledBlock compiled = on_->compile(block([](ir::Builder& b) {
        b.set_x(2, b.emit(Op::Add, Type::I64, {b.get_x(1), b.i64(5)}));
        b.insn_start(4, 0);
        b.set_x(1, b.emit(Op::Load, Type::I64, {b.get_x(3)}, 0, 3));
        b.set_x(2, b.i64(9));
    }));
    GuestState& s = on_->state();
    s.x[1] = 40, s.x[2] = 1, s.x[3] = 0x1000, s.x[19] = 19;
    EXPECT_EQ(on_->run(compiled), ExitReason::Exception);
    EXPECT_EQ(s.x[1], 40u);
    EXPECT_EQ(s.x[2], 45u);
    EXPECT_EQ(s.x[19], 19u);
    EXPECT_EQ(s.pc, Harness::kPage + 4);
}

/// What computes under FPCR.FZ has its trial results there where they are free.
TEST_F(VectorRegistersTest, FlushingLeavesThemAlone) {
    ir::Block made = block_at(0, translation_flag::kFpFlush);
    ir::Builder b(made);
    b.insn_start(0, 0);
    b.set_v(0, b.emit(Op::VFMul, Type::V128, {b.get_v(Type::V128, 1), b.get_v(Type::V128, 2)}, 0,
                      ir::vec_aux(2, true)));
    b.emit(Op::Exit, Type::Void, {}, 4);
    static const std::regex trial("[xyz]mm16");
    const CompiledBlock without = off_.compile(made), with = on_->compile(made);
    EXPECT_TRUE(std::regex_search(off_.listing(without), trial));
    EXPECT_FALSE(std::regex_search(on_->listing(with), trial)) << on_->listing(with);
}

TEST_F(VectorRegistersTest, WithoutTheOptionNoCodeHasVectorsFrom16On) {
    static const std::regex upper("[xyz]mm(1[6-9]|2[0-9]|3[01])");
    for (uint64_t seed = 1; seed <= 300; ++seed) {
        BlockGenerator g(seed);
        const CompiledBlock c = jit::compile(g.make(), off_.code, 0);
        if (!c) continue;
        ASSERT_FALSE(std::regex_search(off_.listing(c), upper)) << off_.listing(c);
    }
    // NOLINTNEXTLINE(performance-no-int-to-ptr)
    const auto* first =
        reinterpret_cast<const uint8_t*>(reinterpret_cast<uintptr_t>(off_.code.stubs().enter));
    const uint8_t* last = off_.code.stubs().region_guard + 64;
    EXPECT_FALSE(std::regex_search(disassemble({first, last}), upper));
}

}  // namespace
}  // namespace arclight::backend::testing
