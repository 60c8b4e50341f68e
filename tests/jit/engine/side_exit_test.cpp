// Exits of tier 2's regions: whatever LLVM has kept wherever must be in GuestState afterwards. What tier 1
// makes of the same IR says what that is.
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <limits>
#include <random>

#include "frontend/a64/translate/translator.h"
#include "jit/engine/region_store.h"
#include "tests/backend/harness.h"
#include "tests/jit/engine/region_fixture.h"
#include "tests/jit/fault_exits.h"

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

/// The region's code as it comes from the compiler; gone through a file, as in a second run of the program;
/// or of the kind that reaches memory through fastmem.
enum class Kind : uint8_t { Fresh, FromAFile, Fastmem };

class SideExitTest : public ::testing::TestWithParam<Kind> {
  protected:
    SideExitTest() {
        h_.fill_tlb();
        for (uint64_t slot = 0; slot < mmu::kFastmemSlots; ++slot)
            h_.tlb->fastmem_offset[slot] = testing::fastmem_poison(slot);
        h_.tlb->fastmem_offset[kMapped >> mmu::kFastmemSlotBits] =
            reinterpret_cast<uint64_t>(h_.memory.bytes) - Memory::kBase;
    }

    /// The instruction at offset 0, a store at 4, behind which nothing before may be done again, and a load
    /// at 8 that cannot be done at all: there the region has to be left.
    static ir::Block body(const Build& first) {
        ir::Block block = block_at();
        ir::Builder b(block);
        b.insn_start(0, 0);
        first(b);
        b.insn_start(4, 0);
        b.emit(Op::Store, Type::Void, {b.i64(kMapped), b.i64(1)}, 0, 3);
        b.insn_start(8, 0);
        b.set_x(0, b.emit(Op::Load, Type::I64, {b.i64(kUnmapped)}, 0, 3));
        b.emit(Op::Exit, Type::Void, {}, 12);
        block.guest_insns = 3;
        return block;
    }

    std::string through_a_file(const std::string& object) {
        namespace fs = std::filesystem;
        std::string name = fs::temp_directory_path() / "arclight-ways-out-XXXXXX";
        if (mkdtemp(name.data()) == nullptr) return {};
        std::string read;
        for (const bool writing : {true, false}) {
            const auto opened =
                RegionStore::open({.directory = name + "/regions", .build = 1, .key_file = name + "/key"});
            if (!opened) return opened.error();
            const auto& store = *opened;
            store->set_fingerprint(regions_.compiler().fingerprint());
            if (writing) {
                store->save({1, 2}, {"shape", object});
            } else if (const auto found = store->load({1, 2}); found.size() == 1) {
                read = found[0].object;
            }
        }
        fs::remove_all(name);
        return read;
    }

    static uint32_t translation_flags() {
        return GetParam() == Kind::Fastmem ? frontend::a64::translation_flag::kFastmem : 0;
    }
    const uint8_t* region(const std::vector<std::pair<int64_t, ir::Block>>& blocks,
                          const uint8_t* body = nullptr) {
        Region region = Regions::empty();
        region.translation_flags = translation_flags();
        for (const auto& [offset, block] : blocks) region.blocks.push_back({offset, block});
        std::string object = regions_.compile(region);
        if (GetParam() == Kind::FromAFile) object = through_a_file(object);
        const RegionCode code = regions_.load_code(object);
        faults_.add(code);
        return jit::emit_region_stub(h_.code, {code.entry, body, jit::kNoCounter, kEntries, kSideExits});
    }

    void start() {
        std::mt19937_64 random(7);
        GuestState& s = h_.state();
        for (uint64_t& x : s.x) x = random();
        for (V128& v : s.v) v.d[0] = random(), v.d[1] = random();
        s.sp = random() & ~uint64_t{15};
        s.x[20] = take_branch_;
        s.flags = kFlagMask & random();
        s.pc = s.page_base = Harness::kPage;
        h_.code.counters()[kEntries] = h_.code.counters()[kSideExits] = 0;
        tweak_(s);
    }
    struct Registers {
        std::vector<uint64_t> x;
        uint32_t nzcv;
        std::vector<V128> v;
        uint64_t pc;
    };
    Registers registers() {
        const GuestState& s = h_.state();
        Registers r{{std::begin(s.x), std::end(s.x)}, nzcv_from_flags(s.flags), {s.v, s.v + 32}, s.pc};
        r.x.push_back(s.sp);
        return r;
    }
    static void expect_same(const Registers& a, const Registers& b) {
        EXPECT_EQ(a.pc, b.pc);
        EXPECT_EQ(a.nzcv, b.nzcv);
        for (unsigned k = 0; k < 32; ++k) {
            EXPECT_EQ(a.x[k], b.x[k]) << "x" << k;
            EXPECT_EQ(a.v[k], b.v[k]) << "v" << k;
        }
    }
    Registers run_region(const uint8_t* stub) {
        start();
        h_.accelerator.run(h_.state(), stub);
        return registers();
    }
    Registers run_tier1(const ir::Block& block) {
        start();
        EXPECT_EQ(h_.run(h_.compile(block)), ExitReason::Exception);
        return registers();
    }

    void check(const Build& first) {
        const ir::Block block = body(first);
        const Registers got = run_region(region({{0, block}}));
        EXPECT_EQ(h_.code.counters()[kEntries], 1u);
        EXPECT_EQ(h_.code.counters()[kSideExits], 1u);
        EXPECT_EQ(got.pc, Harness::kPage + 8);
        expect_same(got, run_tier1(block));
    }

    Harness h_;
    Regions regions_;
    testing::FaultExits faults_;
    uint64_t take_branch_ = 0;
    std::function<void(GuestState&)> tweak_ = [](GuestState&) {};
};

INSTANTIATE_TEST_SUITE_P(Fresh, SideExitTest, ::testing::Values(Kind::Fresh));
INSTANTIATE_TEST_SUITE_P(FromAFile, SideExitTest, ::testing::Values(Kind::FromAFile));
INSTANTIATE_TEST_SUITE_P(ThroughFastmem, SideExitTest, ::testing::Values(Kind::Fastmem));

TEST_P(SideExitTest, AFewRegisters) {
    check([](ir::Builder& b) {
        const Ref product = b.emit(Op::Mul, Type::I64, {b.get_x(1), b.get_x(2)});
        b.set_x(3, product);
        b.set_x(31, b.add(Type::I64, product, b.get_x(4)));
        b.set_x(5, b.get_x(6));
    });
}

TEST_P(SideExitTest, Constants) {
    check([](ir::Builder& b) {
        const uint64_t values[] = {0,
                                   1,
                                   0x7fff'ffff,
                                   0x8000'0000,
                                   0xffff'ffff,
                                   ~uint64_t{},
                                   0x1234'5678'9abc'def0,
                                   uint64_t{1} << 63,
                                   0xffff'ffff'8000'0000};
        unsigned r = 2;
        for (const uint64_t v : values) b.set_x(r++, b.i64(v));
        const Ref zero = b.emit(Op::VXor, Type::V128, {b.get_v(Type::V128, 1), b.get_v(Type::V128, 1)});
        b.set_v(3, zero);
        b.set_v(30, b.emit(Op::VXor, Type::V128, {zero, b.get_v(Type::V128, 4)}));
    });
}

TEST_P(SideExitTest, MoreThanThereAreRegisters) {
    check([](ir::Builder& b) {
        Ref before = b.get_x(0);
        for (unsigned r = 1; r < 32; ++r) {
            before = b.emit(Op::Mul, Type::I64, {before, b.get_x(r)});
            b.set_x(r, before);
        }
        Ref sum = b.get_v(Type::V128, 0);
        for (unsigned r = 1; r < 32; ++r) {
            sum = b.emit(Op::VAdd, Type::V128, {sum, b.get_v(Type::V128, r)}, 0, ir::vec_aux(3));
            b.set_v(r, sum);
        }
        b.set_flags(b.flags_of(b.bin_raw(Op::Sub, Type::I64, before, b.get_x(0))));
    });
}

/// Every number of live registers: there comes the one where the last is taken.
TEST_P(SideExitTest, AnyNumberOfRegisters) {
    for (unsigned count = 1; count < 32; ++count) {
        SCOPED_TRACE(count);
        check([&](ir::Builder& b) {
            for (unsigned r = 0; r < count; ++r)
                b.set_x(r, b.emit(Op::Mul, Type::I64, {b.get_x(r), b.get_x((r + 7) % 32)}));
            b.set_flags(b.flags_of(b.bin_raw(Op::Add, Type::I64, b.get_x(count - 1), b.get_x(count / 2))));
        });
    }
}

TEST_P(SideExitTest, FlagsOfIntegers) {
    const uint64_t values[] = {
        0, 1, 0x7fff'ffff, 0x8000'0000, ~uint64_t{}, ~uint64_t{} >> 1, uint64_t{1} << 63};
    for (const Op op : {Op::Add, Op::Sub, Op::And, Op::AndNot}) {
        for (const Type type : {Type::I32, Type::I64}) {
            const ir::Block block = body([&](ir::Builder& b) {
                b.set_flags(b.flags_of(b.bin_raw(op, type, b.get_x(1), b.get_x(2))));
            });
            const uint8_t* stub = region({{0, block}});
            const jit::CompiledBlock compiled = h_.compile(block);
            for (const uint64_t x : values) {
                for (const uint64_t y : values) {
                    tweak_ = [&](GuestState& s) { s.x[1] = x, s.x[2] = y; };
                    const Registers got = run_region(stub);
                    start();
                    h_.run(compiled);
                    expect_same(got, registers());
                }
            }
        }
    }
}

TEST_P(SideExitTest, FlagsOfNumbersAndConditions) {
    const double values[] = {0.0,
                             -0.0,
                             1.0,
                             -1.5,
                             std::numeric_limits<double>::infinity(),
                             std::numeric_limits<double>::quiet_NaN()};
    const auto both_sizes = [&](unsigned size) {
        const Type type = size == 3 ? Type::F64 : Type::F32;
        const Build compare = [=](ir::Builder& b) {
            b.set_flags(b.emit(Op::FCmp, Type::Flags, {b.get_v(type, 1), b.get_v(type, 2)}, 0, size));
        };
        const Build conditional = [=](ir::Builder& b) {
            const Ref f = b.emit(Op::CondCompare, Type::Flags, {b.cond(0), b.get_x(1), b.get_x(2)}, 5, 64);
            b.set_flags(f);
        };
        const Build carry = [=](ir::Builder& b) {
            const Ref sum = b.emit(Op::Adc, Type::I64, {b.get_x(1), b.get_x(2), b.get_flags()});
            b.set_flags(b.flags_of(sum));
            b.set_x(3, sum);
        };
        for (const Build& build : {compare, conditional, carry}) {
            const ir::Block block = body(build);
            // A region leaves numbers that are none to tier 1, at its first instruction already.
            const jit::CompiledBlock compiled = h_.compile(block);
            h_.current = &compiled;
            const uint8_t* stub = region({{0, block}}, compiled.body);
            for (const double x : values) {
                for (const double y : values) {
                    tweak_ = [&](GuestState& s) {
                        const auto put = [&](unsigned r, double n) {
                            const auto f = static_cast<float>(n);
                            s.v[r] = {};
                            if (size == 3) {
                                std::memcpy(&s.v[r], &n, sizeof n);
                            } else {
                                std::memcpy(&s.v[r], &f, sizeof f);
                            }
                            s.x[r] = s.v[r].d[0];
                        };
                        put(1, x), put(2, y);
                    };
                    const Registers got = run_region(stub);
                    start();
                    h_.run(compiled);
                    expect_same(got, registers());
                }
            }
        }
    };
    both_sizes(2);
    both_sizes(3);
}

/// What set the flags depends on the way that was taken.
TEST_P(SideExitTest, FlagsOfTwoWays) {
    const auto end = [](uint32_t offset, const Build& build, uint64_t next) {
        ir::Block block = block_at(offset);
        ir::Builder b(block);
        b.insn_start(offset, 0);
        build(b);
        b.emit(Op::Exit, Type::Void, {}, next);
        block.guest_insns = 1;
        return block;
    };
    ir::Block choice = block_at();
    {
        ir::Builder b(choice);
        b.insn_start(0, 0);
        b.set_flags(b.flags_of(b.bin_raw(Op::Add, Type::I64, b.get_x(2), b.get_x(3))));
        b.emit(Op::ExitIf, Type::Void, {b.emit(Op::IsNotZero, Type::I1, {b.get_x(20)}, 0, 64)}, 0x40);
        b.emit(Op::Exit, Type::Void, {}, 4);
        choice.guest_insns = 1;
    }
    const ir::Block sub = end(
        4,
        [](ir::Builder& b) {
            b.set_flags(b.flags_of(b.bin_raw(Op::Sub, Type::I64, b.get_x(4), b.get_x(5))));
        },
        0x40);
    const ir::Block leave = end(
        0x40,
        [](ir::Builder& b) {
            b.emit(Op::Store, Type::Void, {b.i64(kMapped), b.i64(1)}, 0, 3);
            b.insn_start(0x44, 0);
            b.set_x(0, b.emit(Op::Load, Type::I64, {b.i64(kUnmapped)}, 0, 3));
        },
        0x48);
    const uint8_t* stub = region({{0, choice}, {4, sub}, {0x40, leave}});
    const uint64_t values[] = {0, 1, ~uint64_t{}, ~uint64_t{} >> 1, uint64_t{1} << 63};
    for (const uint64_t way : {0, 1}) {
        for (const uint64_t x : values) {
            for (const uint64_t y : values) {
                take_branch_ = way;
                tweak_ = [&](GuestState& s) { s.x[2] = s.x[4] = x, s.x[3] = s.x[5] = y; };
                const Registers got = run_region(stub);
                EXPECT_EQ(got.pc, Harness::kPage + 0x44);
                const uint64_t r = way != 0 ? x + y : x - y;
                const bool c = way != 0 ? r < x : x >= y;
                const bool v = ((way != 0 ? ~(x ^ y) : x ^ y) & (x ^ r)) >> 63 != 0;
                EXPECT_EQ(got.nzcv, uint32_t(r >> 63) << 31 | uint32_t(r == 0) << 30 | uint32_t(c) << 29 |
                                        uint32_t(v) << 28)
                    << way << " " << x << " " << y;
            }
        }
    }
}

/// The exits that the guest takes itself, to a known and to an unknown address, are not counted.
TEST_P(SideExitTest, EdgesAreNoSideExits) {
    const auto build = [](bool known) {
        ir::Block block = block_at();
        ir::Builder b(block);
        b.insn_start(0, 0);
        for (unsigned r = 2; r < 30; ++r)
            b.set_x(r, b.emit(Op::Mul, Type::I64, {b.get_x(r), b.get_x(r + 1)}));
        if (known) {
            b.emit(Op::Exit, Type::Void, {}, 0x800);
        } else {
            b.emit(Op::ExitIndirect, Type::Void, {b.get_x(1)}, 0,
                   static_cast<uint32_t>(ir::BranchKind::Jump));
        }
        block.guest_insns = 1;
        return block;
    };
    for (const bool known : {true, false}) {
        tweak_ = [](GuestState& s) { s.x[1] = 0x1234'5678'9abc; };
        const Registers got = run_region(region({{0, build(known)}}));
        EXPECT_EQ(got.pc, known ? Harness::kPage + 0x800 : 0x1234'5678'9abc);
        EXPECT_EQ(h_.code.counters()[kEntries], 1u);
        EXPECT_EQ(h_.code.counters()[kSideExits], 0u);
        start();
        for (unsigned r = 2; r < 30; ++r) EXPECT_EQ(got.x[r], h_.state().x[r] * h_.state().x[r + 1]) << r;
    }
}

}  // namespace
}  // namespace arclight::jit
