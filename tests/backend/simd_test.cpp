// Floating point and vector operations against their reference functions: results and FPSR, in every shape,
// in all rounding modes, alone and with more values alive than there are registers. ARCLIGHT_SIMD_SETS=n
// tries n sets of operands for each shape (nightly: 10000), ARCLIGHT_SEED=n other ones.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>
#include <utility>
#include <vector>

#include "jit/reference/reference.h"
#include "jit/softfloat/environment.h"
#include "jit/translation_flags.h"
#include "tests/backend/harness.h"
#include "tests/backend/simd_cases.h"

namespace arclight::backend::testing {
namespace {

uint64_t from_environment(const char* name, uint64_t otherwise) {
    const char* value = std::getenv(name);
    return value != nullptr ? std::strtoull(value, nullptr, 0) : otherwise;
}

unsigned reference_calls = 0;
void counting_vector_call(GuestState& s, uint64_t op) {
    ++reference_calls;
    vector_call(s, op);
}

constexpr unsigned kResult = 3;                   ///< register of the result
constexpr unsigned kFirstAlive = 4, kAlive = 20;  ///< vector registers that are changed around the operation

/// Under pressure, v4.. become v4 ^ v5 and so on, all computed before the operation and stored after it, the
/// operands are stored too, and an NZCV lives across it.
enum class Shape : uint8_t { Alone, Pressure };

ir::Block make_block(const SimdCase& c, Shape shape, uint32_t translation_flags) {
    ir::Block block = block_at(0, translation_flags);
    ir::Builder b(block);
    b.insn_start(0, 0);
    Ref alive[kAlive] = {}, flags = ir::kNoRef;
    if (shape == Shape::Pressure) {
        for (unsigned k = 0; k < kAlive; ++k) {
            const Ref x = b.get_v(Type::V128, kFirstAlive + k), y = b.get_v(Type::V128, kFirstAlive + k + 1);
            alive[k] = b.emit(Op::VXor, Type::V128, {x, y}, 0, ir::vec_aux(0));
        }
        flags = b.flags_of(b.bin_raw(Op::Sub, Type::I64, b.get_x(10), b.get_x(11)));
    }
    Ref args[3] = {ir::kNoRef, ir::kNoRef, ir::kNoRef};
    const char* kinds = ir::info(c.op).args;
    const unsigned count = static_cast<unsigned>(std::strlen(kinds));
    for (unsigned k = 0; k < count; ++k) {
        switch (kinds[k]) {
            case 'i': args[k] = b.get_x(k); break;
            case 'c': args[k] = b.emit(Op::IsNotZero, Type::I1, {b.get_x(k)}, 0, 64); break;
            case 'F': args[k] = b.emit(Op::GetV, c.scalar, {}, k); break;
            default: args[k] = b.get_v(Type::V128, k); break;
        }
    }
    Ref r = ir::kNoRef;
    switch (count) {
        case 0: r = b.emit(c.op, c.type, {}, c.imm, c.aux); break;
        case 1: r = b.emit(c.op, c.type, {args[0]}, c.imm, c.aux); break;
        case 2: r = b.emit(c.op, c.type, {args[0], args[1]}, c.imm, c.aux); break;
        default: r = b.emit(c.op, c.type, {args[0], args[1], args[2]}, c.imm, c.aux); break;
    }
    if (c.type == Type::Flags) {
        b.set_x(kResult, b.emit(Op::NzcvFromFlags, Type::I64, {r}));
    } else if (c.type == Type::I32 || c.type == Type::I64) {
        b.set_x(kResult, r);
    } else {
        b.emit(Op::SetV, Type::Void, {r}, kResult);
    }
    if (shape == Shape::Pressure) {
        for (unsigned k = 0; k < kAlive; ++k) b.set_v(kFirstAlive + k, alive[k]);
        for (unsigned k = 0; k < count; ++k)
            if (b.block()[args[k]].type == Type::V128) b.set_v(25 + k, args[k]);
        const Ref less = b.emit(Op::Cond, Type::I1, {flags}, 11);
        b.set_x(12, b.select(Type::I64, less, b.get_x(10), b.get_x(11)));
    }
    b.emit(Op::ExitRuntime, Type::Void, {}, static_cast<uint64_t>(jit::ExitReason::Halt));
    return block;
}

std::string hex(const V128& v) { return fmt::format("{:016x}:{:016x}", v.d[1], v.d[0]); }

class Runner {
  public:
    Runner() { h.state().runtime.entry[kVectorCall] = reinterpret_cast<const void*>(&counting_vector_call); }

    /// Compiles the case; the operands come from `next`.
    bool check(const SimdCase& c, Shape shape, uint32_t translation_flags, unsigned sets, auto&& next,
               auto&& fpcr_of) {
        const ir::Block block = make_block(c, shape, translation_flags);
        if (h.code.hot_used() > h.code.size() / 4) h.code.reset();
        const CompiledBlock compiled = h.compile(block);
        if (!compiled) return false;
        for (unsigned n = 0; n < sets; ++n) {
            const std::string wrong = run_once(c, shape, compiled, fpcr_of(n), next);
            if (wrong.empty()) continue;
            ADD_FAILURE() << c.describe() << (shape == Shape::Pressure ? " under pressure" : "") << "\n"
                          << wrong << ir::print(block) << h.listing(compiled);
            return false;
        }
        return true;
    }

    Harness h;

  private:
    std::string run_once(const SimdCase& c, Shape shape, const CompiledBlock& compiled, uint32_t fpcr,
                         auto&& next) {
        GuestState& s = h.state();
        for (unsigned k = 0; k < 3; ++k) s.v[k] = next(c, k);
        for (unsigned k = 0; k < 3; ++k) s.x[k] = s.v[k].d[0];
        if (c.op == Op::FCondCompare) s.x[0] &= 1;
        if (shape == Shape::Pressure) {
            for (unsigned k = 3; k < 32; ++k)
                s.v[k].d[0] += 0x0123456789abcdef * k, s.v[k].d[1] ^= s.v[k].d[0];
            s.x[10] = s.v[4].d[0], s.x[11] = s.v[5].d[1];
        }
        V128 before[32];
        std::memcpy(before, s.v, sizeof(before));
        static constexpr uint32_t kRounding[4] = {0, 2, 1, 3};  // FPCR.RMode to MXCSR.RC
        s.guest_fp_control = 0x1f80 | kRounding[fpcr >> 22 & 3] << 13;
        s.fpcr = fpcr;
        s.fpsr = 0;
        s.pc = Harness::kPage;

        GuestState& r = *reference_;
        r.fpcr = fpcr;
        r.fpsr = 0;
        jit::VectorCall call{};
        ir::Inst inst{};
        inst.op = c.op, inst.type = c.type, inst.aux = c.aux, inst.imm = c.imm;
        jit::describe(call, inst);
        const char* kinds = ir::info(c.op).args;
        V128* const operands[3] = {&call.a, &call.b, &call.c};
        for (unsigned k = 0; kinds[k] != 0; ++k)
            *operands[k] = kinds[k] == 'i' || kinds[k] == 'c' ? V128{.d = {s.x[k], 0}} : s.v[k];
        jit::reference_function(c.op)(r, call);

        const jit::ExitReason reason = h.run(compiled);
        const uint32_t m = s.guest_fp_control;
        const uint32_t fpsr = s.fpsr | (m & 1 ? jit::softfloat::kIoc : 0) |
                              (m & 4 ? jit::softfloat::kDzc : 0) | (m & 8 ? jit::softfloat::kOfc : 0) |
                              (m & 16 ? jit::softfloat::kUfc : 0) | (m & 32 ? jit::softfloat::kIxc : 0);
        V128 result = s.v[kResult];
        if (c.type == Type::Flags) {
            result = V128{.d = {jit::flags_from_nzcv(static_cast<uint32_t>(s.x[kResult])), 0}};
        } else if (c.type == Type::I32 || c.type == Type::I64) {
            result = V128{.d = {s.x[kResult], 0}};
        }
        std::string wrong;
        if (reason != jit::ExitReason::Halt) wrong += fmt::format("left with {}\n", static_cast<int>(reason));
        if (!(result == call.out))
            wrong += fmt::format("result {}, reference {}\n", hex(result), hex(call.out));
        if (fpsr != r.fpsr) wrong += fmt::format("FPSR {:#x}, reference {:#x}\n", fpsr, r.fpsr);
        if (shape == Shape::Pressure) {
            for (unsigned k = 0; k < kAlive; ++k) {
                const unsigned v = kFirstAlive + k;
                const V128 want{
                    .d = {before[v].d[0] ^ before[v + 1].d[0], before[v].d[1] ^ before[v + 1].d[1]}};
                if (v < 25 && !(s.v[v] == want))
                    wrong += fmt::format("v{} {}, not {}\n", v, hex(s.v[v]), hex(want));
            }
            for (unsigned k = 0; k < 3; ++k) {
                const bool stored = kinds[0] != 0 && k < std::strlen(kinds) && kinds[k] != 'i' &&
                                    kinds[k] != 'c' && (kinds[k] != 'F' || c.scalar == Type::V128);
                if (stored && !(s.v[25 + k] == before[k])) wrong += fmt::format("operand {} changed\n", k);
            }
            const uint64_t want =
                static_cast<int64_t>(s.x[10]) < static_cast<int64_t>(s.x[11]) ? s.x[10] : s.x[11];
            if (s.x[12] != want) wrong += "flags were lost\n";
        }
        if (wrong.empty()) return wrong;
        return fmt::format("{}a {}\nb {}\nc {}\nFPCR {:#x}\n", wrong, hex(before[0]), hex(before[1]),
                           hex(before[2]), fpcr);
    }

    std::unique_ptr<GuestState> reference_ = std::make_unique<GuestState>();
};

/// FZ, DN, AHP and FZ16 in all combinations: FPCR and the translation flags.
std::vector<std::pair<uint32_t, uint32_t>> fpcr_settings() {
    constexpr std::pair<uint32_t, uint32_t> kBits[] = {{1u << 24, translation_flag::kFpFlush},
                                                       {1u << 25, translation_flag::kFpDefaultNan},
                                                       {1u << 26, translation_flag::kFpWideHalf},
                                                       {1u << 19, translation_flag::kFpFlushHalf}};
    std::vector<std::pair<uint32_t, uint32_t>> settings;
    for (unsigned n = 1; n < 16; ++n) {
        settings.emplace_back(0, 0);
        for (unsigned k = 0; k < 4; ++k)
            if ((n >> k & 1) != 0)
                settings.back().first |= kBits[k].first, settings.back().second |= kBits[k].second;
    }
    // All else is left to the reference functions.
    settings.emplace_back(1u << 24, translation_flag::kFpSlow);
    return settings;
}

/// All but these, which nothing that sets FZ has been seen to do often.
bool inline_where_fpcr_flushes(const SimdCase& c) {
    switch (c.op) {
        case Op::FCondCompare:
        case Op::VFMulAddH: return false;
        case Op::VFRint: return ir::vec_esize(c.aux) != 1;
        default: return true;
    }
}

class Simd : public ::testing::TestWithParam<Op> {};

TEST_P(Simd, MatchesReference) {
    Runner runner;
    const auto sets = static_cast<unsigned>(from_environment("ARCLIGHT_SIMD_SETS", 400));
    SimdOperands operands(from_environment("ARCLIGHT_SEED", 1) * 1000 + static_cast<uint64_t>(GetParam()));
    const auto next = [&](const SimdCase& c, unsigned arg) { return operands.next(c, arg); };
    unsigned wrong = 0;
    for (const SimdCase& c : simd_cases(GetParam())) {
        const auto fpcr = [&](unsigned n) { return c.rounds ? (n & 3) << 22 : 0; };
        for (const Shape shape : {Shape::Alone, Shape::Pressure})
            wrong += !runner.check(c, shape, 0, shape == Shape::Alone ? sets : sets / 4, next, fpcr);
        if (wrong > 4) return;
    }
}

/// FPCR.FZ, FZ16, DN and AHP, in any combination: no operation may forget them.
TEST_P(Simd, ObeysFpcr) {
    Runner runner;
    const auto sets = static_cast<unsigned>(from_environment("ARCLIGHT_SIMD_SETS", 400)) / 4;
    SimdOperands operands(from_environment("ARCLIGHT_SEED", 1) * 2000 + static_cast<uint64_t>(GetParam()));
    const auto next = [&](const SimdCase& c, unsigned arg) { return operands.next(c, arg); };
    for (const SimdCase& c : simd_cases(GetParam())) {
        if (!c.rounds) continue;
        // Each combination has code of its own, and FZ the most.
        for (const auto& [fpcr, flags] : fpcr_settings()) {
            const bool flushes = (flags & translation_flag::kFpFlush) != 0;
            const auto with_rounding = [fpcr = fpcr](unsigned n) { return (n & 3) << 22 | fpcr; };
            for (const Shape shape : {Shape::Alone, Shape::Pressure}) {
                const unsigned share = shape == Shape::Pressure ? 8 : flushes ? 1 : 4;
                if (!runner.check(c, shape, flags, sets / share, next, with_rounding)) return;
            }
            // Scalars by element have whole vectors as operands.
            SimdCase by_element = c;
            by_element.scalar = Type::V128;
            if (c.scalar != Type::V128 &&
                !runner.check(by_element, Shape::Alone, flags, sets / 4, next, with_rounding))
                return;
        }
    }
}

/// Under FPCR.FZ, with DN, ordinary operands take no slow way either, and zeros do not.
TEST_P(Simd, IsInlineWhereFpcrFlushes) {
    if (__builtin_cpu_supports("avx512dq") == 0 || __builtin_cpu_supports("avx512vl") == 0)
        GTEST_SKIP() << "needs AVX-512";
    Runner runner;
    SimdOperands operands(1);
    for (const SimdCase& c : simd_cases(GetParam())) {
        if (!c.rounds || !c.is_inline || !inline_where_fpcr_flushes(c)) continue;
        for (const int zero : {-1, 0, 1}) {
            const bool quotient = c.op == Op::FDiv || c.op == Op::VFDiv;
            const auto next = [&](const SimdCase& k, unsigned arg) {
                return static_cast<int>(arg) == zero && !(quotient && arg == 1) ? V128{}
                                                                                : operands.ordinary(k, arg);
            };
            reference_calls = 0;
            if (!runner.check(c, Shape::Alone, translation_flag::kFpFlush | translation_flag::kFpDefaultNan,
                              1, next, [](unsigned) { return 3u << 24; }))
                return;
            EXPECT_EQ(reference_calls, 0u) << c.describe() << ", operand " << zero << " is zero";
        }
    }
}

/// Ordinary operands do not take the slow way.
TEST_P(Simd, IsInline) {
    Runner runner;
    SimdOperands operands(1);
    const auto next = [&](const SimdCase& c, unsigned arg) { return operands.ordinary(c, arg); };
    for (const SimdCase& c : simd_cases(GetParam())) {
        if (!c.is_inline) continue;
        reference_calls = 0;
        if (!runner.check(c, Shape::Alone, 0, 1, next, [](unsigned) { return 0u; })) return;
        EXPECT_EQ(reference_calls, 0u) << c.describe();
    }
}

std::vector<Op> operations() {
    std::vector<Op> ops;
    for (unsigned k = 0; k < static_cast<unsigned>(Op::Count); ++k)
        if (!simd_cases(static_cast<Op>(k)).empty()) ops.push_back(static_cast<Op>(k));
    return ops;
}
INSTANTIATE_TEST_SUITE_P(All, Simd, ::testing::ValuesIn(operations()),
                         [](const auto& p) { return std::string(ir::info(p.param).name); });

/// Every operation with a reference function and a floating point or vector type is in simd_cases().
TEST(SimdCases, AreComplete) {
    for (unsigned k = static_cast<unsigned>(Op::FAdd); k < static_cast<unsigned>(Op::Count); ++k) {
        const Op op = static_cast<Op>(k);
        EXPECT_EQ(simd_cases(op).empty(), jit::reference_function(op) == nullptr) << ir::info(op).name;
    }
}

/// A pair of instructions that becomes one.
TEST(SimdPairs, AesRound) {
    Harness h;
    SimdOperands operands(7);
    struct Pair {
        Op first, second;
    };
    for (const Pair pair : {Pair{Op::VAesE, Op::VAesMc}, Pair{Op::VAesD, Op::VAesImc}}) {
        for (const bool seen : {false, true}) {
            ir::Block block = block_at();
            ir::Builder b(block);
            b.insn_start(0, 0);
            const Ref r = b.emit(pair.first, Type::V128, {b.get_v(Type::V128, 0), b.get_v(Type::V128, 1)}, 0,
                                 ir::vec_aux(2));
            b.set_v(0, r);
            if (seen) b.set_v(2, r);
            b.set_v(0, b.emit(pair.second, Type::V128, {r}, 0, ir::vec_aux(2)));
            b.emit(Op::ExitRuntime, Type::Void, {}, static_cast<uint64_t>(jit::ExitReason::Halt));
            const CompiledBlock compiled = h.compile(block);
            ASSERT_TRUE(compiled);
            for (unsigned n = 0; n < 100; ++n) {
                GuestState& s = h.state();
                for (unsigned k = 0; k < 2; ++k) s.v[k] = V128{.d = {operands.bits(), operands.bits()}};
                jit::VectorCall first{}, second{};
                first.a = s.v[0], first.b = s.v[1];
                jit::reference_function(pair.first)(s, first);
                second.a = first.out;
                jit::reference_function(pair.second)(s, second);
                s.pc = Harness::kPage;
                ASSERT_EQ(h.run(compiled), jit::ExitReason::Halt);
                ASSERT_TRUE(s.v[0] == second.out) << h.listing(compiled);
                ASSERT_TRUE(!seen || s.v[2] == first.out) << h.listing(compiled);
            }
        }
    }
}

}  // namespace
}  // namespace arclight::backend::testing
