// Results that x86 may have got wrong: a region must be left before the first of them counts for anything,
// with everything as it was, wherever the result stands among others that are looked at together.
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <string>

#include "jit/reference/reference.h"
#include "tests/backend/harness.h"
#include "tests/jit/engine/region_fixture.h"

namespace arclight::jit {
namespace {

using backend::testing::block_at;
using backend::testing::Harness;
using backend::testing::Memory;
using ir::Op;
using ir::Ref;
using ir::Type;
using testing::Regions;

constexpr uint64_t kMapped = Memory::kBase + 64;
constexpr unsigned kEntries = jit::CodeBuffer::kCounters - 1, kSideExits = kEntries - 1;
constexpr uint32_t kStart = 16;  ///< of the block that is tested
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

class FpResultTest : public ::testing::Test {
  protected:
    FpResultTest() { h_.fill_tlb(); }

    const uint8_t* region(const ir::Block& block) {
        Region region = Regions::with_front(kStart);
        region.blocks.push_back({.offset = kStart, .ir = block});
        const RegionCode code = regions_.load_code(regions_.compile(region));
        return jit::emit_region_stub(h_.code, {code.entry, nullptr, jit::kNoCounter, kEntries, kSideExits});
    }
    void start() {
        GuestState& s = h_.state();
        for (uint64_t& x : s.x) x = 0;
        for (V128& v : s.v) v = {};
        s.flags = 0;
        s.pc = s.page_base = Harness::kPage;
        h_.code.counters()[kSideExits] = 0;
    }
    unsigned run(const uint8_t* stub) {
        h_.accelerator.run(h_.state(), stub);
        return h_.code.counters()[kSideExits];
    }
    uint64_t offset() { return h_.state().pc - Harness::kPage; }

    Harness h_;
    Regions regions_;
};

/// The numbers of one kind in vector registers.
struct Shape {
    const char* name;
    Op product, sum;
    Type type;
    uint32_t aux;
    unsigned lanes;
    bool wide;
};
constexpr Shape kShapes[] = {{"doubles", Op::FMul, Op::FAdd, Type::F64, 0, 1, true},
                             {"singles", Op::FMul, Op::FAdd, Type::F32, 0, 1, false},
                             {"two doubles", Op::VFMul, Op::VFAdd, Type::V128, ir::vec_aux(3), 2, true},
                             {"four singles", Op::VFMul, Op::VFAdd, Type::V128, ir::vec_aux(2), 4, false}};

void set_lane(V128& v, const Shape& shape, unsigned lane, double value) {
    if (shape.wide) {
        std::memcpy(reinterpret_cast<uint8_t*>(&v) + 8 * lane, &value, 8);
    } else {
        const auto single = static_cast<float>(value);
        std::memcpy(reinterpret_cast<uint8_t*>(&v) + 4 * lane, &single, 4);
    }
}

/// The smallest normal number, as x86 might have rounded a smaller one.
double least(const Shape& shape) {
    return shape.wide ? std::numeric_limits<double>::min() : std::numeric_limits<float>::min();
}

TEST_F(FpResultTest, AnyOfSeveralProductsAndSums) {
    for (const Shape& shape : kShapes) {
        for (const bool sums : {false, true}) {
            for (unsigned count = 1; count <= 7; ++count) {
                // Every other one is a sum, or none.
                const auto is_sum = [&](unsigned k) { return sums && k % 2 == 0; };
                ir::Block block = block_at();
                ir::Builder b(block);
                for (unsigned k = 0; k < count; ++k) {
                    b.insn_start(kStart + 4 * k, 0);
                    b.set_v(k, b.emit(is_sum(k) ? shape.sum : shape.product, shape.type,
                                      {b.get_v(shape.type, k), b.get_v(shape.type, is_sum(k) ? 30 : 31)}, 0,
                                      shape.aux));
                }
                b.insn_start(kStart + 4 * count, 0);
                b.emit(Op::Store, Type::Void, {b.i64(kMapped), b.i64(1)}, 0, 3);
                b.emit(Op::Exit, Type::Void, {}, kStart + 4 * count + 4);
                block.guest_insns = count + 1;
                const uint8_t* stub = region(block);
                const auto prepare = [&] {
                    start();
                    for (unsigned k = 0; k < 32; ++k)
                        for (unsigned lane = 0; lane < shape.lanes; ++lane)
                            set_lane(h_.state().v[k], shape, lane, k == 30 ? 0.0 : k == 31 ? 2.0 : 1.5);
                    std::memset(h_.memory.at(kMapped), 0, 8);
                };
                SCOPED_TRACE(std::string(shape.name) + (sums ? ", sums too, " : ", ") +
                             std::to_string(count));
                prepare();
                ASSERT_EQ(run(stub), 0u);
                ASSERT_EQ(offset(), kStart + 4 * count + 4);
                for (unsigned k = 0; k < count; ++k) {
                    V128 expected{};
                    for (unsigned lane = 0; lane < shape.lanes; ++lane)
                        set_lane(expected, shape, lane, is_sum(k) ? 1.5 : 3.0);
                    ASSERT_EQ(h_.state().v[k], expected);
                }
                for (unsigned bad = 0; bad < count; ++bad) {
                    for (unsigned lane = 0; lane < shape.lanes; ++lane) {
                        for (const double value : {kNan, least(shape) / 2, -least(shape) / 2}) {
                            if (is_sum(bad) && !std::isnan(value)) continue;
                            prepare();
                            set_lane(h_.state().v[bad], shape, lane, value);
                            const V128 before = h_.state().v[bad];
                            ASSERT_EQ(run(stub), 1u) << bad << ", lane " << lane << ": " << value;
                            ASSERT_EQ(offset(), kStart);
                            ASSERT_EQ(h_.state().v[bad], before);
                            ASSERT_EQ(*h_.memory.at(kMapped), 0) << "stored all the same";
                        }
                    }
                }
            }
        }
    }
}

/// A result's NaN goes on into others, with the sign turned or from lane to lane.
TEST_F(FpResultTest, ThroughOtherInstructions) {
    ir::Block block = block_at();
    ir::Builder b(block);
    b.insn_start(kStart, 0);
    const Ref difference = b.emit(Op::FSub, Type::F64, {b.get_v(Type::F64, 1), b.get_v(Type::F64, 2)});
    b.set_v(3, difference);
    b.insn_start(kStart + 4, 0);
    const Ref turned = b.emit(Op::FNeg, Type::F64, {difference});
    b.set_v(4, b.emit(Op::FAdd, Type::F64, {turned, b.get_v(Type::F64, 5)}));
    b.insn_start(kStart + 8, 0);
    const Ref both = b.emit(Op::VDupLane, Type::V128, {b.get_v(Type::V128, 3)}, 0, ir::vec_aux(3));
    b.set_v(6, b.emit(Op::VFAdd, Type::V128, {both, b.get_v(Type::V128, 7)}, 0, ir::vec_aux(3)));
    b.insn_start(kStart + 12, 0);
    // As a single, the same register is another number, and need not be a NaN.
    b.set_v(8, b.emit(Op::FAdd, Type::F32, {b.get_v(Type::F32, 3), b.get_v(Type::F32, 9)}));
    b.emit(Op::Exit, Type::Void, {}, kStart + 16);
    block.guest_insns = 4;
    const uint8_t* stub = region(block);
    start();
    set_lane(h_.state().v[1], kShapes[0], 0, 4);
    set_lane(h_.state().v[2], kShapes[0], 0, 1);
    EXPECT_EQ(run(stub), 0u);
    EXPECT_EQ(offset(), kStart + 16);
    V128 expected{};
    set_lane(expected, kShapes[0], 0, -3);
    EXPECT_EQ(h_.state().v[4], expected);
    start();
    set_lane(h_.state().v[1], kShapes[0], 0, std::numeric_limits<double>::infinity());
    set_lane(h_.state().v[2], kShapes[0], 0, std::numeric_limits<double>::infinity());
    EXPECT_EQ(run(stub), 1u);
    EXPECT_EQ(offset(), kStart);
    EXPECT_EQ(h_.state().v[3], V128{});
}

/// A vector's lanes go on one by one, all of them or not.
TEST_F(FpResultTest, LanesOfAVectorReadAsNumbers) {
    for (const unsigned lanes_read : {0u, 1u, 2u, 3u}) {
        ir::Block block = block_at();
        ir::Builder b(block);
        b.insn_start(kStart, 0);
        const Ref sum = b.emit(Op::VFAdd, Type::V128, {b.get_v(Type::V128, 1), b.get_v(Type::V128, 2)}, 0,
                               ir::vec_aux(3));
        b.set_v(1, sum);
        for (unsigned lane = 0; lane < 2; ++lane) {
            if ((lanes_read >> lane & 1) == 0) continue;
            b.insn_start(kStart + 4 + 4 * lane, 0);
            Ref number = b.emit(Op::VDupLane, Type::V128, {sum}, lane, ir::vec_aux(3));
            number = b.emit(Op::VZext64, Type::V128, {number});
            b.set_v(3 + lane, b.emit(Op::FMul, Type::F64, {number, b.get_v(Type::F64, 31)}));
        }
        b.insn_start(kStart + 12, 0);
        b.emit(Op::Exit, Type::Void, {}, kStart + 16);
        block.guest_insns = 4;
        const uint8_t* stub = region(block);
        const auto prepare = [&] {
            start();
            for (unsigned lane = 0; lane < 2; ++lane) set_lane(h_.state().v[1], kShapes[2], lane, 1 + lane);
            set_lane(h_.state().v[31], kShapes[0], 0, 3);
        };
        SCOPED_TRACE(lanes_read);
        prepare();
        EXPECT_EQ(run(stub), 0u);
        EXPECT_EQ(offset(), kStart + 16);
        for (unsigned bad = 0; bad < 2; ++bad) {
            prepare();
            set_lane(h_.state().v[1], kShapes[2], bad, kNan);
            const V128 before = h_.state().v[1];
            EXPECT_EQ(run(stub), 1u) << "lane " << bad;
            EXPECT_EQ(offset(), kStart);
            EXPECT_EQ(h_.state().v[1], before);
        }
    }
}

/// Operations on halves, and where a NaN among the operands is for tier 1.
constexpr struct {
    Op op;
    uint64_t imm;
    bool leaves;
} kHalfOps[] = {
    {Op::VFAdd, 0, true},     {Op::VFSub, 0, true},     {Op::VFMul, 0, true},    {Op::VFDiv, 0, true},
    {Op::VFSqrt, 0, true},    {Op::VFMulAdd, 0, true},  {Op::VFMax, 0, true},    {Op::VFMinNum, 0, true},
    {Op::VFRint, 3, true},    {Op::VFCmpEq, 0, false},  {Op::VFCmpGt, 0, false}, {Op::VFNeg, 0, false},
    {Op::VSIntToF, 0, false}, {Op::VUIntToF, 0, false},
};

TEST_F(FpResultTest, HalvesAreComputedInTheRegion) {
    for (const uint32_t aux :
         {ir::vec_aux(1), ir::vec_aux(1, false), ir::vec_aux(1, false) | ir::kVecScalar}) {
        for (const auto& tested : kHalfOps) {
            SCOPED_TRACE(std::string(ir::info(tested.op).name) + " " + std::to_string(aux));
            const size_t count = std::strlen(ir::info(tested.op).args);
            ir::Block block = block_at();
            ir::Builder b(block);
            b.insn_start(kStart, 0);
            const Ref v[] = {b.get_v(Type::V128, 0), b.get_v(Type::V128, 1), b.get_v(Type::V128, 2)};
            b.set_v(3, count == 1   ? b.emit(tested.op, Type::V128, {v[0]}, tested.imm, aux)
                       : count == 2 ? b.emit(tested.op, Type::V128, {v[0], v[1]}, tested.imm, aux)
                                    : b.emit(tested.op, Type::V128, {v[0], v[1], v[2]}, tested.imm, aux));
            b.insn_start(kStart + 4, 0);
            b.emit(Op::Store, Type::Void, {b.i64(kMapped), b.i64(1)}, 0, 3);
            b.emit(Op::Exit, Type::Void, {}, kStart + 8);
            block.guest_insns = 2;
            const uint8_t* stub = region(block);
            const auto prepare = [&] {
                start();
                // 1.5, 2.5, 1 + 2^-10 with others beside them; all positive.
                constexpr uint64_t kOperands[3][2] = {{0x4c00'3555'7bff'3e00, 0x0001'0400'3c01'5640},
                                                      {0x3c00'4248'0000'4100, 0x3bff'1400'3800'4000},
                                                      {0x2e66'3c00'4900'3c01, 0x0600'7000'0000'3555}};
                for (unsigned k = 0; k < 3; ++k)
                    h_.state().v[k].d[0] = kOperands[k][0], h_.state().v[k].d[1] = kOperands[k][1];
            };
            prepare();
            VectorCall call{};
            call.a = h_.state().v[0], call.b = h_.state().v[1], call.c = h_.state().v[2];
            describe(call, {.op = tested.op, .type = Type::V128, .aux = aux, .imm = tested.imm});
            const auto reference = std::make_unique<GuestState>();
            reference_function(tested.op)(*reference, call);
            ASSERT_EQ(run(stub), 0u);
            ASSERT_EQ(offset(), kStart + 8);
            if (tested.op == Op::VFNeg && !ir::vec_q(aux)) {
                EXPECT_EQ(h_.state().v[3].d[0], call.out.d[0]);
            } else {
                EXPECT_EQ(h_.state().v[3], call.out);
            }
            prepare();
            h_.state().v[0].h[0] = 0x7e01;
            EXPECT_EQ(run(stub), tested.leaves ? 1u : 0u);
            EXPECT_EQ(offset(), tested.leaves ? kStart : kStart + 8);
        }
    }
}

TEST_F(FpResultTest, ReadAsASingleOnly) {
    // The double is a NaN, its lower half is not.
    ir::Block block = block_at();
    ir::Builder b(block);
    b.insn_start(kStart, 0);
    b.set_v(3, b.emit(Op::FSub, Type::F64, {b.get_v(Type::F64, 1), b.get_v(Type::F64, 2)}));
    b.insn_start(kStart + 4, 0);
    b.set_v(3, b.emit(Op::FAdd, Type::F32, {b.get_v(Type::F32, 3), b.get_v(Type::F32, 4)}));
    b.emit(Op::Exit, Type::Void, {}, kStart + 8);
    block.guest_insns = 2;
    const uint8_t* stub = region(block);
    start();
    set_lane(h_.state().v[1], kShapes[0], 0, std::numeric_limits<double>::infinity());
    set_lane(h_.state().v[2], kShapes[0], 0, std::numeric_limits<double>::infinity());
    EXPECT_EQ(run(stub), 1u);
    EXPECT_EQ(offset(), kStart);
}

/// A side exit in the middle, by a comparison with a result.
class FpBranchTest : public FpResultTest {
  protected:
    /// v3 = v1 - v2; out at 4 if `condition` says so; v5 = v3 + v6; x1 = 1.
    const uint8_t* branch(const std::function<Ref(ir::Builder&, Ref)>& condition) {
        ir::Block block = block_at();
        ir::Builder b(block);
        b.insn_start(kStart, 0);
        const Ref r = b.emit(Op::FSub, Type::F64, {b.get_v(Type::F64, 1), b.get_v(Type::F64, 2)});
        b.set_v(3, r);
        b.insn_start(kStart + 4, 0);
        b.emit(Op::ExitIf, Type::Void, {condition(b, r)}, 64);
        b.insn_start(kStart + 8, 0);
        b.set_v(5, b.emit(Op::FAdd, Type::F64, {b.get_v(Type::F64, 3), b.get_v(Type::F64, 6)}));
        b.set_x(1, b.i64(1));
        b.emit(Op::Exit, Type::Void, {}, kStart + 12);
        block.guest_insns = 3;
        return region(block);
    }
    unsigned run_with(const uint8_t* stub, double v1, double v2) {
        start();
        set_lane(h_.state().v[1], kShapes[0], 0, v1);
        set_lane(h_.state().v[2], kShapes[0], 0, v2);
        return run(stub);
    }
    void expect_ways(const uint8_t* stub) {
        EXPECT_EQ(run_with(stub, 1, 2), 0u);
        EXPECT_EQ(offset(), 64u) << "less: out";
        EXPECT_EQ(h_.state().x[1], 0u);
        EXPECT_EQ(run_with(stub, 2, 1), 0u);
        EXPECT_EQ(offset(), kStart + 12) << "greater: on";
        EXPECT_EQ(h_.state().x[1], 1u);
        const double infinity = std::numeric_limits<double>::infinity();
        EXPECT_EQ(run_with(stub, infinity, infinity), 1u);
        EXPECT_EQ(offset(), kStart);
        EXPECT_EQ(h_.state().x[1], 0u);
        EXPECT_EQ(h_.state().v[3], V128{});
    }
};

TEST_F(FpBranchTest, ByAComparison) {
    const auto compare = [](unsigned cc) {
        return [=](ir::Builder& b, Ref r) {
            b.set_flags(b.emit(Op::FCmp, Type::Flags, {r, b.get_v(Type::F64, 31)}, 0, 3));
            return b.cond(cc);
        };
    };
    expect_ways(branch(compare(11)));  // LT: also if unordered
    expect_ways(branch(compare(4)));   // MI: only if less
}

TEST_F(FpBranchTest, ByAResultsBits) {
    // The sign, of which x86 gives a new NaN another one.
    expect_ways(branch([](ir::Builder& b, Ref r) {
        return b.emit(Op::TestBit, Type::I1, {b.emit(Op::FToInt, Type::I64, {r})}, 63);
    }));
}

}  // namespace
}  // namespace arclight::jit
