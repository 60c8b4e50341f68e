// The table itself, the two versions of host-accelerated functions, and what no instruction can show.
#include "jit/reference/reference.h"

#include <gtest/gtest.h>
#include <immintrin.h>

#include <cstring>
#include <memory>

#include "jit/reference/aes.h"
#include "jit/reference/bfloat.h"
#include "jit/reference/host_features.h"
#include "jit/reference/polynomial.h"
#include "jit/reference/sha.h"
#include "jit/softfloat/environment.h"
#include "tests/jit/reference/cases.h"

namespace arclight::tests {
namespace {

using jit::GuestState;
using jit::VectorCall;
using jit::VectorFn;
using jit::ir::Op;

TEST(ReferenceTable, HasEveryFpAndVectorOperation) {
    for (auto i = static_cast<unsigned>(Op::FAdd); i < static_cast<unsigned>(Op::Count); ++i) {
        EXPECT_NE(jit::reference_function(static_cast<Op>(i)), nullptr)
            << jit::ir::info(static_cast<Op>(i)).name;
    }
    EXPECT_NE(jit::reference_function(Op::Crc32), nullptr);
    for (const Op op : {Op::Const, Op::Add, Op::GetV, Op::Load, Op::Exit})
        EXPECT_EQ(jit::reference_function(op), nullptr);
}

TEST(ReferenceTable, FormsCoverEveryOperation) {
    std::vector<bool> seen(static_cast<size_t>(Op::Count));
    for (const auto& forms : {scalar_fp_forms(), vector_fp_forms(), half_forms(), vector_integer_forms(),
                              vector_saturating_forms(), vector_move_forms(), crypto_forms()}) {
        for (const Form& f : forms) seen[static_cast<size_t>(f.inst.op)] = true;
    }
    seen[static_cast<size_t>(Op::VConst)] = true;  // tested below
    for (auto i = static_cast<unsigned>(Op::FAdd); i < static_cast<unsigned>(Op::Count); ++i) {
        EXPECT_TRUE(seen[i]) << jit::ir::info(static_cast<Op>(i)).name;
    }
}

TEST(ReferenceTable, ConstantsFillOneOrBothHalves) {
    const auto state = std::make_unique<GuestState>();
    for (const bool q : {false, true}) {
        VectorCall call{};
        jit::describe(
            call,
            {.op = Op::VConst, .type = jit::ir::Type::V128, .aux = jit::ir::vec_aux(0, q), .imm = 0x1234});
        jit::reference_function(Op::VConst)(*state, call);
        EXPECT_EQ(call.out.d[0], 0x1234u);
        EXPECT_EQ(call.out.d[1], q ? 0x1234u : 0u);
    }
}

/// Flags accumulate, and with q = 0 the upper half neither raises nor shows.
TEST(ReferenceTable, UpperHalfIsSilentWithoutQ) {
    const auto state = std::make_unique<GuestState>();
    for (const bool q : {false, true}) {
        VectorCall call{};
        call.a.s[3] = 0x7fa00000;  // a signalling NaN
        state->fpsr = jit::softfloat::kIdc;
        jit::describe(call, {.op = Op::VFAdd, .type = jit::ir::Type::V128, .aux = jit::ir::vec_aux(2, q)});
        jit::reference_function(Op::VFAdd)(*state, call);
        EXPECT_EQ(state->fpsr, jit::softfloat::kIdc | (q ? jit::softfloat::kIoc : 0u));
        EXPECT_EQ(call.out.s[3], q ? 0x7fe00000u : 0u);
    }
}

/// FJCVTZS with FZ: a number that was flushed is not exact, whatever its sign (FPToFixedJS).
TEST(ReferenceScalar, FlushedNumbersAreInexactToJavaScript) {
    const auto state = std::make_unique<GuestState>();
    for (const uint64_t bits : {uint64_t{1}, uint64_t{1} << 63 | 1}) {
        for (const uint32_t fpcr : {0u, 1u << 24}) {
            VectorCall call{};
            call.a.d[0] = bits;
            state->fpcr = fpcr;
            state->fpsr = 0;
            jit::describe(call, {.op = Op::FToJavaScript, .type = jit::ir::Type::I64});
            jit::reference_function(Op::FToJavaScript)(*state, call);
            EXPECT_EQ(call.out.d[0], 0u);
            EXPECT_EQ(state->fpsr, fpcr != 0 ? jit::softfloat::kIdc : jit::softfloat::kIxc);
        }
    }
}

void same(VectorFn plain, VectorFn host) {
    const auto state = std::make_unique<GuestState>();
    Rng rng(6);
    for (unsigned i = 0; i < 2000; ++i) {
        VectorCall a{}, b{};
        for (jit::V128* v : {&a.a, &a.b, &a.c}) v->d[0] = rng(), v->d[1] = rng();
        b = a;
        plain(*state, a);
        host(*state, b);
        ASSERT_EQ(a.out, b.out);
    }
}
/// Operands of all kinds, and the guest's environment is not touched.
TEST(ReferenceBfloat, PlainAndHostVersionsAgree) {
    namespace r = jit::reference;
    constexpr uint32_t kTowardsZero = 0x1f80 | 3u << 13;
    const auto state = std::make_unique<GuestState>();
    const uint32_t saved = _mm_getcsr();
    _mm_setcsr(kTowardsZero);
    Rng rng(9);
    const auto lane = [&](unsigned i, const jit::V128& other) {
        const uint64_t number = fp_operand(rng, 2), partner = get_lane(other, 2, i);
        switch (rng() % 6) {
            case 0: return partner;
            case 1: return partner ^ 0x8000'0000u;
            case 2: return (partner & 0x7f80'7f80u) | (number & 0x807f'807fu);
            case 3: return (number & 0xffff'0000u) | number >> 16;
            default: return number;
        }
    };
    unsigned different = 0;
    for (unsigned n = 0; n < 50000 && different < 3; ++n) {
        VectorCall a{};
        for (unsigned i = 0; i < 4; ++i) {
            set_lane(a.b, 2, i, fp_operand(rng, 2));
            set_lane(a.c, 2, i, lane(i, a.b));
            // About as large as a product, or as what rounding one loses.
            const uint32_t product =
                (get_lane(a.b, 2, i) & 0x7f80'0000) + (get_lane(a.c, 2, i) & 0x7f80'0000) - 0x3f80'0000;
            set_lane(a.a, 2, i,
                     rng() % 3 == 0 ? (product ^ (rng() & 0x807f'ffff)) - (rng() % 32 << 23) : lane(i, a.b));
        }
        VectorCall b = a;
        r::bfloat_dot_plain(*state, a), r::bfloat_dot_host(*state, b);
        different += !(a.out == b.out);
        r::bfloat_matrix_plain(*state, a), r::bfloat_matrix_host(*state, b);
        different += !(a.out == b.out);
    }
    EXPECT_EQ(_mm_getcsr(), kTowardsZero);
    _mm_setcsr(saved);
    EXPECT_EQ(different, 0u);
}

TEST(ReferenceCrypto, PlainAndHostVersionsAgree) {
    namespace r = jit::reference;
    const r::HostFeatures host = r::detect_host_features();
    if (host.aes) {
        same(r::aes_encrypt_plain, r::aes_encrypt_host);
        same(r::aes_decrypt_plain, r::aes_decrypt_host);
        same(r::aes_mix_plain, r::aes_mix_host);
        same(r::aes_inverse_mix_plain, r::aes_inverse_mix_host);
    }
    if (host.pclmul) same(r::polynomial_multiply64_plain, r::polynomial_multiply64_host);
    if (host.sha) {
        same(r::sha256_hash_plain, r::sha256_hash_host);
        same(r::sha256_hash2_plain, r::sha256_hash2_host);
    }
    if (!host.aes || !host.pclmul || !host.sha) GTEST_SKIP() << "this host lacks some of the instructions";
}

}  // namespace
}  // namespace arclight::tests
