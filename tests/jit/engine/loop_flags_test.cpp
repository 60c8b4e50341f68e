// NZCV where a loop's accesses are checked for many iterations at once (jit/llvm/loop_versioning.h). What
// sets the flags in such a loop is remembered as operands, and they are computed when the region is left;
// they must be the operands of the last iteration then, not those with which the loop was come to.
#include <chrono>
#include <random>
#include <thread>

#include "tests/backend/harness.h"
#include "tests/jit/engine/region_fixture.h"

namespace arclight::jit {
namespace {

using backend::testing::Harness;
using backend::testing::Memory;
using ir::Op;
using ir::Ref;
using ir::Type;
using testing::Regions;

constexpr unsigned kAddress = 4, kValue = 9, kBy = 10, kCounter = 11, kOther = 12, kResult = 13;
constexpr uint64_t kLoop = 4;  ///< its offset in the page

/// What an iteration does with X9, X10, X12 and the flags; X13 is scratch.
enum class Setter {
    Subtract,       ///< subs x9, x9, x10: one operand is in no register afterwards
    SubtractOne,    ///< subs x9, x9, #1
    AddAndCompare,  ///< add x9, x9, x10; cmp x9, x12: both stay in registers
    AddAndTest,     ///< add x9, x9, x10; ands x13, x9, x12
    Narrow,         ///< subs w13, w9, w12; add x9, x9, x10
};
constexpr Setter kSetters[] = {Setter::Subtract, Setter::SubtractOne, Setter::AddAndCompare,
                               Setter::AddAndTest, Setter::Narrow};

template <typename T>
uint32_t nzcv_of_difference(T a, T b) {
    constexpr unsigned kSign = 8 * sizeof(T) - 1;
    const T r = static_cast<T>(a - b);
    return static_cast<uint32_t>(r >> kSign) << 31 | uint32_t{r == 0} << 30 | uint32_t{a >= b} << 29 |
           static_cast<uint32_t>(((a ^ b) & (a ^ r)) >> kSign) << 28;
}

/// X9 and the flags behind the last of `iterations` iterations.
struct Expected {
    uint64_t value;
    uint32_t nzcv;
};
Expected after(Setter setter, uint64_t iterations, uint64_t value, uint64_t by, uint64_t other) {
    switch (setter) {
        case Setter::Subtract:
            return {value - iterations * by, nzcv_of_difference(value - (iterations - 1) * by, by)};
        case Setter::SubtractOne:
            return {value - iterations, nzcv_of_difference(value - (iterations - 1), uint64_t{1})};
        case Setter::AddAndCompare:
            return {value + iterations * by, nzcv_of_difference(value + iterations * by, other)};
        case Setter::AddAndTest: {
            const uint64_t r = (value + iterations * by) & other;
            return {value + iterations * by, static_cast<uint32_t>(r >> 63) << 31 | uint32_t{r == 0} << 30};
        }
        case Setter::Narrow:
            return {value + iterations * by,
                    nzcv_of_difference(static_cast<uint32_t>(value + (iterations - 1) * by),
                                       static_cast<uint32_t>(other))};
    }
    return {};
}

class LoopFlagsTest : public ::testing::TestWithParam<Setter> {
  protected:
    void SetUp() override {
        h_.fill_tlb();
        for (const unsigned reg : {kValue, kBy, kOther}) h_.state().x[reg] = rng_();
        h_.state().x[kOther] |= uint64_t{1} << 63;  // a mask that lets the sign through
    }

    /// A loop that sets the flags, loads from X4, which `step` moves, and counts X11 down to 0.
    void make(int64_t step) {
        Region region = Regions::with_front(kLoop);
        RegionBlock& block = region.blocks.emplace_back();
        block.offset = kLoop;
        block.ir.pa = region.pa + kLoop;
        ir::Builder b(block.ir);
        uint32_t offset = kLoop;
        const auto insn = [&] {
            b.insn_start(offset, 0);
            offset += 4;
        };
        const auto move = [&] {
            insn();
            b.set_x(kValue, b.emit(Op::Add, Type::I64, {b.get_x(kValue), b.get_x(kBy)}));
        };
        const auto set_flags = [&](Op op, Type type, Ref x, Ref y, unsigned to) {
            const Ref r = b.emit(op, type, {x, y});
            const Ref flags = b.flags_of(r);
            b.set_x(to, type == Type::I32 ? b.emit(Op::ZExt32, Type::I64, {r}) : r);
            b.set_flags(flags);
        };
        if (GetParam() == Setter::AddAndCompare || GetParam() == Setter::AddAndTest) move();
        insn();
        switch (GetParam()) {
            case Setter::Subtract:
                set_flags(Op::Sub, Type::I64, b.get_x(kValue), b.get_x(kBy), kValue);
                break;
            case Setter::SubtractOne: set_flags(Op::Sub, Type::I64, b.get_x(kValue), b.i64(1), kValue); break;
            case Setter::AddAndCompare:
                set_flags(Op::Sub, Type::I64, b.get_x(kValue), b.get_x(kOther), kResult);
                break;
            case Setter::AddAndTest:
                set_flags(Op::And, Type::I64, b.get_x(kValue), b.get_x(kOther), kResult);
                break;
            case Setter::Narrow:
                set_flags(Op::Sub, Type::I32, b.get_x(kValue), b.get_x(kOther), kResult);
                move();
                break;
        }
        insn();
        b.emit(Op::Load, Type::I64, {b.get_x(kAddress)}, 0, 3);
        b.set_x(kAddress,
                b.emit(Op::Add, Type::I64, {b.get_x(kAddress), b.i64(static_cast<uint64_t>(step))}));
        insn();
        const Ref left = b.emit(Op::Sub, Type::I64, {b.get_x(kCounter), b.i64(1)});
        b.set_x(kCounter, left);
        insn();
        b.emit(Op::ExitIf, Type::Void, {b.emit(Op::IsNotZero, Type::I1, {left}, 0, 64)}, kLoop);
        b.emit(Op::Exit, Type::Void, {}, offset);
        block.ir.guest_insns = (offset - static_cast<uint32_t>(kLoop)) / 4;
        ASSERT_EQ(ir::verify(block.ir), "") << ir::print(block.ir);
        stub_ = jit::emit_region_stub(h_.code,
                                      {regions_.load(regions_.compile(region)), nullptr, jit::kNoCounter});
    }

    /// Runs until the region is left, at the start of an iteration; how many it has done. Flags and X9 are
    /// those of the last one.
    uint64_t run() {
        GuestState& s = h_.state();
        const Expected before{s.x[kValue], 0};
        const uint64_t counter = s.x[kCounter];
        s.pc = s.page_base = Harness::kPage;
        h_.accelerator.run(s, stub_);
        EXPECT_EQ(s.pc, Harness::kPage + kLoop);
        const uint64_t iterations = counter - s.x[kCounter];
        const Expected now = after(GetParam(), iterations, before.value, s.x[kBy], s.x[kOther]);
        EXPECT_EQ(s.x[kValue], now.value);
        EXPECT_EQ(nzcv_from_flags(s.flags), now.nzcv) << "after " << iterations << " iterations";
        return iterations;
    }

    Harness h_;
    Regions regions_;
    std::mt19937_64 rng_{7};
    const uint8_t* stub_ = nullptr;
};

TEST_P(LoopFlagsTest, AreOfTheLastIterationWhereThePageIsNotKnown) {
    make(8);
    GuestState& s = h_.state();
    h_.tlb->entries[mmu::tlb_index(Memory::kBase + 2 * kPageSize)] = mmu::TlbEntry{};
    // Long enough in the first page that the loop repeats its checks there.
    for (const uint64_t words : {5u, 100u, 512u, 513u, 700u, 1024u}) {
        for (unsigned k = 0; k < 8; ++k) {
            s.x[kAddress] = Memory::kBase + 2 * kPageSize - 8 * words;
            s.x[kCounter] = 10'000;
            // So that the sign changes while it runs.
            if (GetParam() == Setter::SubtractOne) s.x[kValue] = rng_() % 8;
            ASSERT_EQ(run(), words);
        }
    }
}

TEST_P(LoopFlagsTest, AreOfTheLastIterationWhereInterrupted) {
    make(0);
    GuestState& s = h_.state();
    unsigned late = 0;
    for (unsigned k = 0; k < 24; ++k) {
        s.x[kAddress] = Memory::kBase;
        s.x[kCounter] = ~uint64_t{0};
        if (GetParam() == Setter::SubtractOne) s.x[kValue] = rng_() % 8;
        s.interrupt = 0;
        std::thread other([&] {
            std::this_thread::sleep_for(std::chrono::microseconds(200));
            s.interrupt = 1;
        });
        const uint64_t iterations = run();
        other.join();
        // Not before the loop has looked for interrupts again.
        late += static_cast<unsigned>(iterations > 10'000);
    }
    EXPECT_GT(late, 0u) << "no run was interrupted in the middle";
}

std::string name_of(const ::testing::TestParamInfo<Setter>& info) {
    static constexpr const char* kNames[] = {"Subtract", "SubtractOne", "AddAndCompare", "AddAndTest",
                                             "Narrow"};
    return kNames[static_cast<size_t>(info.param)];
}
INSTANTIATE_TEST_SUITE_P(Setters, LoopFlagsTest, ::testing::ValuesIn(kSetters), name_of);

}  // namespace
}  // namespace arclight::jit
