// Vector registers that hold scalars (jit/llvm/register_plan.h): their upper halves are in no host register,
// and must be zero in GuestState all the same when a region is left; or what they are, where a region is not
// to be entered because of them.
#include <array>
#include <bit>
#include <cstring>
#include <functional>

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

using Build = std::function<void(ir::Builder&)>;

constexpr uint64_t kMapped = Memory::kBase + 64, kUnmapped = 0x1000;
constexpr unsigned kEntries = jit::CodeBuffer::kCounters - 1, kSideExits = kEntries - 1;
constexpr uint32_t kStart = 16;      ///< behind the block in front
constexpr uint64_t kAbove = 0x5a5a;  ///< in upper halves to begin with
constexpr uint32_t kAll = ~uint32_t{0};

uint64_t bits(double d) { return std::bit_cast<uint64_t>(d); }
V128 scalar(double d) { return {.d = {bits(d), 0}}; }

/// With AVX-512's registers and without.
class ScalarSlotsTest : public ::testing::TestWithParam<bool> {
  protected:
    ScalarSlotsTest() : compiler_(make_region_compiler(GetParam())) {
        h_.fill_tlb();
        for (unsigned k = 0; k < 32; ++k) h_.state().v[k] = {.d = {bits(k + 0.5), kAbove + k}};
        h_.state().page_base = Harness::kPage;
    }
    ~ScalarSlotsTest() override {
        for (const uint64_t handle : loaded_) compiler_->unload(handle);
    }

    static RegionBlock block(uint32_t offset, const Build& build, uint64_t next) {
        RegionBlock rb{.offset = offset, .ir = block_at(offset), .edges = {}, .targets = {}};
        ir::Builder b(rb.ir);
        b.insn_start(offset, 0);
        build(b);
        b.emit(Op::Exit, Type::Void, {}, next);
        rb.ir.guest_insns = 1;
        return rb;
    }
    /// A block that does `build`, stores, and cannot go on at offset + 8.
    static RegionBlock left_in_the_middle(uint32_t offset, const Build& build) {
        return block(
            offset,
            [&](ir::Builder& b) {
                build(b);
                b.insn_start(offset + 4, 0);
                b.emit(Op::Store, Type::Void, {b.i64(kMapped), b.i64(1)}, 0, 3);
                b.insn_start(offset + 8, 0);
                b.set_x(0, b.emit(Op::Load, Type::I64, {b.i64(kUnmapped)}, 0, 3));
            },
            offset + 12);
    }
    static Ref sum(ir::Builder& b, unsigned x, unsigned y) {
        return b.emit(Op::FAdd, Type::F64, {b.get_v(Type::F64, x), b.get_v(Type::F64, y)});
    }
    static Ref vector_sum(ir::Builder& b, unsigned x, unsigned y) {
        return b.emit(Op::VAdd, Type::V128, {b.get_v(Type::V128, x), b.get_v(Type::V128, y)}, 0,
                      ir::vec_aux(3));
    }
    /// x1 iterations of `build`, then out at kStart + 8.
    static RegionBlock loop(const Build& build) {
        return block(
            kStart,
            [&](ir::Builder& b) {
                build(b);
                b.insn_start(kStart + 4, 0);
                const Ref left = b.bin(Op::Sub, Type::I64, b.get_x(1), b.i64(1));
                b.set_x(1, left);
                b.emit(Op::ExitIf, Type::Void, {b.emit(Op::IsNotZero, Type::I1, {left}, 0, 64)}, kStart);
            },
            kStart + 8);
    }

    const uint8_t* load(const Region& region, const uint8_t* body = nullptr) {
        const std::string object = compiler_->compile(region, &dump_);
        const auto code = compiler_->load(object);
        if (!code) throw std::runtime_error("no region");
        loaded_.push_back(code->handle);
        return jit::emit_region_stub(h_.code, {code->entry, body, jit::kNoCounter, kEntries, kSideExits});
    }
    void run(const uint8_t* stub) {
        GuestState& s = h_.state();
        s.pc = s.page_base = Harness::kPage;
        h_.code.counters()[kSideExits] = 0;
        h_.accelerator.run(s, stub);
    }
    void run(const Region& region) { run(load(region)); }
    unsigned side_exits() { return h_.code.counters()[kSideExits]; }
    uint64_t offset() { return h_.state().pc - Harness::kPage; }
    V128& v(unsigned k) { return h_.state().v[k]; }

    Harness h_;
    std::unique_ptr<RegionCompiler> compiler_;
    RegionDump dump_;

  private:
    std::vector<uint64_t> loaded_;
};

INSTANTIATE_TEST_SUITE_P(Avx512, ScalarSlotsTest, ::testing::Values(true));
INSTANTIATE_TEST_SUITE_P(Avx2, ScalarSlotsTest, ::testing::Values(false));

TEST_P(ScalarSlotsTest, EveryKindOfScalarAtASideExit) {
    Region region = Regions::with_front(kStart);
    const uint64_t stored[] = {0x1111'2222'3333'4444, 0x5555'6666'7777'8888};
    std::memcpy(h_.memory.at(kMapped + 64), stored, sizeof stored);
    region.blocks.push_back(left_in_the_middle(kStart, [&](ir::Builder& b) {
        b.set_v(1, sum(b, 2, 3));
        b.set_v(4, b.emit(Op::LoadV, Type::V128, {b.i64(kMapped + 64)}, 0, 3));
        b.set_v(5, b.emit(Op::LoadV, Type::V128, {b.i64(kMapped + 64)}, 0, 2));
        const Ref pair = b.emit(Op::LoadPairV, Type::V128, {b.i64(kMapped + 64)}, 0, 3);
        const Ref second = b.emit(Op::PairSecond, Type::V128, {pair});
        b.set_v(6, pair);
        b.set_v(7, second);
        b.set_v(8, b.emit(Op::VZext64, Type::V128, {vector_sum(b, 9, 10)}));
        b.set_v(11, b.emit(Op::FAdd, Type::F32, {b.get_v(Type::F32, 12), b.get_v(Type::F32, 13)}));
        b.set_v(14, b.emit(Op::VConst, Type::V128, {}, 0x1234'5678'9abc'def0, ir::vec_aux(3, false)));
        b.set_v(15, b.emit(Op::VConst, Type::V128, {}, 0, ir::vec_aux(3, false)));
        b.set_v(16, b.emit(Op::IntToF, Type::F64, {b.get_x(2)}));
        b.set_v(17, b.get_v(Type::F64, 18));
        b.set_v(19, vector_sum(b, 9, 10));
        b.set_v(20, b.get_v(Type::V128, 1));
    }));
    h_.state().x[2] = 0xfedc'ba98'7654'3210;
    float single[2] = {1.5, 2.25};
    std::memcpy(&v(12), &single[0], 4);
    std::memcpy(&v(13), &single[1], 4);
    run(region);
    EXPECT_EQ(side_exits(), 1u);
    EXPECT_EQ(offset(), kStart + 8);
    const auto lower = [](uint64_t low) { return V128{.d = {low, 0}}; };
    EXPECT_EQ(v(1), scalar(6));
    EXPECT_EQ(v(4), lower(stored[0]));
    EXPECT_EQ(v(5), lower(stored[0] & 0xffff'ffff));
    EXPECT_EQ(v(6), lower(stored[0]));
    EXPECT_EQ(v(7), lower(stored[1]));
    EXPECT_EQ(v(8), lower(bits(9.5) + bits(10.5)));
    EXPECT_EQ(v(11), lower(std::bit_cast<uint32_t>(3.75f)));
    EXPECT_EQ(v(14), lower(0x1234'5678'9abc'def0));
    EXPECT_EQ(v(15), lower(0));
    EXPECT_EQ(v(16), lower(h_.state().x[2]));
    EXPECT_EQ(v(17), scalar(18.5));
    EXPECT_EQ(v(19), (V128{.d = {bits(9.5) + bits(10.5), 2 * kAbove + 19}}));
    EXPECT_EQ(v(20), scalar(6));
    for (const unsigned untouched : {0, 2, 3, 18, 21, 31})
        EXPECT_EQ(v(untouched), (V128{.d = {bits(untouched + 0.5), kAbove + untouched}})) << untouched;
}

/// More than there are host registers.
TEST_P(ScalarSlotsTest, SpilledOnes) {
    Region region = Regions::with_front(kStart);
    region.blocks.push_back(left_in_the_middle(kStart, [&](ir::Builder& b) {
        std::array<Ref, 32> sums;
        for (unsigned k = 0; k < 32; ++k) sums[k] = sum(b, k, (k + 1) % 32);
        for (unsigned k = 0; k < 32; ++k) {
            if (k % 5 == 4) {
                b.set_v(k, b.emit(Op::VDupLane, Type::V128, {sums[k]}, 0, ir::vec_aux(3)));
            } else {
                b.set_v(k, sums[k]);
            }
        }
    }));
    run(region);
    EXPECT_EQ(side_exits(), 1u);
    EXPECT_EQ(offset(), kStart + 8);
    for (unsigned k = 0; k < 32; ++k) {
        const double expected = k + 0.5 + (k + 1) % 32 + 0.5;
        EXPECT_EQ(v(k), (V128{.d = {bits(expected), k % 5 == 4 ? bits(expected) : 0}})) << "v" << k;
    }
}

/// One way leaves a scalar in v1, the other a vector; in v2 either does, and in v3 nobody writes.
TEST_P(ScalarSlotsTest, WhereTwoWaysMeet) {
    constexpr uint32_t kOther = kStart + 32, kMeet = kStart + 64;
    Region region = Regions::with_front(kStart);
    region.blocks.push_back(block(
        kStart,
        [&](ir::Builder& b) {
            b.set_v(1, sum(b, 4, 5));
            b.set_v(2, sum(b, 5, 6));
            b.emit(Op::ExitIf, Type::Void, {b.emit(Op::IsNotZero, Type::I1, {b.get_x(1)}, 0, 64)}, kOther);
        },
        kMeet));
    region.blocks.push_back(block(
        kOther,
        [&](ir::Builder& b) {
            b.set_v(1, vector_sum(b, 1, 7));
            b.set_v(2, sum(b, 2, 1));
        },
        kMeet));
    region.blocks.push_back(left_in_the_middle(kMeet, [&](ir::Builder& b) {
        b.set_v(10, b.get_v(Type::V128, 1));
        b.set_v(11, b.get_v(Type::V128, 2));
        b.set_v(12, b.emit(Op::VZext64, Type::V128, {b.get_v(Type::V128, 1)}));
        b.set_v(13, sum(b, 2, 3));
        b.set_v(14, vector_sum(b, 2, 3));
    }));
    const uint8_t* stub = load(region);
    const V128 v3 = v(3);
    for (const uint64_t other : {0, 1}) {
        h_.state().x[1] = other;
        v(1) = {.d = {bits(1.5), kAbove}};
        v(2) = {.d = {bits(2.5), kAbove}};
        v(7) = {.d = {1, kAbove}};
        run(stub);
        SCOPED_TRACE(other);
        EXPECT_EQ(side_exits(), 1u);
        EXPECT_EQ(offset(), kMeet + 8);
        const V128 first{.d = {bits(10) + other, other != 0 ? kAbove : 0}};
        const V128 second = scalar(12 + (other != 0 ? std::bit_cast<double>(first.d[0]) : 0));
        EXPECT_EQ(v(1), first);
        EXPECT_EQ(v(10), first);
        EXPECT_EQ(v(12), (V128{.d = {first.d[0], 0}}));
        EXPECT_EQ(v(2), second);
        EXPECT_EQ(v(11), second);
        EXPECT_EQ(v(13), scalar(std::bit_cast<double>(second.d[0]) + 3.5));
        EXPECT_EQ(v(14), (V128{.d = {second.d[0] + v3.d[0], v3.d[1]}}));
        EXPECT_EQ(v(3), v3);
    }
}

// ---- Where the region is entered

class ScalarLoopTest : public ScalarSlotsTest {
  protected:
    /// v1 += v2, x1 times; in front of it v3 = v4 as a vector.
    Region accumulate(uint32_t narrow, Assumptions disabled_assumptions = 0) {
        Region region = Regions::empty();
        region.narrow = narrow;
        region.disabled_assumptions = disabled_assumptions;
        region.blocks.push_back(block(
            0, [](ir::Builder& b) { b.set_v(3, b.get_v(Type::V128, 4)); }, kStart));
        region.blocks.push_back(loop([](ir::Builder& b) { b.set_v(1, sum(b, 1, 2)); }));
        return region;
    }
    void expect_through(unsigned iterations) {
        EXPECT_EQ(side_exits(), 0u);
        EXPECT_EQ(offset(), kStart + 8);
        EXPECT_EQ(v(1), scalar(1.5 + iterations * 2.5));
        EXPECT_EQ(v(2), (V128{.d = {bits(2.5), kAbove + 2}}));
        EXPECT_EQ(v(3), v(4));
        EXPECT_EQ(h_.state().failed_assumptions.count, 0u);
    }
};

INSTANTIATE_TEST_SUITE_P(Avx512, ScalarLoopTest, ::testing::Values(true));
INSTANTIATE_TEST_SUITE_P(Avx2, ScalarLoopTest, ::testing::Values(false));

TEST_P(ScalarLoopTest, AssumptionHolds) {
    const uint8_t* stub = load(accumulate(kAll));
    for (const unsigned iterations : {1, 2, 10}) {
        v(1) = scalar(1.5);
        h_.state().x[1] = iterations;
        run(stub);
        expect_through(iterations);
    }
}

TEST_P(ScalarLoopTest, AssumptionFails) {
    // Tier 1's entry, which would execute the first instruction.
    ir::Block first = block_at();
    {
        ir::Builder b(first);
        b.insn_start(0, 0);
        b.set_x(20, b.i64(99));
        b.emit(Op::Exit, Type::Void, {}, kStart);
        first.guest_insns = 1;
    }
    const jit::CompiledBlock tier1 = h_.compile(first);
    h_.current = &tier1;
    const uint8_t* stub = load(accumulate(kAll), tier1.body);
    for (unsigned k = 0; k < 32; ++k) v(k).d[1] = 0;
    std::array<V128, 32> before;
    for (const uint64_t above : {uint64_t{1}, uint64_t{1} << 63}) {
        v(1) = {.d = {bits(1.5), above}};
        std::copy_n(h_.state().v, 32, before.begin());
        const uint32_t assumptions = h_.state().failed_assumptions.count;
        h_.state().x[1] = 10;
        h_.state().x[20] = 0;
        run(stub);
        EXPECT_EQ(side_exits(), 1u);
        EXPECT_EQ(h_.state().failed_assumptions.count, assumptions + kFailedAtEntry);
        EXPECT_EQ(h_.state().x[20], 99u) << "not at the first instruction";
        EXPECT_EQ(h_.state().x[1], 10u);
        EXPECT_TRUE(std::equal(before.begin(), before.end(), h_.state().v));
    }
}

/// Careful, or nothing is known: no assumption.
TEST_P(ScalarLoopTest, NoAssumption) {
    for (const bool careful : {false, true}) {
        v(1) = {.d = {bits(1.5), kAbove}};
        h_.state().x[1] = 10;
        run(accumulate(careful ? kAll : kAll & ~2u, careful ? kAssumptionAtEntry : 0));
        expect_through(10);
    }
}

/// An assumption that does not help is not made.
TEST_P(ScalarLoopTest, InVain) {
    Region region = Regions::empty();
    region.narrow = kAll;
    region.blocks.push_back(block(
        0, [](ir::Builder& b) { b.set_x(3, b.get_x(4)); }, kStart));
    // v1 is a vector in one of two instructions, v5 is only read, and v6 written before it is known.
    region.blocks.push_back(loop([](ir::Builder& b) {
        b.set_v(1, sum(b, 1, 5));
        b.emit(Op::ExitIf, Type::Void, {b.emit(Op::IsZero, Type::I1, {b.get_x(2)}, 0, 64)}, kStart + 64);
        b.set_v(1, vector_sum(b, 1, 7));
    }));
    region.blocks.push_back(block(
        kStart + 64, [](ir::Builder& b) { b.set_v(6, sum(b, 5, 5)); }, kStart + 128));
    v(1) = {.d = {bits(1.5), kAbove}};
    v(7) = {.d = {0, 1}};
    h_.state().x[1] = 3;
    h_.state().x[2] = 1;
    const uint8_t* stub = load(region);
    run(stub);
    EXPECT_EQ(side_exits(), 0u);
    EXPECT_EQ(offset(), kStart + 8);
    EXPECT_EQ(v(1), (V128{.d = {bits(1.5 + 3 * 5.5), 1}}));
    EXPECT_EQ(v(6), (V128{.d = {bits(6.5), kAbove + 6}}));
    h_.state().x[1] = 3;
    h_.state().x[2] = 0;
    run(stub);
    EXPECT_EQ(side_exits(), 0u);
    EXPECT_EQ(offset(), kStart + 128);
    EXPECT_EQ(v(1), scalar(1.5 + 4 * 5.5));
    EXPECT_EQ(v(6), scalar(11));
    EXPECT_EQ(h_.state().failed_assumptions.count, 0u);
}

/// What all this is for: neither is a number zero-extended in the loop, nor loaded or stored as 16 bytes.
TEST_P(ScalarLoopTest, NothingIsExtended) {
    Region region = Regions::with_front(kStart);
    region.narrow = kAll;
    region.blocks.push_back(loop([](ir::Builder& b) {
        const Ref x = b.emit(Op::LoadV, Type::V128, {b.i64(kMapped)}, 0, 3);
        b.set_v(4, x);
        const Ref product = b.emit(Op::FMul, Type::F64, {x, b.get_v(Type::F64, 5)});
        b.set_v(6, product);
        b.set_v(1, b.emit(Op::FAdd, Type::F64, {b.get_v(Type::F64, 1), product}));
    }));
    const double three = 3;
    std::memcpy(h_.memory.at(kMapped), &three, sizeof three);
    for (const unsigned k : {1, 4, 6}) v(k).d[1] = 0;
    h_.state().x[1] = 4;
    run(region);
    EXPECT_EQ(side_exits(), 0u);
    EXPECT_EQ(v(1), scalar(1.5 + 4 * 16.5));
    EXPECT_EQ(v(4), scalar(3));
    EXPECT_EQ(v(6), scalar(16.5));
    for (const char* unwanted : {"vmovq", "vmovups", "vmovupd", "vmovdqu"})
        EXPECT_EQ(dump_.assembly.find(unwanted), std::string::npos) << unwanted << '\n' << dump_.assembly;
}

// ---- Flags

/// The numbers that were compared, in one block, are told by the next one where it is left: from registers,
/// unless they were written since.
TEST_P(ScalarSlotsTest, ComparedNumbers) {
    constexpr uint32_t kNext = kStart + 32;
    enum Written : unsigned { Nothing, Before, InTheSameBlock, InTheNext };
    for (const Type type : {Type::F32, Type::F64}) {
        for (const bool with_zero : {false, true}) {
            for (const unsigned written : {Nothing, Before, InTheSameBlock, InTheNext}) {
                const auto overwrite = [](ir::Builder& b) {
                    for (const unsigned k : {1, 2}) b.set_v(k, sum(b, 30, 31));
                };
                Region region = Regions::with_front(kStart);
                region.blocks.push_back(block(
                    kStart,
                    [&](ir::Builder& b) {
                        if (written == Before) {
                            b.set_v(1, b.emit(Op::FAdd, type, {b.get_v(type, 1), b.get_v(type, 20)}));
                            b.set_v(2, b.emit(Op::FAdd, type, {b.get_v(type, 2), b.get_v(type, 20)}));
                        }
                        b.get_v(type, 2);
                        const Ref zero = b.emit(Op::VConst, Type::V128, {}, 0, ir::vec_aux(3, false));
                        b.set_flags(b.emit(Op::FCmp, Type::Flags,
                                           {b.get_v(type, 1), with_zero ? zero : b.get_v(type, 2)}, 0,
                                           type == Type::F64 ? 3 : 2));
                        if (written == InTheSameBlock) overwrite(b);
                    },
                    kNext));
                region.blocks.push_back(left_in_the_middle(kNext, [&](ir::Builder& b) {
                    if (written == InTheNext) overwrite(b);
                }));
                const uint8_t* stub = load(region);
                for (const double x : {-1.0, 0.0, 1.0}) {
                    for (const double y : {-1.0, 0.0, 1.0}) {
                        const auto put = [&](unsigned k, double n) {
                            v(k) = type == Type::F64 ? V128{.d = {bits(n), kAbove}}
                                                     : V128{.d = {std::bit_cast<uint32_t>(float(n)), kAbove}};
                        };
                        put(1, x), put(2, y), put(20, 0);
                        const double other = with_zero ? 0 : y;
                        run(stub);
                        EXPECT_EQ(side_exits(), 1u);
                        EXPECT_EQ(offset(), kNext + 8);
                        EXPECT_EQ(nzcv_from_flags(h_.state().flags) >> 28, x < other    ? 8u
                                                                           : x == other ? 6u
                                                                                        : 2u)
                            << x << ' ' << other << ", written " << written;
                    }
                }
            }
        }
    }
}

}  // namespace
}  // namespace arclight::jit
